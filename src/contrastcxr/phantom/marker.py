"""The burned-in side marker."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contrastcxr.phantom.grid import FIELD_MM, Grid
from contrastcxr.phantom.truth import Array, Technique

_LETTERS = {
    "L": ("X....", "X....", "X....", "X....", "X....", "X....", "XXXXX"),
    "R": ("XXXX.", "X...X", "X...X", "XXXX.", "X.X..", "X..X.", "X...X"),
}


@lru_cache(maxsize=4)
def _letter(name: str) -> Array:
    rows = _LETTERS[name]
    return np.array([[cell == "X" for cell in row] for row in rows], dtype=np.float32)


def burn_marker(picture: Array, technique: Technique, grid: Grid) -> None:
    """Set the pixels of the marker to white. `R` stands on the patient's right: the left of the picture."""
    letter = _letter(technique.marker)
    x, y = technique.marker_mm
    if technique.marker == "R":
        x = -x
    height = max(7, round(technique.marker_size_mm / grid.pitch))
    width = max(5, round(height * 5 / 7))
    rows = (np.arange(height) * 7 // height)[:, None]
    columns = (np.arange(width) * 5 // width)[None, :]
    top = round((y + FIELD_MM / 2) / grid.pitch - height / 2)
    left = round((x + FIELD_MM / 2) / grid.pitch - width / 2)
    top, left = (int(np.clip(v, 0, grid.size - n)) for v, n in ((top, height), (left, width)))
    block = picture[top : top + height, left : left + width]
    np.maximum(block, letter[rows, columns] * 0.97, out=block)
