"""Draws a view from its parameters: scene, look-alikes, lesions, physics, display."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from contrastcxr.errors import RequestError
from contrastcxr.phantom.anatomy import build_scene
from contrastcxr.phantom.grid import Grid, make_grid
from contrastcxr.phantom.lesions import compose, paint
from contrastcxr.phantom.marker import burn_marker
from contrastcxr.phantom.masks import full_mask, mask_box
from contrastcxr.phantom.physics import collimate, expose, sharpen, tone
from contrastcxr.phantom.truth import Array, Mask, PhantomParameters, Rendered, ViewName

SMALLEST, LARGEST = 32, 4096
LARGEST_DRAWN = 1024  # anatomy finer than .4 mm is interpolated; noise and display are computed at full size


def render(parameters: PhantomParameters, *, size: int = 512, view: ViewName = "frontal") -> Rendered:
    """Return the pixels, boxes and masks of one view.

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
    drawn = grid if size <= LARGEST_DRAWN else make_grid(parameters.pose, size=-(-size // 2))
    scene = build_scene(parameters, drawn)
    paints = [paint(lesion, scene) for lesion in parameters.lesions]
    attenuation = enlarge(compose(scene, paints), size)
    masks = {i: doubled(full_mask(p, drawn, parameters), size) for i, p in enumerate(paints)}
    masks = {i: mask for i, mask in masks.items() if mask.any()}
    pixels = display(attenuation, parameters, grid)
    return Rendered(pixels, {i: mask_box(m) for i, m in masks.items()}, masks, grid.pitch)


def enlarge(field: Array, size: int) -> Array:
    """Return a field interpolated linearly to `[size, size]`."""
    if field.shape[0] == size:
        return field
    return np.asarray(
        ndimage.zoom(field, size / field.shape[0], order=1, mode="nearest", grid_mode=True), dtype=np.float32
    )


def doubled(mask: Mask, size: int) -> Mask:
    """Return a mask with every pixel doubled, cut to `[size, size]`; itself when it has that size."""
    return mask if mask.shape[0] == size else mask.repeat(2, 0).repeat(2, 1)[:size, :size]


def display(attenuation: Array, parameters: PhantomParameters, grid: Grid) -> Array:
    """Return the picture a viewer shows: exposure, sharpening, tone, collimation and marker."""
    technique = parameters.technique
    picture = expose(attenuation, technique, parameters.pose, pitch=grid.pitch)
    picture = sharpen(picture, technique, pitch=grid.pitch)
    picture = tone(picture, technique, grid)
    picture = collimate(picture, technique, grid, mirrored=parameters.pose.mirrored)
    burn_marker(picture, technique, grid)
    return picture
