"""Draws a view from its parameters: scene, look-alikes, lesions, physics, display."""

from __future__ import annotations

import numpy as np

from contrastcxr.errors import RequestError
from contrastcxr.phantom.anatomy import Scene, build_scene
from contrastcxr.phantom.grid import DETECTOR_MM, Grid, make_grid
from contrastcxr.phantom.lesions import paint
from contrastcxr.phantom.lookalikes import paint_lookalike
from contrastcxr.phantom.marker import burn_marker
from contrastcxr.phantom.paint import Paint
from contrastcxr.phantom.physics import collimate, expose, sharpen, tone
from contrastcxr.phantom.truth import XYXY, Array, Mask, PhantomParameters, Rendered, Technique, ViewName

SMALLEST, LARGEST = 32, 4096


def render(parameters: PhantomParameters, *, size: int = 512, view: ViewName = "frontal") -> Rendered:
    """Pixels, boxes and masks of one view.

    Args:
        parameters: what to draw.
        size: side of the square picture in pixels, 32 to 4096.
        view: `frontal` or `lateral`.

    Returns:
        Pixels `[size, size]` float32 in [0, 1] with bone bright. Boxes and masks are keyed by index into
        `parameters.lesions`; a lesion that lies wholly outside the field has none.

    Raises:
        RequestError: a size out of range or an unknown view.
    """
    if not SMALLEST <= size <= LARGEST:
        raise RequestError(f"phantom size {size}; expected {SMALLEST} to {LARGEST} pixels")
    if view == "lateral":
        from contrastcxr.phantom.lateral import render_lateral

        return render_lateral(parameters, size=size)
    if view != "frontal":
        raise RequestError(f"phantom view '{view}'; expected 'frontal' or 'lateral'")
    grid = make_grid(parameters.pose, size=size)
    scene = build_scene(parameters, grid)
    paints = [paint(lesion, scene) for lesion in parameters.lesions]
    attenuation = compose(scene, paints)
    masks = {i: full_mask(p, grid, parameters) for i, p in enumerate(paints)}
    masks = {i: mask for i, mask in masks.items() if mask.any()}
    pixels = display(attenuation, parameters, grid)
    return Rendered(pixels, {i: mask_box(m) for i, m in masks.items()}, masks, grid.pitch)


def compose(scene: Scene, paints: list[Paint]) -> Array:
    """Attenuation of the whole chest with its look-alikes and lesions."""
    total = scene.attenuation.copy()
    for item in scene.parameters.lookalikes:
        window, change = paint_lookalike(item, scene)
        total[window] += change
    for painted in paints:
        total[painted.window] += painted.change
    return np.maximum(total, 0)


def display(attenuation: Array, parameters: PhantomParameters, grid: Grid) -> Array:
    """The picture a viewer shows: exposure, sharpening, tone, collimation and marker."""
    technique = parameters.technique
    picture = expose(attenuation, technique, parameters.pose, pitch=grid.pitch)
    picture = sharpen(picture, technique, pitch=grid.pitch)
    picture = tone(picture, technique, grid)
    picture = collimate(picture, technique, grid, mirrored=parameters.pose.mirrored)
    burn_marker(picture, technique, grid)
    return picture


def field(grid: Grid, technique: Technique, *, mirrored: bool) -> tuple[slice, slice]:
    """Rows and columns that the collimator leaves open."""
    left, right, top, bottom = technique.collimation_mm
    if mirrored:
        left, right = right, left
    edge = (grid.size * grid.pitch - DETECTOR_MM[0]) / 2
    columns = slice(int(np.ceil((edge + left) / grid.pitch)), int((edge + DETECTOR_MM[0] - right) / grid.pitch))
    rows = slice(int(np.ceil(top / grid.pitch)), int((DETECTOR_MM[1] - bottom) / grid.pitch))
    return rows, columns


def full_mask(painted: Paint, grid: Grid, parameters: PhantomParameters) -> Mask:
    """The mask of a lesion on the whole picture, cut at the collimator."""
    mask = np.zeros((grid.size, grid.size), dtype=bool)
    mask[painted.window] = painted.mask
    rows, columns = field(grid, parameters.technique, mirrored=parameters.pose.mirrored)
    seen = np.zeros_like(mask)
    seen[rows, columns] = mask[rows, columns]
    return seen


def mask_box(mask: Mask) -> XYXY:
    """The tight box `[x1, y1, x2, y2)` of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
