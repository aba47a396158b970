"""The pixels of a view, wherever they are kept, and their size: in memory, in a file, or drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrastcxr.data.images import check_picture, image_size, read_image
from contrastcxr.data.lateral import looks_lateral
from contrastcxr.data.sniff import DICOM_KINDS, sniff
from contrastcxr.data.source import Failure, one_input
from contrastcxr.errors import ImageError, InputError
from contrastcxr.form import Study, View, is_file_locator, locator_path


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels `[h, w]` float32 in [0, 1] of a whole view, and the view's own (H, W), which may be larger."""

    pixels: np.ndarray
    shape: tuple[int, int]


PictureOf = Callable[[View], Picture]
"""Where pixels come from: `original`, or pictures that were prepared."""


def original(view: View) -> Picture:
    """Return the view's own pixels.

    Raises:
        ImageError: the pixels are missing, unreadable or not a radiograph.
    """
    pixels = load_pixels(view)
    return Picture(pixels, (pixels.shape[0], pixels.shape[1]))


def load_pixels(view: View, *, window: str | None = None) -> np.ndarray:
    """Return the view's pixels, `[H, W]` float32 in [0, 1] with bone bright.

    Pixels already in memory are returned as they are, after the same checks; they must not be written to. `window`
    is the number or name of the window that a DICOM file is shown with; None takes its first.

    Raises:
        ImageError: the pixels are missing, unreadable or not a radiograph.
    """
    if view.pixels is not None:
        return _in_memory(view)
    assert view.locator is not None  # the form guarantees one of the two
    if not is_file_locator(view.locator):
        return _drawn(view.locator)
    return load_file(locator_path(view.locator), window=window)


def load_file(path: Path, *, window: str | None = None) -> np.ndarray:
    """Return the pixels of a PNG, JPEG or DICOM file; its content says which, not its name.

    Raises:
        ImageError: the file cannot be read as a radiograph, whoever found out.
    """
    with one_input(path):
        if sniff(path) in DICOM_KINDS:
            from contrastcxr.data.dicom.reading import read_pixels

            return read_pixels(path, window=window)
        return read_image(path)


def file_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright radiograph in a PNG, JPEG or DICOM file.

    Raises:
        ImageError: the file cannot be a radiograph.
    """
    with one_input(path):
        if sniff(path) in DICOM_KINDS:
            from contrastcxr.data.dicom.reading import read_header

            header = read_header(path)
            return header.width, header.height
        return image_size(path)


def _in_memory(view: View) -> np.ndarray:
    pixels = np.asarray(view.pixels)
    where = f"view '{view.view_id}'"
    if pixels.ndim != 2:
        raise ImageError(f"{where}: pixels have shape {pixels.shape}; pass one grey picture [H, W]")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ImageError(f"{where}: pixels are {pixels.dtype}; pass float32 in [0, 1], bone bright")
    pixels = pixels.astype(np.float32, copy=False)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise ImageError(f"{where}: pixels go beyond [0, 1] or are not numbers; scale them to [0, 1], bone bright")
    check_picture(pixels, where)
    return pixels


def _drawn(locator: str) -> np.ndarray:
    # Imported here: drawing is not needed by those who read files.
    from contrastcxr.phantom import render_locator

    return np.asarray(render_locator(locator), dtype=np.float32)


def with_pixels(study: Study, *, window: str | None = None) -> tuple[Study | None, list[Failure]]:
    """Return the study with the pixels of its views in memory, without the views that cannot be read.

    None when no view can be read. A view that its file does not name is called a lateral where it surely looks
    like one, and marked as predicted. Readings go with the views, because their boxes count views.

    Args:
        study: whose views are files.
        window: number or name of the window that DICOM files are shown with; None takes the first of each.
    """
    views: list[View] = []
    failures: list[Failure] = []
    for view in study.views:
        try:
            pixels = load_pixels(view, window=window)
        except InputError as error:
            failures.append(Failure.of(view.locator or view.view_id, error, study_id=study.study_id))
        else:
            height, width = pixels.shape
            known = {"pixels": pixels, "width": width, "height": height, **_predicted(view, pixels)}
            views.append(view.model_copy(update=known))
    if not views:
        return None, failures
    readings = () if failures else study.readings
    return study.model_copy(update={"views": tuple(views), "readings": readings}), failures


def _predicted(view: View, pixels: np.ndarray) -> dict[str, str]:
    """Return what the picture says of a view that its file says nothing of."""
    if view.position != "unknown" or not looks_lateral(pixels):
        return {}
    return {"position": "LATERAL", "position_source": "predicted"}
