"""Words for where boxes are, by rule from their geometry: what anybody could say who sees no more than the boxes.

They stand beside attributes that a localizer learns, and are the words of boxes whose authors wrote none (ours).
A frontal view whose orientation nobody states is taken to be one as people look at it, the patient's left on the
picture's right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from contrastcxr.form import Box, Side, View
from contrastcxr.vocab.laterality import picture_side, width_of

SPOTS = ("left", "right", "bilateral", "upper", "middle", "lower")
"""What one box says."""
BOX_WORDS = (*SPOTS, "multifocal")
"""All words that the rule knows."""
ZONE_ENDS = (0.4, 0.565)
"""Shares of a picture's height where the upper and the middle zone of the lungs end: of drawn chests (ours)."""
_ZONES = ("upper", "middle", "lower")
_OTHER: dict[Side, Side] = {"left": "right", "right": "left", "bilateral": "bilateral"}


def words_of_boxes(boxes: Sequence[Box], views: Sequence[View]) -> frozenset[str]:
    """Return the side and the zones of boxes, and whether there are several in one view.

    Boxes on lateral views, and on views whose size nobody knows, say nothing.

    Args:
        boxes: of one finding.
        views: of the study, which the boxes refer to.
    """
    sides, zones, counts = set(), set(), Counter[int]()
    for box in boxes:
        side, zone = _spot(box, views)
        if side is not None and zone is not None:
            sides.add(side)
            zones.add(zone)
            counts[box.view] += 1
    both = len(sides) > 1 or "bilateral" in sides
    several = {"multifocal"} if max(counts.values(), default=0) > 1 else set()
    return frozenset({*({"bilateral"} if both else sides), *zones, *several})


def _spot(box: Box, views: Sequence[View]) -> tuple[Side | None, str | None]:
    view = views[box.view] if box.view < len(views) else None
    if view is None or view.position == "LATERAL":
        return None, None
    return _side(box, view), _zone(box, view)


def _side(box: Box, view: View) -> Side | None:
    width = width_of(view)
    seen = None if width is None else picture_side([box], width)
    if seen is None or view.mirrored:
        return seen
    return _OTHER[seen]


def _zone(box: Box, view: View) -> str | None:
    height = view.height if view.pixels is None else view.pixels.shape[0]
    if height is None:
        return None
    middle = (box.xyxy[1] + box.xyxy[3]) / (2 * height)
    return _ZONES[sum(middle >= end for end in ZONE_ENDS)]
