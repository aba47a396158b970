"""A simple lateral view from the same parameters: patient's left against the detector, front to the right.

Coarser than the frontal view on purpose: lungs, heart, spine, sternum, domes and the lesions as rounded or layered
shadows at their depth. It says which depth a shadow has, and hides no label elsewhere.
"""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import dataclasses

import numpy as np

from contrastcxr.phantom.anatomy import LUNG_GAIN, MU_LUNG, MU_SOFT, heart_radii
from contrastcxr.phantom.bones import CORTEX, MARROW
from contrastcxr.phantom.grid import Grid, make_grid
from contrastcxr.phantom.masks import full_mask, mask_box
from contrastcxr.phantom.outlines import Outlines, at, outlines
from contrastcxr.phantom.paint import Paint, ripples
from contrastcxr.phantom.physics import collimate, expose, sharpen, tone
from contrastcxr.phantom.shapes import ellipsoid, hollow_tube, interpolate, smoothstep
from contrastcxr.phantom.truth import Array, Lesion, PhantomParameters, Rendered

_DENSE = ("Nodule", "Mass", "Granuloma", "Hernia")
_CLOUDY = ("Consolidation", "Atelectasis", "Fibrosis", "Edema")


def render_lateral(parameters: PhantomParameters, *, size: int) -> Rendered:
    """Return pixels `[size, size]`, boxes and masks of the lateral view; `x` is depth, front to the right."""
    pose = dataclasses.replace(parameters.pose, mirrored=False, rotation_deg=parameters.pose.rotation_deg * 0.5)
    grid = make_grid(pose, size=size)
    outline = outlines(parameters.patient, pose.inspiration_ribs)
    total, lung = _chest(parameters, grid, outline)
    paints = {i: _paint(lesion, grid, outline, lung) for i, lesion in enumerate(parameters.lesions)}
    for painted in paints.values():
        if painted is not None:
            total[painted.window] += painted.change
    drawn = {i: p for i, p in paints.items() if p is not None}
    masks = {i: full_mask(p, grid, parameters) for i, p in drawn.items()}
    masks = {i: mask for i, mask in masks.items() if mask.any()}
    pixels = _display(np.maximum(total, 0), parameters, grid)
    return Rendered(pixels, {i: mask_box(mask) for i, mask in masks.items()}, masks, grid.pitch)


def _display(attenuation: Array, parameters: PhantomParameters, grid: Grid) -> Array:
    technique = dataclasses.replace(
        parameters.technique,
        noise_seed=(parameters.technique.noise_seed + 1) % 2**31,
        photons_per_mm2=parameters.technique.photons_per_mm2 * 3,
    )
    picture = expose(attenuation, technique, parameters.pose, pitch=grid.pitch)
    picture = tone(sharpen(picture, technique, pitch=grid.pitch), technique, grid)
    return collimate(picture, technique, grid, mirrored=False)


def _chest(parameters: PhantomParameters, grid: Grid, outline: Outlines) -> tuple[Array, Array]:
    patient = parameters.patient
    half = outline.body_depth[grid.row] * np.float32(0.5)
    u = grid.x / np.maximum(half, 1)
    width = np.minimum(outline.body[grid.row] * 2, 300) * np.float32(0.95)
    body = width * np.maximum(1 - u * u, 0) ** np.float32(0.4)
    lung = _lungs(grid, outline)
    heart = _heart(parameters, grid, outline)
    lung = np.maximum(lung - heart, 0)
    total = MU_SOFT * 0.8 * np.maximum(body - lung, 0) + MU_LUNG * lung
    total += _bones(parameters, grid, outline, half)
    rng = np.random.default_rng([patient.seed, 61])
    for coarse, amount in ((48, 0.03), (110, 0.025)):
        total += amount * interpolate(rng.standard_normal((coarse, coarse)), grid.size) * np.minimum(lung / 120, 1)
    return total.astype(np.float32), lung


def _lungs(grid: Grid, outline: Outlines) -> Array:
    """Return the path through both lungs.

    It is deepest behind the heart, and ends on two domes that fall off to the back.
    """
    half = outline.depth[grid.row] * np.float32(0.5)
    u = (grid.x + 3) / np.maximum(half, 1)
    width = (outline.wall_left[grid.row] + outline.wall_right[grid.row]) * np.float32(0.72)
    depth = width * np.maximum(1 - u * u, 0) ** np.float32(0.35)
    below = np.zeros_like(depth)
    for dome in (outline.dome_left, outline.dome_right):
        top = np.float32(dome) + np.where(grid.x < 18, np.float32(0.010), np.float32(0.003)) * (grid.x - 18) ** 2
        below += np.float32(0.5) * np.sqrt(1 - (1 - np.clip((grid.y - top) / 40, 0, 1)) ** 2)
    return depth * (1 - below)


def _heart(parameters: PhantomParameters, grid: Grid, outline: Outlines) -> Array:
    patient = parameters.patient
    grown = [lesion.extent[0] for lesion in parameters.lesions if lesion.name == "Cardiomegaly"]
    ratio = grown[0] if grown else patient.ratio
    right, left = heart_radii(parameters.pose, outline, ratio)
    out = np.zeros_like(grid.x)
    middle = outline.dome_left - 0.42 * patient.heart_height
    depth = 34 + 60 * (ratio - 0.35)
    for centre, radii, angle in (
        ((0.18 * patient.depth, middle), (depth, 0.5 * patient.heart_height, (right + left) * 0.42), 24.0),
        ((0.06 * patient.depth, outline.apex + 0.36 * patient.lung_height), (14, 44, 22), 10.0),
    ):
        window, thickness = ellipsoid(grid, centre, radii, angle)
        out[window] = np.maximum(out[window], thickness)
    return out


def _bones(parameters: PhantomParameters, grid: Grid, outline: Outlines, half: Array) -> Array:
    patient = parameters.patient
    back = -np.float32(0.5) * outline.depth[grid.row] - 2
    x = grid.x - back
    phase = np.mod(grid.y + 1000, 23) / 23
    disc = smoothstep((np.abs(phase - 0.5) - 0.4) * 22)
    spine = np.maximum(1 - (x / 15) ** 2, 0) ** np.float32(0.3) * (0.42 - 0.3 * disc)
    front = grid.x - half + 17 + 0.0006 * (grid.y - outline.apex - 90) ** 2
    span = smoothstep((grid.y - outline.apex - 18) * 0.05) * smoothstep((outline.apex + 190 - grid.y) * 0.05)
    sternum = hollow_tube(front, 6.5, 5.0, CORTEX, MARROW) * span
    slope = grid.y - 0.62 * grid.x
    rib = hollow_tube((np.mod(slope + 1000, 21) - 10.5) * np.float32(0.85), 5.0, 4.0, CORTEX * 0.7, MARROW)
    cage = (np.abs(grid.x) < 0.5 * outline.depth[grid.row]) * smoothstep((outline.dome_left + 60 - grid.y) * 0.02)
    return (spine + sternum + rib * cage) * np.float32(patient.rib_density)


def _paint(lesion: Lesion, grid: Grid, outline: Outlines, lung: Array) -> Paint | None:
    depth = lesion.xyz[2]
    if lesion.name in _DENSE:
        radius = lesion.extent[0]
        window, thick = ellipsoid(grid, (depth, lesion.xyz[1]), (radius, radius, radius))
        gain = 0.03 if lesion.name == "Granuloma" else LUNG_GAIN
        change = gain * lesion.density * thick * np.minimum(lung[window] / 25, 1)
        return Paint(window, change.astype(np.float32), thick > 0.5 * radius)
    if lesion.name in _CLOUDY:
        return _cloud(lesion, grid, lung)
    if lesion.name == "Pleural Effusion":
        return _fluid(lesion, grid, outline, lung)
    return None


def _cloud(lesion: Lesion, grid: Grid, lung: Array) -> Paint:
    window, thick = ellipsoid(grid, (lesion.xyz[2], lesion.xyz[1]), (34, 30, 22), 20.0, 0.8)
    grain = np.clip(1 + 0.3 * ripples(lesion.seed, grid.x[window], grid.y[window], 14), 0.3, 2)
    change = LUNG_GAIN * 0.5 * min(lesion.density, 1.5) * thick * grain * np.minimum(lung[window] / 40, 1)
    return Paint(window, change.astype(np.float32), thick > 14)


def _fluid(lesion: Lesion, grid: Grid, outline: Outlines, lung: Array) -> Paint:
    surface = np.float32(outline.dome(lesion.side or "left") - lesion.extent[0] + 12) + 0.35 * (grid.x + 40)
    fluid = smoothstep((grid.y - surface) / 16) * (lung > 6) * smoothstep((20 - grid.x) / 30)
    change = LUNG_GAIN * 0.45 * lung * fluid * at(outline.depth, 0.0) / 150
    whole = (slice(None), slice(None))
    return Paint(whole, change.astype(np.float32), (fluid > 0.4) & (lung > 20))
