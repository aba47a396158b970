"""How far pictures are from those a model was trained on, with a limit for each measure (ours; no paper has it).

Grey values are measured on the original pixels, because resizing hides saturation; the layout on a thumbnail of
what the model sees; the distance on the encoder's features. A limit is the value that one in a hundred valid
held-out pictures passes, so every measure warns falsely on about 1%. Nothing here refuses a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastcxr.quality.measures import (
    MEASURES,
    SIDES,
    MeasureName,
    MeasureValue,
    PictureMeasures,
    QualityReference,
)

THUMBNAIL = 64
"""Side in pixels of the thumbnail that tilts and cuts are practised on."""

LAYOUT = 32
"""Side of the layout that turn, tilt and cut are read from."""


def thumbnails(images: Tensor) -> Tensor:
    """Return `[n, THUMBNAIL, THUMBNAIL]` of model pictures `[n, 3, S, S]`; their normalisation does not matter."""
    return _resized(images[:, 0], THUMBNAIL)


def layout(small: Tensor) -> Tensor:
    """Return `[n, LAYOUT, LAYOUT]` of `[n, s, s]` with mean 0 and norm 1: brightness and contrast are gone."""
    seen = _resized(small, LAYOUT)
    centred: Tensor = seen - seen.mean((1, 2), keepdim=True)
    length: Tensor = centred.flatten(1).norm(dim=1)
    return centred / length[:, None, None].clamp_min(1e-6)


def _resized(pictures: Tensor, side: int) -> Tensor:
    small = F.interpolate(
        pictures.float()[:, None], (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    return small[:, 0]  # [n,1,side,side] -> [n,side,side]


def measure_values(reference: QualityReference, pictures: PictureMeasures) -> dict[MeasureName, np.ndarray]:
    """Return every measure of `n` pictures, each `[n]`."""
    seen = layout(pictures.small)
    fits = _fits(reference, seen)
    read = _metered(reference, seen)
    mean = np.array([grey.mean for grey in pictures.greys])
    return {
        "dark": mean,
        "bright": mean,
        "flat": np.array([grey.spread for grey in pictures.greys]),
        "clipped": np.array([grey.clipped for grey in pictures.greys]),
        "turned": (fits[:, 1:].amax(1) - fits[:, 0]).numpy(),
        "tilted": read[:, 0].abs().numpy(),
        "cut": read[:, 1:].amax(1).numpy(),
        "unlike": fits[:, 0].numpy(),
        "distant": _distances(reference, pictures.features).numpy(),
    }


def assess(reference: QualityReference, pictures: PictureMeasures) -> list[tuple[MeasureValue, ...]]:
    """Return per picture every measure that has a limit, in the order of `MEASURES`."""
    values = measure_values(reference, pictures)
    seen = layout(pictures.small)
    details = zip(_fits(reference, seen).argmax(1).tolist(), _metered(reference, seen).tolist(), strict=True)
    return [
        tuple(
            MeasureValue(name, float(values[name][i]), reference.limits[name], _detail(name, turn, read))
            for name in MEASURES
            if name in reference.limits
        )
        for i, (turn, read) in enumerate(details)
    ]


def _fits(reference: QualityReference, seen: Tensor) -> Tensor:
    """Return the correlation with the template turned anticlockwise by 0 to 3 quarters, `[n, 4]`."""
    turned = torch.stack([torch.rot90(reference.template, k) for k in range(4)])  # [4,LAYOUT,LAYOUT]
    return seen.flatten(1) @ turned.flatten(1).T


def _metered(reference: QualityReference, seen: Tensor) -> Tensor:
    """Return the tilt in degrees and shares cut off, `[n, 5]`."""
    return (seen.flatten(1) - reference.meter_mean) @ reference.meters + reference.meter_base


def _distances(reference: QualityReference, features: Tensor) -> Tensor:
    """Return distances `[n]`: Mahalanobis along the axes, Euclidean beyond.

    Both are 1 for an average training picture.
    """
    away = features.float() - reference.centre
    along = away @ reference.axes.T
    beyond = (away.square().sum(1) - along.square().sum(1)).clamp_min(0) / reference.residual
    return (((along / reference.scale).square().mean(1) + beyond) / 2).sqrt()


def _detail(name: MeasureName, turn: int, read: Sequence[float]) -> str:
    """Return what the number alone does not say: which way it is turned or tilted, which side is cut off."""
    if name == "turned":
        return ("", " by a quarter, anticlockwise", " upside down", " by a quarter, clockwise")[turn]
    if name == "tilted":
        return " clockwise" if read[0] > 0 else " anticlockwise"
    if name == "cut":
        return f" at the {SIDES[int(np.argmax(read[1:]))]} of the picture"
    return ""
