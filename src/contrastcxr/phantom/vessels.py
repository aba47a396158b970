"""The vessel trees of the lungs: tapering rods that branch from the hila outwards."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contrastcxr.phantom.grid import Grid, table_row
from contrastcxr.phantom.outlines import Outlines, at, outlines, sign
from contrastcxr.phantom.shapes import ribbon, splat
from contrastcxr.phantom.truth import Array, Patient

MU_VESSEL = 0.0155  # blood over lung, per mm
GENERATIONS = 6
POINTS = 6


def hilum(outline: Outlines, patient: Patient, side: str) -> tuple[float, float]:
    """Return the anatomical x, y of a hilum; the left one stands higher."""
    y = outline.apex + (0.47 if side == "right" else 0.43) * patient.lung_height
    return sign(side) * (at(outline.mediastinum(side), y) + 6), y


def vessels(patient: Patient, grid: Grid, outline: Outlines) -> Array:
    """Return the attenuation `[S, S]` of both vessel trees, not yet cut at the borders of the lungs."""
    parts = [rods for side in ("right", "left") for rods in _tree(patient, side)]
    inside = [_inside(outline, points) for points, _ in parts]
    pieces = [ribbon(grid, p[keep], r[keep]) for (p, r), keep in zip(parts, inside, strict=True) if keep.any()]
    x, y, amount = (np.concatenate([p[i] for p in pieces]) for i in range(3))
    amount *= MU_VESSEL
    amount *= patient.vessel_density
    return splat(grid, x, y, amount)


def _inside(outline: Outlines, points: np.ndarray) -> np.ndarray:
    """Return the rods that touch a lung at either end; the others would be cut away anyway."""
    ends = points[:, [0, -1]]
    row = table_row(ends[..., 1])
    wall = np.where(ends[..., 0] < 0, outline.wall_right[row], outline.wall_left[row])
    low = max(outline.dome_right, outline.dome_left) + 40
    keep: np.ndarray = ((np.abs(ends[..., 0]) < wall) & (ends[..., 1] < low)).any(1)
    return keep


@lru_cache(maxsize=32)
def _tree(patient: Patient, side: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return rods by generation: points `[R, P, 2]` and radii `[R, P]`."""
    outline = outlines(patient, 9.0)
    rng = np.random.default_rng([patient.seed, 71 if side == "right" else 72])
    s, origin = sign(side), np.array(hilum(outline, patient, side))
    angles = np.deg2rad(np.array([-78, -52, -22, 4, 30, 52, 70, 84, -64, 62]) + rng.normal(0, 7, 10))
    start = origin + rng.normal(0, 4, (10, 2)) * np.array([0.7, 1.6])
    radius = 4.7 * patient.hilum * rng.uniform(0.75, 1.1, 10)
    length = rng.uniform(18, 30, 10)
    out = [_trunks(rng, s, origin, patient.hilum)]
    for _ in range(GENERATIONS):
        points, end, heading = _branches(rng, start, angles, length, s)
        taper = np.linspace(1.0, 0.8, POINTS)
        out.append((points, radius[:, None] * taper))
        start, angles, length, radius = _split(rng, end, heading, length, radius)
    return tuple(out)


def _trunks(rng: np.random.Generator, s: float, origin: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the main pulmonary arteries: short thick rods that make the hilar shadow."""
    t = np.linspace(0, 1, POINTS)
    down = origin + np.stack([s * (2 + 9 * t), -14 + 52 * t], axis=1)
    up = origin + np.stack([s * (1 + 8 * t), -4 - 30 * t], axis=1)
    points = np.stack([down, up]) + rng.normal(0, 0.8, (2, POINTS, 2))
    radius = np.stack([7.2 - 2.8 * t, 5.6 - 2.6 * t]) * size
    return points, radius


def _branches(
    rng: np.random.Generator, start: np.ndarray, angles: np.ndarray, length: np.ndarray, s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = np.linspace(0, 1, POINTS)
    bend = rng.normal(0, 0.32, angles.size)
    heading = angles[:, None] + bend[:, None] * t
    step = length[:, None] / (POINTS - 1)
    dx, dy = s * np.cos(heading) * step, np.sin(heading) * step
    x = start[:, :1] + np.cumsum(dx, 1) - dx[:, :1]
    y = start[:, 1:] + np.cumsum(dy, 1) - dy[:, :1]
    return np.stack([x, y], axis=-1), np.stack([x[:, -1], y[:, -1]], axis=-1), heading[:, -1]


def _split(
    rng: np.random.Generator, end: np.ndarray, heading: np.ndarray, length: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two children of each (Murray's law: radii cubed add up), kept to what a picture can show."""
    n = heading.size
    share = rng.uniform(0.3, 0.7, n)
    ratio = np.cbrt(np.concatenate([share, 1 - share]))
    fork = rng.uniform(0.25, 0.65, n)
    angles = np.concatenate([heading + fork * (1 - share), heading - fork * share])
    angles += rng.normal(0, 0.08, 2 * n)
    radii = np.concatenate([radius, radius]) * 0.88 * ratio
    lengths = np.concatenate([length, length]) * rng.uniform(0.72, 1.0, 2 * n)
    ends = np.concatenate([end, end])
    keep = radii > 0.28
    return ends[keep], angles[keep], lengths[keep], radii[keep]
