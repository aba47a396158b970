"""The painters of findings by name and kind, and the chest with all that is painted into it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from contrastcxr.phantom import focal, regional
from contrastcxr.phantom.anatomy import Scene
from contrastcxr.phantom.devices import paint_device
from contrastcxr.phantom.lookalikes import paint_lookalike
from contrastcxr.phantom.paint import Paint
from contrastcxr.phantom.truth import Array, Lesion

Painter = Callable[[Lesion, Scene], Paint]

PAINTERS: dict[str, Painter] = {
    "Cardiomegaly": regional.paint_heart,
    "Pleural Effusion": regional.paint_effusion,
    "Pneumothorax": regional.paint_pneumothorax,
    "Nodule": focal.paint_nodule,
    "Mass": focal.paint_mass,
    "Consolidation": regional.paint_consolidation,
    "Atelectasis": focal.paint_plate,
    "Atelectasis/collapse": regional.paint_collapse,
    "Edema": regional.paint_edema,
    "Emphysema": regional.paint_emphysema,
    "Fibrosis": regional.paint_fibrosis,
    "Pleural Thickening": regional.paint_pleura,
    "Fracture": focal.paint_fracture,
    "Granuloma": focal.paint_granuloma,
    "Hernia": focal.paint_hernia,
    "Support Devices": paint_device,
}


def paint(lesion: Lesion, scene: Scene) -> Paint:
    """Return the change of attenuation and the mask of one lesion in a scene."""
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
