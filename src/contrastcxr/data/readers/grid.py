"""The grid of the published NIH pictures, in whose pixels every table of boxes on them is written.

Pictures on disk may be smaller copies, so boxes are carried from the grid to the pixels of the file that is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from contrastcxr.data.tables.files import TableRow
from contrastcxr.form import XYXY, Box, View

GRID = 1024
"""Side of the published pictures in pixels."""
SLACK = 2.0
"""Grid pixels by which a box may stick out before it is an error; it is clipped (rounding of the tables, ours)."""


def corners_on_grid(x1: float, y1: float, x2: float, y2: float) -> XYXY | None:
    """Return the corners clipped to the grid; None where they leave it by more than `SLACK` or nothing is left."""
    if not all(-SLACK <= value <= GRID + SLACK for value in (x1, y1, x2, y2)):  # false of what is no number
        return None
    left, top, right, bottom = (min(max(float(value), 0.0), float(GRID)) for value in (x1, y1, x2, y2))
    return (left, top, right, bottom) if left < right and top < bottom else None


def on_view(corners: XYXY, view: View) -> Box:
    """Return the box of corners on the grid in pixels of the view."""
    sx, sy = (view.width or GRID) / GRID, (view.height or GRID) / GRID
    x1, y1, x2, y2 = corners
    return Box(xyxy=(x1 * sx, y1 * sy, x2 * sx, y2 * sy))


def grid_box(row: TableRow, view: View, places: Sequence[int] = (2, 3, 4, 5), *, area: str = "grid") -> Box:
    """Return the box of the cells for x, y, width and height, in pixels of the grid, in pixels of the view.

    Raises:
        DatasetError: a cell is no number, or the box is empty or leaves the grid, which is called by its `area`.
    """
    x, y, w, h = (row.number_at(i, name) for i, name in zip(places, ("x", "y", "width", "height"), strict=True))
    for name, value in (("width", w), ("height", h)):
        if value <= 0:
            raise row.error(f"{name} {value:g}; a box needs width and height above 0; correct the row")
    corners = corners_on_grid(x, y, x + w, y + h)
    if corners is None:
        raise row.error(
            f"box [{x:g}, {y:g}, {w:g}, {h:g}]; expected x, y, width, height inside the {GRID}×{GRID} {area}; "
            "correct the row"
        )
    return on_view(corners, view)
