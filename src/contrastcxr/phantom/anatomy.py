"""The healthy chest: attenuation of every tissue along the beam, from a patient and a pose.

All fields are `[S, S]`; lung and soft tissue are path lengths in mm, bones and vessels are attenuations (excess over
what they replace). The chest is a sum of analytic solids, no picture of a person is used anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrastcxr.phantom.bones import clavicles, ribs, scapulae, vertebrae
from contrastcxr.phantom.grid import Grid
from contrastcxr.phantom.outlines import Outlines, at, outlines, sign, thorax_width
from contrastcxr.phantom.shapes import ellipsoid, hollow_tube, smoothstep
from contrastcxr.phantom.truth import Array, Patient, PhantomParameters, Pose
from contrastcxr.phantom.vessels import vessels

MU_SOFT = 0.0195  # per mm, about 70 keV effective
MU_LUNG = 0.0050
LUNG_GAIN = MU_SOFT - MU_LUNG  # what filling lung with fluid adds per mm
HEART_DEPTH = 45.0  # z of the heart, mm in front of the axis of yaw


@dataclass(frozen=True)
class Scene:
    """Fields of one healthy chest under one pose."""

    grid: Grid
    outline: Outlines
    parameters: PhantomParameters
    attenuation: Array
    lung: Array
    cavity: Array
    wall: Array
    vessels: Array
    ribs: Array
    heart: Array
    centre: Array

    @property
    def patient(self) -> Patient:
        """The patient drawn."""
        return self.parameters.patient

    def yaw_shift(self, z: float) -> float:
        """Shift in x (mm) of something `z` mm in front of the axis of yaw."""
        return yaw_shift(self.parameters.pose, z)


def yaw_shift(pose: Pose, z: float) -> float:
    """Shift in x (mm) of something `z` mm in front of the axis of yaw."""
    return float(z * np.sin(np.deg2rad(pose.yaw_deg)))


def build_scene(parameters: PhantomParameters, grid: Grid) -> Scene:
    """The healthy chest of these parameters, without lesions and look-alikes."""
    patient, pose = parameters.patient, parameters.pose
    outline = outlines(patient, pose.inspiration_ribs)
    wall = np.where(grid.x < 0, outline.wall_right[grid.row], outline.wall_left[grid.row])
    cavity, below = _cavity(grid, outline, wall)
    heart = heart_thickness(patient, pose, grid, outline, ratio=patient.ratio)
    centre = _mediastinum(patient, pose, grid, outline)
    lung = np.maximum(cavity * (1 - below) - np.maximum(heart, centre), 0)
    soft = np.maximum(_body(patient, pose, grid, outline) - lung, 0)
    soft = np.maximum(soft - _air(patient, grid, outline), 0)
    rib_field = ribs(patient, pose, grid, outline)
    tree = vessels(patient, grid, outline) * np.minimum(lung * np.float32(1 / 40), 1)
    total = MU_SOFT * soft + MU_LUNG * lung + rib_field + tree
    for bone in (vertebrae, clavicles, scapulae):
        bone(patient, pose, grid, outline, total)
    return Scene(grid, outline, parameters, total, lung, cavity * (1 - below), wall, tree, rib_field, heart, centre)


def _cavity(grid: Grid, outline: Outlines, wall: Array) -> tuple[Array, Array]:
    u = grid.x / np.maximum(wall, np.float32(0.5))
    cavity = outline.depth[grid.row] * np.sqrt(np.maximum(1 - u * u, 0))
    return cavity, _diaphragm(grid, outline, u)


def _diaphragm(grid: Grid, outline: Outlines, u: Array) -> Array:
    """Part of the depth taken by the diaphragm: the chord of a dome, steep just below its top."""
    right = grid.x < 0
    top = np.where(right, np.float32(outline.dome_right), np.float32(outline.dome_left))
    bend = np.abs(u) - np.float32(0.42)
    drop = bend * bend * np.where(bend > 0, np.float32(105), np.float32(60))
    below = np.clip((grid.y - top - drop) * np.float32(1 / 52), 0, 1)
    return np.sqrt(1 - (1 - below) ** 2)


def heart_radii(patient: Patient, pose: Pose, outline: Outlines, ratio: float) -> tuple[float, float]:
    """Extent of the heart to the right and left of the midline, mm, for a cardiothoracic ratio."""
    width = ratio * thorax_width(outline) * (1.045 if pose.projection == "AP" else 1.0)
    return 0.32 * width, 0.68 * width


def heart_thickness(patient: Patient, pose: Pose, grid: Grid, outline: Outlines, *, ratio: float) -> Array:
    """Thickness (mm) of the heart along the beam for a cardiothoracic ratio."""
    right, left = heart_radii(patient, pose, outline, ratio)
    shift = yaw_shift(pose, HEART_DEPTH)
    low = outline.dome_left + 4
    middle = low - 0.47 * patient.heart_height * (0.55 + ratio)
    out = np.zeros_like(grid.x)
    tilt = patient.heart_tilt_deg
    ventricle = (left - 0.5 * (left - right * 0.2), left - 0.5 * (left - right * 0.2))
    rx = ventricle[0] * 1.02
    for centre, radii, angle in (
        ((left - rx * 0.985 + shift, middle + 8), (rx, 0.46 * patient.heart_height, 46 + 30 * (ratio - 0.4)), tilt),
        ((-right + 0.62 * right + 8 + shift, middle - 2), (0.62 * right + 8, 0.44 * patient.heart_height, 42), -8.0),
        ((12 + shift, middle - 34), (0.52 * left + 4, 34, 38), tilt * 0.6),
        ((20 + shift * 0.5, middle - 52), (17, 24, 30), 10.0),
    ):
        window, thickness = ellipsoid(grid, centre, radii, angle)
        out[window] = np.maximum(out[window], thickness)
    return out


def _mediastinum(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    side = np.where(grid.x < 0, outline.mediastinum_right[grid.row], outline.mediastinum_left[grid.row])
    u = (grid.x - outline.spine[grid.row] * np.float32(0.6)) / np.maximum(side, np.float32(0.5))
    out = np.float32(150) * np.sqrt(np.maximum(1 - u * u, 0)) ** np.float32(0.8)
    arch_y = outline.apex + 0.27 * patient.lung_height
    shift = yaw_shift(pose, -10)
    for centre, radii in (
        ((18 + 0.4 * patient.knob + shift, arch_y), (patient.knob, patient.knob * 1.05, 45)),
        ((-16 - 8 * patient.aorta_uncoil + shift, arch_y + 24), (14 + 8 * patient.aorta_uncoil, 46, 26)),
        ((16 + 10 * patient.aorta_uncoil + yaw_shift(pose, -40), arch_y + 70), (15, 105, 24)),
    ):
        window, thickness = ellipsoid(grid, centre, radii)
        out[window] = np.maximum(out[window], thickness)
    return out


def _air(patient: Patient, grid: Grid, outline: Outlines) -> Array:
    """Path (mm) of air outside the lungs: trachea, main bronchi, gastric bubble, bowel."""
    out = np.zeros_like(grid.x)
    carina = outline.apex + 0.42 * patient.lung_height
    window = grid.window((0, carina - 65), 80)
    x = grid.x[window] - outline.spine[grid.row[window]] * 0.8 + 2
    y = grid.y[window]
    tube = np.sqrt(np.maximum(81 - x * x, 0)) * 2
    out[window] = tube * smoothstep((carina - y) * np.float32(0.1)) * smoothstep((y - carina + 140) * np.float32(0.05))
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
        window, gas = ellipsoid(grid, spot, (rng.uniform(6, 20), rng.uniform(5, 11), 9), rng.uniform(-60, 60), 1.0)
        out[window] += gas


def _body(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    u = grid.x / outline.body[grid.row]
    path = outline.body_depth[grid.row] * np.sqrt(np.sqrt(np.maximum(1 - (u * u) ** 2, 0) ** 1.3))
    path = np.maximum(path, _arms(patient, pose, grid, outline))
    _breasts(patient, grid, outline, path)
    return path


def _arms(patient: Patient, pose: Pose, grid: Grid, outline: Outlines) -> Array:
    top = outline.apex + patient.shoulder_drop
    y = grid.y - np.float32(top - 4)
    centre = at(outline.body, 0.0) + 22 + pose.arms * np.maximum(y, 0) * np.float32(0.55)
    radius = np.float32(33 + 16 * patient.habitus)
    d = np.abs(grid.x) - centre
    tube = np.sqrt(np.maximum(radius * radius - d * d - np.minimum(y, 0) ** 2, 0)) * 2
    bone = hollow_tube(np.hypot(d, np.minimum(y - 10, 0)), 11, 7.5, 1.6, 0.4)
    return tube + bone


def _breasts(patient: Patient, grid: Grid, outline: Outlines, path: Array) -> None:
    if patient.breast <= 0:
        return
    rng = np.random.default_rng([patient.seed, 78])
    for side in (-1.0, 1.0):
        size = patient.breast * rng.uniform(0.93, 1.07)
        centre = (side * (patient.half_width * 0.62 + rng.uniform(-6, 6)), outline.apex + 0.70 * patient.lung_height)
        window, lump = ellipsoid(grid, centre, (size, size * 0.95, size * 0.36), 0.0, 0.42)
        fade = 0.15 + 0.85 * smoothstep((grid.y[window] - centre[1]) / np.float32(size * 1.3) + np.float32(0.6))
        path[window] += lump * fade
