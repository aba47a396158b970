"""On which side of the patient boxes lie.

On a frontal view the patient's left is on the picture's right, unless the view is `mirrored`; None where nobody
knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from contrastcxr.form import Box, Side, View

BILATERAL_SHARE = 1 / 3
"""Boxes with more than this share of their area on the lesser side of the midline are bilateral (ours)."""


def patient_side(boxes: Sequence[Box], views: Sequence[View]) -> Side | None:
    """Return on which side of the patient boxes lie.

    None where no view tells: left and right are judged on PA and AP views with a stated orientation alone.

    Args:
        boxes: of one finding; what lies in other views is left out.
        views: of the study, which the boxes refer to.
    """
    left = right = 0.0
    for box in boxes:
        view = views[box.view] if box.view < len(views) else None
        width = None if view is None else width_of(view)
        if view is None or width is None or view.position not in {"PA", "AP"} or view.mirrored is None:
            continue
        first, second = _halves(box, width)
        left, right = (left + first, right + second) if view.mirrored else (left + second, right + first)
    return _greater(left, right)


def picture_side(boxes: Sequence[Box], width: float) -> Side | None:
    """Return on which side of a picture, as one looks at it, boxes lie; None without boxes."""
    halves = [_halves(box, width) for box in boxes]
    return _greater(sum(left for left, _ in halves), sum(right for _, right in halves))


def width_of(view: View) -> int | None:
    """Return the width of a view in pixels, where it is known."""
    return view.width if view.pixels is None else int(view.pixels.shape[1])


def _halves(box: Box, width: float) -> tuple[float, float]:
    """Return the area of a box to the left and to the right of a picture's midline."""
    x1, y1, x2, y2 = box.xyxy
    middle = min(max(width / 2, x1), x2)
    return (middle - x1) * (y2 - y1), (x2 - middle) * (y2 - y1)


def _greater(left: float, right: float) -> Side | None:
    if left + right == 0:
        return None
    if min(left, right) > BILATERAL_SHARE * (left + right):
        return "bilateral"
    return "left" if left > right else "right"
