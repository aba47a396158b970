"""The aligner of a run: the trained one that it names, or a new one with the mean chest of its own studies."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from contrastcxr.checkpoint import Checkpoint, SourceNote, load_checkpoint, read_metadata
from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import is_normal
from contrastcxr.data.pixels import PictureOf
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import can_be_aligned, choose_views
from contrastcxr.errors import CheckpointError, DatasetError, IncompatibleError, RequestError, listed
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import Study, View
from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.canonical import CanonicalChest, mean_picture
from contrastcxr.models.align.options import AlignOptions
from contrastcxr.models.align.teaching import balanced_weight
from contrastcxr.models.encoders import Encoder

logger = logging.getLogger(__name__)

BALANCED_ON = 64
"""Pictures that say how much the pixel loss weighs."""


def with_trained_aligner(config: SystemConfig) -> SystemConfig:
    """Return a configuration whose `align` says what the trained aligner that it names is.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        IncompatibleError: the checkpoint aligns nothing, or an option is given that it contradicts.
    """
    align = config.align
    if align is None or align.weights is None:
        return config
    try:
        trained = read_metadata(align.weights).config.align
    except (CheckpointError, RequestError) as error:
        raise CheckpointError(f"align.weights: {error}") from None
    if trained is None:
        raise IncompatibleError(
            f"align.weights {align.weights}: its system aligns nothing; give the run of an aligner, or of a "
            "system with one"
        )
    trained = trained.model_copy(update={"weights": align.weights})
    other = [name for name in align.model_fields_set if getattr(align, name) != getattr(trained, name)]
    if other:
        raise IncompatibleError(
            f"{listed(f'align.{name}' for name in sorted(other))} with align.weights {align.weights}, whose "
            "aligner has other values, those it was trained with; take them away"
        )
    return config.model_copy(update={"align": trained})


def trained_aligner(config: SystemConfig) -> tuple[Aligner | None, tuple[SourceNote, ...]]:
    """Return the frozen aligner that a configuration names, and what it was trained on; None where it names none.

    Raises:
        CheckpointError: the checkpoint cannot be read, or its weights are not those of its aligner.
    """
    if config.align is None or config.align.weights is None:
        return None, ()
    checkpoint: Checkpoint = load_checkpoint(config.align.weights)
    found = checkpoint.aligner()
    assert found is not None  # `with_trained_aligner` has refused one that aligns nothing
    frozen = Aligner(config.align, found.chest)
    frozen.load_state_dict(found.state_dict())
    return frozen.eval(), tuple(note for note in checkpoint.sources if not note.name.startswith("encoder "))


def new_aligner(
    config: SystemConfig, studies: Sequence[Study], encoder: Encoder, preprocess: Preprocess, picture_of: PictureOf
) -> Aligner | None:
    """Return an untrained aligner with the canonical chest of the training studies, its losses in balance.

    None where nothing is aligned.

    Raises:
        DatasetError: no training study is a normal frontal.
        IncompatibleError: no lungs are found in the mean of those.
    """
    options = config.align
    if options is None:
        return None
    chest = _chest(
        options, studies, preprocess, picture_of, seed=config.train.seed, max_views=config.data.max_views
    )
    aligner = Aligner(options, chest, seed=config.train.seed)
    if options.pixel_weight == "balanced":
        views = _frontals(studies, max_views=config.data.max_views)
        pictures = [_normalised(view, preprocess, picture_of) for view in islice(views, BALANCED_ON)]
        aligner.balance.fill_(balanced_weight(aligner.eval(), encoder, pictures))
        logger.info(
            f"align: the pixel loss weighs {float(aligner.balance):.3g}, balanced on {len(pictures)} pictures"
        )
    return aligner


def _chest(
    options: AlignOptions,
    studies: Sequence[Study],
    preprocess: Preprocess,
    picture_of: PictureOf,
    *,
    seed: int,
    max_views: int,
) -> CanonicalChest:
    views = list(_frontals([study for study in studies if is_normal(study)], max_views=max_views))
    if not views:
        raise DatasetError(
            f"align: none of the {len(studies):,} training studies is a normal frontal, of which the canonical "
            "chest is the mean; choose data with normals, or set align.weights to a trained aligner"
        )
    order = torch.randperm(len(views), generator=torch.Generator().manual_seed(seed))[: options.canonical.images]
    normalisation = Normalisation(preprocess.mean, preprocess.std)
    greys = [normalisation.grey(_normalised(views[n], preprocess, picture_of)[None])[0] for n in order.tolist()]
    crop = None if options.canonical.crop == "auto" else options.canonical.crop
    chest = CanonicalChest.of_mean(
        mean_picture(greys).clamp(0, 1), images=len(greys), crop=crop, margin=options.canonical.margin
    )
    box = ", ".join(f"{share:.3f}" for share in chest.crop)
    logger.info(f"align: the canonical chest is the mean of {len(greys):,} normal frontals, cropped to [{box}]")
    return chest


def _frontals(studies: Sequence[Study], *, max_views: int) -> Iterator[View]:
    for study in studies:
        chosen = (study.views[i] for i in choose_views(study, max_views))
        yield from (view for view in chosen if can_be_aligned(view.position))


def _normalised(view: View, preprocess: Preprocess, picture_of: PictureOf) -> Tensor:
    read = picture_of(view)
    return whole_picture(preprocess, read.pixels, shape=read.shape)[0]


def record_of(aligner: Aligner | None) -> dict[str, Any] | None:
    """Return what a run record says of an aligner: its kind, its canonical chest, the weight of the pixel loss."""
    if aligner is None:
        return None
    weights = {"weights": aligner.fingerprint()} if not aligner.trained_here else {}
    return {
        "kind": aligner.options.kind,
        "canonical": aligner.chest.metadata(),
        "pixel_weight": round(float(aligner.balance), 6),
        **weights,
    }
