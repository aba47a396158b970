"""Painters of support devices: lines and tubes along typical courses, told apart by where the tip lies."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from contrastcxr.phantom.outlines import at, sign
from contrastcxr.phantom.paint import EVERYWHERE, Paint
from contrastcxr.phantom.shapes import ribbon, smoothstep, splat
from contrastcxr.phantom.truth import Array, Lesion

if TYPE_CHECKING:
    from contrastcxr.phantom.anatomy import Scene

Course = list[tuple[float, float]]


def _trachea(scene: Scene, s: float, tip: float) -> Course:
    carina = scene.outline.apex + 0.42 * scene.patient.lung_height
    del s
    return [(-3, carina - 190), (-2, carina - 120), (-1, carina - 80), (-2 + 0.2 * tip, carina - 28 + tip)]


def _central(scene: Scene, s: float, tip: float, *, low: float) -> Course:
    apex, h = scene.outline.apex, scene.patient.lung_height
    wide = at(scene.outline.wall_left, apex + 45)
    start = [(s * (wide + 52), apex + 62), (s * (wide + 6), apex + 34), (s * (wide * 0.5), apex + 24)]
    over = [] if s < 0 else [(12.0, apex + 42)]
    return [*start, *over, (-17, apex + 0.25 * h), (-21, apex + 0.40 * h), (-20, apex + low * h + tip)]


def _superior(scene: Scene, s: float, tip: float) -> Course:
    return _central(scene, s, tip, low=0.47)


def _atrium(scene: Scene, s: float, tip: float) -> Course:
    return _central(scene, s, tip, low=0.64)


def _ventricle(scene: Scene, s: float, tip: float) -> Course:
    h = scene.patient.lung_height
    low = scene.outline.dome_left
    head = _central(scene, s, 0, low=0.66)
    return [*head, (-8, scene.outline.apex + 0.74 * h), (14, low - 14), (38 + tip, low - 13)]


def _stomach(scene: Scene, s: float, tip: float) -> Course:
    low = scene.outline.dome_left
    del s
    return [(3, -230), (2, -120), (5, -20), (8, low - 20), (22, low + 18), (50 + tip, low + 42)]


def _pleura(scene: Scene, s: float, tip: float) -> Course:
    outline, h = scene.outline, scene.patient.lung_height
    y = outline.apex + 0.72 * h
    wide = at(outline.wall("right" if s < 0 else "left"), y)
    return [
        (s * (wide + 60), y + 30),
        (s * (wide - 4), y),
        (s * wide * 0.74, y - 0.25 * h),
        (s * wide * 0.5, outline.apex + 30 + tip),
    ]


COURSES = {
    "trachea": (_trachea, 4.2, 0.11),
    "superior vena cava": (_superior, 1.1, 0.20),
    "right atrium": (_atrium, 2.0, 0.20),
    "right ventricle": (_ventricle, 0.9, 0.55),
    "stomach": (_stomach, 2.1, 0.13),
    "pleural space": (_pleura, 3.6, 0.13),
}
"""Tip -> course, radius in mm, peak attenuation."""


def paint_device(lesion: Lesion, scene: Scene) -> Paint:
    """Return a line or tube from the skin to its tip; `extent` is the shift of the tip in mm."""
    course, radius, strength = COURSES[lesion.zone or "superior vena cava"]
    points = smooth_course(course(scene, sign(lesion.side), lesion.extent[0]), lesion.seed)
    line = _tube(scene, points, radius) * np.float32(strength * lesion.density)
    if lesion.zone == "right ventricle":
        line = np.maximum(line, _generator(scene, sign(lesion.side)))
    return Paint(EVERYWHERE, line, line > 0.25 * strength * lesion.density)


def smooth_course(points: Sequence[tuple[float, float]], seed: int, samples: int = 60) -> np.ndarray:
    """Return a smooth polyline `[1, samples, 2]` near the given points, wavering a little with the seed."""
    rng = np.random.default_rng([seed, 9])
    knots = np.asarray(points, dtype=float)
    knots[1:-1] += rng.normal(0, 3.0, knots[1:-1].shape)
    t = np.linspace(0, 1, samples)
    where = np.linspace(0, 1, len(knots))
    weights = np.exp(-0.5 * ((t[:, None] - where[None]) * (len(knots) - 1) / 0.45) ** 2)
    weights[0] = np.eye(len(knots))[0]
    weights[-1] = np.eye(len(knots))[-1]
    curve = weights / weights.sum(1, keepdims=True) @ knots
    return curve[None]


def _tube(scene: Scene, points: np.ndarray, radius: float) -> Array:
    """Return the profile 0..1 of a tube: for wide tubes the walls and a stripe, for thin ones the whole."""
    width = max(radius, 0.6)
    x, y, amount = ribbon(scene.grid, points, np.full(points.shape[:2], width))
    solid = np.minimum(splat(scene.grid, x, y, amount) / (2 * width), 1.2)
    if radius < 3:
        return solid
    x, y, amount = ribbon(scene.grid, points, np.full(points.shape[:2], width * 0.72))
    bore = np.minimum(splat(scene.grid, x, y, amount) / (2 * width), 1.2)
    x, y, amount = ribbon(scene.grid, points + np.array([width * 0.5, 0.0]), np.full(points.shape[:2], 0.7))
    stripe = np.minimum(splat(scene.grid, x, y, amount) / 1.4, 1.2)
    return np.maximum(solid - 0.75 * bore, 0) + stripe


def _generator(scene: Scene, s: float) -> Array:
    apex = scene.outline.apex
    wide = at(scene.outline.wall_left, apex + 45)
    x, y = scene.grid.x - np.float32(s * (wide + 18)), scene.grid.y - np.float32(apex + 66)
    box = np.maximum((np.abs(x) / 24) ** 4 + (np.abs(y) / 21) ** 4, 0)
    inner = smoothstep((1 - box) * 4)
    return np.float32(1.9) * inner * (0.8 + 0.2 * (np.abs(y) > 9))
