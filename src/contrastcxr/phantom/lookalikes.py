"""Harmless things that look like findings; drawn in normal and abnormal chests alike and never reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from contrastcxr.phantom.anatomy import LUNG_GAIN, Scene
from contrastcxr.phantom.devices import smooth_course
from contrastcxr.phantom.grid import Window
from contrastcxr.phantom.outlines import sign
from contrastcxr.phantom.paint import EVERYWHERE, chest, ripples
from contrastcxr.phantom.shapes import ellipsoid, ribbon, smoothstep, splat
from contrastcxr.phantom.truth import Array, Lookalike

Drawn = tuple[Window, Array]


def _nipples(item: Lookalike, scene: Scene) -> Drawn:
    window, spot = ellipsoid(scene.grid, item.xy, (item.size, item.size * 0.9, item.size), 0.0, 0.3)
    return window, np.float32(0.0085 * item.density) * spot


def _companion(item: Lookalike, scene: Scene) -> Drawn:
    """Return a thin soft band that follows the upper border of the clavicle."""
    c = chest(scene, item.side)
    line = np.float32(scene.outline.apex + 31) - 0.16 * c.x + 4 * np.sin(c.x * np.float32(0.045))
    band = np.exp(-(((c.y - line) / 3.2) ** 4)) * smoothstep((c.x - 25) * 0.06) * smoothstep((115 - c.x) * 0.06)
    return c.window, np.float32(0.05 * item.density) * band


def _skin_fold(item: Lookalike, scene: Scene) -> Drawn:
    """Return a long edge: dense on one side, fading away from it."""
    c = chest(scene, item.side)
    edge = c.x - np.float32(abs(item.xy[0])) - 0.30 * (c.y - item.xy[1]) - 0.0012 * (c.y - item.xy[1]) ** 2
    span = smoothstep((c.down + 0.1) * 4) * smoothstep((1.5 - c.down) * 4) * (c.x > 0)
    band = np.exp(-np.maximum(-edge, 0) / np.float32(item.size * 1.6)) * smoothstep(-edge * 0.8 + 0.5)
    return c.window, (np.float32(0.11 * item.density) * band * span).astype(np.float32)


def _costal_calcification(item: Lookalike, scene: Scene) -> Drawn:
    """Return speckled calcium at the front ends of the ribs."""
    rng = np.random.default_rng([item.seed, 11])
    out = np.zeros_like(scene.grid.x)
    for k in range(5):
        y = scene.outline.apex + 70 + 30 * k + rng.normal(0, 3)
        centre = (sign(item.side) * (26 + 9 * k) + scene.yaw_shift(65), y)
        window, patch = ellipsoid(scene.grid, centre, (12 + 2 * k, 4.5, 3), sign(item.side) * -24, 0.7)
        grain = np.clip(ripples(item.seed + k, scene.grid.x[window], scene.grid.y[window], 6), 0, 2)
        out[window] += np.float32(0.012 * item.density) * patch * grain
    return EVERYWHERE, out


def _azygos(item: Lookalike, scene: Scene) -> Drawn:
    """Return a fine curved line from the right apex to a small drop above the hilum."""
    apex = scene.outline.apex
    points = smooth_course([(-52, apex + 16), (-50, apex + 40), (-36, apex + 68), (-26, apex + 82)], item.seed)
    x, y, amount = ribbon(scene.grid, points, np.full(points.shape[:2], 0.8))
    line = np.minimum(splat(scene.grid, x, y, amount) / 1.6, 1) * np.float32(0.11 * item.density)
    window, drop = ellipsoid(scene.grid, (-25, apex + 84), (5, 8, 6), 20)
    line[window] += LUNG_GAIN * drop
    return EVERYWHERE, line * (scene.lung > 4)


def _prominent_hilum(item: Lookalike, scene: Scene) -> Drawn:
    window, blob = ellipsoid(
        scene.grid, item.xy, (item.size, item.size * 1.7, item.size), sign(item.side) * -14, 0.8
    )
    grain = 1 + 0.3 * ripples(item.seed, scene.grid.x[window], scene.grid.y[window], 12)
    return window, LUNG_GAIN * np.float32(0.7 * item.density) * blob * grain * np.minimum(
        scene.lung[window] / 30, 1
    )


def _leads(item: Lookalike, scene: Scene) -> Drawn:
    """Return monitor electrodes and their wires on the skin."""
    rng = np.random.default_rng([item.seed, 12])
    out = np.zeros_like(scene.grid.x)
    for s in (-1.0, 1.0):
        spot = (s * rng.uniform(55, 120), scene.outline.apex + rng.uniform(25, 190))
        window, disc = ellipsoid(scene.grid, spot, (5.5, 5.5, 1.0), 0.0, 0.2)
        out[window] += 0.45 * disc
        end = (s * rng.uniform(20, 190), rng.uniform(120, 230))
        course = smooth_course(
            [spot, ((spot[0] + end[0]) / 2 + rng.normal(0, 25), (spot[1] + end[1]) / 2), end], item.seed
        )
        x, y, amount = ribbon(scene.grid, course, np.full(course.shape[:2], 0.7))
        out += np.minimum(splat(scene.grid, x, y, amount) / 1.4, 1) * np.float32(0.35 * item.density)
    return EVERYWHERE, out


def _apical_cap(item: Lookalike, scene: Scene) -> Drawn:
    c = chest(scene, item.side)
    depth = smoothstep((item.size - (c.y - scene.outline.apex) + 0.05 * (c.x - 40)) * np.float32(0.22))
    return c.window, LUNG_GAIN * np.float32(14 * item.density) * depth * c.here


def _fat_pad(item: Lookalike, scene: Scene) -> Drawn:
    """Return fat in the angle between heart and diaphragm."""
    top = scene.outline.dome(item.side) - 6
    centre = (sign(item.side) * (52 if item.side == "left" else 40) + scene.yaw_shift(55), top)
    window, pad = ellipsoid(scene.grid, centre, (item.size * 1.8, item.size, item.size), sign(item.side) * 28, 0.9)
    return window, LUNG_GAIN * np.float32(0.8 * item.density) * pad * np.minimum(scene.lung[window] / 30, 1)


LOOKALIKES: dict[str, Callable[[Lookalike, Scene], Drawn]] = {
    "nipple": _nipples,
    "companion shadow": _companion,
    "skin fold": _skin_fold,
    "costal calcification": _costal_calcification,
    "azygos fissure": _azygos,
    "prominent hilum": _prominent_hilum,
    "leads": _leads,
    "apical cap": _apical_cap,
    "fat pad": _fat_pad,
}
"""Scoliosis and poor inspiration are look-alikes too; they belong to the patient and the pose."""

_CHANCE = {
    "nipple": 0.22,
    "companion shadow": 0.25,
    "skin fold": 0.12,
    "costal calcification": 0.18,
    "azygos fissure": 0.04,
    "prominent hilum": 0.14,
    "leads": 0.14,
    "apical cap": 0.15,
    "fat pad": 0.15,
}
_BOTH_SIDES = ("nipple", "companion shadow", "costal calcification", "apical cap")
_SIZE = {
    "nipple": (3.8, 6.0),
    "skin fold": (10.0, 30.0),
    "prominent hilum": (9.0, 15.0),
    "apical cap": (7.0, 15.0),
    "fat pad": (11.0, 20.0),
}


def draw_lookalikes(
    rng: np.random.Generator, scene_half_width: float, height: float, factor: float
) -> list[Lookalike]:
    """Return the look-alikes of one study, independent of disease; `factor` multiplies their chances."""
    out: list[Lookalike] = []
    for kind, chance in _CHANCE.items():
        drawn, one_side = rng.random() < chance * factor, rng.random()
        sides = _sides(kind, one_side)
        seed, size = int(rng.integers(2**31)), float(rng.uniform(*_SIZE.get(kind, (6.0, 10.0))))
        density, place = float(rng.uniform(0.6, 1.3)), rng.normal(0, 5, 2)
        if not drawn:
            continue
        for side in sides:
            x, y = _place(kind, scene_half_width, height)
            out.append(Lookalike(kind, side, (sign(side) * x + place[0], y + place[1]), size, density, seed))
    return out


def _sides(kind: str, toss: float) -> tuple[Literal["left", "right"], ...]:
    if kind in _BOTH_SIDES:
        return ("right", "left")
    return ("right",) if toss < 0.5 or kind == "azygos fissure" else ("left",)


def _place(kind: str, half_width: float, height: float) -> tuple[float, float]:
    if kind == "nipple":
        return 0.68 * half_width, 0.27 * height
    if kind == "skin fold":
        return 0.62 * half_width, 0.0
    return 34.0, -0.04 * height


def paint_lookalike(item: Lookalike, scene: Scene) -> Drawn:
    """Return the window and change of attenuation of one look-alike."""
    return LOOKALIKES[item.kind](item, scene)
