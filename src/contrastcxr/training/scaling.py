"""How large things are before the first step: raw features as training pictures have them, and contrast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from contrastcxr.features.batch import Batch
from contrastcxr.features.extraction import batch_features, raw_features
from contrastcxr.features.view_features import ViewFeatures
from contrastcxr.form import View
from contrastcxr.models.contrast.start import scale_start
from contrastcxr.models.system import System

PICTURES = 1000
"""Training pictures, at most, that say how large raw features are (ours)."""
STUDIES = 64
"""Training studies, at most, that say how large the features are which contrast starts from (ours)."""


def standardize(system: System, views: Sequence[View], features: ViewFeatures, *, seed: int) -> None:
    """Set the scale of raw features to that of training pictures drawn with the seed."""
    mean, deviation = feature_scale(features.patches(views[n]) for n in draw(len(views), PICTURES, seed=seed))
    system.projection.set_scale(mean, deviation)


def center_zeros(system: System) -> None:
    """Put into a pool of zeros what standardised features call zero, the mean."""
    for pool in (system.pool, system.patch_pool):
        if pool is not None and not pool.has_pictures:
            pool.raw.copy_(system.projection.mean)


def feature_scale(pictures: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation `[C]` over the patches of pictures, `[N, C]` each."""
    count, total, square = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for patches in pictures:
        wide = patches.double()
        count, total, square = count + len(wide), total + wide.sum(0), square + wide.square().sum(0)
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()


def scale_contrast(system: System, batch: Batch) -> None:
    """Scale the start of Contrastive Attention by what it makes of training studies."""
    assert system.contrast is not None  # asked for only then
    training = system.training
    system.eval()
    scale_start(system.contrast, lambda: batch_features(system, batch))
    system.train(training)


def draw(count: int, most: int, *, seed: int) -> list[int]:
    """Return at most `most` of `count` places, drawn with a seed, in order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    places: list[int] = sorted(order[:most].tolist())
    return places


@torch.no_grad()
def mean_picture(system: System, batches: Iterable[Batch]) -> Tensor:
    """Return the mean raw features `[n, C]` of all views, place by place."""
    total, views = torch.zeros((), device=system.device), 0
    for batch in (each.to(system.device) for each in batches):
        raw = raw_features(system, batch)[batch.view_mask].float()  # [k, n, C]
        total, views = total + raw.sum(dim=0), views + len(raw)
    return total / max(views, 1)
