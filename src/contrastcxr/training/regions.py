"""The detector of a run whose patches are regions: the localizer of the trained run that it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastcxr.checkpoint import Checkpoint, SourceNote, load_checkpoint, read_metadata
from contrastcxr.checkpoint.system import tensors_of
from contrastcxr.config import SystemConfig
from contrastcxr.data.transforms import resize_affine
from contrastcxr.errors import CheckpointError, IncompatibleError, RequestError, listed
from contrastcxr.features.batch import Batch
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.form import Study
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.heads.base import Head
from contrastcxr.options import Options

WELL_ANCHORED = 0.5
"""An anchor fits a box whose IoU with it is above this."""
ENCODER_KEY, DETECTOR_KEY = "encoder.", "localizer.detector."


def with_trained_regions(config: SystemConfig) -> SystemConfig:
    """Return a configuration whose encoder says what the trained detector that it names is.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        IncompatibleError: none is named, it detects nothing, or an option is given that it contradicts.
    """
    regions = config.encoder.regions
    if regions is None:
        return config
    if regions.weights is None:
        raise IncompatibleError(
            "encoder.regions without encoder.regions.weights: its patches are the regions of a trained detector; "
            "train one, as with configs/cpu/phantom-retinanet.yaml, and give its run"
        )
    try:
        trained = read_metadata(regions.weights).config
    except (CheckpointError, RequestError) as error:
        raise CheckpointError(f"encoder.regions.weights: {error}") from None
    found = None if trained.localizer is None else trained.localizer.regions
    if found is None:
        raise IncompatibleError(
            f"encoder.regions.weights {regions.weights}: its system detects no boxes; give the run of a localizer "
            "that does"
        )
    words = config.needs.attributes
    if words is not None and words != found.attributes:
        raise IncompatibleError(
            f"localizer.attributes {words} with encoder.regions.weights {regions.weights}, whose detector boxes "
            f"findings of {found.attributes}; give both the same list"
        )
    _check_count(config, found.count)
    said = found.model_dump(exclude={"weights"})
    encoder = {"name": trained.encoder.name, "stage": trained.encoder.stage}
    if config.image.size != trained.image.size:
        raise IncompatibleError(
            f"image.size {config.image.size} with encoder.regions.weights {regions.weights}, whose detector sees "
            f"pictures of {trained.image.size}; set image.size: {trained.image.size}"
        )
    other = [*(f"regions.{name}" for name in _unlike(regions, said)), *_unlike(config.encoder, encoder)]
    if other:
        raise IncompatibleError(
            f"{listed(f'encoder.{name}' for name in sorted(other))} with encoder.regions.weights "
            f"{regions.weights}, whose detector has other values, those it was trained with; take them away"
        )
    whole = regions.model_copy(update=said)
    return config.model_copy(
        update={
            "encoder": config.encoder.model_copy(update={**encoder, "weights": "checkpoint", "regions": whole})
        }
    )


def _check_count(config: SystemConfig, found: int) -> None:
    weighed = 0 if config.localizer is None else config.localizer.weighed_regions
    if weighed >= found:  # a study may have one view, however many are allowed
        raise IncompatibleError(
            f"localizer.count {weighed} with a detector of {found} regions in a picture: none is left to compare "
            "these with; lower localizer.count"
        )


def _unlike(options: Options, trained: Mapping[str, Any]) -> list[str]:
    """Return the names of options that are said and are not as they were trained."""
    return [name for name in options.model_fields_set & trained.keys() if getattr(options, name) != trained[name]]


@dataclass(frozen=True)
class LearntRegions:
    """What the detector of a run's regions was made of; nothing where the patches are a grid.

    Attributes:
        sources: the data.
        boxed_patients: marks of the patients whose boxes it learnt.
        present_from: from which score the finding that it boxes counts as present, by its name.
    """

    sources: tuple[SourceNote, ...] = ()
    boxed_patients: tuple[str, ...] = ()
    present_from: Mapping[str, float] = field(default_factory=dict)


def load_regions(config: SystemConfig, encoder: Encoder) -> LearntRegions:
    """Give an encoder of regions the weights of the trained run that its configuration names.

    Raises:
        CheckpointError: the checkpoint cannot be read, or its weights are not those of its configuration.
    """
    regions = config.encoder.regions
    if regions is None or regions.weights is None:
        return LearntRegions()
    checkpoint: Checkpoint = load_checkpoint(regions.weights)
    system = checkpoint.build()
    assert system.encoder is not None  # a system in a file has one
    assert system.localizer is not None  # `with_trained_regions` has refused one that detects nothing
    state = system.state_dict()
    held = tensors_of(state, ENCODER_KEY)
    held |= {f"detector.{name}": value for name, value in tensors_of(state, DETECTOR_KEY).items()}
    encoder.load_state_dict(held)
    encoder.weights_note = f"{system.encoder.weights_note}; regions of {checkpoint.config.name}"
    of_scores = system.identifier is None  # thresholds of a finding head are of its probabilities
    return LearntRegions(checkpoint.sources, checkpoint.boxed_patients, checkpoint.thresholds if of_scores else {})


def count_few_regions(batches: Iterable[Batch], wanted: int) -> tuple[int, int]:
    """Return of how many studies fewer regions than wanted were found, and of how many none beyond them.

    Args:
        batches: with features, whose rows are regions.
        wanted: regions that a localizer weighs.
    """
    fewer = none_beyond = 0
    for batch in batches:
        assert batch.features is not None  # a detector of regions is frozen
        found = (batch.features[..., -1] >= 0) & batch.view_mask.unsqueeze(2)  # [B,V,N], a score of -1 is none
        counts = found.flatten(1).sum(dim=1)
        fewer += int((counts < wanted).sum())
        none_beyond += int((counts <= wanted).sum())
    return fewer, none_beyond


def anchored_share(localizer: Head, reader: BoxReader, studies: Sequence[Study]) -> float | None:
    """Return the share of the boxes of studies that have an anchor that fits; None without anchors or boxes.

    Each box is taken at the size that it has in the model's picture, of views whose own size is known.
    """
    corners = [
        reader.boxes(study, range(len(study.views))).corners(_resized(study, reader.size)).flatten(0, 1)
        for study in studies
    ]
    boxes = torch.cat(corners)
    best = localizer.best_anchors(boxes[boxes.isfinite().all(dim=1)])
    return None if best is None or not len(best) else float((best > WELL_ANCHORED).float().mean())


def _resized(study: Study, size: int) -> Tensor:
    """Return affines `[V, 2, 3]` of views resized whole to a side; NaN of one whose size is not known."""
    shapes = [(view.height, view.width) for view in study.views]
    unknown = np.full((2, 3), np.nan)
    return torch.from_numpy(np.stack([resize_affine((h, w), size) if h and w else unknown for h, w in shapes]))
