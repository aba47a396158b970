"""Sides of boxes, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.form import Box, View
from contrastcxr.vocab.laterality import BILATERAL_SHARE, patient_side, picture_side, width_of

WIDE = 100


def counted(boxes: list[Box]) -> str | None:
    """The side of boxes by counting pixels on both sides of the midline."""
    left = right = 0
    for box in boxes:
        x1, y1, x2, y2 = box.xyxy
        for x in range(int(x1), int(x2)):
            inside = int(y2 - y1)
            left, right = (left + inside, right) if x < WIDE // 2 else (left, right + inside)
    if not boxes:
        return None
    if min(left, right) > BILATERAL_SHARE * (left + right):
        return "bilateral"
    return "left" if left > right else "right"


@pytest.mark.parametrize("seed", range(40))
def test_the_side_is_that_of_counted_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(int(rng.integers(0, 4))):
        (x, y), (w, h) = rng.integers(0, 70, 2), rng.integers(1, 30, 2)
        boxes.append(Box(xyxy=(float(x), float(y), float(x + w), float(y + h))))
    side = counted(boxes)
    assert picture_side(boxes, WIDE) == side
    standard, mirrored = (
        View(view_id="v", locator="v.png", position="PA", mirrored=m, width=WIDE) for m in (False, True)
    )
    swapped = {"left": "right", "right": "left"}.get(side or "", side)
    assert patient_side(boxes, [mirrored]) == side
    assert patient_side(boxes, [standard]) == swapped


def test_pixels_say_how_wide_a_view_is_where_its_form_does_not() -> None:
    view = View(view_id="v", pixels=np.zeros((30, 40), dtype=np.float32))
    assert width_of(view) == 40
    assert width_of(View(view_id="v", locator="v.png")) is None
