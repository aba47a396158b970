"""Components and unions of rectangles, found pixel by pixel in plain loops."""

from __future__ import annotations

import numpy as np

from contrastcxr.reading.heat import Rectangle


def flooded(mask: np.ndarray) -> list[Rectangle]:
    """Bounding boxes of 8-connected components, found by walking from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    boxes = []
    while left:
        waiting, seen = [left.pop()], []
        while waiting:
            y, x = waiting.pop()
            seen.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            waiting += near
        ys, xs = [y for y, _ in seen], [x for _, x in seen]
        boxes.append((float(min(xs)), float(min(ys)), float(max(xs) + 1), float(max(ys) + 1)))
    return boxes


def painted(region: tuple[Rectangle, ...], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre a union covers, one by one."""
    mask = np.zeros(shape, dtype=bool)
    for y, x in np.ndindex(shape):
        mask[y, x] = any(a <= x + 0.5 < c and b <= y + 0.5 < d for a, b, c, d in region)
    return mask
