"""What a page draws of where findings are: boxes with labels, regions as outlines, maps, and the side in words.

Everything is in pixels of the original view, which are the units of the page's drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from contrastcxr.form import XYXY, Box, Evidence, Finding, Point, View
from contrastcxr.vocab.laterality import patient_side, picture_side, width_of
from contrastcxr.write.overlay import extremes, finding_map_uri, placed

Values = dict[str, Any]
Numbers = Mapping[str, int]
"""From the name of a finding to its number on the page, which ties its marks to its line."""

SHOWN = ("present", "uncertain")
"""Status of findings whose boxes are drawn from the start; of others a page shows the region when asked to."""

_LABELS = 36
"""Lines of label over the width of a picture."""
_LETTER = 0.58
"""Width of a letter by its height, about."""


_LINE = 1.35
"""From a label to the one above it, by the height of a letter."""


def box_values(
    view: int, findings: Iterable[Finding], numbers: Numbers, *, width: float, height: float
) -> list[Values]:
    """Return the boxes of one view, each once, with a label that covers no other where there is room.

    Of several boxes of a finding, without scores of their own, the first has the label: a localizer's largest.
    """
    taken: list[XYXY] = []
    named: set[str] = set()
    drawn = []
    for finding, place, sentences in _boxes_once(view, findings):
        box = finding.boxes[place]
        label = _label(finding, box) if finding.name not in named or box.score is not None else ""
        named.add(finding.name)
        drawn.append(
            _box(finding, box, sentences, label, taken, width, height)
            | {"finding": numbers[finding.name], "place": place}
        )
    return drawn


def _boxes_once(view: int, findings: Iterable[Finding]) -> list[tuple[Finding, int, tuple[int, ...]]]:
    """Return the boxes to be drawn, by their places in a finding, each with the sentences that state it.

    A finding that the report places twice has each of its boxes twice.
    """
    found: dict[tuple[str, XYXY], tuple[Finding, int, tuple[int, ...]]] = {}
    for finding in findings:
        for place, box in enumerate(finding.boxes):
            if box.view == view and finding.status in SHOWN:
                key = (finding.name, box.xyxy)
                first, own, sentences = found.get(key, (finding, place, ()))
                found[key] = first, own, (*sentences, *finding.sentences)
    return list(found.values())


def attribute_values(finding: Finding) -> list[Values]:
    """Return the words that are said of what is marked, the likeliest first, with their weights by box.

    Said are those with a probability above a half (paper D), of a finding whose boxes are drawn.
    """
    if finding.status not in SHOWN or not finding.boxes:
        return []
    said = sorted((a for a in finding.attributes if a.probability > 0.5), key=lambda a: -a.probability)
    return [
        {
            "name": each.name,
            "probability": f"{each.probability:.2f}",
            "weights": " ".join(f"{weight:g}" for weight in each.weights),
        }
        for each in said
    ]


def _label(finding: Finding, box: Box) -> str:
    return finding.name if box.score is None else f"{finding.name} {box.score:.2f}"


def _box(
    finding: Finding,
    box: Box,
    sentences: Sequence[int],
    label: str,
    taken: list[XYXY],
    width: float,
    height: float,
) -> Values:
    x1, y1, x2, y2 = box.xyxy
    size = width / _LABELS
    right, length = x1 + x2 > width, _LETTER * size * len(label)
    return {
        **{"x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "size": size, "label": label},
        **{"at": x2 if right else x1, "anchor": "end" if right else "start"},
        "line": _line(box.xyxy, size, length, taken, right=right, height=height) if label else 0,
        "status": finding.status,
        "sentences": " ".join(map(str, sorted(set(sentences)))),
    }


def _line(xyxy: XYXY, size: float, length: float, taken: list[XYXY], *, right: bool, height: float) -> float:
    """Return the base line of a label: above its box, or within, or below, the first that is free; and take it."""
    x1, y1, x2, y2 = xyxy
    lines = [y1 - 0.4 * size, y1 + 1.2 * size, y2 + 1.2 * size, y2 - 0.5 * size]
    steps = [_LINE * n * size for n in range(1, 6)]
    lines += [y for step in steps for y in (lines[0] - step, lines[2] + step)] + [lines[1] + s for s in steps]
    start = x2 - length if right else x1
    spots = [(start, line - size, start + length, line + 0.3 * size) for line in lines]
    within = [spot for spot in spots if spot[1] >= 0 and spot[3] <= height] or spots
    free = [spot for spot in within if not any(map(_overlaps, taken, [spot] * len(taken)))]
    spot = (free or within)[0]
    taken.append(spot)
    return spot[3] - 0.3 * size


def _overlaps(one: XYXY, other: XYXY) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def region_values(view: int, findings: Iterable[Finding], numbers: Numbers, *, width: float) -> list[Values]:
    """Return the region of each finding that has one in a view, as one area with its outline, and its peak."""
    values = []
    for finding in findings:
        boxes = [box.xyxy for box in finding.region if box.view == view]
        if boxes:
            values.append(
                {
                    "finding": numbers[finding.name],
                    "area": area_path(boxes),
                    "outline": outline_path(boxes),
                    "peak": _cross(finding.peak, width / 60) if finding.peak and finding.peak.view == view else "",
                }
            )
    return values


def area_path(boxes: Sequence[XYXY]) -> str:
    """Return rectangles as one SVG path; all run the same way round, so that a fill covers their union once."""
    return "".join(f"M{x1:g} {y1:g}H{x2:g}V{y2:g}H{x1:g}Z" for x1, y1, x2, y2 in boxes)


def outline_path(boxes: Sequence[XYXY]) -> str:
    """Return the outline of the union of rectangles as an SVG path, without the edges inside it."""
    corners = np.array(boxes)  # [n,4]
    xs, ys = np.unique(corners[:, 0::2]), np.unique(corners[:, 1::2])
    inside = np.zeros((len(ys) + 1, len(xs) + 1), dtype=bool)  # a cell between neighbouring edges, and a rim
    for x1, y1, x2, y2 in corners:
        rows = slice(np.searchsorted(ys, y1) + 1, np.searchsorted(ys, y2) + 1)
        inside[rows, np.searchsorted(xs, x1) + 1 : np.searchsorted(xs, x2) + 1] = True
    across = np.argwhere(inside[1:] != inside[:-1])  # an edge below row i, at ys[i]
    down = np.argwhere(inside[:, 1:] != inside[:, :-1])
    flat = (f"M{xs[j - 1]:g} {ys[i]:g}H{xs[j]:g}" for i, j in across)
    upright = (f"M{xs[j]:g} {ys[i - 1]:g}V{ys[i]:g}" for i, j in down)
    return "".join([*flat, *upright])


def _cross(point: Point, arm: float) -> str:
    x, y = point.xy
    return f"M{x - arm:g} {y:g}H{x + arm:g}M{x:g} {y - arm:g}V{y + arm:g}"


def map_values(view: int, evidence: Evidence, numbers: Numbers) -> list[Values]:
    """Return the map of each finding in one view, and where it lies."""
    return [
        {"finding": numbers[each.finding], **placed(map_, finding_map_uri(map_))}
        for each in evidence.finding_maps
        for map_ in each.maps
        if map_.view == view and each.finding in numbers
    ]


def maps_said(evidence: Evidence) -> dict[str, str]:
    """Return by finding how far its map reaches, in words a page prints."""
    reach = {each.finding: extremes(each.maps) for each in evidence.finding_maps}
    return {name: f"{name} here {low:.2f} to {high:.2f}" for name, (low, high) in reach.items()}


def where(findings: Sequence[Finding], views: Sequence[View]) -> str:
    """Return in words where a finding is by its boxes: the patient's side, or the picture's where none is stated.

    Args:
        findings: all of one name.
        views: of the study, with their widths; a lateral view tells no side.
    """
    boxes = [box for finding in findings if finding.status in SHOWN for box in finding.boxes or finding.region]
    side = patient_side(boxes, views)
    if side is not None:
        return "both" if side == "bilateral" else side
    for index, view in enumerate(views):
        if view.position != "LATERAL" and (width := width_of(view)) is not None:
            side = picture_side([box for box in boxes if box.view == index], width)
            if side is not None:
                return "both" if side == "bilateral" else f"picture's {side}"
    return ""
