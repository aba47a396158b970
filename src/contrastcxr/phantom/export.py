"""Phantom studies as files: pictures or DICOM objects, and a manifest with boxes and reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.files import atomic_write
from contrastcxr.form import Box, Finding, Study, View
from contrastcxr.phantom.corpus import phantom_study
from contrastcxr.phantom.dicom import SIZE as DICOM_SIZE
from contrastcxr.phantom.dicom import write_dicom
from contrastcxr.phantom.locators import SIZE, PhantomId, phantom_parameters, render_locator, split_size

FORMATS = ("png", "dicom")
MANIFEST = "studies.jsonl"


def write_studies(
    folder: str | Path,
    *,
    studies: int = 3,
    level: str = "standard",
    format: str = "png",
    seed: int = 0,
    split: str = "test",
) -> list[Path]:
    """Write the first studies of a split with a manifest, and return the paths written, the manifest last.

    Boxes in the manifest are in pixels of the files. PNG files are 8 bits and 512 px, DICOM files 10 to 14
    bits and 1024 px. The studies come from `test`, which no bundled model was trained on.

    Raises:
        UnknownNameError: no such level, split or format.
        RequestError: more studies than the split has.
        OutputError: a file could not be written.
    """
    if format not in FORMATS:
        raise UnknownNameError("phantom format", format, FORMATS)
    if not 1 <= studies <= split_size(level, split):
        raise RequestError(
            f"{studies} studies; {level}/{split} has {split_size(level, split)}: ask for 1 to that many"
        )
    root, paths, written = Path(folder), [], []
    for index in range(studies):
        phantom = PhantomId(level, split, index, seed)
        study = phantom_study(phantom)
        if format == "png":
            files, scale = _write_png(study, root), 1.0
        else:
            files = write_dicom(phantom_parameters(phantom), root, study_id=study.study_id)
            scale = DICOM_SIZE / SIZE
        paths += files
        written.append(_pointing_at(study, files, scale))
    with atomic_write(root / MANIFEST, "w") as file:
        file.writelines(study.model_dump_json() + "\n" for study in written)
    return [*paths, root / MANIFEST]


def _write_png(study: Study, root: Path) -> list[Path]:
    paths = []
    for view in study.views:
        pixels = render_locator(view.locator or "")
        path = root / f"{view.view_id}.png"
        with atomic_write(path, "wb") as file:
            Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "PNG")
        paths.append(path)
    return paths


def _pointing_at(study: Study, files: list[Path], scale: float) -> Study:
    """Return the study with views that name files beside the manifest, and boxes in their pixels."""
    views = tuple(_view(view, path, scale) for view, path in zip(study.views, files, strict=True))
    truth = study.readings[0]
    findings = tuple(_scaled(finding, scale) for finding in truth.findings)
    return study.model_copy(
        update={"views": views, "readings": (truth.model_copy(update={"findings": findings}), *study.readings[1:])}
    )


def _view(view: View, path: Path, scale: float) -> View:
    size = round(SIZE * scale)
    spacing = None if view.spacing_mm is None else (view.spacing_mm[0] / scale, view.spacing_mm[1] / scale)
    return view.model_copy(update={"locator": path.name, "width": size, "height": size, "spacing_mm": spacing})


def _scaled(finding: Finding, scale: float) -> Finding:
    boxes = []
    for box in finding.boxes:
        x1, y1, x2, y2 = (v * scale for v in box.xyxy)
        boxes.append(Box(view=box.view, xyxy=(x1, y1, x2, y2)))
    return finding.model_copy(update={"boxes": tuple(boxes)})
