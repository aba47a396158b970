"""How large things are before the first step: raw features as training pictures have them, and the start of contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrastcxr.data.views import chosen_views
from contrastcxr.features.batch import Batch, collate
from contrastcxr.features.extraction import batch_features
from contrastcxr.features.view_features import ViewFeatures
from contrastcxr.models.contrast.start import scale_start

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun

PICTURES = 1000
"""Training pictures, at most, that say how large raw features are (ours)."""
STUDIES = 64
"""Training studies that say how large the features are which contrast starts from (ours)."""


def scale_system(prepared: PreparedRun, features: ViewFeatures) -> None:
    """Set what a fresh system takes from its training studies: the scale of raw features, the start of contrast.

    A pool of zeros holds what standardised features call zero, the mean.
    """
    config, system = prepared.config, prepared.system
    if config.projection.standardize:
        mean, deviation = feature_scale(prepared, features)
        system.projection.set_scale(mean, deviation)
        for pool in (system.pool, system.patch_pool):
            if pool is not None and pool.kind == "zeros":
                pool.raw.copy_(mean)
    if system.contrast is not None and config.contrast is not None and config.contrast.start == "scaled":
        batch = _first_batch(prepared)
        training = system.training
        system.eval()
        scale_start(system.contrast, lambda: batch_features(system, batch))
        system.train(training)


def feature_scale(prepared: PreparedRun, features: ViewFeatures) -> tuple[Tensor, Tensor]:
    """Return mean and deviation `[C]` of raw features over the patches of training pictures drawn with the seed."""
    count, total, square = 0, torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    for patches in _patches(prepared, features):
        patches = patches.double()
        count, total, square = count + len(patches), total + patches.sum(0), square + patches.square().sum(0)
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()


def _patches(prepared: PreparedRun, features: ViewFeatures) -> Iterator[Tensor]:
    """Yield the raw features `[N, C]` of each picture."""
    views = chosen_views(prepared.train.studies, max_views=prepared.config.data.max_views)
    for place in _drawn(len(views), PICTURES, seed=prepared.config.train.seed):
        yield features.patches(views[place])


def _first_batch(prepared: PreparedRun) -> Batch:
    samples = prepared.samples(prepared.train)
    chosen = _drawn(len(prepared.train), STUDIES, seed=prepared.config.train.seed)
    return collate([samples[place] for place in chosen], pad=prepared.pad)


def _drawn(count: int, most: int, *, seed: int) -> list[int]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    drawn: list[int] = sorted(order[:most].tolist())
    return drawn
