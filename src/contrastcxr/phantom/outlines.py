"""Body and lung outlines of a patient as tables over height, and where things lie inside a lung."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from contrastcxr.phantom.grid import TABLE_HALF, TABLE_STEP, TABLE_Y
from contrastcxr.phantom.truth import Array, Patient

_LUNG_HEIGHTS = np.array([-0.01, 0.0, 0.03, 0.09, 0.18, 0.32, 0.52, 0.74, 0.95, 1.15, 1.6])
_LUNG_WIDTHS = np.array([0.0, 0.16, 0.42, 0.59, 0.74, 0.87, 0.95, 0.985, 1.0, 1.0, 0.97])
_SMOOTH = 41


@dataclass(frozen=True)
class Outlines:
    """Tables over `TABLE_Y`, all in mm: half widths of lung walls, mediastinum and body, depths, spine shift."""

    wall_right: Array
    wall_left: Array
    depth: Array
    mediastinum_right: Array
    mediastinum_left: Array
    body: Array
    body_depth: Array
    spine: Array
    dome_right: float
    dome_left: float
    apex: float

    def wall(self, side: str) -> Array:
        """Return the half width of the lung wall of one side."""
        return self.wall_right if side == "right" else self.wall_left

    def dome(self, side: str) -> float:
        """Return the height of the top of one hemidiaphragm."""
        return self.dome_right if side == "right" else self.dome_left

    def mediastinum(self, side: str) -> Array:
        """Return the half width of the mediastinum of one side."""
        return self.mediastinum_right if side == "right" else self.mediastinum_left


def at(table: Array, y: float) -> float:
    """Return the value of a table at one height (mm)."""
    return float(table[int(np.clip((y + TABLE_HALF) / TABLE_STEP, 0, TABLE_Y.size - 1))])


def sign(side: str | None) -> float:
    """Return -1 for the patient's right, +1 for the left: the direction of x."""
    return -1.0 if side == "right" else 1.0


def smooth_table(heights: np.ndarray, values: np.ndarray, smooth: int = _SMOOTH) -> Array:
    """Return a smooth table over `TABLE_Y` through values at some heights (mm)."""
    raw = np.interp(TABLE_Y, heights, values)
    kernel = np.hanning(smooth + 2)[1:-1]
    padded = np.pad(raw, smooth // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _wall(patient: Patient, jitter: tuple[float, ...]) -> Array:
    heights = -patient.lung_height / 2 + _LUNG_HEIGHTS * patient.lung_height
    widths = _LUNG_WIDTHS * patient.half_width
    widths[2:-1] *= 1 + np.asarray(jitter)
    return smooth_table(heights, widths, smooth=111)


def _mediastinum(patient: Patient, side: Literal["left", "right"]) -> Array:
    top = -patient.lung_height / 2
    right = [0, 16, 24, 27, 29, 26, 20, 17]
    left = [0, 16, 22, 26, 29, 30, 22, 19]
    heights = top + np.array([-0.14, -0.06, 0.06, 0.22, 0.36, 0.5, 0.75, 1.0]) * patient.lung_height
    widths = np.array(right if side == "right" else left, dtype=float)
    widths[2:] *= 0.85 + 0.35 * patient.habitus + 0.002 * (patient.age - 50)
    return smooth_table(heights, widths, smooth=81)


def _body(patient: Patient) -> tuple[Array, Array]:
    top, h = -patient.lung_height / 2, patient.lung_height
    fat = 14 + 34 * patient.habitus
    drop = patient.shoulder_drop
    w = patient.half_width
    heights = top + np.array([-0.75, -0.45, -0.30, -0.2, -0.10, 0.02, 0.18, 0.4, 0.7, 1.0, 1.3, 1.8]) * h
    heights[3:6] += drop * np.array([0.7, 1.0, 1.0])
    widths = np.array(
        [55, 58, 66, 92, 136, w + 42, w + 30, w + fat, w + fat, w + fat, w + fat * 1.15, w + fat * 1.3]
    )
    depths = np.array([105, 110, 115, 118, 120, 138, 172, 190, 198, 202, 206, 206], dtype=float)
    depths = depths * patient.depth / 160 + 26 * (patient.habitus - 0.4)
    return smooth_table(heights, widths, 101), smooth_table(heights, depths, 101)


def _spine(patient: Patient) -> Array:
    y = TABLE_Y
    bend = patient.spine_curve * np.sin((y - 10) / 75.0) * np.exp(-((y / 170) ** 2))
    return bend.astype(np.float32)


@lru_cache(maxsize=64)
def outlines(patient: Patient, inspiration_ribs: float) -> Outlines:
    """Return the outlines of a patient at one depth of breath (posterior ribs above the right dome)."""
    body, body_depth = _body(patient)
    h = patient.lung_height
    heights = -h / 2 + np.array([-0.02, 0.02, 0.1, 0.25, 0.5, 0.8, 1.2, 1.8]) * h
    depths = np.array([0, 45, 92, 128, 152, 158, 158, 150]) * patient.depth / 160
    lift = (inspiration_ribs - 9.0) * 8.5
    return Outlines(
        wall_right=_wall(patient, patient.outline_jitter[0]),
        wall_left=_wall(patient, patient.outline_jitter[1]),
        depth=smooth_table(heights, depths),
        mediastinum_right=_mediastinum(patient, "right"),
        mediastinum_left=_mediastinum(patient, "left"),
        body=body,
        body_depth=body_depth,
        spine=_spine(patient),
        dome_right=patient.dome_right + lift,
        dome_left=patient.dome_left + lift,
        apex=-h / 2,
    )


def lung_point(outline: Outlines, side: str, *, down: float, out: float) -> tuple[float, float]:
    """Return anatomical x, y of a point `down` (0 apex, 1 dome) and `out` (0 mediastinum, 1 wall) in one lung."""
    y = outline.apex + down * (outline.dome(side) - outline.apex)
    inner, outer = at(outline.mediastinum(side), y), at(outline.wall(side), y)
    return sign(side) * (inner + out * (outer - inner)), y


def thorax_width(outline: Outlines) -> float:
    """Return the greatest inner width of the thorax above the domes, in mm.

    It is the denominator of the cardiothoracic ratio.
    """
    level = min(outline.dome_right, outline.dome_left)
    return at(outline.wall_right, level) + at(outline.wall_left, level)
