"""Annotations published beside the COVID-19 image collection: severity scores and boxes of the lungs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.tables.files import read_json
from contrastcxr.data.tables.named import read_table
from contrastcxr.errors import DatasetError
from contrastcxr.form import XYXY, Finding
from contrastcxr.vocab.attributes import SEVERITIES

MAX_EXTENT, MAX_OPACITY = 8.0, 6.0
SLACK = 2.0
"""Pixels by which a box may stick out before it is an error; it is clipped (ours)."""

_SIDES: Mapping[str, Literal["left", "right"]] = {"Right Lung": "right", "Left Lung": "left"}


@dataclass(frozen=True)
class Severity:
    """Mean of three raters (Cohen et al. 2020): extent 0 to 8 and opacity 0 to 6, both lungs together."""

    extent: float
    opacity: float

    def finding(self) -> Finding:
        """Return the opacity as a finding; its word is that of the quarter of the lungs involved (ours).

        An extent of 2 is up to a quarter of each lung, 8 more than three quarters.
        """
        present = self.extent > 0 or self.opacity > 0
        quarter = min(max(math.ceil(self.extent / 2), 1), 4)
        return Finding(
            name="Lung Opacity",
            status="present" if present else "absent",
            severity=SEVERITIES[quarter - 1] if present else None,
            source="covid severity scores",
        )


@dataclass(frozen=True)
class LungBox:
    """The box of one lung in pixels of an image of the stated size (width, height)."""

    side: Literal["left", "right"]
    xyxy: XYXY
    size: tuple[int, int]

    def scaled(self, width: int | None, height: int | None) -> XYXY:
        """Return the box in pixels of a copy of the image, or as it is where no size is known."""
        sx, sy = (width or self.size[0]) / self.size[0], (height or self.size[1]) / self.size[1]
        x1, y1, x2, y2 = self.xyxy
        return x1 * sx, y1 * sy, x2 * sx, y2 * sy


def read_severity(path: Path) -> dict[str, Severity]:
    """Map each file name to its severity.

    Raises:
        DatasetError: a score outside its scale, or no number; an image twice.
    """
    table = read_table(path, ("filename", "geographic_mean", "opacity_mean"), comment="#")
    scores: dict[str, Severity] = {}
    for row in table.rows:
        extent, opacity = (table.number(row, name) for name in ("geographic_mean", "opacity_mean"))
        if not (0 <= extent <= MAX_EXTENT and 0 <= opacity <= MAX_OPACITY):
            raise row.error(f"scores {extent:g} and {opacity:g}; expected 0 to 8 and 0 to 6; correct the row")
        name = table.cell(row, "filename")
        if name in scores:
            raise row.error("the image is scored twice; expected once; remove one row")
        scores[name] = Severity(extent, opacity)
    return scores


def read_lung_boxes(path: Path) -> dict[str, tuple[LungBox, ...]]:
    """Map each file name to the boxes of its lungs; an annotation whose box is null marks no lung.

    Raises:
        DatasetError: not the published JSON, or a box outside its image.
    """
    content = read_json(path, "the published lung boxes")
    try:
        images = {image["id"]: image for image in content["images"]}
        sides = {category["id"]: _SIDES[category["name"]] for category in content["categories"]}
        found: dict[str, list[LungBox]] = {}
        for name, box in _boxes(content, images, sides, path):
            found.setdefault(name, []).append(box)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path}: is not the published list; expected images, categories Right Lung and Left Lung, and "
            "annotations with image_id, category_id and bbox; download it again"
        ) from error
    return {name: tuple(boxes) for name, boxes in found.items()}


def _boxes(
    content: Any, images: Mapping[Any, Any], sides: Mapping[Any, Literal["left", "right"]], path: Path
) -> Iterator[tuple[str, LungBox]]:
    for entry in content["annotations"]:
        if any(value is None for value in entry["bbox"]):
            continue
        x, y, w, h = (float(value) for value in entry["bbox"])
        image = images[entry["image_id"]]
        width, height = int(image["width"]), int(image["height"])
        inside = min(x, y) >= -SLACK and x + w <= width + SLACK and y + h <= height + SLACK
        if not (inside and w > 0 and h > 0):
            raise DatasetError(
                f"{path} annotation {entry['id']} ({image['file_name']}): box [{x:g}, {y:g}, {w:g}, {h:g}]; "
                f"expected x, y, width, height inside {width}×{height} pixels; correct it"
            )
        corners: XYXY = (max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height)))
        yield image["file_name"], LungBox(sides[entry["category_id"]], corners, (width, height))
