"""What training sees: samples from cached features or pixels, in an order that only seed and epoch decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from contrastcxr.config import DataConfig
from contrastcxr.data.batch import Batch, Sample, choose_views, collate, prepare
from contrastcxr.data.identity import view_key
from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.sources import SOURCES
from contrastcxr.data.targets import Uncertain, finding_targets
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import ConfigError, DatasetError
from contrastcxr.form import Reading, Study, View
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.train.asked import NOTHING_FURTHER, Asked, Further
from contrastcxr.train.features import FeatureCache


def reading_of(study: Study, *, author: str | None) -> Reading:
    """The reading that is learnt: the named author's, or the study's first.

    Raises:
        DatasetError: the study has no such reading.
    """
    reading = study.reading_by(author) if author else next(iter(study.readings), None)
    if reading is None:
        known = ", ".join(sorted({r.author.name for r in study.readings})) or "none"
        raise DatasetError(
            f"study {study.study_id}: expected a reading by '{author or 'anyone'}', found {known}; "
            "set data.author to one of these or choose data with reports"
        )
    return reading


def report_text(reading: Reading, *, sections: Sequence[str]) -> str:
    """The sections of a report that are written, one after another."""
    texts = (getattr(reading.report, section) for section in sections)
    return " ".join(text.strip() for text in texts if text.strip())


@dataclass(frozen=True, eq=False)
class Target:
    """What a study's reading asks of the model."""

    token_ids: Tensor  # [T] int64, bos … eos
    finding_targets: Tensor | None = None  # [L] float
    finding_mask: Tensor | None = None  # [L] bool
    further: Further = NOTHING_FURTHER


def target_of(
    study: Study,
    *,
    written: str,
    tokenizer: Tokenizer,
    max_tokens: int,
    labels: Sequence[str],
    uncertain: Uncertain = "ignore",
    asked: Asked | None = None,
) -> Target:
    """Token ids of the report, a target and mask per label of a finding head, and what the decoder asks for."""
    ids = tokenizer.encode(written, max_tokens=max_tokens)
    further = asked.of(study, token_ids=ids, tokenizer=tokenizer) if asked else NOTHING_FURTHER
    if not labels:
        return Target(torch.tensor(ids), further=further)
    targets, mask = finding_targets(study, labels, uncertain=uncertain)
    return Target(torch.tensor(ids), finding_targets=targets, finding_mask=mask, further=further)


class StudySamples(Dataset[Sample]):
    """Samples of studies, from `load(study, index)` plus the study's target."""

    def __init__(
        self, studies: Sequence[Study], targets: Sequence[Target], load: Callable[[Study, int], Sample]
    ) -> None:
        self.studies = studies
        self.targets = targets
        self.load = load

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> Sample:
        target = self.targets[index]
        return replace(
            self.load(self.studies[index], index),
            token_ids=target.token_ids,
            finding_targets=target.finding_targets,
            finding_mask=target.finding_mask,
            indication_ids=target.further.indication_ids,
            abnormal=target.further.abnormal,
            tags=target.further.tags,
        )


@dataclass(frozen=True, eq=False)
class FromCache:
    """Samples whose features `[V, N, C]` the frozen encoder has already made."""

    cache: FeatureCache
    max_views: int

    def __call__(self, study: Study, index: int) -> Sample:
        """The study's features; `index` is not used: cached features are never cropped at random."""
        del index
        chosen = choose_views(study, self.max_views)
        encoded = [self.cache[view_key(study.views[i])] for i in chosen]
        return Sample(
            study_id=study.study_id,
            patient_id=study.patient_id,
            affines=torch.stack([torch.from_numpy(e.affine.copy()) for e in encoded]),
            positions=tuple(study.views[i].position for i in chosen),
            view_index=chosen,
            features=torch.stack([torch.from_numpy(e.features.copy()) for e in encoded]),
        )


@dataclass(frozen=True, eq=False)
class FromPixels:
    """Samples whose images `[V, 3, S, S]` are read now, cropped at random where `augment_seed` is given."""

    preprocess: Preprocess
    max_views: int
    augment_seed: int | None = None
    picture_of: PictureOf = original

    def __call__(self, study: Study, index: int) -> Sample:
        """The study's images; `index` and the seed choose the crop."""
        generator = None
        if self.augment_seed is not None:
            generator = torch.Generator().manual_seed(self.augment_seed * 1_000_003 + index)
        return prepare(
            study,
            self.preprocess,
            max_views=self.max_views,
            generator=generator,
            picture_of=self.picture_of,
        )


GROUPED_BATCHES = 32
"""Batches among whose reports those of similar length are brought together; their order stays random."""


def epoch_batches(
    count: int, *, batch_size: int, seed: int, epoch: int, lengths: Sequence[int] | None = None
) -> list[list[int]]:
    """Indices of each global batch of an epoch: a permutation cut into equal batches, the ragged rest left out.

    A set smaller than one batch is one batch.  Only `seed` and `epoch` decide, so that a resumed run and any
    number of processes see the same batches.  With the `lengths` of all reports, every `GROUPED_BATCHES` batches
    share out their studies by length, and the batches come in an order of their own.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator).tolist()
    whole = max(count // batch_size, 1)
    if lengths is not None:
        order = order[: whole * batch_size]
        group = GROUPED_BATCHES * batch_size
        groups = (order[start : start + group] for start in range(0, len(order), group))
        order = [i for members in groups for i in sorted(members, key=lengths.__getitem__)]
    batches = [order[i * batch_size : (i + 1) * batch_size] for i in range(whole)]
    if lengths is not None:
        batches = [batches[i] for i in torch.randperm(whole, generator=generator).tolist()]
    return batches


@dataclass(frozen=True)
class Share:
    """Which part of each global batch a process takes."""

    rank: int = 0
    world: int = 1

    def of(self, batch: Sequence[int]) -> list[int]:
        """Every `world`-th index from `rank` on."""
        return list(batch[self.rank :: self.world])


class _Fixed(Sampler[list[int]]):
    def __init__(self, batches: Sequence[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def loader(
    samples: Dataset[Sample], batches: Sequence[list[int]], *, pad: int, workers: int = 0
) -> DataLoader[Batch]:
    """Batches of samples in the given order."""
    return DataLoader(
        samples,  # type: ignore[arg-type]
        batch_sampler=_Fixed(batches),
        num_workers=workers,
        collate_fn=_Collate(pad),
    )


@dataclass(frozen=True)
class _Collate:
    pad: int

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        return collate(samples, pad=self.pad)


def chosen_views(studies: Sequence[Study], *, max_views: int) -> list[View]:
    """The views that enter, study by study."""
    return [study.views[i] for study in studies for i in choose_views(study, max_views)]


@dataclass(frozen=True, eq=False)
class ChosenViews:
    """The views of several parts that enter, found anew at each pass and not kept."""

    parts: Sequence[Sequence[Study]]
    max_views: int

    def __iter__(self) -> Iterator[View]:
        """Study by study, part by part."""
        for study in chain.from_iterable(self.parts):
            yield from (study.views[i] for i in choose_views(study, self.max_views))


def data_name(config: DataConfig, *, split: str) -> str:
    """The data name of one split, as `load_studies` and `--data` take it.

    Of `options`, those that the source takes after its root go there, the others after the `?`; seed and fold are
    named where the source knows them.
    """
    kind = SOURCES.get(config.source.partition(":")[0])
    known = kind.params if kind else ("seed",)
    after_root = {key: value for key, value in config.options.items() if kind and key in kind.options}
    params = {key: value for key, value in config.options.items() if key not in after_root}
    params |= {"seed": str(config.seed)} if "seed" in known else {}
    params |= {"fold": str(config.fold)} if config.fold is not None else {}
    place = f":{config.root}" if config.root else ""
    if ":" in config.source and place:
        raise ConfigError(f"data.source '{config.source}' draws its studies; take data.root away")
    further = "".join(f",{key}={value}" for key, value in after_root.items())
    query = "&".join(f"{key}={value}" for key, value in params.items())
    return f"{config.source}{place}{further}/{split}" + (f"?{query}" if query else "")
