"""Paths as a person types them become studies; what cannot be read is listed, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from contrastcxr.data.failures import Failure
from contrastcxr.data.images import image_size
from contrastcxr.data.lateral import looks_lateral
from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.readers.manifest import SUFFIXES as MANIFEST_SUFFIXES
from contrastcxr.data.readers.manifest import parse_manifest
from contrastcxr.data.sniff import DICOM_SUFFIXES, FileKind, sniff
from contrastcxr.errors import DatasetError, ImageError, InputError
from contrastcxr.form import Study, View

__all__ = ["Failure", "studies_from_paths", "with_pixels"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", *DICOM_SUFFIXES)
"""In a folder, a file with one of these names that cannot be read is a failure; other files are passed over."""


def studies_from_paths(
    paths: Sequence[str | Path], *, keep_ids: bool = False
) -> tuple[list[Study], list[Failure]]:
    """Return the studies under the paths and the inputs that are not studies.

    A PNG or JPEG file is a study of its own; DICOM files are grouped by their study, across all paths; a manifest
    (`.jsonl`, `.csv`) gives its rows. Only headers are read here, so a damaged picture shows when its pixels are
    loaded (`with_pixels`). A file that is named twice is read once.

    Args:
        paths: files and folders; folders are searched to the bottom, in the order of names.
        keep_ids: keep the identifiers of DICOM objects instead of hashes.
    """
    failures: list[Failure] = []
    files = list(_files(paths, failures))
    dicom = [path for path, kind in files if kind == "dicom"]
    studies: list[Study] = []
    for path, kind in files:
        if kind is None:
            studies += _manifest_studies(path, failures)
        elif kind != "dicom":
            studies += _picture_study(path, failures)
    return _distinct([*_dicom_studies(dicom, keep_ids, failures), *studies], failures), failures


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
            failures.append(Failure.of(view.locator or view.view_id, error))
        else:
            height, width = pixels.shape
            known = {"pixels": pixels, "width": width, "height": height, **_predicted(view, pixels)}
            views.append(view.model_copy(update=known))
    if not views:
        return None, failures
    readings = () if failures else study.readings
    return study.model_copy(update={"views": tuple(views), "readings": readings}), failures


def _predicted(view: View, pixels: np.ndarray) -> dict[str, str]:
    """What the picture says of a view that its file says nothing of."""
    if view.position != "unknown" or not looks_lateral(pixels):
        return {}
    return {"position": "LATERAL", "position_source": "predicted"}


def _files(paths: Sequence[str | Path], failures: list[Failure]) -> Iterator[tuple[Path, FileKind | None]]:
    """Every file that may be read, once, with its kind (None for a manifest)."""
    seen: set[Path] = set()
    for path in map(Path, paths):
        found = list(_in_folder(path, failures)) if path.is_dir() else list(_one_file(path, failures))
        for file, kind in found:
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file, kind


def _one_file(path: Path, failures: list[Failure]) -> Iterator[tuple[Path, FileKind | None]]:
    if path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file():
        yield path, None
        return
    try:
        yield path, _picture_kind(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))


def _in_folder(folder: Path, failures: list[Failure]) -> Iterator[tuple[Path, FileKind | None]]:
    found = False
    for path in _walk(folder, failures):
        named = path.suffix.lower() in PICTURE_SUFFIXES
        try:
            kind = _picture_kind(path)
        except ImageError as error:
            if named:
                found = True
                failures.append(Failure.of(path, error))
        else:
            found = True
            yield path, kind
    if not found:
        failures.append(
            Failure(str(folder), f"{folder}: holds no PNG, JPEG or DICOM file; give the folder of the radiographs")
        )


def _walk(folder: Path, failures: list[Failure]) -> Iterator[Path]:
    """Files to the bottom of the folder, without hidden ones and the directory file of DICOM media."""

    def unreadable(error: OSError) -> None:
        message = f"{error.filename}: cannot be opened ({error.strerror}); check its permissions"
        failures.append(Failure(str(error.filename), message))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, n) for n in sorted(names) if not n.startswith(".") and n.upper() != "DICOMDIR")


def _picture_kind(path: Path) -> FileKind:
    kind = sniff(path)
    if kind == "other":
        raise ImageError(f"{path}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first")
    return kind


def _dicom_studies(paths: Sequence[Path], keep_ids: bool, failures: list[Failure]) -> list[Study]:
    if not paths:
        return []
    # Imported here: whoever reads pictures does not wait for pydicom.
    from contrastcxr.data.dicom.reading import dicom_studies

    studies, refused = dicom_studies(paths, keep_ids=keep_ids)
    failures += refused
    return studies


def _manifest_studies(path: Path, failures: list[Failure]) -> Iterable[Study]:
    try:
        parsed = parse_manifest(path)
    except DatasetError as error:
        failures.append(Failure.of(path, error))
        return ()
    failures += parsed.failures
    failures += [
        Failure(image, f"{path}: the image {image} is not there; check the path in the manifest")
        for image in parsed.missing
    ]
    return parsed.studies


def _picture_study(path: Path, failures: list[Failure]) -> Iterable[Study]:
    try:
        width, height = image_size(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))
        return ()
    view = View(view_id=path.stem, locator=str(path), width=width, height=height)
    return (Study(study_id=path.stem, views=(view,)),)


def _distinct(studies: Iterable[Study], failures: list[Failure]) -> list[Study]:
    """Studies with different ids: a second picture of one name gets a number, a second study is a failure."""
    taken: dict[str, Study] = {}
    for study in studies:
        name = study.study_id
        if name in taken and not study.readings and study.patient_id is None:
            name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
        if name in taken:
            error = DatasetError(f"study '{name}' is in two of the inputs; expected different ids; rename one")
            failures.append(Failure.of(name, error))
        else:
            taken[name] = study if name == study.study_id else study.model_copy(update={"study_id": name})
    return list(taken.values())
