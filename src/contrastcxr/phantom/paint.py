"""What a painter hands back, and the fields painters share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contrastcxr.phantom.grid import Window
from contrastcxr.phantom.outlines import sign
from contrastcxr.phantom.truth import Array, Lesion, Mask

if TYPE_CHECKING:
    from contrastcxr.phantom.anatomy import Scene

EVERYWHERE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Paint:
    """Change of attenuation and mask inside one window of the picture."""

    window: Window
    change: Array
    mask: Mask


@dataclass(frozen=True)
class Chest:
    """Lung coordinates of a window.

    `x` runs outwards from the midline (mm), `down` from 0 at the apex to 1 at the dome, `out` to 1 at the wall.
    """

    window: Window
    x: Array
    y: Array
    down: Array
    out: Array
    lung: Array
    wall: Array
    here: Mask


def half_window(scene: Scene, side: str | None) -> Window:
    """Return the part of the picture that can hold one lung."""
    outline = scene.outline
    bottom = outline.dome(side or "left") + 75
    middle = (sign(side) * 70.0, (outline.apex + bottom) / 2)
    return scene.grid.window(middle, 0.62 * (bottom - outline.apex))


def chest(scene: Scene, side: str | None, window: Window | None = None) -> Chest:
    """Return lung coordinates of one side; `here` marks that side's lung."""
    window = half_window(scene, side) if window is None else window
    outline = scene.outline
    x, y = np.float32(sign(side)) * scene.grid.x[window], scene.grid.y[window]
    row = scene.grid.row[window]
    inner, wall = outline.mediastinum(side or "left")[row], outline.wall(side or "left")[row]
    down = (y - np.float32(outline.apex)) * np.float32(1 / (outline.dome(side or "left") - outline.apex))
    out = (x - inner) / np.maximum(wall - inner, 1)
    lung = scene.lung[window]
    return Chest(window, x, y, down, out, lung, wall, (lung > 4) & (x > -4))


def ripples(seed: int, x: Array, y: Array, wavelength: float, waves: int = 7) -> Array:
    """Return a random smooth field of about unit variance: a sum of plane waves."""
    rng = np.random.default_rng([seed, 5])
    angle, phase = rng.uniform(0, np.pi, waves), rng.uniform(0, 2 * np.pi, waves)
    k = 2 * np.pi / (wavelength * rng.uniform(0.6, 1.6, waves))
    out, wave, part = np.zeros_like(x), np.empty_like(x), np.empty_like(x)
    for kx, ky, p in zip(k * np.cos(angle), k * np.sin(angle), phase, strict=True):
        np.multiply(np.float32(kx), x, out=wave)
        wave += np.multiply(np.float32(ky), y, out=part)
        wave += np.float32(p)
        out += np.sin(wave, out=wave)
    out *= np.float32(np.sqrt(2 / waves))
    return out


def local(scene: Scene, lesion: Lesion, radius: float) -> tuple[Window, Array, Array]:
    """Return the window round a lesion and the offsets (mm) from its centre."""
    x0, y0, z0 = lesion.xyz
    x0 += scene.yaw_shift(z0)
    window = scene.grid.window((x0, y0), radius)
    return window, scene.grid.x[window] - np.float32(x0), scene.grid.y[window] - np.float32(y0)
