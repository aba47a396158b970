"""What training sees: samples from cached features or pixels, in an order that only seed and epoch decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import choose_views
from contrastcxr.features.batch import Batch, Sample, collate, one_view, prepare
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.features.cache import FeatureCache
from contrastcxr.features.needs import NOTHING_FURTHER, HeadTargets, TargetReader
from contrastcxr.features.targets import Uncertain, finding_targets
from contrastcxr.form import Study, View
from contrastcxr.store.keys import view_key
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.attribute_words import AttributeList


@dataclass(frozen=True, eq=False)
class Target:
    """What a study's reading asks of the model."""

    token_ids: Tensor | None = None  # [T] int64, bos … eos
    finding_targets: Tensor | None = None  # [L] float
    finding_mask: Tensor | None = None  # [L] bool
    further: HeadTargets = NOTHING_FURTHER

    @property
    def length(self) -> int:
        """Tokens of the report; 0 where none is learnt."""
        return 0 if self.token_ids is None else len(self.token_ids)


def target_of(
    study: Study,
    *,
    written: str,
    tokenizer: Tokenizer | None,
    max_tokens: int,
    labels: Sequence[str],
    uncertain: Uncertain = "ignore",
    one_class: AttributeList | None = None,
    reader: TargetReader | None = None,
) -> Target:
    """Return the token ids of the report, and a target and mask for each label that is learnt.

    What else the heads ask for is there too. Without a tokenizer no word is learnt.
    """
    targets, mask = None, None
    if labels:
        targets, mask = finding_targets(study, labels, uncertain=uncertain, one_class=one_class)
    if tokenizer is None:
        further = reader.without_words(study) if reader else NOTHING_FURTHER
        return Target(finding_targets=targets, finding_mask=mask, further=further)
    ids = tokenizer.encode(written, max_tokens=max_tokens)
    further = reader.of(study, token_ids=ids, tokenizer=tokenizer) if reader else NOTHING_FURTHER
    return Target(torch.tensor(ids), finding_targets=targets, finding_mask=mask, further=further)


class StudySamples(Dataset[Sample]):
    """Samples of studies, from `load(study, index)` plus the study's target and, with a reader, its boxes."""

    def __init__(
        self,
        studies: Sequence[Study],
        targets: Sequence[Target],
        load: Callable[[Study, int], Sample],
        *,
        boxes: BoxReader | None = None,
    ) -> None:
        self.studies = studies
        self.targets = targets
        self.load = load
        self.boxes = boxes

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> Sample:
        study, target = self.studies[index], self.targets[index]
        sample = self.load(study, index)
        boxes = None if self.boxes is None else self.boxes.boxes(study, sample.view_index)
        return replace(
            sample,
            box_cells=None if boxes is None or boxes.reader.as_corners else boxes.cells(sample.affines),
            box_corners=boxes.corners(sample.affines) if boxes is not None and boxes.reader.as_corners else None,
            boxes=None if sample.images is None else boxes,
            token_ids=target.token_ids,
            finding_targets=target.finding_targets,
            finding_mask=target.finding_mask,
            **vars(target.further),
        )


@dataclass(frozen=True, eq=False)
class FromCache:
    """Samples whose features `[V, N, C]` the frozen encoder has already made."""

    cache: FeatureCache
    max_views: int

    def __call__(self, study: Study, index: int) -> Sample:
        """Return the study's features; `index` is not used: cached features are never cropped at random."""
        del index
        chosen = choose_views(study, self.max_views)
        encoded = [self.cache[view_key(study.views[i])] for i in chosen]
        small = [e.thumbnail for e in encoded if e.thumbnail is not None]
        poses = [e.pose for e in encoded if e.pose is not None]
        return Sample(
            study_id=study.study_id,
            patient_id=study.patient_id,
            affines=torch.stack([torch.from_numpy(e.affine.copy()) for e in encoded]),
            positions=tuple(study.views[i].position for i in chosen),
            view_index=chosen,
            features=torch.stack([torch.from_numpy(e.features.copy()) for e in encoded]),
            thumbnails=torch.from_numpy(np.stack(small)) if len(small) == len(encoded) else None,
            poses=torch.stack([torch.from_numpy(pose.copy()) for pose in poses]) if poses else None,
        )


@dataclass(frozen=True, eq=False)
class FromPixels:
    """Samples whose images `[V, 3, S, S]` are read now, cropped at random where `augment_seed` is given."""

    preprocess: Preprocess
    max_views: int
    augment_seed: int | None = None
    picture_of: PictureOf = original

    def __call__(self, study: Study, index: int) -> Sample:
        """Return the study's images; `index` and the seed choose the crop."""
        return prepare(
            study,
            self.preprocess,
            max_views=self.max_views,
            generator=self._generator(index),
            picture_of=self.picture_of,
        )

    def pictures(self, views: Sequence[View], index: int) -> Tensor:
        """Return other views `[V, 3, S, S]`, each cropped as the view of the study in its place is."""
        generator = self._generator(index)
        return torch.stack([one_view(self.preprocess, self.picture_of(view), generator)[0] for view in views])

    def _generator(self, index: int) -> torch.Generator | None:
        if self.augment_seed is None:
            return None
        return torch.Generator().manual_seed(self.augment_seed * 1_000_003 + index)


def loader(
    samples: Dataset[Sample],
    batches: Sequence[list[int]],
    *,
    pad: int = 0,
    workers: int = 0,
    pin: bool = False,
) -> DataLoader[Batch]:
    """Return batches of samples in the given order; `pin` puts them into memory that a GPU copies from."""
    return DataLoader(
        samples,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=partial(collate, pad=pad),
    )
