"""Where a lesion is on the picture: its mask inside the collimated field, and the box round it."""

from __future__ import annotations

import numpy as np

from contrastcxr.phantom.grid import DETECTOR_MM, Grid
from contrastcxr.phantom.paint import Paint
from contrastcxr.phantom.truth import XYXY, Mask, PhantomParameters, Technique


def field(grid: Grid, technique: Technique, *, mirrored: bool) -> tuple[slice, slice]:
    """Return the rows and columns that the collimator leaves open."""
    left, right, top, bottom = technique.collimation_mm
    if mirrored:
        left, right = right, left
    edge = (grid.size * grid.pitch - DETECTOR_MM[0]) / 2
    columns = slice(int(np.ceil((edge + left) / grid.pitch)), int((edge + DETECTOR_MM[0] - right) / grid.pitch))
    rows = slice(int(np.ceil(top / grid.pitch)), int((DETECTOR_MM[1] - bottom) / grid.pitch))
    return rows, columns


def full_mask(painted: Paint, grid: Grid, parameters: PhantomParameters) -> Mask:
    """Return the mask of a lesion on the whole picture, cut at the collimator."""
    mask = np.zeros((grid.size, grid.size), dtype=bool)
    mask[painted.window] = painted.mask
    rows, columns = field(grid, parameters.technique, mirrored=parameters.pose.mirrored)
    seen = np.zeros_like(mask)
    seen[rows, columns] = mask[rows, columns]
    return seen


def mask_box(mask: Mask) -> XYXY:
    """Return the tight box `[x1, y1, x2, y2)` of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
