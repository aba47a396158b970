"""Boxes of a study in its views, as cells or as corners, for heads that are taught where findings are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastcxr.data.authors import boxed_reading
from contrastcxr.data.transforms import Affine, invert, map_boxes, map_points
from contrastcxr.form import XYXY, Study

_ROUNDING = 1e-3
"""Pixels by which shapes must overlap: affines are float32, and an edge on an edge is no overlap."""


@dataclass(frozen=True)
class BoxReader:
    """Reads where findings are out of a study whose views have been brought to the model's size.

    Attributes:
        names: of the findings whose boxes are read; those of others are passed over.
        rows: of cells of a view.
        columns: of cells of a view.
        size: side of the model's picture.
        as_corners: whether boxes are learnt as corners, not as cells.
        as_one: whether all of them are of one finding.
    """

    names: tuple[str, ...]
    rows: int
    columns: int
    size: int
    as_corners: bool = False
    as_one: bool = False

    @property
    def classes(self) -> int:
        """L, how many findings are learnt."""
        return 1 if self.as_one else len(self.names)

    def boxes(self, study: Study, view_index: Sequence[int]) -> StudyBoxes:
        """Return the boxes of a study, of whoever drew any.

        Args:
            study: with the boxes.
            view_index: which view of the study each of the V is.
        """
        reading = boxed_reading(study, self.names)
        findings = () if reading is None else (f for f in reading.findings if f.name in self.names)
        drawn = tuple(
            (view_index.index(box.view), 0 if self.as_one else self.names.index(finding.name), box.xyxy)
            for finding in findings
            for box in finding.boxes
            if box.view in view_index
        )
        return StudyBoxes(self, len(view_index), drawn)


@dataclass(frozen=True)
class StudyBoxes:
    """The boxes of a study's V views, for who learns only later what cells its pictures have.

    Attributes:
        reader: of the L findings and n cells.
        views: V.
        drawn: place of the view, place of the finding, and box in pixels of the original view.
    """

    reader: BoxReader
    views: int
    drawn: tuple[tuple[int, int, XYXY], ...]

    def cells(self, affines: Tensor) -> Tensor:
        """Return `[V, L, n]` bool: whether each cell overlaps a box of each finding.

        Args:
            affines: `[V, 2, 3]`, model pixels to original pixels.
        """
        reader, places = self.reader, affines.double().cpu().numpy()
        cells = np.zeros((self.views, reader.classes, reader.rows, reader.columns), dtype=bool)
        for view, finding, box in self.drawn:
            cells[view, finding] |= overlapping_cells(box, places[view], reader.rows, reader.columns, reader.size)
        return torch.from_numpy(cells).flatten(2)

    def corners(self, affines: Tensor) -> Tensor:
        """Return `[V, K, 4]` float32: the boxes of each view in the model's picture, NaN behind the last of them.

        A box is cut at the sides of the picture; one that lies outside of it, or is thinner than a pixel, is none.

        Args:
            affines: `[V, 2, 3]`, model pixels to original pixels.
        """
        places = affines.double().cpu().numpy()
        found: list[list[np.ndarray]] = [[] for _ in range(self.views)]
        for view, _, box in self.drawn:
            inside = map_boxes(invert(places[view]), np.array([box]))[0].clip(0, self.reader.size)
            if (inside[2:] - inside[:2] >= 1).all():
                found[view].append(inside)
        corners = np.full((self.views, max(map(len, found)), 4), np.nan, dtype=np.float32)
        for view, boxes in enumerate(found):
            corners[view, : len(boxes)] = np.reshape(boxes, (-1, 4))
        return torch.from_numpy(corners)


def overlapping_cells(box: XYXY, affine: Affine, rows: int, columns: int, size: int) -> NDArray[np.bool_]:
    """Return which cells of the model's picture share an area with a box of the original, `[rows, columns]`.

    A cell is a parallelogram of the original, where the picture was rotated. It and the box overlap when no line
    along an edge of either has them on different sides (separating axes).

    Args:
        box: in pixels of the original.
        affine: `[2, 3]`, model pixels to original pixels.
        rows: of cells.
        columns: of cells.
        size: side of the model's picture, which the cells share evenly.
    """
    steps = np.array([size / columns, size / rows])
    x1, y1, x2, y2 = box
    corners = map_points(invert(affine), np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]))
    x, y = (np.arange(count) * step for count, step in zip((columns, rows), steps, strict=True))
    low, high = corners.min(axis=0), corners.max(axis=0)
    across, down = _meet(x, x + steps[0], low[0], high[0]), _meet(y, y + steps[1], low[1], high[1])
    centres = np.stack(np.meshgrid(x + steps[0] / 2, y + steps[1] / 2), axis=-1)  # [rows,columns,2]
    mapped, reach = centres @ affine[:, :2].T + affine[:, 2], np.abs(affine[:, :2]) @ steps / 2
    found = down[:, None] & across
    for axis, (first, last) in enumerate(((x1, x2), (y1, y2))):
        found &= _meet(mapped[..., axis] - reach[axis], mapped[..., axis] + reach[axis], first, last)
    return found


def _meet(low: np.ndarray, high: np.ndarray, first: float, last: float) -> NDArray[np.bool_]:
    """Return which of the intervals from `low` to `high` share a length with the one from `first` to `last`."""
    shared: NDArray[np.bool_] = np.minimum(high, last) - np.maximum(low, first) > _ROUNDING
    return shared
