"""Average precision of boxes, as COCO counts it: how well the score of a box tells right ones from wrong ones.

Lin et al. 2014, and the evaluation of `pycocotools`: the boxes of one finding are taken over all images from the
highest score down, each is right where it overlaps a reference box that no box before it took by an IoU of T or
more, and precision, made falling, is averaged at 101 recalls.  What a box is where a reading shows none, and which
boxes are not judged, is **ours**.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contrastcxr.form import Box, Finding
from contrastcxr.metrics.bootstrap import Floats, Statistic, divide

Rectangle = tuple[float, float, float, float]
"""`x1, y1, x2, y2` in pixels of a picture."""
Findings = Sequence[Finding]

AP_THRESHOLDS = (0.3, 0.5)
"""T of average precision: a box is right from this IoU on, itself included."""
MET_THRESHOLDS = (0.25, 0.5, 0.75)
"""T of the share of reference boxes that a box meets (paper D's IoU@T)."""
JUDGED_AT = (*AP_THRESHOLDS, *(t for t in MET_THRESHOLDS if t not in AP_THRESHOLDS))
"""All of them, in the order in which a table keeps what is right; an older table has the first two alone."""
MOST = 100
"""Boxes of a finding on a study that count, those with the highest scores."""
RECALLS = np.linspace(0.0, 1.0, 101)
_AT_ONCE = 4_000_000
"""Draws times boxes that are held at once."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes of a system on `S` studies, of `L` findings, at most `M` of one on a study.

    Attributes:
        boxes: `[S, L, M, 1 + K]`, the highest score first: the score, then for each of the K thresholds 1 where
            the box is right, else 0; NaN where there is no box more.
        references: `[S, L]` reference boxes; NaN where no box is judged.
    """

    boxes: Floats
    references: Floats

    def precision(self, column: int, threshold: float) -> Statistic:
        """Return the average precision of one finding as a statistic of study weights."""
        boxes = self.boxes[:, column]  # [S, M, 1 + K]
        study, place = np.nonzero(np.isfinite(boxes[..., 0]))
        values = boxes[study, place]  # [D, 1 + K]
        order = np.argsort(-values[:, 0], kind="stable")
        right = values[order, 1 + JUDGED_AT.index(threshold)]  # [D]
        wanted = np.nan_to_num(self.references[:, column])
        return _AveragePrecision(study[order], right, wanted)

    def judges(self, threshold: float) -> bool:
        """Return whether it is kept which boxes are right at this T."""
        return bool(JUDGED_AT.index(threshold) < self.boxes.shape[-1] - 1)

    def met(self, column: int, threshold: float, *, first: bool = False) -> Statistic:
        """Return the share of one finding's reference boxes that a box meets, one each, of study weights.

        With `first` only the box of a study with the highest score counts.
        """
        judged = self.boxes[:, column, :, 1 + JUDGED_AT.index(threshold)]
        rights = np.nan_to_num(judged[:, :1] if first else judged).sum(axis=1)  # [S]
        wanted = np.nan_to_num(self.references[:, column])
        return lambda weights: divide(weights @ rights, weights @ wanted)


@dataclass(frozen=True, eq=False)
class _AveragePrecision:
    """Average precision of `D` boxes in the order of their scores, as a function of study weights `[R, S]`."""

    study: NDArray[np.int64]
    right: Floats
    wanted: Floats

    def __call__(self, weights: Floats) -> Floats:
        step = max(1, _AT_ONCE // max(1, len(self.study)))
        parts = [self._of(weights[first : first + step]) for first in range(0, len(weights), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _of(self, weights: Floats) -> Floats:
        drawn = weights[:, self.study]  # [R, D]
        hits = np.cumsum(drawn * self.right, axis=1)
        precision = divide(hits, np.cumsum(drawn, axis=1), undefined=0.0)
        falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        there = weights @ self.wanted  # [R]
        reached = np.searchsorted(RECALLS, divide(hits, there[:, None], undefined=0.0), side="right")
        new = np.diff(reached, axis=1, prepend=0)  # recalls that this box is the first to reach
        mean = (falling * new).sum(axis=1) / len(RECALLS)
        return np.where(there > 0, mean, np.nan)


def detections(
    references: Sequence[Findings | None], candidates: Sequence[Findings], names: Sequence[str]
) -> Detections | None:
    """Return which boxes are right, study by study; None where no system marks a place.

    The boxes of a finding are those that the reading shows, else those round the pieces of its region, so that a
    finding that is not called present takes part with its low score.  A box without a score has the probability of
    its finding, else 1.  A finding that the reference calls present or uncertain without a box is somewhere: its
    boxes are not judged.

    Args:
        references: findings with boxes; None of a study whose author gives no boxes.
        candidates: findings with what is marked.
        names: of the L findings that are scored.
    """
    cells = [
        [_cell(wanted, said, name) for name in names] for wanted, said in zip(references, candidates, strict=True)
    ]
    most = max((len(cell) for row in cells for cell in row), default=0)
    if not most:
        return None
    boxes = np.full((len(cells), len(names), most, 1 + len(JUDGED_AT)), np.nan)
    for s, row in enumerate(cells):
        for k, cell in enumerate(row):
            if cell:
                boxes[s, k, : len(cell)] = cell
    return Detections(boxes, judged_boxes(references, names))


def judged_boxes(references: Sequence[Findings | None], names: Sequence[str]) -> Floats:
    """Return how many reference boxes each finding has, `[S, L]`; NaN where boxes of it are not judged."""
    counts = [[_judged(wanted, name) for name in names] for wanted in references]
    each = [[np.nan if boxes is None else len(boxes) for boxes in row] for row in counts]
    return np.asarray(each, np.float64).reshape(len(references), len(names))


def _judged(wanted: Findings | None, name: str) -> list[Box] | None:
    """Return the reference boxes of a finding; None where it is somewhere, or where nobody says where."""
    stated = [finding for finding in wanted or () if finding.name == name]
    boxes = [box for finding in stated for box in finding.boxes]
    somewhere = not boxes and any(finding.status in ("present", "uncertain") for finding in stated)
    return None if wanted is None or somewhere else boxes


def _cell(wanted: Findings | None, said: Findings, name: str) -> Sequence[Sequence[float]]:
    """Return the boxes of one finding on one study, score and rights each."""
    boxes = _judged(wanted, name)
    if boxes is None:
        return ()
    found = [pair for finding in said if finding.name == name for pair in scored_boxes(finding)]
    found = sorted(found, key=lambda pair: -pair[0])[:MOST]
    overlaps = np.array([[box_iou(box, other) for other in boxes] for _, box in found])
    overlaps = overlaps.reshape(len(found), len(boxes))
    rights = [matches(overlaps, threshold) for threshold in JUDGED_AT]
    return [(score, *each) for (score, _), *each in zip(found, *rights, strict=True)]


def scored_boxes(finding: Finding) -> list[tuple[float, Box]]:
    """Return the boxes of a finding with their scores: as shown, else round the pieces of its region.

    Where all of a region's boxes have scores they are no pieces but what is marked.
    """
    instead = 1.0 if finding.probability is None else finding.probability
    whole = finding.region if all(box.score is not None for box in finding.region) else ()
    if boxes := finding.boxes or whole:
        return [(instead if box.score is None else box.score, box) for box in boxes]
    views: Mapping[int, list[Rectangle]] = {box.view: [] for box in finding.region}
    for box in finding.region:
        views[box.view].append(box.xyxy)
    return [(instead, Box(view=view, xyxy=each)) for view, layer in views.items() for each in components(layer)]


def matches(overlaps: Floats, threshold: float) -> list[float]:
    """Return 1 for each box that is right, else 0; each takes the reference box it overlaps most of those left.

    Args:
        overlaps: `[D, G]` IoU of boxes, the highest score first, with reference boxes.
        threshold: IoU from which a box is right.
    """
    left = set(range(overlaps.shape[1]))
    found = []
    for row in overlaps:
        best = max(left, key=lambda other: (row[other], other), default=None)  # the last of equals, as pycocotools
        right = best is not None and bool(row[best] >= threshold)
        left -= {best} if right else set()
        found.append(float(right))
    return found


def box_iou(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes; 0 on different views."""
    if one.view != other.view:
        return 0.0
    (a1, b1, a2, b2), (c1, d1, c2, d2) = one.xyxy, other.xyxy
    shared = max(0.0, min(a2, c2) - max(a1, c1)) * max(0.0, min(b2, d2) - max(b1, d1))
    return shared / ((a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared)


def components(region: Sequence[Rectangle]) -> tuple[Rectangle, ...]:
    """Return the bounding boxes of the connected components of a union, the largest first.

    Rectangles that share no more than an edge or a corner are connected.
    """
    if not region:
        return ()
    corners = np.array(region)  # [n,4]
    x, y = np.unique(corners[:, ::2]), np.unique(corners[:, 1::2])
    mask = np.zeros((len(y) - 1, len(x) - 1), dtype=bool)  # between neighbouring edges
    columns, rows = np.searchsorted(x, corners[:, ::2]), np.searchsorted(y, corners[:, 1::2])
    for (left, right), (upper, lower) in zip(columns.tolist(), rows.tolist(), strict=True):
        mask[upper:lower, left:right] = True
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    found = [(x[c.start], y[r.start], x[c.stop], y[r.stop]) for r, c in ndimage.find_objects(labels)]
    boxes = [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in found]
    return tuple(sorted(boxes, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1])))
