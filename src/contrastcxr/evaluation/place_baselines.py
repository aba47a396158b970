"""Readers of places that cannot see, and the best that a localizer's grid can do.

They stand beside a localizer: the whole picture, the mean box of the training split, the boxes of the nearest
training study, and as an upper bound a perfect labelling of the cells.  Boxes travel from picture to picture in
shares of the picture's sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contrastcxr.data.transforms import Affine, invert, map_points
from contrastcxr.features.box_cells import overlapping_cells
from contrastcxr.form import Box, Finding, Point, Reading, Status, Study
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.reading.heat import cells_region
from contrastcxr.reading.regions import in_original

if TYPE_CHECKING:
    from contrastcxr.evaluation.references import References
    from contrastcxr.reading.reader import Reader

Extents = Mapping[int, Rectangle]
"""By view of a study: the model's picture in pixels of the original."""
Places = tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the cells of a picture that was aligned lie: parallelograms of the original.

    Attributes:
        affine: `[2, 3]`, pixels of the aligned picture to those of the original.
        size: side of the aligned picture, which the cells share evenly.
        shape: (H, W) of the original.
    """

    affine: Affine
    size: int
    shape: tuple[int, int]


MeanBoxes = Mapping[tuple[str, bool], Rectangle]
"""By finding, and whether on lateral views: a box in shares of the picture's sides."""


def grid_of(reader: Reader) -> tuple[int, int] | None:
    """Return rows and columns of the localizer's map; None where nobody knows them."""
    places = reader.system.marked_grid
    return None if places is None else (places.rows, places.columns)


def whole_pictures(names: Sequence[str], extents: Sequence[Extents]) -> list[Places]:
    """Return every finding marked on the whole of every picture, and pointed at in the middle of the first."""
    return [
        tuple(_marked(name, [Box(view=view, xyxy=_inside(e)) for view, e in of.items()]) for name in names)
        for of in extents
    ]


def mean_boxes(training: References, extents: Sequence[Extents]) -> MeanBoxes:
    """Return the mean of the corners of each finding's training boxes, frontal and lateral views apart."""
    found: dict[tuple[str, bool], list[Rectangle]] = defaultdict(list)
    for study, reading, of in zip(training.studies, training.readings, extents, strict=True):
        for finding in reading.findings:
            for box in finding.boxes:
                if box.view in of:
                    found[finding.name, _lateral(study, box.view)].append(_in_shares(box.xyxy, of[box.view]))
    return {key: _mean(boxes) for key, boxes in found.items()}


def mean_box_places(means: MeanBoxes, studies: Sequence[Study], extents: Sequence[Extents]) -> list[Places]:
    """Return the mean box of each finding on every study."""
    names = dict.fromkeys(name for name, _ in means)
    return [
        tuple(_marked(name, _mean_marks(name, means, study, of)) for name in names)
        for study, of in zip(studies, extents, strict=True)
    ]


def _mean_marks(name: str, means: MeanBoxes, study: Study, extents: Extents) -> list[Box]:
    kinds = {view: (name, _lateral(study, view)) for view in extents}
    return [Box(view=v, xyxy=_placed(means[key], extents[v])) for v, key in kinds.items() if key in means]


def neighbour_places(
    near: tuple[Study, Reading, Extents] | None, study: Study, extents: Extents, *, names: Sequence[str]
) -> Places:
    """Return what the nearest training study calls present, and its boxes on the first view of the same kind.

    Args:
        near: the training study, what its author says, and its pictures; None where there is none.
        study: that is scored.
        extents: of its pictures.
        names: of the findings that are scored.
    """
    if near is None:
        return ()
    other, reading, theirs = near
    views = {_lateral(study, view): view for view in reversed(list(extents))}
    found = []
    for finding in reading.findings:
        if finding.status == "present" and finding.name in names:
            kinds = [(box, _lateral(other, box.view)) for box in finding.boxes if box.view in theirs]
            boxes = [
                Box(view=views[k], xyxy=_placed(_in_shares(box.xyxy, theirs[box.view]), extents[views[k]]))
                for box, k in kinds
                if k in views
            ]
            found.append(_marked(finding.name, boxes, status="present", shown=True))
    return tuple(found)


def ceiling_places(
    reading: Reading, extents: Extents, grid: tuple[int, int], *, frames: Mapping[int, Frame] | None = None
) -> Places:
    """Return a perfect labelling: of each finding with boxes every cell that one overlaps.

    Args:
        reading: with the boxes.
        extents: of its pictures.
        grid: rows and columns of cells.
        frames: of the views that were aligned.
    """
    rows, columns = grid
    turned = frames or {}
    upright = {view: extent for view, extent in extents.items() if view not in turned}
    found = []
    for name in dict.fromkeys(finding.name for finding in reading.findings if finding.boxes):
        boxes = [box for finding in reading.findings if finding.name == name for box in finding.boxes]
        cells = []
        for view in extents:
            here = [box.xyxy for box in boxes if box.view == view]
            region = (
                turned_region(here, rows, columns, turned[view])
                if view in turned
                else ceiling_region(here, rows, columns, extents[view])
            )
            cells += [Box(view=view, xyxy=cell) for cell in region]
        point = _best_cell(boxes, upright, grid) or _middle_cell(boxes, turned, grid)
        found.append(_marked(name, cells, status="present", point=point))
    return tuple(found)


def turned_region(boxes: Sequence[Rectangle], rows: int, columns: int, frame: Frame) -> tuple[Rectangle, ...]:
    """Return the cells of an aligned picture that overlap a box, as a localizer's are drawn on the original.

    Args:
        boxes: in pixels of the original.
        rows: of the grid.
        columns: of the grid.
        frame: of the picture.
    """
    marked = np.zeros((rows, columns), dtype=bool)
    for box in boxes:
        marked |= overlapping_cells(box, frame.affine, rows, columns, frame.size)
    return in_original(cells_region(marked, (frame.size, frame.size)), frame.affine, frame.shape)


def _middle_cell(boxes: Sequence[Box], frames: Mapping[int, Frame], grid: tuple[int, int]) -> Point | None:
    """Return the centre of the cell in which the middle of the largest box lies, of views that were aligned."""
    steps = {view: np.array([frame.size / grid[1], frame.size / grid[0]]) for view, frame in frames.items()}
    for box in sorted(boxes, key=lambda each: -_area(each.xyxy)):
        if box.view in frames:
            frame, step = frames[box.view], steps[box.view]
            (place,) = map_points(invert(frame.affine), np.array([_middle(box.xyxy)]))
            if (place >= 0).all() and (place < frame.size).all():
                (centre,) = map_points(frame.affine, (np.floor(place / step) + 0.5)[None] * step)
                x, y = np.clip(centre, 0.0, (frame.shape[1], frame.shape[0]))
                return Point(view=box.view, xy=(float(x), float(y)))
    return None


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def ceiling_region(
    boxes: Sequence[Rectangle], rows: int, columns: int, extent: Rectangle
) -> tuple[Rectangle, ...]:
    """Return the cells of a grid that overlap a box, those that touch in one row as one rectangle.

    Args:
        boxes: in pixels of the original.
        rows: of the grid.
        columns: of the grid.
        extent: what the grid covers, in pixels of the original.
    """
    x, y = _edges(extent, rows, columns)
    marked = np.zeros((rows, columns), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        marked |= np.outer((y[:-1] < y2) & (y[1:] > y1), (x[:-1] < x2) & (x[1:] > x1))
    return tuple(
        (float(x[first]), float(y[row]), float(x[last]), float(y[row + 1]))
        for row in range(rows)
        for first, last in _runs(marked[row])
    )


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """Return where each run of True `[C]` begins and ends (exclusive)."""
    steps = np.diff(np.concatenate([[0], marked.astype(np.int8), [0]]))
    pairs = zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True)
    return [(int(first), int(last)) for first, last in pairs]


def _edges(extent: Rectangle, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    x1, y1, x2, y2 = _inside(extent)
    return np.linspace(x1, x2, columns + 1), np.linspace(y1, y2, rows + 1)


def _best_cell(boxes: Sequence[Box], extents: Extents, grid: tuple[int, int]) -> Point | None:
    """Return the centre of the cell of which the boxes cover most; the first of equals."""
    best, point = 0.0, None
    for view, extent in extents.items():
        x, y = _edges(extent, *grid)
        for x1, y1, x2, y2 in (box.xyxy for box in boxes if box.view == view):
            across = np.clip(np.minimum(x[1:], x2) - np.maximum(x[:-1], x1), 0, None)
            down = np.clip(np.minimum(y[1:], y2) - np.maximum(y[:-1], y1), 0, None)
            shared = np.outer(down, across)
            if shared.max() > best:
                best = float(shared.max())
                row, column = np.unravel_index(shared.argmax(), shared.shape)
                centre = (float(x[column] + x[column + 1]) / 2, float(y[row] + y[row + 1]) / 2)
                point = Point(view=view, xy=centre)
    return point


def _marked(
    name: str,
    region: Sequence[Box],
    *,
    status: Status = "unmentioned",
    shown: bool = False,
    point: Point | None = None,
) -> Finding:
    """Return a finding with its region, pointed at in the middle of the first rectangle unless told."""
    marked = tuple(region)
    peak = point or (Point(view=marked[0].view, xy=_middle(marked[0].xyxy)) if marked else None)
    return Finding(name=name, status=status, region=marked, boxes=marked if shown else (), peak=peak)


def _middle(rectangle: Rectangle) -> tuple[float, float]:
    x1, y1, x2, y2 = rectangle
    return (x1 + x2) / 2, (y1 + y2) / 2


def _lateral(study: Study, view: int) -> bool:
    return study.views[view].position == "LATERAL"


def _inside(extent: Rectangle) -> Rectangle:
    """Return the part of an extent that has pixels: an affine may reach a rounding error before the first."""
    x1, y1, x2, y2 = extent
    return max(x1, 0.0), max(y1, 0.0), x2, y2


def _in_shares(rectangle: Rectangle, extent: Rectangle) -> Rectangle:
    left, upper, right, lower = extent
    x1, y1, x2, y2 = rectangle
    wide, tall = right - left, lower - upper
    return (x1 - left) / wide, (y1 - upper) / tall, (x2 - left) / wide, (y2 - upper) / tall


def _placed(shares: Rectangle, extent: Rectangle) -> Rectangle:
    left, upper, right, lower = extent
    x1, y1, x2, y2 = shares
    wide, tall = right - left, lower - upper
    return _inside((left + x1 * wide, upper + y1 * tall, left + x2 * wide, upper + y2 * tall))


def _mean(boxes: Sequence[Rectangle]) -> Rectangle:
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).mean(axis=0).tolist()
    return x1, y1, x2, y2
