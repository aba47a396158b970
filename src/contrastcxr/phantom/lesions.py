"""The painters of findings by name and kind, and the chest with all that is painted into it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from contrastcxr.phantom.anatomy import Scene
from contrastcxr.phantom.devices import paint_device
from contrastcxr.phantom.focal import (
    paint_fracture,
    paint_granuloma,
    paint_hernia,
    paint_mass,
    paint_nodule,
    paint_plate,
)
from contrastcxr.phantom.lookalikes import paint_lookalike
from contrastcxr.phantom.paint import Paint
from contrastcxr.phantom.regional import (
    paint_collapse,
    paint_consolidation,
    paint_edema,
    paint_effusion,
    paint_emphysema,
    paint_fibrosis,
    paint_heart,
    paint_pleura,
    paint_pneumothorax,
)
from contrastcxr.phantom.truth import Array, Lesion

Painter = Callable[[Lesion, Scene], Paint]

PAINTERS: dict[str, Painter] = {
    "Cardiomegaly": paint_heart,
    "Pleural Effusion": paint_effusion,
    "Pneumothorax": paint_pneumothorax,
    "Nodule": paint_nodule,
    "Mass": paint_mass,
    "Consolidation": paint_consolidation,
    "Atelectasis": paint_plate,
    "Atelectasis/collapse": paint_collapse,
    "Edema": paint_edema,
    "Emphysema": paint_emphysema,
    "Fibrosis": paint_fibrosis,
    "Pleural Thickening": paint_pleura,
    "Fracture": paint_fracture,
    "Granuloma": paint_granuloma,
    "Hernia": paint_hernia,
    "Support Devices": paint_device,
}


def paint(lesion: Lesion, scene: Scene) -> Paint:
    """Change of attenuation and mask of one lesion in a scene."""
    painter = PAINTERS.get(f"{lesion.name}/{lesion.kind}") or PAINTERS[lesion.name]
    return painter(lesion, scene)


def compose(scene: Scene, paints: list[Paint]) -> Array:
    """Return the attenuation of the whole chest with its look-alikes and lesions."""
    total = scene.attenuation.copy()
    for item in scene.parameters.lookalikes:
        window, change = paint_lookalike(item, scene)
        total[window] += change
    for painted in paints:
        total[painted.window] += painted.change
    return np.maximum(total, 0, out=total)
