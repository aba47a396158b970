from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.data.readers.grid import GRID, corners_on_grid, grid_box, on_view
from contrastcxr.data.tables.files import TableRow
from contrastcxr.errors import DatasetError
from contrastcxr.form import View


def small(width: int | None = 512, height: int | None = 256) -> View:
    return View(view_id="v", locator="v.png", width=width, height=height)


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((0, 0, 1024, 1024), (0, 0, 1024, 1024)),
        ((-2, 5, 1026, 9), (0, 5, 1024, 9)),
        ((-3, 5, 10, 9), None),
        ((5, 5, 10, 1026.5), None),
        ((-2, 5, -1, 9), None),
        ((1024, 5, 1025, 9), None),
        ((10, 5, 5, 9), None),
        ((5, 9, 10, 9), None),
        ((float("nan"), 5, 10, 9), None),
        ((5, 5, float("inf"), 9), None),
        ((5, 5, 10**400, 9), None),
    ],
)
def test_corners_are_clipped_or_refused(
    corners: tuple[float, float, float, float], expected: tuple[float, ...] | None
) -> None:
    assert corners_on_grid(*corners) == expected


def test_a_box_is_carried_to_the_pixels_of_a_smaller_copy() -> None:
    assert on_view((512, 512, 1024, 1024), small()).xyxy == (256, 128, 512, 256)
    assert on_view((1, 2, 3, 4), small(None, None)).xyxy == (1, 2, 3, 4)
    assert on_view((1, 2, 3, 4), small(GRID, GRID)).xyxy == (1, 2, 3, 4)


@pytest.mark.parametrize("cells", [("-2", "5", "1", "9"), ("1024", "5", "1", "9"), ("5", "5", "1e-320", "9")])
def test_a_box_of_which_nothing_is_on_the_grid_is_refused_with_its_row(cells: tuple[str, ...]) -> None:
    row = TableRow(Path("boxes.csv"), 7, ("a.png", "Mass", *cells))
    with pytest.raises(DatasetError, match=r"boxes.csv row 7 \(a.png\): box .* inside the 1024×1024 grid"):
        grid_box(row, small())
