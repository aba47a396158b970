"""What the training pictures look like, for the warnings on a reading's page; measured when a run ends (ours)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from contrastcxr.checkpoint import Checkpoint
from contrastcxr.data.pixels import original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import chosen_views
from contrastcxr.errors import ImageError
from contrastcxr.features.pictures import whole_picture
from contrastcxr.features.view_features import CachedFeatures, EncodedFeatures, ViewFeatures
from contrastcxr.form import View
from contrastcxr.quality.assess import thumbnails
from contrastcxr.quality.fit import MINIMUM, fit_reference
from contrastcxr.quality.measures import GreyValues, PictureMeasures, QualityReference, grey_values

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun

logger = logging.getLogger(__name__)

AT_MOST = 500
"""Pictures of each split that are measured at the end of a run: reading them again is what costs."""


def quality_reference(prepared: PreparedRun, best: Checkpoint, *, device: torch.device) -> QualityReference | None:
    """Measure frontal views of a run's two splits as the best system, on a device, sees them; fit a reference.

    Returns:
        None when there are too few, which is logged.
    """
    if not prepared.system.heads:
        return None  # it reads nothing that a warning could stand beside
    max_views, seed = prepared.config.data.max_views, prepared.config.train.seed
    views, heldout = (
        chosen_views(part.studies, max_views=max_views) for part in (prepared.train, prepared.validation)
    )
    seen, checked = _frontal(views), _frontal(heldout)
    if min(len(seen), len(checked)) < MINIMUM:
        found = f"{len(seen):,} frontal pictures to train and {len(checked):,} to validate"
        logger.info(f"picture quality: {found}, {MINIMUM} of each needed; readings will not warn of pictures")
        return None
    features = _features(prepared, best, device)
    first, second = (
        measure_views(_drawn(v, seed), preprocess=prepared.preprocess, features=features) for v in (seen, checked)
    )
    return fit_reference(first, second, positions=[view.position for view in views], seed=seed)


def _features(prepared: PreparedRun, best: Checkpoint, device: torch.device) -> ViewFeatures:
    if prepared.cache is not None:
        return CachedFeatures(prepared.cache, prepared.system.places)
    system = best.build().to(device)
    assert system.encoder is not None  # a system in training always has one
    return EncodedFeatures(system.encoder, prepared.preprocess, aligner=system.aligner)


def _frontal(views: Sequence[View]) -> list[View]:
    return [view for view in views if view.position != "LATERAL"]


def _drawn(views: Sequence[View], seed: int) -> list[View]:
    """Return at most `AT_MOST` of the views, in their order."""
    if len(views) <= AT_MOST:
        return list(views)
    order = torch.randperm(len(views), generator=torch.Generator().manual_seed(seed))
    return [views[i] for i in sorted(order[:AT_MOST].tolist())]


def measure_views(views: Sequence[View], *, preprocess: Preprocess, features: ViewFeatures) -> PictureMeasures:
    """Measure views from their own pixels; those that cannot be read are left out."""
    greys: list[GreyValues] = []
    small, pooled = [], []
    for view in views:
        try:
            pixels = original(view).pixels
        except ImageError:
            continue  # the run has named it already
        greys.append(grey_values(pixels))
        small.append(thumbnails(whole_picture(preprocess, pixels)[0][None])[0])
        pooled.append(features.pooled(view).cpu())
    return PictureMeasures(tuple(greys), torch.stack(small), torch.stack(pooled))
