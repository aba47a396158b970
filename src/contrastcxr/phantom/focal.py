"""Painters of focal findings: nodule, mass, granuloma, fracture, hernia, plate atelectasis."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from contrastcxr.phantom.anatomy import LUNG_GAIN, MU_SOFT, Scene
from contrastcxr.phantom.paint import Paint, local, ripples
from contrastcxr.phantom.shapes import rotate, smoothstep
from contrastcxr.phantom.truth import Array, Lesion

MU_CALCIUM = 0.030
IN_LUNG_MM = 25.0


def in_lung(scene: Scene, window: tuple[slice, slice]) -> Array:
    """Return 1 where the lung is deep enough to hold the lesion, 0 outside."""
    return np.minimum(scene.lung[window] * np.float32(1 / IN_LUNG_MM), 1)


def paint_nodule(lesion: Lesion, scene: Scene) -> Paint:
    """Return a rounded shadow with a slightly uneven edge; `extent` is radius, flattening, angle."""
    radius, flat, angle = lesion.extent
    window, dx, dy = local(scene, lesion, radius * 1.6)
    u, v = rotate(dx, dy, angle)
    uneven = 1 + 0.09 * ripples(lesion.seed, dx, dy, radius * 2.2)
    q = np.maximum(1 - ((u / radius) ** 2 + (v / (radius * flat)) ** 2) / uneven, 0)
    depth = 2 * np.float32(radius) * q ** np.float32(0.62) * in_lung(scene, window)
    return Paint(window, LUNG_GAIN * np.float32(lesion.density) * depth, depth > 0.5 * radius)


def paint_mass(lesion: Lesion, scene: Scene) -> Paint:
    """Return a lobulated or spiculated shadow of 31 to 80 mm."""
    radius, flat, angle = lesion.extent
    rng = np.random.default_rng([lesion.seed, 6])
    window, dx, dy = local(scene, lesion, radius * 1.7)
    u, v = rotate(dx, dy, angle)
    depth: Array = np.maximum(1 - (u / radius) ** 2 - (v / (radius * flat)) ** 2, 0) ** np.float32(0.5)
    for _ in range(4):
        t, r = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.6)
        cx, cy = 0.55 * radius * np.cos(t), 0.55 * radius * flat * np.sin(t)
        lobe = np.maximum(1 - ((u - cx) ** 2 + (v - cy) ** 2) / (r * radius) ** 2, 0)
        depth = np.maximum(depth, r * 1.5 * np.sqrt(lobe))
    if lesion.kind == "spiculated":
        depth = depth + _spicules(rng, u, v, radius)
    depth = np.minimum(depth * 1.6 * radius, scene.lung[window] * 0.9) * in_lung(scene, window)
    return Paint(window, LUNG_GAIN * np.float32(lesion.density) * depth, depth > 0.45 * radius)


def _spicules(rng: np.random.Generator, u: Array, v: Array, radius: float) -> Array:
    theta, far = np.arctan2(v, u), np.hypot(u, v)
    rays = np.zeros_like(u)
    for angle in rng.uniform(-np.pi, np.pi, 9):
        near = np.abs(np.angle(np.exp(1j * (theta - angle))).astype(np.float32)) * far
        rays = np.maximum(rays, np.exp(-((near / 1.4) ** 2)))
    fade = np.clip(1.5 - far / np.float32(radius), 0, 1) * (far > 0.6 * radius)
    return np.float32(0.14) * rays * fade


def paint_granuloma(lesion: Lesion, scene: Scene) -> Paint:
    """Return a small dense calcified nodule."""
    radius = lesion.extent[0]
    window, dx, dy = local(scene, lesion, radius * 2 + 2)
    uneven = 1 + 0.14 * ripples(lesion.seed, dx, dy, radius * 2.0)
    q = np.maximum(1 - (dx * dx + dy * dy) / (np.float32(radius**2) * uneven), 0)
    depth = 2 * np.float32(radius) * np.sqrt(q)
    change = MU_CALCIUM * np.float32(lesion.density) * depth * in_lung(scene, window)
    return Paint(window, change, depth > 0.5 * radius)


def paint_fracture(lesion: Lesion, scene: Scene) -> Paint:
    """Return a dark gap across a rib, a displaced end, a little callus. `extent` is rib angle, gap, step."""
    angle, gap, step = lesion.extent
    window, dx, dy = local(scene, lesion, 15)
    u, v = rotate(dx, dy, angle)
    rib = scene.ribs[window]
    near = np.exp(-((v / 7.5) ** 4))
    cut = np.exp(-((u / np.float32(gap)) ** 2)) * near
    moved = np.exp(-(((v - step) / 5.2) ** 4)) - np.exp(-((v / 6.2) ** 4))
    ends = smoothstep(u * 0.35 + 0.5) * smoothstep((11 - u) * 0.2)
    callus = np.exp(-((u / 5.0) ** 2) - (v / 7.5) ** 2)
    change = -0.9 * cut * rib + 0.16 * moved * ends + 0.045 * callus
    mask = (np.abs(u) < 9) & (np.abs(v) < 8.5)
    return Paint(window, (np.float32(lesion.density) * change).astype(np.float32), mask)


def paint_hernia(lesion: Lesion, scene: Scene) -> Paint:
    """Return a round shadow behind the heart above the left dome, with gas over a fluid level."""
    radius, flat, gas = lesion.extent
    window, dx, dy = local(scene, lesion, radius * 1.4)
    q = np.maximum(1 - (dx / radius) ** 2 - (dy / (radius * flat)) ** 2, 0)
    depth = 2 * np.float32(radius) * np.sqrt(q)
    fill = np.minimum(depth, scene.cavity[window]) * 0.6 * LUNG_GAIN
    inner = np.maximum(1 - (dx / (radius * 0.86)) ** 2 - (dy / (radius * flat * 0.86)) ** 2, 0)
    level = smoothstep((-dy + radius * flat * np.float32(gas - 0.5)) * 0.7)
    air = 1.5 * radius * np.sqrt(inner) * level * MU_SOFT
    change = np.float32(lesion.density) * (fill - air)
    return Paint(window, change.astype(np.float32), depth > 0.4 * radius)


def paint_plate(lesion: Lesion, scene: Scene) -> Paint:
    """Return a plate of collapsed lung: an oblique band; `extent` is half length, half thickness, angle."""
    half, thick, angle = lesion.extent
    window, dx, dy = local(scene, lesion, half * 1.15)
    u, v = rotate(dx, dy, angle)
    v = v + 0.0022 * u * u * (1 if lesion.seed % 2 else -1)
    body = smoothstep((half - np.abs(u)) * np.float32(3 / half)) * np.exp(-(np.abs(v / np.float32(thick)) ** 3))
    depth = 34 * body * in_lung(scene, window)
    return Paint(window, LUNG_GAIN * np.float32(lesion.density) * depth, depth > 8)
