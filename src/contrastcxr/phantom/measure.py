"""How visible each lesion is: contrast-to-noise from the rendered difference, and the status that follows.

The Rose criterion: a lesion is seen when contrast-to-noise times the square root of its area passes a threshold.
Noise is quantum noise together with the anatomical clutter round the lesion, which in a chest is the larger part
(ours).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from contrastcxr.phantom.anatomy import Scene, build_scene
from contrastcxr.phantom.grid import Grid, make_grid
from contrastcxr.phantom.lesions import compose, paint
from contrastcxr.phantom.masks import full_mask, mask_box
from contrastcxr.phantom.paint import Paint
from contrastcxr.phantom.physics import signal
from contrastcxr.phantom.truth import Array, Lesion, Mask, PhantomParameters

MEASURE_SIZE = 144
BOX_SIZE = 256
SEEN = 1.15  # contrast-to-noise times square root of cm^2
DOUBTFUL = 0.75
FIXED = frozenset({"Cardiomegaly", "Support Devices"})
DENSITY = {
    "Pleural Effusion": (0.75, 1.1),
    "Pneumothorax": (0.5, 1.25),
    "Hernia": (0.6, 1.1),
    "Fracture": (0.6, 1.4),
    "Emphysema": (0.3, 1.3),
    "Edema": (0.3, 0.9),
    "Fibrosis": (0.4, 2.0),
    "Consolidation": (0.4, 1.9),
}
ANY_DENSITY = (0.25, 2.4)


def calibrate(parameters: PhantomParameters) -> PhantomParameters:
    """Return the same parameters with densities set to the target contrast.

    Contrast, area and status are measured.

    Args:
        parameters: lesions as placed, density 1; densities stay within what the disease can look like.
    """
    if not parameters.lesions:
        return parameters
    grid = make_grid(parameters.pose, size=MEASURE_SIZE)
    scene = build_scene(parameters, grid)
    bare = compose(scene, [])
    light = signal(bare, parameters.technique, pitch=grid.pitch)
    lesions = tuple(_calibrated(lesion, scene, bare, light) for lesion in parameters.lesions)
    return dataclasses.replace(parameters, lesions=lesions)


def _calibrated(lesion: Lesion, scene: Scene, bare: Array, light: Array) -> Lesion:
    painted = paint(lesion, scene)
    ratio, area = _contrast(painted, scene, bare, light)
    if lesion.name not in FIXED and ratio > 0:
        low, high = DENSITY.get(lesion.name, ANY_DENSITY)
        density = float(np.clip(lesion.target_cnr / ratio, low, high))
        lesion = dataclasses.replace(lesion, density=density)
        painted = paint(lesion, scene)
        ratio, area = _contrast(painted, scene, bare, light)
    return _with_status(lesion, ratio, area)


def _contrast(painted: Paint, scene: Scene, bare: Array, light: Array) -> tuple[float, float]:
    """Return the contrast-to-noise and area (mm^2) of a lesion over the lesion-free chest."""
    grid, technique = scene.grid, scene.parameters.technique
    mask = full_mask(painted, grid, scene.parameters)
    if not mask.any():
        return 0.0, 0.0
    total = bare.copy()
    total[painted.window] += painted.change
    lit = signal(np.maximum(total, 0), technique, pitch=grid.pitch)
    contrast = float(np.abs(np.log(light[mask]) - np.log(lit[mask])).mean())
    clutter, quantum = _clutter(mask, light), _quantum(mask, light, scene)
    return contrast / float(np.hypot(clutter, quantum)), float(mask.sum()) * grid.pitch**2


def _clutter(mask: Mask, light: Array) -> float:
    """Return the standard deviation of the lesion-free picture round the mask, after a plane is taken away."""
    x1, y1, x2, y2 = (int(v) for v in mask_box(mask))
    grow_x, grow_y = max(3, (x2 - x1) // 4), max(3, (y2 - y1) // 4)
    part = -np.log(light[max(0, y1 - grow_y) : y2 + grow_y, max(0, x1 - grow_x) : x2 + grow_x])
    near = part < 3.0 + part.min()
    rows, columns = np.nonzero(near)
    design = np.stack([rows, columns, np.ones(rows.size)], axis=1)
    values = part[near]
    fit, *_ = np.linalg.lstsq(design, values, rcond=None)
    return float(np.std(values - design @ fit))


def _quantum(mask: Mask, light: Array, scene: Scene) -> float:
    """Return the standard deviation of quantum noise (log signal) over a disc of 1 mm in the mask."""
    return float(np.mean(1 / np.sqrt(light[mask] * scene.parameters.technique.photons_per_mm2)))


def _with_status(lesion: Lesion, ratio: float, area: float) -> Lesion:
    score = ratio * float(np.sqrt(area / 100.0))
    status: Literal["present", "uncertain", "absent"]
    status = "present" if score >= SEEN else "uncertain" if score >= DOUBTFUL else "absent"
    if lesion.name == "Support Devices":
        status = "present" if area > 0 else "absent"
    if lesion.name == "Cardiomegaly":
        status = "present" if lesion.extent[0] >= 0.52 else "uncertain"
    return dataclasses.replace(lesion, cnr=ratio, area_mm2=area, visible=status == "present", status=status)


def lesion_boxes(parameters: PhantomParameters, *, size: int) -> dict[int, tuple[float, float, float, float]]:
    """Return the boxes by lesion in pixels of a view of `size`, from masks drawn at 256 px without the display."""
    if not parameters.lesions:
        return {}
    scale = size / BOX_SIZE
    grid: Grid = make_grid(parameters.pose, size=BOX_SIZE)
    scene = build_scene(parameters, grid)
    masks = {i: full_mask(paint(lesion, scene), grid, parameters) for i, lesion in enumerate(parameters.lesions)}
    boxes = {i: mask_box(mask) for i, mask in masks.items() if mask.any()}
    return {i: (x1 * scale, y1 * scale, x2 * scale, y2 * scale) for i, (x1, y1, x2, y2) in boxes.items()}
