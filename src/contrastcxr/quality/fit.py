"""Learning what training pictures look like, and reading the limits from held-out ones (ours)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastcxr.quality.assess import layout, measure_values
from contrastcxr.quality.measures import MEASURES, PictureMeasures, QualityReference

SHARE = 0.01
"""Share of valid held-out pictures that each measure warns on."""

LEAST = {"tilted": 3.0, "cut": 0.05}
"""Limits are never stricter than this: degrees and a share of a side that no reader would mind."""

MINIMUM = 100
"""With fewer pictures than this, no limit can be placed that 1% of them pass."""

AXES = 16
"""Principal axes along which the encoder distance counts in standard deviations."""

ROUNDS = 16
"""Times that each training picture is tilted or cut at random for the meters."""

TILTS = 25.0
"""Largest practised tilt in degrees."""

CUTS = 0.5
"""Largest practised cut, as a share of the side."""

RIDGE = 0.01
"""Damping of the meters' regression, as a share of the mean variance."""


def fit_reference(
    training: PictureMeasures, heldout: PictureMeasures, *, positions: Sequence[str], seed: int = 0
) -> QualityReference | None:
    """Fit a reference.

    Args:
        training: what the model was trained on, or a sample of it.
        heldout: valid pictures of other patients, which the limits are read from.
        positions: of the training pictures.
        seed: of the tilts and cuts that the meters practise on.

    Returns:
        None when there are fewer than `MINIMUM` of either.
    """
    if min(len(training), len(heldout)) < MINIMUM:
        return None
    mean, meters, base = _fit_meters(training.small, torch.Generator().manual_seed(seed))
    centre, axes, scale, residual = _fit_distance(training.features.float())
    counts = Counter(positions)
    fitted = QualityReference(
        limits={},
        training=len(training),
        heldout=len(heldout),
        positions={name: count / counts.total() for name, count in sorted(counts.items())},
        residual=residual,
        template=layout(layout(training.small).mean(0, keepdim=True))[0],
        meter_mean=mean,
        meter_base=base,
        meters=meters,
        centre=centre,
        axes=axes,
        scale=scale,
    )
    return _limited(fitted, heldout)


def _limited(fitted: QualityReference, heldout: PictureMeasures) -> QualityReference:
    values = measure_values(fitted, heldout)
    limits = {
        name: float(np.quantile(values[name], 1 - SHARE if measure.above else SHARE))
        for name, measure in MEASURES.items()
    }
    return replace(fitted, limits={name: max(value, LEAST.get(name, value)) for name, value in limits.items()})


def _fit_distance(features: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return the centre, principal axes, deviations along them, and the mean squared length beyond."""
    centre = features.mean(0)
    _, lengths, axes = torch.linalg.svd(features - centre, full_matrices=False)
    variances = lengths.square() / len(features)
    kept = min(AXES, len(lengths) // 2)
    return centre, axes[:kept], variances[:kept].sqrt(), float(variances[kept:].sum())


def _fit_meters(small: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return a ridge regression from the layout to tilt and cuts.

    It is fitted on training pictures tilted and cut at random.
    """
    made = [_practice(small, kind % 4, generator) for kind in range(ROUNDS)]
    seen = torch.cat([layout(pictures).flatten(1) for pictures, _ in made])
    wanted = torch.cat([target for _, target in made])
    mean, base = seen.mean(0), wanted.mean(0)
    gram = (seen - mean).T @ (seen - mean)
    damped = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return mean, torch.linalg.solve(damped, (seen - mean).T @ (wanted - base)), base


def _practice(small: Tensor, kind: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures tilted (without and with black corners), cut at some sides, or cut all round.

    And by how much.
    """
    n = len(small)
    upright, uncut = torch.zeros(n), torch.zeros(n, 4)
    if kind < 2:
        degrees = (torch.rand(n, generator=generator) * 2 - 1) * TILTS
        # Corners are filled with 0, which is black only where black is 0: thumbnails are of normalised pictures.
        seen = tilted(small - small.amin((1, 2), keepdim=True), degrees, black_corners=kind == 1)
        return seen, torch.cat([degrees[:, None], uncut], 1)
    cuts = _some_sides(n, generator) if kind == 2 else torch.rand(n, 1, generator=generator).expand(n, 4) * 0.3
    return cut(small, cuts), torch.cat([upright[:, None], cuts], 1)


def _some_sides(n: int, generator: torch.Generator) -> Tensor:
    """Return cuts `[n, 4]` of up to `CUTS` at each side, with even odds.

    Two opposite cuts take at most 0.6 together.
    """
    drawn = torch.rand(n, 4, generator=generator) * CUTS * (torch.rand(n, 4, generator=generator) < 0.5)
    first, second = drawn[:, 0::2], drawn[:, 1::2]
    second = torch.minimum(second, 0.6 - first)
    return torch.stack([first[:, 0], second[:, 0], first[:, 1], second[:, 1]], 1)


def tilted(pictures: Tensor, degrees: Tensor, *, black_corners: bool) -> Tensor:
    """Return `[n, H, W]` pictures tilted clockwise by `degrees [n]`.

    Without black corners the picture is enlarged until none shows, as when a larger film was cut to size.
    """
    angle = degrees.deg2rad()
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    zoom = torch.ones_like(angle) if black_corners else 1 / (cos.abs() + sin.abs())
    affine = torch.stack([cos * zoom, sin * zoom, none, -sin * zoom, cos * zoom, none], 1)
    return _warped(pictures, affine, "zeros" if black_corners else "border")


def cut(pictures: Tensor, cuts: Tensor) -> Tensor:
    """Return `[n, H, W]` pictures without the shares `cuts [n, 4]` at their `SIDES`, stretched to their size."""
    left, right, top, bottom = cuts.unbind(1)
    none = torch.zeros_like(left)
    rows = (1 - left - right, none, left - right, none, 1 - top - bottom, top - bottom)
    return _warped(pictures, torch.stack(rows, 1), "border")


def _warped(pictures: Tensor, affine: Tensor, fill: str) -> Tensor:
    grid = F.affine_grid(affine.reshape(-1, 2, 3), [len(pictures), 1, *pictures.shape[1:]], align_corners=False)
    return F.grid_sample(pictures[:, None], grid, padding_mode=fill, align_corners=False)[:, 0]
