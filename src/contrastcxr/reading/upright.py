"""Maps of aligned pictures, drawn upright over the original view; needs no PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.transforms import Affine, invert, map_points

FINENESS = 2
"""Cells of an upright map to one of the aligned, along each side."""


def upright(
    cells: np.ndarray,
    affine: Affine,
    *,
    size: int,
    shape: tuple[int, int],
    grid: tuple[int, int] | None = None,
    outside: float = 0.0,
) -> NDArray[np.float64]:
    """Return a map over the original view, of cells that are parallelograms in it.

    Args:
        cells: `[rows, columns]` over the aligned picture.
        affine: `[2, 3]`, pixels of the aligned picture to those of the original.
        size: side of the aligned picture.
        shape: (H, W) of the original.
        grid: rows and columns of the map; by default `FINENESS` times those of the cells.
        outside: what stands where there is no cell.

    Returns:
        the map, at each place the value of the cell that its centre lies in.
    """
    rows, columns = cells.shape
    tall, wide = grid or (FINENESS * rows, FINENESS * columns)
    y, x = np.mgrid[:tall, :wide] + 0.5
    centres = np.stack([x * shape[1] / wide, y * shape[0] / tall], axis=-1)
    places = map_points(invert(np.asarray(affine, dtype=np.float64)), centres.reshape(-1, 2)) / size
    row, column = np.floor(places[:, 1] * rows).astype(int), np.floor(places[:, 0] * columns).astype(int)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    values = np.where(inside, cells[row.clip(0, rows - 1), column.clip(0, columns - 1)], outside)
    return values.reshape(x.shape)
