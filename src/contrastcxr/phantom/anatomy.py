"""The healthy chest: attenuation of every tissue along the beam, from a patient and a pose.

All fields are `[S, S]`; lung and soft tissue are path lengths in mm, bones and vessels are attenuations (excess
over what they replace). The chest is a sum of analytic solids; no picture of a person is used anywhere.
"""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contrastcxr.phantom.bones import clavicles, ribs, scapulae, vertebrae
from contrastcxr.phantom.grid import Grid
from contrastcxr.phantom.outlines import Outlines, at, outlines, sign, smooth_table, thorax_width
from contrastcxr.phantom.shapes import ellipsoid, hollow_tube, interpolate, smoothstep
from contrastcxr.phantom.truth import Array, Patient, PhantomParameters, Pose
from contrastcxr.phantom.vessels import vessels

MU_SOFT = 0.0195  # per mm, about 70 keV effective
MU_LUNG = 0.0050
LUNG_GAIN = MU_SOFT - MU_LUNG  # what filling lung with fluid adds per mm
HEART_DEPTH = 45.0  # z of the heart, mm in front of the axis of yaw


@dataclass(frozen=True)
class Scene:
    """Fields of one healthy chest under one pose; the costly ones are drawn when first asked for."""

    grid: Grid
    outline: Outlines
    parameters: PhantomParameters
    wall: Array
    lung: Array
    cavity: Array
    heart: Array
    centre: Array

    @property
    def patient(self) -> Patient:
        """The patient drawn."""
        return self.parameters.patient

    @cached_property
    def vessels(self) -> Array:
        """Attenuation of the vessel trees inside the lungs."""
        inside = np.minimum(self.lung * np.float32(1 / 40), 1)
        inside *= vessels(self.patient, self.grid, self.outline)
        return inside

    @cached_property
    def ribs(self) -> Array:
        """Attenuation of the ribs."""
        return ribs(self.patient, self.parameters.pose, self.grid, self.wall)

    @cached_property
    def attenuation(self) -> Array:
        """Attenuation of the whole healthy chest."""
        patient, pose, grid, outline = self.patient, self.parameters.pose, self.grid, self.outline
        total = _body(patient, pose, grid, outline)
        total -= self.lung
        total -= _air(patient, grid, outline)
        np.maximum(total, 0, out=total)
        total *= MU_SOFT
        for part in (MU_LUNG * self.lung, self.ribs, self.vessels):
            total += part
        total *= _mottle(patient, grid, self.lung, mirrored=pose.mirrored)
        for bone in (vertebrae, clavicles, scapulae):
            bone(patient, pose, grid, outline, total)
        return total

    def yaw_shift(self, z: float) -> float:
        """Return the shift in x (mm) of something `z` mm in front of the axis of yaw."""
        return yaw_shift(self.parameters.pose, z)


def yaw_shift(pose: Pose, z: float) -> float:
    """Return the shift in x (mm) of something `z` mm in front of the axis of yaw."""
    return float(z * np.sin(np.deg2rad(pose.yaw_deg)))


def build_scene(parameters: PhantomParameters, grid: Grid) -> Scene:
    """Return the healthy chest of these parameters, without lesions and look-alikes."""
    patient, pose = parameters.patient, parameters.pose
    outline = outlines(patient, pose.inspiration_ribs)
    wall = outline.wall_left[grid.row]
    np.copyto(wall, outline.wall_right[grid.row], where=grid.x < 0)
    cavity = _cavity(grid, outline, wall)
    heart = heart_thickness(patient, pose, grid, outline, ratio=patient.ratio)
    centre = _mediastinum(patient, pose, grid, outline)
    lung = np.maximum(heart, centre)
    np.subtract(cavity, lung, out=lung)
    np.maximum(lung, 0, out=lung)
    return Scene(grid, outline, parameters, wall, lung, cavity, heart, centre)


def _mottle(patient: Patient, grid: Grid, lung: Array, *, mirrored: bool) -> Array:
    """Return uneven tissue: broad clouds of fat and muscle everywhere, a fine grain in the lungs."""
    rng = np.random.default_rng([patient.seed, 80])
    broad, medium, fine = (interpolate(rng.standard_normal((n, n)), grid.size) for n in (20, 56, 150))
    broad *= np.float32(0.022)
    broad += 1
    medium *= np.float32(0.012)
    broad += medium
    inside = lung * np.float32(1 / 60)
    np.minimum(inside, 1, out=inside)
    inside *= np.float32(0.026 * patient.texture)
    if mirrored:
        broad, fine = broad[:, ::-1], fine[:, ::-1]
    inside *= fine
    inside += broad
    return inside


def _cavity(grid: Grid, outline: Outlines, wall: Array) -> Array:
    """Return the depth (mm) of the chest cavity above the diaphragm."""
    u = np.maximum(wall, np.float32(0.5))
    np.divide(grid.x, u, out=u)
    cavity = _circle(u)
    cavity *= outline.depth[grid.row]
    cavity *= _above_diaphragm(grid, outline, u)
    return cavity


def _circle(u: Array) -> Array:
    """Return the height of a half circle of radius 1 over `u`, 0 outside."""
    square = u * u
    np.subtract(1, square, out=square)
    np.maximum(square, 0, out=square)
    return np.sqrt(square, out=square)


def _above_diaphragm(grid: Grid, outline: Outlines, u: Array) -> Array:
    """Return the part of the depth that the diaphragm leaves.

    It is the chord of a dome, steep just below its top.
    """
    below = np.subtract(grid.y, _dome_top(grid, outline))
    below -= _dome_drop(u)
    below *= np.float32(1 / 52)
    np.clip(below, 0, 1, out=below)
    np.subtract(1, below, out=below)
    below *= below
    np.subtract(1, below, out=below)
    np.sqrt(below, out=below)
    return np.subtract(1, below, out=below)


def _dome_top(grid: Grid, outline: Outlines) -> Array:
    """Return the height of the domes: from the right one to the left one across the midline."""
    across = grid.x * np.float32(1 / 56)
    across += np.float32(0.5)
    across = smoothstep(across)
    across *= np.float32(outline.dome_left - outline.dome_right)
    across += np.float32(outline.dome_right)
    return across


def _dome_drop(u: Array) -> Array:
    """Return how far a dome has fallen off at `u`, mm; faster towards the wall than towards the heart."""
    bend = np.abs(u)
    bend -= np.float32(0.42)
    outwards = bend > 0
    bend *= bend
    return np.multiply(bend, np.where(outwards, np.float32(105), np.float32(60)), out=bend)


def heart_radii(pose: Pose, outline: Outlines, ratio: float) -> tuple[float, float]:
    """Return the extent of the heart to the right and left of the midline, mm, for a cardiothoracic ratio."""
    width = ratio * thorax_width(outline) * (1.045 if pose.projection == "AP" else 1.0)
    return 0.32 * width, 0.68 * width


_HEART_DOWN = np.array([-0.05, 0.0, 0.12, 0.26, 0.42, 0.58, 0.72, 0.84, 0.93, 1.04, 1.22, 1.45])
_HEART_LEFT = np.array([0.0, 0.34, 0.45, 0.55, 0.69, 0.84, 0.95, 1.0, 0.99, 0.94, 0.78, 0.0])
_HEART_RIGHT = np.array([0.0, 0.42, 0.52, 0.62, 0.80, 0.94, 1.0, 0.98, 0.92, 0.86, 0.7, 0.0])


def heart_thickness(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, *, ratio: float) -> Array:
    """Return the thickness (mm) of the heart along the beam for a cardiothoracic ratio."""
    right, left = heart_radii(pose, outline, ratio)
    rng = np.random.default_rng([patient.seed, 76])
    height = patient.heart_height * (0.82 + 0.42 * ratio)
    top = outline.dome_left + 14 - height
    down = top + height * _HEART_DOWN
    sides = []
    for widths, reach in ((_HEART_RIGHT, right), (_HEART_LEFT, left)):
        shape = widths * (1 + rng.normal(0, 0.035, 12))
        shape = shape ** (1 + 0.012 * (patient.heart_tilt_deg - 36)) if reach is left else shape
        sides.append(smooth_table(down, shape / shape.max() * reach, 41))
    depth = smooth_table(down, np.array([0, 40, 56, 70, 84, 94, 98, 97, 96, 95, 85, 0]) * (0.7 + 0.7 * ratio), 41)
    shift = np.float32(yaw_shift(pose, HEART_DEPTH))
    out = np.zeros_like(grid.x)
    here = (np.abs(grid.x - shift) < 1.1 * left) & (grid.y > top - 20) & (grid.y < down[-1] + 10)
    index = np.flatnonzero(here)
    row, x = grid.row.ravel()[index], grid.x.ravel()[index] - shift
    u = np.maximum(np.where(x < 0, sides[0][row], sides[1][row]), np.float32(0.5))
    out.ravel()[index] = depth[row] * _circle(np.divide(x, u, out=u))
    return out


def _mediastinum(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    out = np.zeros_like(grid.x)
    index = np.flatnonzero(np.abs(grid.x) < 80)
    row, x = grid.row.ravel()[index], grid.x.ravel()[index]
    side = np.where(x < 0, outline.mediastinum_right[row], outline.mediastinum_left[row])
    u = (x - outline.spine[row] * np.float32(0.6)) / np.maximum(side, np.float32(0.5))
    out.ravel()[index] = np.float32(120) * _circle(u)
    arch_y = outline.apex + 0.27 * patient.lung_height
    shift = yaw_shift(pose, -10)
    for centre, radii in (
        ((17 + 0.35 * patient.knob + shift, arch_y + 4), (patient.knob, patient.knob * 1.5, 40)),
        ((-16 - 8 * patient.aorta_uncoil + shift, arch_y + 24), (14 + 8 * patient.aorta_uncoil, 46, 26)),
        ((16 + 10 * patient.aorta_uncoil + yaw_shift(pose, -40), arch_y + 70), (15, 105, 24)),
    ):
        window, thickness = ellipsoid(grid, centre, radii)
        out[window] = np.maximum(out[window], thickness)
    return out


def _air(patient: Patient, grid: Grid, outline: Outlines) -> Array:
    """Return the path (mm) of air outside the lungs: trachea, main bronchi, gastric bubble, bowel."""
    out = np.zeros_like(grid.x)
    carina = outline.apex + 0.42 * patient.lung_height
    window = grid.window((0, carina - 110), 130)
    x = grid.x[window] - outline.spine[grid.row[window]] * 0.8 + 2
    y = grid.y[window]
    tube = np.sqrt(np.maximum(64 - x * x, 0)) * np.float32(1.7)
    out[window] = (
        tube * smoothstep((carina + 4 - y) * np.float32(0.022)) * smoothstep((y - carina + 225) * np.float32(0.03))
    )
    for side, angle, length in (("right", 62.0, 17.0), ("left", 38.0, 23.0)):
        s = sign(side)
        centre = (s * length * 0.75, carina + 11)
        window, thickness = ellipsoid(grid, centre, (length, 6.5, 6.0), s * angle * 0.75)
        out[window] = np.maximum(out[window], thickness)
    _stomach(patient, grid, outline, out)
    return out


def _stomach(patient: Patient, grid: Grid, outline: Outlines, out: Array) -> None:
    rng = np.random.default_rng([patient.seed, 77])
    size = patient.bubble
    centre = (58 + rng.uniform(-12, 14), outline.dome_left + 14 + size * 0.62)
    window, bubble = ellipsoid(grid, centre, (size * 1.35, size * 0.7, size * 0.9), rng.uniform(-14, 6), 0.7)
    fluid = smoothstep((centre[1] + size * 0.35 - grid.y[window]) * np.float32(0.5))
    out[window] += bubble * fluid
    for _ in range(int(rng.integers(0, 6))):
        spot = (rng.uniform(-70, 100), outline.dome_left + rng.uniform(45, 110))
        window, gas = ellipsoid(grid, spot, (rng.uniform(6, 24), rng.uniform(5, 12), 7), rng.uniform(-60, 60), 1.6)
        out[window] += gas


def _body(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    u = grid.x / outline.body[grid.row]
    path = u * u
    path *= u
    np.abs(path, out=path)
    np.subtract(1, path, out=path)
    np.maximum(path, 0, out=path)
    np.sqrt(path, out=path)
    path *= outline.body_depth[grid.row]
    _arms(patient, pose, grid, outline, path)
    _breasts(patient, grid, outline, path)
    return path


def _arms(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, path: Array) -> None:
    top = outline.apex + patient.shoulder_drop
    inner = at(outline.body, 0.0) + 14
    radius = np.float32(33 + 16 * patient.habitus)
    index = np.flatnonzero(np.abs(grid.x) > inner - radius)
    y = grid.y.ravel()[index] - np.float32(top - 4)
    d = np.abs(grid.x.ravel()[index]) - inner - pose.arms * np.maximum(y, 0) * np.float32(0.55)
    tube = np.sqrt(np.maximum(radius * radius - d * d - np.minimum(y, 0) ** 2, 0)) * 2
    bone = hollow_tube(np.hypot(d, np.minimum(y - 10, 0)), 11, 7.5, 1.6, 0.4)
    flat = path.ravel()
    flat[index] = np.maximum(flat[index], tube + bone)


def _breasts(patient: Patient, grid: Grid, outline: Outlines, path: Array) -> None:
    if patient.breast <= 0:
        return
    rng = np.random.default_rng([patient.seed, 78])
    for side in (-1.0, 1.0):
        size = patient.breast * rng.uniform(0.93, 1.07)
        centre = (
            side * (patient.half_width * 0.62 + rng.uniform(-6, 6)),
            outline.apex + 0.70 * patient.lung_height,
        )
        window, lump = ellipsoid(grid, centre, (size, size * 0.95, size * 0.36), 0.0, 0.42)
        fade = smoothstep((grid.y[window] - centre[1]) / np.float32(size * 1.5) + np.float32(0.6))
        path[window] += lump * fade
