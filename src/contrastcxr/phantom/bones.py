"""Bones of the chest as excess attenuation over the soft tissue they replace."""

from __future__ import annotations

import numpy as np

from contrastcxr.phantom.grid import TABLE_HALF, TABLE_STEP, TABLE_Y, Grid
from contrastcxr.phantom.outlines import Outlines, at
from contrastcxr.phantom.shapes import hollow_tube, smoothstep
from contrastcxr.phantom.truth import Array, Patient, Pose

CORTEX = 0.036  # per mm over soft tissue
MARROW = 0.0065
RIB_OUTER = 6.4
RIB_INNER = 5.2
RIBS = 11


def rib_heights(patient: Patient) -> np.ndarray:
    """y (mm) of the posterior ends of the ribs at the spine, first to last."""
    gaps = np.linspace(0.072, 0.098, RIBS) * patient.lung_height
    start = -patient.lung_height / 2 - 6
    return start + np.concatenate([[0.0], np.cumsum(gaps[:-1])]) + np.asarray(patient.rib_jitter[:RIBS])


def rib_drop(patient: Patient, theta: Array) -> Array:
    """How far (mm) a rib has come down at angle `theta` from the spine (0) round the side to the front."""
    slope = np.float32(patient.rib_slope)
    return slope * (np.float32(9) * theta + np.float32(20) * theta * theta - np.float32(8) * np.sin(2 * theta))


def ribs(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    """Attenuation `[S, S]` of ten and a half rib pairs, each a hollow tube round the lung."""
    heights = rib_heights(patient)
    wall = np.where(grid.x < 0, outline.wall_right[grid.row], outline.wall_left[grid.row]) + np.float32(3.5)
    inside = (wall > 18) & (np.abs(grid.x) < wall)
    index = np.flatnonzero(inside)
    x, y, w = grid.x.ravel()[index], grid.y.ravel()[index], wall.ravel()[index]
    out = np.zeros(grid.x.size, np.float32)
    back = _rib_bundle(patient, np.abs(x - _shift(pose, -65)), y, w, heights, front=False)
    front = _rib_bundle(patient, np.abs(x - _shift(pose, 60)), y, w, heights, front=True)
    out[index] = (back + front) * np.float32(patient.rib_density)
    return out.reshape(grid.x.shape)


def _shift(pose: Pose, z: float) -> np.float32:
    return np.float32(z * np.sin(np.deg2rad(pose.yaw_deg)))


def _rib_bundle(patient: Patient, x: Array, y: Array, wall: Array, heights: np.ndarray, *, front: bool) -> Array:
    u = np.minimum(x / wall, np.float32(0.9995))
    theta = np.arcsin(u)
    if front:
        theta = np.float32(np.pi) - theta
    drop = rib_drop(patient, theta)
    table, nearest = _nearest_rib(heights)
    row = np.clip((y - drop + np.float32(TABLE_HALF)) * np.float32(1 / TABLE_STEP), 0, TABLE_Y.size - 1).astype(np.int32)
    offset = table[row]
    fast = np.float32(patient.rib_slope) * (9 + 40 * theta - 16 * np.cos(2 * theta)) / wall
    cosine = np.sqrt(1 - u * u)
    steep = fast / np.maximum(cosine, np.float32(0.03))
    distance = offset / np.sqrt(1 + steep * steep)
    along = 1 / np.sqrt(1 + fast * fast + 1e-3 - np.minimum(u * u, np.float32(0.90)) / (1 + fast * fast))
    width = np.float32(0.86 if front else 1.0)
    tube = hollow_tube(distance / width, RIB_OUTER, RIB_INNER, CORTEX, MARROW) * np.minimum(along, np.float32(2.2))
    return tube * _rib_ends(x, wall, nearest[row], theta, front)


def _rib_ends(x: Array, wall: Array, rib: Array, theta: Array, front: bool) -> Array:
    if not front:
        return smoothstep((x - 14) * np.float32(0.12)) * (rib >= 0)
    end = 0.30 + 0.028 * np.abs(rib - 2)
    fade = smoothstep((x / wall - end) * np.float32(7))
    return np.float32(0.72) * fade * ((rib >= 0) & (rib <= 8))


def _nearest_rib(heights: np.ndarray) -> tuple[Array, Array]:
    nearest = np.abs(TABLE_Y[:, None] - heights[None]).argmin(1)
    offset = (TABLE_Y - heights[nearest]).astype(np.float32)
    number = np.where(np.abs(offset) < 14, nearest, -1).astype(np.float32)
    return offset, number


def vertebrae(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add the vertebral column: bodies, end plates, pedicles and spinous processes."""
    index = np.flatnonzero(np.abs(grid.x) < 45)
    y = grid.y.ravel()[index]
    row = grid.row.ravel()[index]
    x = grid.x.ravel()[index] - outline.spine[row] - _shift(pose, -75)
    pitch = np.float32(22.5)
    phase = np.mod(y + 1000, pitch) / pitch
    body = np.maximum(1 - (x / (15.5 + 0.02 * y)) ** 2, 0) ** np.float32(0.35)
    disc = smoothstep((np.abs(phase - 0.5) - 0.40) * 22)
    plate = np.exp(-(((np.abs(phase - 0.5) - 0.40) * 28) ** 2))
    bone = body * (0.26 - 0.15 * disc + 0.09 * plate)
    px, py = np.abs(x) - 10.5, (phase - 0.32) * pitch
    ring = np.hypot(px * 1.25, py)
    bone += 0.16 * np.exp(-(((ring - 4.2) / 1.5) ** 2))
    spinous = np.hypot(x / 3.2, (phase - 0.78) * pitch / 5.2)
    bone += 0.20 * np.exp(-(spinous**3))
    transverse = np.exp(-((((phase - 0.30) * pitch) / 4.2) ** 4)) * smoothstep((30 - np.abs(x)) / 10) * (np.abs(x) > 12)
    bone += 0.06 * transverse
    total.ravel()[index] += (bone * np.float32(patient.rib_density)).astype(np.float32)


def clavicles(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add the clavicles: S-shaped tubes from the sternum to the shoulder, higher in AP views."""
    raise_ap = -14.0 if pose.projection == "AP" else 0.0
    for side in (-1.0, 1.0):
        inner = (side * 15 + _shift(pose, 70), outline.apex + 42 + raise_ap)
        reach = at(outline.body, outline.apex + patient.shoulder_drop + 10) - 22
        outer_y = inner[1] - 16 - patient.clavicle_tilt + patient.shoulder_drop * 0.35
        window = grid.window(((inner[0] + side * reach) / 2, (inner[1] + outer_y) / 2), reach * 0.62 + 12)
        x, y = grid.x[window], grid.y[window]
        t = np.clip((side * (x - inner[0])) / np.float32(reach), -0.06, 1.05)
        line = inner[1] + (outer_y - inner[1]) * t + 8.5 * np.sin(t * np.float32(2 * np.pi)) * (1 - 0.3 * t)
        slope = ((outer_y - inner[1]) + 53 * np.cos(t * np.float32(2 * np.pi))) / reach
        thick = 6.0 + 3.6 * np.exp(-((t / 0.1) ** 2)) + 1.5 * smoothstep((t - 0.8) * 5)
        distance = (y - line) / np.sqrt(1 + slope * slope) * (6.2 / thick)
        ends = smoothstep((side * (x - inner[0]) + 2) * np.float32(0.25)) * smoothstep((1.02 - t) * 20)
        tube = hollow_tube(distance, 6.2, 4.6, CORTEX * 1.05, MARROW * 1.4)
        total[window] += tube * ends * np.float32(patient.rib_density)


def scapulae(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, total: Array) -> None:
    """Add scapular plates, the glenoid rim and the humeral heads."""
    rng = np.random.default_rng([patient.seed, 79])
    top = outline.apex + patient.shoulder_drop
    for side in (-1.0, 1.0):
        out = at(outline.body, 0.0) - 4 + 16 * pose.arms + rng.uniform(-4, 4)
        centre = (side * out, top + 48 + rng.uniform(-5, 5))
        window = grid.window(centre, 84)
        x, y = side * grid.x[window] - np.float32(out), grid.y[window] - np.float32(centre[1])
        lean = x + 0.22 * y
        half = np.maximum(30 - 0.40 * (y + 62), 0)
        edge = half - np.abs(lean + 4)
        plate = smoothstep(edge * 0.4) * smoothstep((y + 60) * 0.1)
        rim = np.exp(-(((edge - 2.6) / 2.0) ** 2)) * smoothstep((y + 58) * 0.1)
        total[window] += np.float32(patient.rib_density) * (0.035 * plate + 0.10 * rim * (half > 3))
        _humerus(patient, grid, (side * (out + 30), top + 6), total)


def _humerus(patient: Patient, grid: Grid, centre: tuple[float, float], total: Array) -> None:
    window = grid.window(centre, 26)
    d = np.hypot(grid.x[window] - np.float32(centre[0]), grid.y[window] - np.float32(centre[1]))
    head = hollow_tube(d, 23, 21.6, CORTEX * 0.5, MARROW * 0.8)
    total[window] += head * np.float32(patient.rib_density)
