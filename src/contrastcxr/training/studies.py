"""The studies of a run: which are taken, which can be read, and where what the system sees of them is kept."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import knows_places, reading_of
from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.ref import DataRef
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import ChosenViews
from contrastcxr.errors import DatasetError, listed
from contrastcxr.features.cache import FeatureCache, NoFeatures, UnreadableView, encode_views
from contrastcxr.features.pictures import KeptPictures
from contrastcxr.features.readable import all_in, try_pictures
from contrastcxr.form import Study
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.encoders import Encoder
from contrastcxr.store.picture_cache import PictureCache, find_pictures
from contrastcxr.store.studies import list_studies
from contrastcxr.store.study_lines import some_of
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.training.checks import check_studies
from contrastcxr.training.clusters import check_batches, training_clusters
from contrastcxr.training.report_clusters import ReportClusters
from contrastcxr.version import __version__
from contrastcxr.vocab.attribute_words import attribute_list

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Studies all of whose pictures can be read, and where what the system sees of them is kept.

    `thumbnails` are there for a system with a bank of negatives: the features where they are cached. For a loss
    that needs them `clusters` are those of all training reports.
    """

    train: Sequence[Study]
    validation: Sequence[Study]
    features: FeatureCache | None
    pictures: PictureOf | None
    unreadable: tuple[UnreadableView, ...]
    thumbnails: FeatureCache | None = None
    clusters: ReportClusters | None = None


def load_data(
    config: SystemConfig,
    ref: DataRef,
    encoder: Encoder,
    preprocess: Preprocess,
    cache: Path,
    *,
    aligner: Aligner | None = None,
) -> TrainingData:
    """Return the studies of both splits whose pictures can be read, encoded first where the encoder is frozen.

    A frozen `aligner` moves the pictures before they are encoded.

    Raises:
        IncompatibleError: they lack what a head learns, or are fewer than a loss needs.
        DatasetError: a split without studies, or none of them with pictures that can be read, or clusters
            that do not fit their reports.
    """
    parts = [_studies(config, ref.of_split(split), cache=cache) for split in ("train", "validation")]
    check_studies(config, *parts)
    parts = [_with_attributes(_placed(part, config), config) for part in parts]
    # Before hours of encoding, not after.
    clusters = training_clusters(config, parts[0], cache=cache)
    views = ChosenViews(parts, config.data.max_views)
    workers = config.train.workers
    features: FeatureCache | None = None
    pictures: PictureOf | None = None
    small: FeatureCache | None = None
    finds = config.contrast is not None and config.contrast.bank_options is not None
    kept: Container[str]
    if config.reads_pictures:
        prepared = _pictures(views, config, preprocess, cache)
        pictures = prepared
        pixels = "files" if prepared is None else prepared.name.replace(" ", "-").replace("/", "-")
        known = cache / "readable" / f"{__version__}-{pixels}.txt"
        kept, unreadable = try_pictures(views, pictures or original, known=known, workers=workers)
        if not config.encoder.trainable:  # an aligner sees the same pictures at every step
            pictures = KeptPictures(pictures or original, preprocess.size)
    else:
        features, unreadable = encode_views(
            views,
            encoder=encoder,
            preprocess=preprocess,
            root=cache,
            workers=workers,
            with_thumbnails=finds,
            aligner=aligner,
        )
        kept, small = features, features
    train, validation = (_readable(part, kept, config, unreadable) for part in parts)
    if clusters is not None:
        check_batches(config, len(train))
    if finds and features is None:
        seen = ChosenViews([train], config.data.max_views)
        nothing = NoFeatures()
        small, _ = encode_views(
            seen, encoder=nothing, preprocess=preprocess, root=cache, workers=workers, aligner=aligner
        )
    return TrainingData(train, validation, features, pictures, tuple(unreadable), small, clusters)


def _studies(config: SystemConfig, ref: DataRef, *, cache: Path) -> Sequence[Study]:
    studies = list_studies(ref, cache=cache)
    if not studies:
        raise DatasetError(f"{ref}: no studies; training needs at least one in 'train' and one in 'validation'")
    limit = config.data.train_limit if ref.split == "train" else config.data.validation_limit
    if limit is None or limit >= len(studies):
        return studies
    # A seeded draw: the first ones of a table may be of one patient or one year.
    order = torch.randperm(len(studies), generator=torch.Generator().manual_seed(config.data.seed))
    return some_of(studies, sorted(order[:limit].tolist()))


def _placed(studies: Sequence[Study], config: SystemConfig) -> Sequence[Study]:
    """Return the studies, for a head that learns corners of boxes those of which places are known."""
    taught = config.needs.taught_boxes
    if taught is None or not taught.corners:
        return studies
    known = [n for n, study in enumerate(studies) if knows_places(study, taught.findings)]
    if not known:
        raise DatasetError(
            f"{config.data.source}: of none of {len(studies):,} studies it is known where "
            f"{listed(taught.findings)} are, or that they are absent; choose data with boxes"
        )
    return some_of(studies, known)


def _with_attributes(studies: Sequence[Study], config: SystemConfig) -> Sequence[Study]:
    """Return the studies, for a head that learns attributes those whose reports state one."""
    name = config.needs.attributes
    if name is None:
        return studies
    reader, author = AttributeReader(attribute_list(name)), config.data.author
    stating = [n for n, study in enumerate(studies) if reader.stated(reading_of(study, author=author).report)]
    logger.info(
        f"attributes: {len(stating):,} of {len(studies):,} reports state one of {name}; the others are left out"
    )
    if not stating:
        raise DatasetError(
            f"{config.data.source}: none of {len(studies):,} reports states an attribute of {name}; choose "
            "another list, or data whose reports do"
        )
    return some_of(studies, stating)


def _pictures(views: ChosenViews, config: SystemConfig, preprocess: Preprocess, root: Path) -> PictureCache | None:
    side = preprocess.train_side if config.image.augment else preprocess.size
    found = find_pictures(root, views, side=side)
    logger.info("pixels: read from their files at every step" if found is None else f"pixels: {found.name}")
    return found


def _readable(
    studies: Sequence[Study], kept: Container[str], config: SystemConfig, unreadable: Sequence[UnreadableView]
) -> Sequence[Study]:
    """Return the studies all of whose views can be read."""
    whole = [n for n, study in enumerate(studies) if all_in(study, kept, config.data.max_views)]
    if not whole:
        first = "; ".join(f"{each.view_id}: {each.message}" for each in unreadable[:3])
        raise DatasetError(f"{config.data.source}: no study has pictures that can be read, the first: {first}")
    return some_of(studies, whole)
