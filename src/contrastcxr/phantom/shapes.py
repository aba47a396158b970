"""Path lengths of simple solids, drawn into a window of the picture."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contrastcxr.phantom.grid import Grid, Window
from contrastcxr.phantom.truth import Array


def ellipsoid(
    grid: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float, float],
    angle_deg: float = 0.0,
    power: float = 0.5,
) -> tuple[Window, Array]:
    """Window and path length (mm) of an ellipsoid with in-plane radii `rx, ry` and radius `rz` along the beam."""
    window = grid.window(centre, max(radii[0], radii[1]) * 1.05)
    dx, dy = grid.x[window] - np.float32(centre[0]), grid.y[window] - np.float32(centre[1])
    c, s = np.float32(np.cos(np.deg2rad(angle_deg))), np.float32(np.sin(np.deg2rad(angle_deg)))
    u, v = (c * dx + s * dy) / np.float32(radii[0]), (c * dy - s * dx) / np.float32(radii[1])
    q = np.maximum(1 - u * u - v * v, 0)
    return window, 2 * np.float32(radii[2]) * (np.sqrt(q) if power == 0.5 else q**power)


def hollow_tube(distance: Array, outer: float, inner: float, cortex: float, marrow: float) -> Array:
    """Attenuation of a hollow tube at a distance from its axis; `cortex`, `marrow` are attenuations per mm."""
    whole = np.sqrt(np.maximum(np.float32(outer**2) - distance * distance, 0))
    core = np.sqrt(np.maximum(np.float32(inner**2) - distance * distance, 0))
    return np.float32(2 * cortex) * whole - np.float32(2 * (cortex - marrow)) * core


def smoothstep(value: Array) -> Array:
    """0 below 0, 1 above 1, smooth between."""
    t = np.minimum(np.maximum(value, 0), 1)
    return t * t * (3 - 2 * t)


def interpolate(coarse: np.ndarray, size: int) -> Array:
    """A coarse square field brought to `[size, size]` by separable smooth interpolation (one matrix each way)."""
    weights = interpolation_matrix(coarse.shape[0], size)
    return (weights @ coarse.astype(np.float32)) @ weights.T


@lru_cache(maxsize=32)
def interpolation_matrix(coarse: int, fine: int) -> Array:
    """Rows of smooth cubic B-spline weights `[fine, coarse]` that sum to one."""
    where = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    t = np.abs(where[:, None] - np.arange(coarse)[None])
    weights = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def splat(grid: Grid, x: np.ndarray, y: np.ndarray, amount: np.ndarray) -> Array:
    """Sum of point deposits `[S, S]` (amount times mm^2 per pixel area), shared bilinearly among four pixels.

    A solid cut into many small columns deposits thickness x area; the sum is its path length.
    """
    size = grid.size
    column, line = grid.to_pixels(x, y)
    inside = (column > 0) & (line > 0) & (column < size - 1.001) & (line < size - 1.001)
    column, line, value = column[inside], line[inside], amount[inside]
    c0, l0 = column.astype(np.int32), line.astype(np.int32)
    fc, fl = column - c0, line - l0
    out = np.zeros((size, size), np.float32)
    if not value.size:
        return out
    left, top = int(c0.min()), int(l0.min())
    width, height = int(c0.max()) - left + 2, int(l0.max()) - top + 2
    base = (l0 - top) * width + (c0 - left)
    low, high = value * (1 - fl), value * fl
    flat = np.zeros(width * height)
    for step, weight in ((0, low * (1 - fc)), (1, low * fc), (width, high * (1 - fc)), (width + 1, high * fc)):
        flat[step:] += np.bincount(base, weights=weight, minlength=flat.size)[: flat.size - step]
    scale = float(np.hypot(grid.forward[0, 0], grid.forward[1, 0])) / grid.pitch
    out[top : top + height, left : left + width] = (flat * scale**2).reshape(height, width)
    return out


def ribbon(
    grid: Grid, points: np.ndarray, radius: np.ndarray, *, flatness: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points `x, y` and deposits of round rods along polylines.

    `points` is `[R, P, 2]` (mm, evenly spaced along each rod), `radius` `[R, P]`. The rod is cut lengthwise into
    strips fine enough for the grid's pixels.
    """
    step = np.linalg.norm(np.diff(points, axis=1), axis=2).max(initial=0.1)
    along = max(1, int(np.ceil(step / (grid.pitch * 1.35))))
    points, radius = points.astype(np.float32), radius.astype(np.float32)
    t = np.linspace(0, points.shape[1] - 1, (points.shape[1] - 1) * along + 1)
    low = np.minimum(t.astype(int), points.shape[1] - 2)
    f = (t - low).astype(np.float32)[None, :]
    p = points[:, low] * (1 - f[..., None]) + points[:, low + 1] * f[..., None]
    r = radius[:, low] * (1 - f) + radius[:, low + 1] * f
    d = np.gradient(p, axis=1)
    length = np.maximum(np.linalg.norm(d, axis=2), 1e-6)
    normal = np.stack([-d[..., 1], d[..., 0]], axis=-1) / length[..., None]
    strips = max(2, int(np.ceil(2 * float(radius.max(initial=0.1)) / (grid.pitch * 1.35))))
    offset = ((np.arange(strips, dtype=np.float32) + 0.5) / strips * 2 - 1).astype(np.float32)
    q = p[:, :, None] + normal[:, :, None] * (offset[None, None, :, None] * r[..., None, None])
    chord = 2 * flatness * r[..., None] * np.sqrt(1 - offset**2)
    area = length[..., None] * r[..., None] * 2 / strips
    return q[..., 0].ravel(), q[..., 1].ravel(), (chord * area).ravel()
