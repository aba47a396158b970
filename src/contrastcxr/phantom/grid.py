"""Detector pixels in anatomical millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from contrastcxr.phantom.truth import Array, Pose

FIELD_MM = 430.0  # side of the square picture; the detector is 380 x 430 mm and stands in its middle
DETECTOR_MM = (380.0, 430.0)
TABLE_STEP = 0.2
TABLE_HALF = 420.0
TABLE_Y: Array = np.arange(-TABLE_HALF, TABLE_HALF, TABLE_STEP, dtype=np.float32)

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """Pixel centres of a square view. `x`, `y` are anatomical mm `[S, S]`; `row` indexes tables over y."""

    size: int
    pitch: float
    x: Array
    y: Array
    row: np.ndarray
    forward: np.ndarray

    def window(self, centre: tuple[float, float], radius: float) -> Window:
        """Return the slices of the pixels within `radius` mm (anatomical) of a point, possibly empty."""
        reach = radius * float(np.hypot(self.forward[0, 0], self.forward[1, 0]))
        return self.window_within(centre, reach, reach)

    def window_within(self, centre: tuple[float, float], across: float, down: float) -> Window:
        """Return slices of the pixels within these mm on the detector of an anatomical point, possibly empty."""
        column, line = self.to_pixel(*centre)
        across, down = across / self.pitch + 1.0, down / self.pitch + 1.0
        x1, x2 = (int(np.clip(v, 0, self.size)) for v in (column - across, column + across + 1))
        y1, y2 = (int(np.clip(v, 0, self.size)) for v in (line - down, line + down + 1))
        return slice(y1, y2), slice(x1, x2)

    def to_pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the column and row of an anatomical point."""
        u, v = self.forward @ np.array([x, y, 1.0])
        return (u + FIELD_MM / 2) / self.pitch - 0.5, (v + FIELD_MM / 2) / self.pitch - 0.5

    def to_pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns and rows of many anatomical points."""
        m = self.forward / self.pitch
        centre = FIELD_MM / 2 / self.pitch - 0.5
        m = m.astype(np.float32)
        return m[0, 0] * x + m[0, 1] * y + (m[0, 2] + np.float32(centre)), m[1, 0] * x + m[1, 1] * y + (
            m[1, 2] + np.float32(centre)
        )


def pose_matrix(pose: Pose) -> np.ndarray:
    """Return the affine `[2, 3]` from anatomical mm to detector mm (origin at the detector's middle)."""
    angle = np.deg2rad(pose.rotation_deg)
    cos, sin = np.cos(angle) * pose.scale, np.sin(angle) * pose.scale
    flip = -1.0 if pose.mirrored else 1.0
    return np.array([[cos * flip, -sin, pose.shift_mm[0]], [sin * flip, cos, pose.shift_mm[1]]])


def pixel_affine(pose: Pose, *, size: int) -> np.ndarray:
    """Return the affine `[2, 3]` from anatomical mm to pixels of a view of `size`; truth for alignment."""
    pitch = FIELD_MM / size
    matrix = pose_matrix(pose) / pitch
    matrix[:, 2] += FIELD_MM / 2 / pitch - 0.5
    return matrix


def make_grid(pose: Pose, *, size: int) -> Grid:
    """Return the anatomical coordinates of every pixel of a view under `pose`."""
    pitch = FIELD_MM / size
    forward = pose_matrix(pose)
    inverse = np.linalg.inv(forward[:, :2])
    u = (np.arange(size) + 0.5) * pitch - FIELD_MM / 2 - forward[0, 2]
    v = ((np.arange(size) + 0.5) * pitch - FIELD_MM / 2 - forward[1, 2])[:, None]
    x = (inverse[0, 0] * u).astype(np.float32) + (inverse[0, 1] * v).astype(np.float32)
    y = (inverse[1, 0] * u).astype(np.float32) + (inverse[1, 1] * v).astype(np.float32)
    return Grid(size, pitch, x, y, table_row(y), forward)


def table_row(y: Array) -> np.ndarray:
    """Return the index of each y (mm) into a table over `TABLE_Y`."""
    height = y + TABLE_HALF
    height *= 1 / TABLE_STEP
    row: np.ndarray = height.astype(np.intp)
    np.clip(row, 0, TABLE_Y.size - 1, out=row)
    return row
