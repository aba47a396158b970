"""Localization: how well the marked region covers the reference boxes, where the peak lies, and false boxes.

A region is the union of its rectangles, and so are the reference boxes of a finding.  T(IoU) and T(IoBB) are
those of Wang et al. 2017, which Li et al. 2018 and CIA-Net (paper B) take over; the pointing game is that of Zhang
et al. 2016, and mIoU that of CheXlocalize (Saporta et al. 2022), whose hit rate is the pointing game.  mAP is in
`detection`.  Areas are exact: the plane is cut at every edge (coordinate compression), nothing is drawn on pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastcxr.form import Box, Finding
from contrastcxr.metrics.bootstrap import Floats, Statistic, divide, mean_of
from contrastcxr.metrics.detection import (
    AP_THRESHOLDS,
    MET_THRESHOLDS,
    Detections,
    Rectangle,
    detections,
    judged_boxes,
)

Findings = Sequence[Finding]

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
"""T: a finding is localized when its overlap is greater."""
FALSE_BELOW = 0.1
"""Share of a box that must lie on a reference box of the same finding, or the box is false (ours)."""
ACCURACIES = (*(f"tiou_{t}" for t in THRESHOLDS), *(f"tiobb_{t}" for t in THRESHOLDS), "pointing", "miou")
"""Means over images, of each finding, `tiou_0.3/Mass`, and the mean over findings, `tiou_0.3`."""
PRECISIONS = {f"map_{t}": t for t in AP_THRESHOLDS}
"""Average precision at an IoU of T; of one finding, `map_0.5/Mass`, and the mean over findings."""
FIRST = "_first"
MET = {f"met_{t}{which}": t for which in ("", FIRST) for t in MET_THRESHOLDS}
"""Share of reference boxes that a marked box meets at an IoU of T, one to one; by finding, and their mean.

`met_0.5_first` is that of the one box of a study with the highest score.
"""
BY_FINDING = (*ACCURACIES, *PRECISIONS)
FALSE_BOXES = "false_boxes"


def covered_area(*layers: Sequence[Rectangle]) -> float:
    """Return the area that lies in every layer; a layer is the union of its rectangles."""
    if not layers or not all(layers):
        return 0.0
    corners = np.asarray([rectangle for layer in layers for rectangle in layer], np.float64)
    x, y = np.unique(corners[:, ::2]), np.unique(corners[:, 1::2])
    shared = np.ones((len(y) - 1, len(x) - 1), dtype=bool)
    for layer in layers:
        shared &= _cells_of(layer, x, y)
    return float(np.diff(y) @ shared @ np.diff(x))


def _cells_of(layer: Sequence[Rectangle], x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return which cells between the edges `x` and `y` a layer covers, `[len(y) - 1, len(x) - 1]`."""
    covered = np.zeros((len(y) - 1, len(x) - 1), dtype=bool)
    edges = np.asarray(layer, np.float64)
    columns, rows = np.searchsorted(x, edges[:, ::2]), np.searchsorted(y, edges[:, 1::2])
    for (left, right), (upper, lower) in zip(columns, rows, strict=True):
        covered[upper:lower, left:right] = True
    return covered


@dataclass(frozen=True)
class Overlap:
    """Areas of a marked region, of the reference boxes, and of what they share, summed over the views."""

    marked: float
    reference: float
    shared: float

    @classmethod
    def of(cls, marked: Sequence[Box], reference: Sequence[Box]) -> Overlap:
        """Return the areas; only what is marked on the view of a box can meet it."""
        one, other = _by_view(marked), _by_view(reference)
        return cls(
            marked=sum(covered_area(layer) for layer in one.values()),
            reference=sum(covered_area(layer) for layer in other.values()),
            shared=sum(covered_area(one[view], other[view]) for view in one.keys() & other.keys()),
        )

    @property
    def iou(self) -> float:
        """Intersection over union; 0 where nothing is marked."""
        union = self.marked + self.reference - self.shared
        return self.shared / union if union > 0 else 0.0

    @property
    def iobb(self) -> float:
        """Share of the marked region that lies on the reference boxes; 0 where nothing is marked."""
        return self.shared / self.marked if self.marked > 0 else 0.0


def _by_view(boxes: Sequence[Box]) -> dict[int, list[Rectangle]]:
    found: dict[int, list[Rectangle]] = defaultdict(list)
    for box in boxes:
        found[box.view].append(box.xyxy)
    return found


@dataclass(frozen=True, eq=False)
class PlaceCounts:
    """What a study table keeps of places.

    Attributes:
        iou: `[S, L]`, NaN where the reference has no box of the finding.
        iobb: `[S, L]`, likewise.
        pointing: `[S, L]` 1 where the peak lies in a reference box, else 0, NaN likewise; None without any peak.
        false_boxes: `[S]`, NaN where the author of the reference gives no boxes; None where nothing is called.
        boxes_marked: of `Detections`, `boxes`; None where nothing is marked.
        boxes_wanted: its `references`.
    """

    iou: Floats
    iobb: Floats
    pointing: Floats | None
    false_boxes: Floats | None
    boxes_marked: Floats | None = None
    boxes_wanted: Floats | None = None

    @property
    def detections(self) -> Detections | None:
        """What average precision is made of."""
        if self.boxes_marked is None or self.boxes_wanted is None:
            return None
        return Detections(self.boxes_marked, self.boxes_wanted)


def place_counts(
    references: Sequence[Findings | None], candidates: Sequence[Findings | None], names: Sequence[str]
) -> PlaceCounts:
    """Compare what readings mark with the boxes of the references, study by study.

    Args:
        references: findings with boxes; None of a study whose author gives no boxes.
        candidates: findings with what a localizer marked; None marks nothing.
        names: of the L findings that are scored.
    """
    said = [found or () for found in candidates]
    pairs = [_compared(wanted, found, names) for wanted, found in zip(references, said, strict=True)]
    table = np.asarray(pairs, np.float64).reshape(len(pairs), len(names), 3)
    peaks = any(finding.peak is not None for found in said for finding in found)
    calls = any(finding.status == "present" for found in said for finding in found)
    false = [_false_boxes(wanted, found, names) for wanted, found in zip(references, said, strict=True)]
    marked = detections(references, said, names)
    return PlaceCounts(
        iou=table[..., 0],
        iobb=table[..., 1],
        pointing=table[..., 2] if peaks else None,
        false_boxes=np.asarray(false, np.float64) if calls else None,
        boxes_marked=None if marked is None else marked.boxes,
        boxes_wanted=judged_boxes(references, names),
    )


def _compared(wanted: Findings | None, said: Findings, names: Sequence[str]) -> list[tuple[float, float, float]]:
    """Return IoU, IoBB and pointing of each finding; NaN where the reference has no box of it."""
    return [_one(_named(wanted or (), name), _named(said, name)) for name in names]


def _one(wanted: Findings, said: Findings) -> tuple[float, float, float]:
    boxes = [box for finding in wanted for box in finding.boxes]
    if not boxes:
        return np.nan, np.nan, np.nan
    found = Overlap.of([box for finding in said for box in finding.region], boxes)
    return found.iou, found.iobb, float(any(points_inside(finding, boxes) for finding in said))


def points_inside(finding: Finding, boxes: Sequence[Box]) -> bool:
    """Return True when the peak of a finding lies in one of the boxes, edges included."""
    peak = finding.peak
    if peak is None:
        return False
    corners = (box.xyxy for box in boxes if box.view == peak.view)
    return any(x1 <= peak.xy[0] <= x2 and y1 <= peak.xy[1] <= y2 for x1, y1, x2, y2 in corners)


def _named(findings: Findings, name: str) -> list[Finding]:
    return [finding for finding in findings if finding.name == name]


def _false_boxes(wanted: Findings | None, said: Findings, names: Sequence[str]) -> float:
    """Return how many boxes of findings called present lie nowhere near a reference box of the same finding.

    A finding that the reference calls present or uncertain without a box is somewhere: its boxes are not judged.
    """
    if wanted is None:
        return np.nan
    unplaced = {f.name for f in wanted if f.status in ("present", "uncertain")} - {
        f.name for f in wanted if f.boxes
    }
    judged = [f for f in said if f.status == "present" and f.name in names and f.name not in unplaced]
    boxes = {f.name: [box for each in _named(wanted, f.name) for box in each.boxes] for f in judged}
    return float(sum(is_false(box, boxes[finding.name]) for finding in judged for box in finding.boxes))


def is_false(box: Box, reference: Sequence[Box]) -> bool:
    """Return True when less than a tenth of a box lies on the reference boxes of its view."""
    return Overlap.of([box], reference).iobb < FALSE_BELOW


@dataclass(frozen=True, eq=False)
class Localization:
    """The localization scores of one system, as statistics of study weights."""

    names: tuple[str, ...]
    counts: PlaceCounts

    def images(self) -> dict[str, int]:
        """Return on how many images each finding has a reference box."""
        found = np.isfinite(self.counts.iou).sum(axis=0)
        return {name: int(count) for name, count in zip(self.names, found, strict=True)}

    def scored(self, minimum: int) -> tuple[str, ...]:
        """Return the findings with boxes on at least so many images: those that have scores and are averaged."""
        return tuple(name for name, count in self.images().items() if count >= max(minimum, 1))

    def too_few(self, minimum: int) -> tuple[str, ...]:
        """Return the findings with boxes on fewer images."""
        return tuple(name for name, count in self.images().items() if 0 < count < max(minimum, 1))

    def accuracies(self) -> dict[str, Floats]:
        """Return what is averaged over images, `[S, L]`, by score: 1 for right and 0 for wrong, or the IoU itself.

        NaN is not asked.
        """
        found = {f"tiou_{t}": _above(self.counts.iou, t) for t in THRESHOLDS}
        found |= {f"tiobb_{t}": _above(self.counts.iobb, t) for t in THRESHOLDS}
        found |= {} if self.counts.pointing is None else {"pointing": self.counts.pointing}
        return {**found, "miou": self.counts.iou}

    @property
    def by_finding(self) -> tuple[str, ...]:
        """The scores that have a value for each finding."""
        boxes = self.counts.detections
        met = [] if boxes is None else [score for score, threshold in MET.items() if boxes.judges(threshold)]
        return (*self.accuracies(), *(PRECISIONS if boxes is not None else ()), *met)

    def statistics(self, minimum: int) -> dict[str, Statistic]:
        """Return every score by name; a mean is over the findings with boxes on `minimum` images."""
        scored = self.scored(minimum)
        columns = [self.names.index(name) for name in scored]
        found: dict[str, Statistic] = {}
        for score, right in self.accuracies().items() if scored else ():
            found[score] = _mean_over_findings(right[:, columns])
            found |= {f"{score}/{name}": mean_of(right[:, k]) for name, k in zip(scored, columns, strict=True)}
        boxes = self.counts.detections
        if scored and boxes is not None:
            for score, threshold in PRECISIONS.items():
                each = [boxes.precision(k, threshold) for k in columns]
                found[score] = _mean_of_statistics(each)
                found |= {f"{score}/{name}": one for name, one in zip(scored, each, strict=True)}
            for score, threshold in MET.items():
                if boxes.judges(threshold):
                    met = [boxes.met(k, threshold, first=score.endswith(FIRST)) for k in columns]
                    found[score] = _mean_of_statistics(met)
                    found |= {f"{score}/{name}": one for name, one in zip(scored, met, strict=True)}
        if self.counts.false_boxes is not None:
            found[FALSE_BOXES] = mean_of(self.counts.false_boxes)
        return found


def _above(values: Floats, threshold: float) -> Floats:
    return np.where(np.isfinite(values), (values > threshold).astype(np.float64), np.nan)


def _mean_over_findings(right: Floats) -> Statistic:
    """Return the mean of the accuracies of all columns; a replicate without one of them averages the others."""
    known = np.isfinite(right).astype(np.float64)
    hits = np.nan_to_num(right, nan=0.0)

    return lambda weights: _mean_of_known(divide(weights @ hits, weights @ known))


def _mean_of_statistics(parts: Sequence[Statistic]) -> Statistic:
    """Return the mean of scores of findings; a replicate without one of them averages the others."""
    return lambda weights: _mean_of_known(np.stack([part(weights) for part in parts], axis=1))


def _mean_of_known(each: Floats) -> Floats:
    """Return the mean `[R]` of the finite values of each row of `[R, K]`."""
    drawn = np.isfinite(each)
    return divide(np.where(drawn, each, 0.0).sum(axis=1), drawn.sum(axis=1).astype(np.float64))


def counted_places(name: str) -> str:
    """Return how a localization score counts, as it stands in the score's signature; empty for other scores."""
    family, _, finding = name.partition("/")
    if family == FALSE_BOXES:
        return f"false:under {FALSE_BELOW} of the box on a reference box|average:studies"
    average = f"finding:{finding}" if finding else "average:findings with enough images"
    if family in PRECISIONS:
        return f"correct:box IoU>={PRECISIONS[family]}|precision:101 recalls|{average}"
    if family in MET:
        of = ", by the first box of a study" if family.endswith(FIRST) else ""
        return f"correct:reference box met at IoU>={MET[family]}, one to one{of}|{average}"
    if family not in ACCURACIES:
        return ""
    if family == "miou":
        return f"mean:IoU over images with a box|{average}"
    measure, _, threshold = family.partition("_")
    correct = f"{_MEASURES[measure]}>{threshold}" if threshold else _MEASURES[measure]
    return f"correct:{correct}|{average}"


_MEASURES: Mapping[str, str] = {"tiou": "IoU", "tiobb": "IoBB", "pointing": "peak in a box"}
