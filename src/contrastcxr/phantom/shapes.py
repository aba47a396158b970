"""Path lengths of simple solids, drawn into a window of the picture.

What is called for every pixel works in place: a new array of a megabyte for each step costs more than the
arithmetic. The order of the operations is part of what a seed draws, so it is kept.
"""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from contrastcxr.phantom.grid import Grid, Window
    from contrastcxr.phantom.truth import Array


def ellipsoid(
    grid: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float, float],
    angle_deg: float = 0.0,
    power: float = 0.5,
) -> tuple[Window, Array]:
    """Return the window and the path length (mm) of an ellipsoid.

    It has in-plane radii `rx, ry`, and radius `rz` along the beam.
    """
    window = grid.window_within(centre, *_reach(grid, radii, angle_deg))
    dx, dy = grid.x[window] - np.float32(centre[0]), grid.y[window] - np.float32(centre[1])
    u, v = rotate(dx, dy, angle_deg)
    u /= np.float32(radii[0])
    v /= np.float32(radii[1])
    np.multiply(u, u, out=u)
    np.multiply(v, v, out=v)
    q = np.subtract(1, u, out=u)
    q -= v
    np.maximum(q, 0, out=q)
    q = np.sqrt(q, out=q) if power == 0.5 else np.power(q, power, out=q)
    q *= 2 * np.float32(radii[2])
    return window, q


def _reach(grid: Grid, radii: tuple[float, float, float], angle_deg: float) -> tuple[float, float]:
    """Return how far (mm on the detector, across and down) an ellipse reaches under the pose of the grid."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    axes = grid.forward[:, :2] @ (np.array([[c, -s], [s, c]]) * (np.array(radii[:2]) * 1.05))
    across, down = np.hypot(axes[:, 0], axes[:, 1])
    return float(across), float(down)


def rotate(dx: Array, dy: Array, degrees: float) -> tuple[Array, Array]:
    """Return offsets along and across a direction."""
    c, s = np.float32(np.cos(np.deg2rad(degrees))), np.float32(np.sin(np.deg2rad(degrees)))
    along, across, part = c * dx, c * dy, s * dy
    along += part
    across -= np.multiply(s, dx, out=part)
    return along, across


def hollow_tube(distance: Array, outer: float, inner: float, cortex: float, marrow: float) -> Array:
    """Return the attenuation of a hollow tube at a distance from its axis.

    `cortex`, `marrow` are attenuations per mm.
    """
    square = distance * distance
    whole = _half_chord(np.float32(outer**2) - square)
    core = _half_chord(np.subtract(np.float32(inner**2), square, out=square))
    whole *= np.float32(2 * cortex)
    core *= np.float32(2 * (cortex - marrow))
    whole -= core
    return whole


def _half_chord(square: Array) -> Array:
    """Return the root of what is above 0, in place."""
    np.maximum(square, 0, out=square)
    return np.sqrt(square, out=square)


def smoothstep(value: Array) -> Array:
    """Return 0 below 0, 1 above 1, smooth between."""
    t = np.asarray(np.maximum(value, 0))
    np.minimum(t, 1, out=t)
    rest = np.asarray(2 * t)
    np.subtract(3, rest, out=rest)
    t *= t
    t *= rest
    return t


def interpolate(coarse: np.ndarray, size: int) -> Array:
    """Return a coarse square field brought to `[size, size]`.

    The interpolation is smooth and separable (one matrix each way).
    """
    weights = interpolation_matrix(coarse.shape[0], size)
    return (weights @ coarse.astype(np.float32)) @ weights.T


@lru_cache(maxsize=32)
def interpolation_matrix(coarse: int, fine: int) -> Array:
    """Return rows of smooth cubic B-spline weights `[fine, coarse]` that sum to one."""
    where = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    t = np.abs(where[:, None] - np.arange(coarse)[None])
    weights = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def splat(grid: Grid, x: np.ndarray, y: np.ndarray, amount: np.ndarray) -> Array:
    """Return the sum of point deposits `[S, S]` (amount times mm^2 per pixel area).

    Each deposit is shared bilinearly among four pixels.

    A solid cut into many small columns deposits thickness x area; the sum is its path length.
    """
    size = grid.size
    column, line = grid.to_pixels(x, y)
    limit = size - 1.001
    inside = np.flatnonzero((column > 0) & (line > 0) & (column < limit) & (line < limit))
    column, line, value = column[inside], line[inside], amount[inside]
    c0, l0 = column.astype(np.int32), line.astype(np.int32)
    out = np.zeros((size, size), np.float32)
    if not value.size:
        return out
    left, top = int(c0.min()), int(l0.min())
    width, height = int(c0.max()) - left + 2, int(l0.max()) - top + 2
    base = (l0 - top) * width + (c0 - left)
    flat = _shared(base.astype(np.intp), column - c0, line - l0, value, width=width, cells=width * height)
    scale = float(np.hypot(grid.forward[0, 0], grid.forward[1, 0])) / grid.pitch
    flat *= scale**2
    out[top : top + height, left : left + width] = flat.reshape(height, width)
    return out


def _shared(
    base: np.ndarray, right: Array, below: Array, value: np.ndarray, *, width: int, cells: int
) -> np.ndarray:
    """Return the sums by cell of values shared with the cells to the right and below by these fractions."""
    low, high = value * (1 - below), value * below
    flat = np.bincount(base, weights=low * (1 - right), minlength=cells)
    for step, weight in ((1, low * right), (width, high * (1 - right)), (width + 1, high * right)):
        flat[step:] += np.bincount(base, weights=weight, minlength=cells)[: cells - step]
    return flat


def ribbon(
    grid: Grid, points: np.ndarray, radius: np.ndarray, *, flatness: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points `x, y` and deposits of round rods along polylines.

    `points` is `[R, P, 2]` (mm, evenly spaced along each rod), `radius` `[R, P]`. The rod is cut lengthwise into
    strips fine enough for the grid's pixels.
    """
    step = np.linalg.norm(np.diff(points, axis=1), axis=2).max(initial=0.1)
    along = max(1, int(np.ceil(step / (grid.pitch * 1.35))))
    tables = np.stack([points[..., 0], points[..., 1], radius]).astype(np.float32)  # [3, R, P]
    px, py, r = _between(tables, along)  # [R, P'] each
    dx, dy = _slope(px), _slope(py)
    length = np.maximum(np.sqrt(dx * dx + dy * dy), 1e-6)
    strips = max(2, int(np.ceil(2 * float(tables[2].max(initial=0.1)) / (grid.pitch * 1.35))))
    offset = ((np.arange(strips, dtype=np.float32) + 0.5) / strips * 2 - 1).astype(np.float32)
    away = offset * r[..., None]  # [R, P', strips]
    x, y = away * (-dy / length)[..., None], away * (dx / length)[..., None]
    x += px[..., None]
    y += py[..., None]
    chord = np.multiply(2 * flatness * r[..., None], np.sqrt(1 - offset**2), out=away)
    chord *= (length * r * 2 / strips)[..., None]
    return x.ravel(), y.ravel(), chord.ravel()


def _between(tables: Array, along: int) -> Array:
    """Return `tables [..., P]` with every step cut into `along` equal ones."""
    points = tables.shape[-1]
    t = np.linspace(0, points - 1, (points - 1) * along + 1)
    low = np.minimum(t.astype(int), points - 2)
    f = (t - low).astype(np.float32)
    return tables.take(low, axis=-1) * (1 - f) + tables.take(low + 1, axis=-1) * f


def _slope(table: Array) -> Array:
    """Return the central differences along the rows of `table [R, P]`, one-sided at the ends."""
    slope = np.empty_like(table)
    np.subtract(table[:, 2:], table[:, :-2], out=slope[:, 1:-1])
    slope[:, 1:-1] /= 2
    slope[:, 0] = table[:, 1] - table[:, 0]
    slope[:, -1] = table[:, -1] - table[:, -2]
    return slope
