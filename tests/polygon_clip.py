"""Which cells of a picture share an area with a box of the original, by clipping polygons in plain loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Points = list[tuple[float, float]]


def clipped(polygon: Points, box: Sequence[float]) -> Points:
    """The part of a polygon inside a box, clipped edge by edge (Sutherland and Hodgman)."""
    x1, y1, x2, y2 = box
    for axis, limit, sign in ((0, x1, 1.0), (1, y1, 1.0), (0, x2, -1.0), (1, y2, -1.0)):
        kept: Points = []
        for i, here in enumerate(polygon):
            before = polygon[i - 1]
            inside, was = sign * (here[axis] - limit), sign * (before[axis] - limit)
            if (inside >= 0) != (was >= 0):
                share = was / (was - inside)
                kept.append((before[0] + share * (here[0] - before[0]), before[1] + share * (here[1] - before[1])))
            if inside >= 0:
                kept.append(here)
        polygon = kept
        if not polygon:
            return []
    return polygon


def area(polygon: Points) -> float:
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def by_clipping(box: Sequence[float], affine: np.ndarray, rows: int, columns: int, *, size: int) -> np.ndarray:
    """Which cells share an area with the box, each mapped to the original and clipped by it."""
    found = np.zeros((rows, columns), dtype=bool)
    wide, tall = size / columns, size / rows
    for row, column in np.ndindex(rows, columns):
        corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
        polygon = [tuple((affine @ (x * wide, y * tall, 1.0)).tolist()) for x, y in corners]
        found[row, column] = area(clipped(polygon, box)) > 1e-6
    return found
