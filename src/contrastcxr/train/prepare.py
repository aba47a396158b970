"""Everything before the first step: studies, vocabulary, encoder, cached features, pool, system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from contrastcxr.assemble import Marks, build_system, check_pairs, head_labels, make_encoder, make_preprocess
from contrastcxr.checkpoint import SourceNote, load_checkpoint
from contrastcxr.config import CvseConfig, MultiAttentionConfig, SystemConfig
from contrastcxr.data.authors import label_reading
from contrastcxr.data.batch import Batch, choose_views
from contrastcxr.data.identity import view_key
from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.prepared.packed import made_of, some_of
from contrastcxr.data.prepared.picture_cache import PictureCache, find_pictures
from contrastcxr.data.sources import open_source
from contrastcxr.data.targets import Uncertain
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import DatasetError, ImageError
from contrastcxr.form import Finding, Study, View
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.library import SentenceLibrary
from contrastcxr.models.system import ReportSystem
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.train.asked import Asked
from contrastcxr.train.data import (
    ChosenViews,
    FromCache,
    FromPixels,
    StudySamples,
    Target,
    data_name,
    loader,
    reading_of,
    report_text,
    target_of,
)
from contrastcxr.train.features import FeatureCache, Say, Unreadable, encode_views
from contrastcxr.train.library import make_library
from contrastcxr.train.pool import TrainingPool, make_pool
from contrastcxr.train.start import start_from
from contrastcxr.train.studies import studies_of
from contrastcxr.train.view_features import CachedFeatures, EncodedFeatures, ViewFeatures
from contrastcxr.train.word_vectors import start_word_vectors

EVALUATION_BATCH = 32


@dataclass(frozen=True, eq=False)
class Split:
    """Studies of one split with what is learnt of them."""

    studies: Sequence[Study]
    reports: tuple[str, ...]
    truths: Sequence[tuple[Finding, ...]]
    targets: Sequence[Target]

    def __len__(self) -> int:
        return len(self.studies)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A system before training and the data it will see.

    Attributes:
        asked: what the decoder gets beside reports.
        cache: features of all views; None when the encoder is trained and pictures are read at every step.
        pictures: prepared pictures of all views, read at every step in place of the files.
        library: of a decoder that retrieves.
        sources: what the checkpoint says of the data it was made from.
        truncated: training reports that `text.max_tokens` cuts.
    """

    config: SystemConfig
    tokenizer: Tokenizer
    asked: Asked
    labels: tuple[str, ...]
    preprocess: Preprocess
    system: ReportSystem
    train: Split
    validation: Split
    pool: TrainingPool | None
    cache: FeatureCache | None
    pictures: PictureCache | None
    library: SentenceLibrary | None
    sources: tuple[SourceNote, ...]
    unreadable: tuple[Unreadable, ...]
    truncated: int

    def samples(self, split: Split, *, epoch: int | None = None) -> StudySamples:
        """Samples of a split; with an epoch, cropped at random where the configuration augments."""
        return StudySamples(split.studies, split.targets, self._load(epoch))

    def _load(self, epoch: int | None) -> FromCache | FromPixels:
        views = self.config.data.max_views
        if self.cache is not None:
            return FromCache(self.cache, views)
        augmented = self.config.image.augment and epoch is not None
        seed = self.config.train.seed * 10_007 + (epoch or 0) if augmented else None
        return FromPixels(self.preprocess, views, seed, self.picture_of)

    @property
    def picture_of(self) -> PictureOf:
        """Where the pixels of a view come from."""
        return self.pictures or original

    def batches(self, split: Split) -> DataLoader[Batch]:
        """Batches of a split in its own order, for scoring."""
        order = [
            list(range(i, min(i + EVALUATION_BATCH, len(split)))) for i in range(0, len(split), EVALUATION_BATCH)
        ]
        return loader(self.samples(split), order, pad=self.tokenizer.special.pad, workers=self._workers())

    def _workers(self) -> int:
        return self.config.train.workers if self.cache is None else 0


def prepare(config: SystemConfig, *, cache: Path, say: Say) -> Prepared:
    """Load the data, encode what the cache lacks, draw the pool and build the system.

    Raises:
        IncompatibleError: parts that cannot work together.
        DatasetError: a split without studies, or studies without readings.
    """
    check_pairs(config)
    encoder = make_encoder(config, seed=config.train.seed)
    say(f"encoder {encoder.name}: {encoder.weights_note}")
    preprocess = make_preprocess(config, encoder)
    train, validation = (_studies(config, split, cache=cache, say=say) for split in ("train", "validation"))
    features, pictures, unreadable = None, None, list[Unreadable]()
    if not config.encoder.trainable:
        features, unreadable = _features((train, validation), config, encoder, preprocess, cache, say)
        train, validation = (_readable(part, features, config) for part in (train, validation))
    else:
        pictures = _pictures((train, validation), config, preprocess, cache, say)
    start = None if config.train.init_from is None else load_checkpoint(config.train.init_from)
    asked = Asked.by(config.decoder, train, terms=start.terms if start else ())
    tokenizer = make_tokenizer(config, train, asked) if start is None else start.tokenizer
    labels = head_labels(config)
    here = EncodedFeatures(encoder, preprocess, pictures or original)
    pool = _pool(config, train, here if features is None else CachedFeatures(features))
    library = _library(config, train, tokenizer)
    system = build_system(
        config,
        vocabulary=len(tokenizer),
        encoder=encoder,
        pool=pool.pool if pool else None,
        patch_pool=pool.patches.pool if pool and pool.patches else None,
        marks=Marks.of(tokenizer),
        library=library,
        terms=asked.terms,
        seed=config.train.seed,
    )
    if start is not None:
        start_from(system, start, config)
    elif isinstance(config.decoder, MultiAttentionConfig) and config.decoder.word_vectors == "word2vec":
        start_word_vectors(system.decoder, tokenizer, [_text(s, config) for s in train], seed=config.train.seed)
    return Prepared(
        config=config,
        tokenizer=tokenizer,
        labels=labels,
        preprocess=preprocess,
        system=system,
        asked=asked,
        train=_split(train, config, tokenizer, labels, asked, uncertain=_uncertain(config)),
        validation=_split(validation, config, tokenizer, labels, asked),
        pool=pool,
        cache=features,
        pictures=pictures,
        library=library,
        sources=source_notes(config, encoder),
        unreadable=tuple(unreadable),
        truncated=sum(tokenizer.truncates(_text(s, config), max_tokens=config.text.max_tokens) for s in train),
    )


def _studies(config: SystemConfig, split: str, *, cache: Path, say: Say) -> Sequence[Study]:
    name = data_name(config.data, split=split)
    studies = studies_of(name, root=cache, say=say)
    if not studies:
        raise DatasetError(f"{name}: no studies; training needs at least one in 'train' and one in 'validation'")
    limit = config.data.train_limit if split == "train" else config.data.validation_limit
    if limit is None or limit >= len(studies):
        return studies
    # A seeded draw: the first ones of a table may be of one patient or one year.
    order = torch.randperm(len(studies), generator=torch.Generator().manual_seed(config.data.seed))
    return some_of(studies, sorted(order[:limit].tolist()))


def _features(
    parts: Sequence[Sequence[Study]],
    config: SystemConfig,
    encoder: Encoder,
    preprocess: Preprocess,
    root: Path,
    say: Say,
) -> tuple[FeatureCache, list[Unreadable]]:
    return encode_views(
        ChosenViews(parts, config.data.max_views),
        encoder=encoder,
        preprocess=preprocess,
        root=root,
        workers=config.train.workers,
        say=say,
    )


def _pictures(
    parts: Sequence[Sequence[Study]], config: SystemConfig, preprocess: Preprocess, root: Path, say: Say
) -> PictureCache | None:
    side = preprocess.train_side if config.image.augment else preprocess.size
    found = find_pictures(root, ChosenViews(parts, config.data.max_views), side=side)
    say("pixels: read from their files at every step" if found is None else f"pixels: {found.name}")
    return found


def _readable(studies: Sequence[Study], cache: FeatureCache, config: SystemConfig) -> Sequence[Study]:
    """The studies all of whose views are in the cache."""
    views = config.data.max_views
    whole = [n for n, s in enumerate(studies) if all(_cached(s.views[i], cache) for i in choose_views(s, views))]
    return some_of(studies, whole)


def _cached(view: View, cache: FeatureCache) -> bool:
    try:
        return view_key(view) in cache
    except ImageError:
        return False


def make_tokenizer(config: SystemConfig, studies: Sequence[Study], asked: Asked) -> Tokenizer:
    """The vocabulary of the training reports, cut to `text.max_words`."""
    texts = [_text(study, config) for study in studies] + asked.texts(studies)
    tokenizer = Tokenizer.train(texts, min_count=config.text.min_count)
    words = list(tokenizer)
    return tokenizer if config.text.max_words is None else Tokenizer(words[: config.text.max_words])


def _text(study: Study, config: SystemConfig) -> str:
    return report_text(reading_of(study, author=config.data.author), sections=config.text.sections)


def _uncertain(config: SystemConfig) -> Uncertain:
    """What an uncertain label of the training set counts as; validation leaves them out, whatever this is."""
    return "ignore" if config.finding_head is None else config.finding_head.uncertain


def _split(
    studies: Sequence[Study],
    config: SystemConfig,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    asked: Asked,
    *,
    uncertain: Uncertain = "ignore",
) -> Split:
    target = partial(_target, config=config, tokenizer=tokenizer, labels=labels, asked=asked, uncertain=uncertain)
    return Split(
        studies=studies,
        reports=tuple(_text(study, config) for study in studies),
        truths=made_of(studies, partial(_truth, config=config)),
        targets=made_of(studies, target),
    )


def _target(
    study: Study,
    *,
    config: SystemConfig,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    uncertain: Uncertain,
    asked: Asked,
) -> Target:
    return target_of(
        study,
        written=_text(study, config),
        tokenizer=tokenizer,
        max_tokens=config.text.max_tokens,
        labels=labels,
        uncertain=uncertain,
        asked=asked,
    )


def _truth(study: Study, config: SystemConfig) -> tuple[Finding, ...]:
    """What is on the study: of whoever labelled it, else of the reading that is learnt."""
    labelled = label_reading(study) or reading_of(study, author=config.data.author)
    return labelled.findings


def _library(config: SystemConfig, studies: Sequence[Study], tokenizer: Tokenizer) -> SentenceLibrary | None:
    if not isinstance(config.decoder, CvseConfig):
        return None
    limit = config.text.max_tokens
    reports = [(s.study_id, tokenizer.encode(_text(s, config), max_tokens=limit)) for s in studies]
    return make_library(reports, tokenizer=tokenizer, config=config.decoder, seed=config.train.seed)


def _pool(config: SystemConfig, studies: Sequence[Study], features: ViewFeatures) -> TrainingPool | None:
    if config.contrast is None:
        return None
    return make_pool(
        config.contrast.pool,
        studies,
        max_views=config.data.max_views,
        pooled=features.pooled,
        seed=config.train.seed,
        patches=features.patches if config.contrast.patches else None,
    )


def source_notes(config: SystemConfig, encoder: Encoder) -> tuple[SourceNote, ...]:
    """The data set and the encoder's weights, with their terms."""
    source = open_source(data_name(config.data, split="train"))
    terms = source.licence
    return (
        SourceNote(
            name=source.name,
            licence=terms.terms,
            redistributable=terms.redistributable,
            contains_text=terms.contains_text,
            contains_pictures=terms.contains_pictures,
        ),
        SourceNote(
            name=f"encoder {encoder.name}",
            licence=encoder.weights_note,
            redistributable=True,
            contains_text=False,
            contains_pictures=False,
        ),
    )
