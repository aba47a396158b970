"""Bones of the chest as excess attenuation over the soft tissue they replace."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from functools import lru_cache

import numpy as np

from contrastcxr.phantom.grid import TABLE_HALF, TABLE_STEP, TABLE_Y, Grid
from contrastcxr.phantom.outlines import Outlines, at
from contrastcxr.phantom.shapes import hollow_tube, smoothstep
from contrastcxr.phantom.truth import Array, Patient, Pose

CORTEX = 0.028  # per mm over soft tissue
MARROW = 0.0038
RIB_OUTER = 5.9
RIB_INNER = 4.9
RIBS = 11


def rib_heights(patient: Patient) -> np.ndarray:
    """Return the y (mm) of the posterior ends of the ribs at the spine, first to last."""
    gaps = np.linspace(0.072, 0.098, RIBS) * patient.lung_height
    start = -patient.lung_height / 2 - 6
    return start + np.concatenate([[0.0], np.cumsum(gaps[:-1])]) + np.asarray(patient.rib_jitter[:RIBS])


def rib_drop(patient: Patient, theta: Array) -> Array:
    """Return how far (mm) a rib has come down at angle `theta` from the spine (0) round the side to the front."""
    slope = np.float32(patient.rib_slope)
    return slope * (np.float32(9) * theta + np.float32(20) * theta * theta - np.float32(8) * np.sin(2 * theta))


def ribs(patient: Patient, pose: Pose, grid: Grid, wall: Array) -> Array:
    """Return the attenuation `[S, S]` of ten and a half rib pairs.

    Ribs are hollow tubes round the lung, which ends at `wall`.
    """
    heights = rib_heights(patient)
    wall = wall + np.float32(3.5)
    inside = (wall > 18) & (np.abs(grid.x) < wall) & (grid.y < heights[-1] + 90)
    index = np.flatnonzero(inside)
    x, y, w = grid.x.ravel()[index], grid.y.ravel()[index], wall.ravel()[index]
    both = np.zeros(index.size, np.float32)
    for front, z in ((False, -65), (True, 60)):
        across = np.abs(x - _shift(pose, z))
        # Behind, ribs begin beside the spine; in front their bony part begins at .3 of the way to the wall.
        some = np.flatnonzero(across / w > 0.3 if front else across > 14)
        both[some] += _rib_bundle(patient, across[some], y[some], w[some], heights, front=front)
    out = np.zeros(grid.x.size, np.float32)
    out[index] = both * np.float32(patient.rib_density)
    return out.reshape(grid.x.shape)


def _shift(pose: Pose, z: float) -> np.float32:
    return np.float32(z * np.sin(np.deg2rad(pose.yaw_deg)))


def _rib_bundle(patient: Patient, x: Array, y: Array, wall: Array, heights: np.ndarray, *, front: bool) -> Array:
    u = x / wall
    np.minimum(u, np.float32(0.9995), out=u)
    theta = np.arcsin(u)
    if front:
        np.subtract(np.float32(np.pi), theta, out=theta)
    table, nearest = _nearest_rib(tuple(heights))
    row = _rib_row(patient, theta, y)
    fast = _rib_fall(patient, theta)
    fast /= wall
    square = u * u
    distance = table[row] / _stretch(fast / np.maximum(np.sqrt(1 - square), np.float32(0.03)))
    distance /= np.float32(0.86 if front else 1.0)
    near = np.flatnonzero(np.abs(distance) < RIB_OUTER)  # beyond its surface a tube adds nothing
    rib = nearest[row[near]]
    tube = hollow_tube(distance[near], RIB_OUTER, RIB_INNER, CORTEX, MARROW)
    tube *= np.minimum(_rib_length(fast[near], square[near]), np.float32(2.2))
    tube *= _rib_strength(patient, front)[rib.astype(np.intp)]
    tube *= _rib_ends(x[near], wall[near], rib, front)
    out = np.zeros_like(x)
    out[near] = tube
    return out


def _rib_row(patient: Patient, theta: Array, y: Array) -> np.ndarray:
    """Return the rows of the table of ribs: heights at the spine of what is seen at `theta` and `y`."""
    height = np.subtract(y, rib_drop(patient, theta))
    height += np.float32(TABLE_HALF)
    height *= np.float32(1 / TABLE_STEP)
    np.clip(height, 0, TABLE_Y.size - 1, out=height)
    return height.astype(np.intp)


def _rib_fall(patient: Patient, theta: Array) -> Array:
    """Return how fast a rib comes down with the angle, mm per radian."""
    fall = 9 + 40 * theta
    wave = np.cos(2 * theta)
    wave *= 16
    fall -= wave
    fall *= np.float32(patient.rib_slope)
    return fall


def _stretch(slope: Array) -> Array:
    """Return the length of a line of this slope over its run; `slope` is used up."""
    slope *= slope
    slope += 1
    return np.sqrt(slope, out=slope)


def _rib_length(fast: Array, square: Array) -> Array:
    """Return the path along the beam in a rib, in times its path across."""
    steep = fast * fast
    steep += 1
    return 1 / np.sqrt(steep + 1e-3 - np.minimum(square, np.float32(0.90)) / steep)


def _rib_strength(patient: Patient, front: bool) -> Array:
    rng = np.random.default_rng([patient.seed, 73 + front])
    return rng.uniform(0.72, 1.2, RIBS + 1).astype(np.float32)


def _rib_ends(x: Array, wall: Array, rib: Array, front: bool) -> Array:
    if not front:
        return smoothstep((x - 14) * np.float32(0.12)) * (rib >= 0)
    end = 0.30 + 0.028 * np.abs(rib - 2)
    fade = smoothstep((x / wall - end) * np.float32(7))
    return np.float32(0.72) * fade * ((rib >= 0) & (rib <= 8))


@lru_cache(maxsize=16)
def _nearest_rib(positions: tuple[float, ...]) -> tuple[Array, Array]:
    heights = np.array(positions)
    nearest = np.abs(TABLE_Y[:, None] - heights[None]).argmin(1)
    offset = (TABLE_Y - heights[nearest]).astype(np.float32)
    number = np.where(np.abs(offset) < 14, nearest, -1).astype(np.float32)
    return offset, number


_VERTEBRA_PITCH = 22.5
_TILE_STEP = 0.25
_TILE_HALF = 40.0


@lru_cache(maxsize=1)
def _vertebra() -> Array:
    """Return one vertebra with its disc as a tile `[90, 320]` at 0.25 mm.

    The tile shows body, end plates, pedicles and processes.
    """
    phase = (np.arange(int(_VERTEBRA_PITCH / _TILE_STEP))[:, None] + 0.5) * _TILE_STEP / _VERTEBRA_PITCH
    x = (np.arange(int(2 * _TILE_HALF / _TILE_STEP))[None, :] + 0.5) * _TILE_STEP - _TILE_HALF
    body = np.maximum(1 - (x / (15.0 + 1.5 * np.abs(phase - 0.5))) ** 2, 0) ** 0.4
    disc = smoothstep((np.abs(phase - 0.5) - 0.40) * 14)
    plate = np.exp(-(((np.abs(phase - 0.5) - 0.40) * 24) ** 2))
    bone = body * (0.11 - 0.055 * disc + 0.03 * plate)
    ring = np.hypot((np.abs(x) - 10.5) * 1.25, (phase - 0.32) * _VERTEBRA_PITCH)
    bone = bone + 0.055 * np.exp(-(((ring - 4.2) / 1.7) ** 2))
    spinous = np.hypot(x / 3.2, (phase - 0.78) * _VERTEBRA_PITCH / 5.2)
    bone = bone + 0.06 * np.exp(-(spinous**3))
    across = smoothstep((30 - np.abs(x)) / 10) * smoothstep((np.abs(x) - 12) / 4)
    transverse = np.exp(-((((phase - 0.30) * _VERTEBRA_PITCH) / 4.2) ** 4)) * across
    return (bone + 0.05 * transverse).astype(np.float32)


def vertebrae(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add the vertebral column: one tile repeated along the spine."""
    tile = _vertebra()
    index = np.flatnonzero(np.abs(grid.x) < _TILE_HALF + 6)
    row = grid.row.ravel()[index]
    x = grid.x.ravel()[index] - outline.spine[row] - _shift(pose, -75)
    column = np.clip((x + np.float32(_TILE_HALF)) * np.float32(1 / _TILE_STEP), 0, tile.shape[1] - 1).astype(
        np.int32
    )
    line = ((grid.y.ravel()[index] + np.float32(1000)) * np.float32(1 / _TILE_STEP)).astype(np.int32) % tile.shape[
        0
    ]
    total.ravel()[index] += tile.ravel()[line * tile.shape[1] + column] * np.float32(patient.rib_density)


def clavicles(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add the clavicles: S-shaped tubes from the sternum to the shoulder, higher in AP views."""
    raise_ap = -14.0 if pose.projection == "AP" else 0.0
    for side in (-1.0, 1.0):
        inner = (side * 15 + float(_shift(pose, 70)), outline.apex + 42 + raise_ap)
        reach = at(outline.body, outline.apex + patient.shoulder_drop + 10) - 22
        outer_y = inner[1] - 16 - patient.clavicle_tilt + patient.shoulder_drop * 0.35
        window = grid.window(((inner[0] + side * reach) / 2, (inner[1] + outer_y) / 2), reach * 0.62 + 12)
        x, y = grid.x[window], grid.y[window]
        low, high = _clavicle_span(inner[1], outer_y, reach)
        some = np.flatnonzero((y > low) & (y < high))
        x, y = x.ravel()[some], y.ravel()[some]
        t = np.clip((side * (x - inner[0])) / np.float32(reach), -0.06, 1.05)
        line = inner[1] + (outer_y - inner[1]) * t + 8.5 * np.sin(t * np.float32(2 * np.pi)) * (1 - 0.3 * t)
        slope = ((outer_y - inner[1]) + 53 * np.cos(t * np.float32(2 * np.pi))) / reach
        thick = 6.0 + 3.6 * np.exp(-((t / 0.1) ** 2)) + 1.5 * smoothstep((t - 0.8) * 5)
        distance = (y - line) / np.sqrt(1 + slope * slope) * (6.2 / thick)
        ends = smoothstep((side * (x - inner[0]) + 2) * np.float32(0.25)) * smoothstep((1.02 - t) * 20)
        tube = hollow_tube(distance, 6.2, 4.6, CORTEX * 1.05, MARROW * 1.4)
        rows, columns = np.divmod(some, window[1].stop - window[1].start)
        total[rows + window[0].start, columns + window[1].start] += tube * ends * np.float32(patient.rib_density)


def _clavicle_span(inner: float, outer: float, reach: float) -> tuple[float, float]:
    """Return the heights (mm) between which the whole of a clavicle lies.

    They allow for its line, its bend, and its thickness along the slope.
    """
    rise = abs(outer - inner)
    beyond = 0.06 * rise + 8.7 + 11.2 * float(np.hypot(1, (rise + 53) / reach))
    return min(inner, outer) - beyond, max(inner, outer) + beyond


def scapulae(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add scapular plates, the glenoid rim and the humeral heads."""
    rng = np.random.default_rng([patient.seed, 79])
    top = outline.apex + patient.shoulder_drop
    for side in (-1.0, 1.0):
        out = at(outline.wall("right" if side < 0 else "left"), 0.0) + 8 + 26 * pose.arms + rng.uniform(-4, 4)
        centre = (side * out, top + 56 + rng.uniform(-5, 5))
        window = grid.window(centre, 96)
        x, y = side * grid.x[window] - np.float32(out), grid.y[window] - np.float32(centre[1])
        lean = x + 0.22 * y
        half = np.maximum(44 - 0.36 * (y + 62), 0)
        edge = half - np.abs(lean + 4)
        plate = smoothstep(edge * 0.4) * smoothstep((y + 60) * 0.1)
        rim = np.exp(-(((edge - 2.6) / 2.0) ** 2)) * smoothstep((y + 58) * 0.1)
        total[window] += np.float32(patient.rib_density) * (0.035 * plate + 0.10 * rim * (half > 3))
        _humerus(patient, grid, (side * (at(outline.body, 0.0) + 6), top + 8), total)


def _humerus(patient: Patient, grid: Grid, centre: tuple[float, float], total: Array) -> None:
    window = grid.window(centre, 26)
    d = np.hypot(grid.x[window] - np.float32(centre[0]), grid.y[window] - np.float32(centre[1]))
    head = hollow_tube(d, 23, 21.6, CORTEX * 0.5, MARROW * 0.8)
    total[window] += head * np.float32(patient.rib_density)
