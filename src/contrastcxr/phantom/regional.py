"""Painters of findings that fill a region: heart, pleura, lobes, interstitium."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from contrastcxr.phantom.anatomy import LUNG_GAIN, MU_LUNG, Scene, heart_thickness
from contrastcxr.phantom.grid import TABLE_STEP
from contrastcxr.phantom.outlines import sign
from contrastcxr.phantom.paint import EVERYWHERE, Chest, Paint, chest, ripples
from contrastcxr.phantom.shapes import smoothstep
from contrastcxr.phantom.truth import Array, Lesion
from contrastcxr.phantom.vessels import hilum

# Where a lobe or zone lies: down from, down to, out from, out to (1 is the dome or the wall).
REGIONS: dict[str, tuple[float, float, float, float]] = {
    "upper lobe": (0.02, 0.54, -0.1, 1.1),
    "middle lobe": (0.56, 1.02, -0.3, 0.66),
    "lingula": (0.54, 1.0, -0.6, 0.62),
    "lower lobe": (0.56, 1.35, -0.6, 1.1),
    "upper": (0.04, 0.38, 0.0, 1.0),
    "middle": (0.34, 0.68, 0.0, 1.0),
    "lower": (0.64, 1.12, -0.3, 1.0),
    "base": (0.74, 1.25, -0.3, 1.05),
    "apex": (-0.02, 0.22, -0.3, 1.1),
    "hilar": (0.34, 0.66, -0.2, 0.5),
    "retrocardiac": (0.62, 1.15, -1.0, 0.35),
}


def paint_heart(lesion: Lesion, scene: Scene) -> Paint:
    """Return the heart grown to the cardiothoracic ratio in `extent`; the mask is the whole heart."""
    patient, pose = scene.patient, scene.parameters.pose
    grown = heart_thickness(patient, pose, scene.grid, scene.outline, ratio=lesion.extent[0])
    added = np.minimum(np.maximum(grown - np.maximum(scene.heart, scene.centre), 0), scene.lung)
    fill = smoothstep(added * np.float32(1 / 30)) * added
    return Paint(EVERYWHERE, LUNG_GAIN * fill, (grown > 14) & (scene.grid.y < scene.outline.dome_left + 14))


def paint_effusion(lesion: Lesion, scene: Scene) -> Paint:
    """Return fluid below a meniscus that rises to the wall.

    `extent` is the level above the dome (mm) and the rise.
    """
    level, rise = lesion.extent
    c = chest(scene, lesion.side)
    out = np.clip(c.out, 0, 1)
    surface = np.float32(scene.outline.dome(lesion.side or "left") - level) - rise * out**3 + 10 * (1 - out)
    surface = surface + 1.6 * ripples(lesion.seed, c.x, c.y, 60)
    fluid = smoothstep((c.y - surface) * np.float32(1 / 26)) * c.here
    change = LUNG_GAIN * np.float32(0.92 * lesion.density) * c.lung * fluid
    return Paint(c.window, change, (fluid > 0.25) & (c.lung > 12))


def _shrunk(c: Chest, scene: Scene, side: str | None, gap: Array) -> Array:
    """Return the signed distance (mm, outwards) from the border of a lung.

    The lung has drawn back by `gap` from the wall.
    """
    row = scene.grid.row[c.window] - (gap * np.float32(1 / TABLE_STEP)).astype(np.int32)
    border = scene.outline.wall(side or "left")[np.maximum(row, 0)] - 0.75 * gap
    return (c.x - border).astype(np.float32)


def paint_pneumothorax(lesion: Lesion, scene: Scene) -> Paint:
    """Return air outside a thin pleural line with no vessels beyond it; `extent` is the gap in mm."""
    gap_mm = lesion.extent[0]
    c = chest(scene, lesion.side)
    shape = 1 - 0.85 * c.down if lesion.zone == "apex" else 0.25 + 0.85 * c.down
    gap = np.float32(gap_mm) * np.clip(shape, 0.04, 1.2) * (1 + 0.08 * ripples(lesion.seed, c.x, c.y, 90))
    distance = _shrunk(c, scene, lesion.side, gap)
    beyond = smoothstep(distance * 0.6 + 0.5) * c.here
    line = np.exp(-((distance / 0.9) ** 2)) * c.here * (gap > 3)
    lost = np.float32(0.8) * MU_LUNG * c.lung + scene.vessels[c.window]
    change = 0.045 * line - np.float32(lesion.density) * beyond * lost
    return Paint(c.window, change.astype(np.float32), (distance > 0) & c.here & (gap > 2))


def paint_pleura(lesion: Lesion, scene: Scene) -> Paint:
    """Return a thickened pleural band along the wall.

    `extent` is thickness, centre and half length (both in `down`).
    """
    thick, middle, half = lesion.extent
    c = chest(scene, lesion.side)
    bump = smoothstep((half - np.abs(c.down - middle)) * np.float32(2.5 / half))
    gap = np.float32(thick) * bump * (1 + 0.22 * ripples(lesion.seed, c.x, c.y, 26))
    distance = _shrunk(c, scene, lesion.side, gap)
    depth = 30 * smoothstep(distance * 0.25 + 0.35) * bump
    change = LUNG_GAIN * np.float32(lesion.density) * np.minimum(depth, c.lung) * c.here
    return Paint(c.window, change, (distance > -0.5) & c.here & (bump > 0.3))


def _region(c: Chest, lesion: Lesion, *, soft: float, wobble: float) -> Array:
    """Return the membership 0..1 of a zone or lobe, narrowed to the lesion's ellipse.

    `extent` holds the ellipse: its centre down and out, and the radii of both.
    """
    d1, d2, o1, o2 = REGIONS[lesion.zone or "lower"]
    down0, out0, rd, ro = lesion.extent[:4]
    noise = wobble * ripples(lesion.seed, c.x, c.y, 38)
    lobe = smoothstep((c.down - d1) / 0.02 + 0.5) * smoothstep((d2 - c.down) / 0.02 + 0.5)
    lobe *= smoothstep((c.out - o1) / 0.06 + 0.5) * smoothstep((o2 - c.out) / 0.06 + 0.5)
    ball = 1 - np.hypot((c.down - down0) / rd, (c.out - out0) / ro) + noise
    return lobe * smoothstep(ball / np.float32(soft)) * c.here


def paint_consolidation(lesion: Lesion, scene: Scene) -> Paint:
    """Return airspace filled with fluid inside one lobe, air bronchograms left open."""
    c = chest(scene, lesion.side)
    inside = _region(c, lesion, soft=0.6, wobble=0.08)
    patchy = np.clip(1 + 0.07 * ripples(lesion.seed + 1, c.x, c.y, 13), 0.4, 1.5)
    air = 1 - 0.4 * _bronchogram(lesion, scene, c)
    fill = 0.42 * c.lung * inside * patchy * air
    change = LUNG_GAIN * np.float32(lesion.density) * fill
    return Paint(c.window, change, (inside > 0.35) & (c.lung > 12))


def _bronchogram(lesion: Lesion, scene: Scene, c: Chest) -> Array:
    rng = np.random.default_rng([lesion.seed, 8])
    hx, hy = hilum(scene.outline, scene.patient, lesion.side or "left")
    dx, dy = c.x - abs(hx), c.y - hy
    aim = np.arctan2(lesion.xyz[1] - hy, sign(lesion.side) * lesion.xyz[0] - abs(hx))
    far = np.hypot(dx, dy)
    tubes = np.zeros_like(dx)
    for angle in aim + rng.normal(0, 0.35, 4):
        across = dy * np.float32(np.cos(angle)) - dx * np.float32(np.sin(angle))
        across = across + 0.0016 * rng.normal() * far * far
        tubes = np.maximum(tubes, np.exp(-((across / 1.7) ** 2)))
    return tubes * smoothstep(far * 0.06) * smoothstep((85 - far) * 0.03)


def paint_collapse(lesion: Lesion, scene: Scene) -> Paint:
    """Return volume loss: a wedge with a straight border that points to the hilum."""
    c = chest(scene, lesion.side)
    down0, out0, reach, tilt = lesion.extent
    if lesion.zone in ("upper", "upper lobe"):
        edge = (down0 + tilt * c.out) - c.down
    else:
        edge = (c.down - down0) - tilt * (c.out - out0)
    inside = (
        smoothstep((c.x - 2) / 16)
        * smoothstep(edge * 12 + 0.3)
        * smoothstep((reach - np.abs(c.out - out0)) * 5)
        * c.here
    )
    change = LUNG_GAIN * np.float32(0.45 * lesion.density) * c.lung * inside
    return Paint(c.window, change, (inside > 0.35) & (c.lung > 12))


def paint_edema(lesion: Lesion, scene: Scene) -> Paint:
    """Return perihilar haze, wide vessels, and short septal lines at the base of one lung."""
    c = chest(scene, lesion.side)
    hx, hy = hilum(scene.outline, scene.patient, lesion.side or "left")
    reach, low = lesion.extent
    far = np.hypot(c.x - abs(hx) - 14, (c.y - hy - low) * np.float32(0.72)) / np.float32(reach)
    haze = np.exp(-far * far) * c.here
    texture = np.clip(1 + 0.18 * ripples(lesion.seed, c.x, c.y, 14), 0.2, 2)
    septa = np.clip(np.sin((c.y + 0.25 * c.x) * np.float32(2 * np.pi / 7)) - 0.72, 0, 1) * (c.out > 0.86)
    septa = septa * smoothstep((c.down - 0.7) * 8) * c.here
    change = LUNG_GAIN * 0.20 * c.lung * haze * texture + 0.7 * scene.vessels[c.window] * haze + 0.11 * septa
    return Paint(c.window, (np.float32(lesion.density) * change).astype(np.float32), (haze > 0.3) & (c.lung > 12))


def paint_emphysema(lesion: Lesion, scene: Scene) -> Paint:
    """Return dark lung with sparse vessels and thin-walled bullae in one lung."""
    c = chest(scene, lesion.side)
    inside = _region(c, lesion, soft=0.6, wobble=0.08)
    cells = ripples(lesion.seed, c.x, c.y, 42)
    walls = np.exp(-((cells / 0.09) ** 2)) * inside
    thin = MU_LUNG * 0.55 * c.lung * (1 + 0.15 * cells)
    change = 0.035 * walls - (thin + 0.75 * scene.vessels[c.window]) * inside
    return Paint(
        c.window, (np.float32(lesion.density) * change).astype(np.float32), (inside > 0.3) & (c.lung > 12)
    )


def paint_fibrosis(lesion: Lesion, scene: Scene) -> Paint:
    """Return a net of coarse lines, densest at the base or apex of one lung."""
    c = chest(scene, lesion.side)
    inside = _region(c, lesion, soft=0.6, wobble=0.15)
    net = np.exp(-((ripples(lesion.seed, c.x, c.y, 15, 9) / 0.22) ** 2))
    net = net + np.exp(-((ripples(lesion.seed + 9, c.x, c.y, 10, 9) / 0.18) ** 2))
    change = (0.055 * net + 0.05) * inside * np.minimum(c.lung * np.float32(1 / 60), 1)
    return Paint(
        c.window, (np.float32(lesion.density) * change).astype(np.float32), (inside > 0.3) & (c.lung > 12)
    )
