"""Everything before the first step: studies, vocabulary, encoder, cached features, pool, system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from contrastcxr.assemble import (
    Marks,
    SystemParts,
    build_system,
    check_pairs,
    make_encoder,
    make_preprocess,
)
from contrastcxr.checkpoint import Checkpoint, SourceNote, load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.authors import label_reading, reading_of, report_text
from contrastcxr.data.patients import boxed_patients
from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.ref import DataRef
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import chosen_views
from contrastcxr.features.batch import Batch, collate
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.features.cache import FeatureCache, UnreadableView
from contrastcxr.features.needs import TargetReader
from contrastcxr.features.pictures import KeptPictures
from contrastcxr.features.samples import FromCache, FromPixels, StudySamples, Target, loader, target_of
from contrastcxr.features.targets import Uncertain
from contrastcxr.features.view_features import CachedFeatures, EncodedFeatures, ViewFeatures
from contrastcxr.form import Finding, Study
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.features import GridPlaces
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.models.system import System
from contrastcxr.reading.exchange import ExchangedPictures, exchange_order, patients_of
from contrastcxr.store.study_lines import made_of
from contrastcxr.text.labeler import default_labeler
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training.align import new_aligner, trained_aligner
from contrastcxr.training.attribute_vectors import attribute_vectors
from contrastcxr.training.bank import TrainingBank, WithNegatives, make_bank, poses_in, thumbnails_in
from contrastcxr.training.checks import check_vocabulary, warn_of_coarse_grid
from contrastcxr.training.clusters import with_weak_labels
from contrastcxr.training.library import make_library
from contrastcxr.training.order import donors
from contrastcxr.training.pool import TrainingPool, make_pool
from contrastcxr.training.region_scores import check_scorer
from contrastcxr.training.regions import LearntRegions, anchored_share, load_regions
from contrastcxr.training.report_clusters import ReportClusters
from contrastcxr.training.report_texts import learnt_text, written_text
from contrastcxr.training.scaling import STUDIES, center_zeros, draw, scale_contrast, standardize
from contrastcxr.training.sources import box_notes, notes_of, pictures_in, source_notes
from contrastcxr.training.start import freeze, start_digest, start_from
from contrastcxr.training.studies import TrainingData, load_data
from contrastcxr.training.validate import check_monitor
from contrastcxr.training.word_vectors import start_word_vectors

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 32
SECTIONS = ("findings", "impression")
"""Of reports, from which vectors of attributes are learnt."""


@dataclass(frozen=True, eq=False)
class Split:
    """Studies of one split with what is learnt of them.

    Attributes:
        studies: of the split.
        reports: what a written report is compared with: in a second stage of training the reports that are learnt,
            in the order of `text.order`; in validation, as in evaluation, as they were written.
        truths: what is on the studies.
        targets: what is learnt.
    """

    studies: Sequence[Study]
    reports: tuple[str, ...]
    truths: Sequence[tuple[Finding, ...]]
    targets: Sequence[Target]

    def __len__(self) -> int:
        return len(self.studies)


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """A system before training and the data it will see.

    Attributes:
        tokenizer: the vocabulary; None of a system without words.
        target_reader: reads out of a study what the heads ask for beside reports and labels.
        cache: features of all views; None when the encoder is trained and pictures are read at every step.
        pictures: where pixels come from in place of the files, prepared or kept in memory.
        library: of a decoder that retrieves.
        encoder_fingerprint: of the weights before the first step.
        sources: what the checkpoint says of the data it was made from.
        truncated: training reports that `text.max_tokens` cuts.
        bank: negatives of the training views, of a system that is compared with some.
        clusters: of the training reports, where a loss needs them.
        started_from: SHA-256 of the checkpoint that weights were taken from; None without one.
        present_from: from which score the finding that its regions are of counts as present, by its name.
    """

    config: SystemConfig
    tokenizer: Tokenizer | None
    target_reader: TargetReader
    labels: tuple[str, ...]
    preprocess: Preprocess
    system: System
    train: Split
    validation: Split
    pool: TrainingPool | None
    cache: FeatureCache | None
    pictures: PictureOf | None
    library: SentenceLibrary | None
    encoder_fingerprint: str
    sources: tuple[SourceNote, ...]
    unreadable: tuple[UnreadableView, ...]
    truncated: int
    bank: TrainingBank | None = None
    clusters: ReportClusters | None = None
    boxed_patients: tuple[str, ...] = ()
    started_from: str | None = None
    present_from: Mapping[str, float] = field(default_factory=dict)

    def samples(self, split: Split, *, epoch: int | None = None) -> StudySamples:
        """Return the samples of a split; with an epoch, cropped at random where the configuration augments.

        Those of training have the boxes that a head is taught with, and the negatives of contrast; those of others
        have the corners of boxes, which are all that such a head is scored by.
        """
        load = self._load(epoch)
        if split is not self.train:
            taught = self.config.needs.taught_boxes
            scored = self._boxes() if taught is not None and taught.corners else None
            return StudySamples(split.studies, split.targets, load, boxes=scored)
        if self.bank is None or not self.bank.chosen:
            return StudySamples(split.studies, split.targets, load, boxes=self._boxes())
        compared = WithNegatives(load, self.bank, self._mean_negatives, self.system.projection.branch_channels)
        return StudySamples(split.studies, split.targets, compared, boxes=self._boxes())

    def _boxes(self) -> BoxReader | None:
        taught, grid = self.config.needs.taught_boxes, self.system.marked_grid
        if taught is None or (grid is None and not taught.corners):
            return None
        rows, columns = (0, 0) if grid is None else (grid.rows, grid.columns)
        needs = self.config.needs
        return BoxReader(
            taught.findings or needs.study_names,
            rows,
            columns,
            self.preprocess.size,
            as_corners=taught.corners,
            as_one=needs.one_class is not None,
        )

    @cached_property
    def anchored(self) -> float | None:
        """Share of the training boxes with an anchor that fits; None of a head without anchors."""
        reader, localizer = self._boxes(), self.system.localizer
        if reader is None or localizer is None or not reader.as_corners:
            return None
        return anchored_share(localizer, reader, self.train.studies)

    @cached_property
    def _mean_negatives(self) -> Tensor | None:
        """Mean pictures that views are compared with: C' channels of each, or pixels of a trained encoder's."""
        if self.bank is None or self.bank.pictures is None or self.cache is None:
            return None if self.bank is None else self.bank.pictures
        assert self.system.encoder is not None  # a system in training always has one
        return torch.stack([row.cpu() for row in self.bank.branches(self.system.encoder, self.features)]).half()

    @property
    def features(self) -> ViewFeatures:
        """What gives the features of a view: the cache, or the system's encoder as it is now."""
        if self.cache is not None:
            return CachedFeatures(self.cache, self.system.places)
        assert self.system.encoder is not None  # a system in training always has one
        return EncodedFeatures(self.system.encoder, self.preprocess, self.picture_of, self.system.aligner)

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
        """Return the batches of a split in its own order, for scoring."""
        return self._in_order(self.samples(split))

    def exchanged(self, split: Split) -> DataLoader[Batch] | None:
        """Return the batches of a split whose studies have the pictures of another patient's study of it.

        None where more than half of the studies are of one patient.
        """
        order = exchange_order(patients_of(split.studies))
        if order is None:
            return None
        load = ExchangedPictures(self._load(None), split.studies, order)
        return self._in_order(StudySamples(split.studies, split.targets, load))

    def _in_order(self, samples: StudySamples) -> DataLoader[Batch]:
        starts = range(0, len(samples), EVALUATION_BATCH)
        order = [list(range(i, min(i + EVALUATION_BATCH, len(samples)))) for i in starts]
        return loader(samples, order, pad=self.pad, workers=self.workers)

    @property
    def pad(self) -> int:
        """Id of the padding of reports."""
        return 0 if self.tokenizer is None else self.tokenizer.special.pad

    @property
    def workers(self) -> int:
        """Processes that read pictures: none where features, or the pictures themselves, are in memory."""
        at_hand = self.cache is not None or isinstance(self.pictures, KeptPictures)
        return 0 if at_hand else self.config.train.workers


def prepare(
    config: SystemConfig,
    *,
    cache: Path,
    device: torch.device | str = "cpu",
    turn: AbstractContextManager[object] | None = None,
) -> PreparedRun:
    """Load the data, encode what the cache lacks, draw the pool and build the system.

    Args:
        config: of the system.
        cache: folder of encoder features.
        device: computes; the system is on the CPU before and after.
        turn: held while the cache is filled, by one of several processes at a time.

    Raises:
        IncompatibleError: parts that cannot work together, or studies without what they learn from.
        DatasetError: a split without studies, none of them with a picture that can be read, or studies without
            readings.
        MissingExtraError: `train.monitor` needs a package that is not installed.
    """
    check_pairs(config)
    check_scorer(config.train.monitor)
    ref = data_ref(config.data, split=None)
    encoder = make_encoder(config, seed=config.train.seed)
    regions = load_regions(config, encoder)
    logger.info(f"encoder {encoder.name}: {encoder.weights_note}")
    warn_of_coarse_grid(config, encoder)
    preprocess = make_preprocess(config, encoder)
    aligner, aligned_on = trained_aligner(config)
    with _on(device, encoder, aligner), turn or nullcontext():
        data = load_data(config, ref, encoder, preprocess, cache, aligner=aligner)
    aligner = aligner or new_aligner(config, data.train, encoder, preprocess, data.pictures or original)
    words, labels = _words(config, data.train), config.needs.finding_names
    validation = _validation_split(data.validation, config, words, labels)
    here = EncodedFeatures(encoder, preprocess, data.pictures or original, aligner)
    of_views = here if data.features is None else CachedFeatures(data.features, GridPlaces(*encoder.grid))
    with _on(device, encoder, aligner):  # a trained encoder has nothing in the cache
        pool = _pool(config, data.train, of_views)
    bank = _bank(config, data, here)
    library = _library(config, data.train, words.tokenizer)
    parts = replace(_parts(encoder, words, pool, bank), findings=labels, library=library, aligner=aligner)
    system = build_system(config, parts, seed=config.train.seed)
    _start(system, words, data.train, config)
    made_on = (*aligned_on, *regions.sources, *notes_of(words.start), *box_notes(config, data.train))
    prepared = PreparedRun(
        config=config,
        tokenizer=words.tokenizer,
        labels=labels,
        preprocess=preprocess,
        system=system,
        target_reader=words.reader,
        train=_train_split(data.train, config, words, labels, data.clusters),
        validation=validation,
        pool=pool,
        cache=data.features,
        pictures=data.pictures,
        library=library,
        encoder_fingerprint=encoder.fingerprint(),
        sources=source_notes(ref, encoder, pictures=pictures_in(bank, aligner), made_on=made_on),
        unreadable=data.unreadable,
        truncated=_truncated(data.train, config, words.tokenizer),
        bank=bank,
        clusters=data.clusters,
        boxed_patients=_boxed_patients(config, ref, data.train, regions, words.start),
        started_from=start_digest(config),
        present_from=regions.present_from,
    )
    _scale(prepared, of_views, fresh=words.start is None, device=device)
    return prepared


@contextmanager
def _on(device: torch.device | str, *modules: nn.Module | None) -> Iterator[None]:
    """Keep modules on a device for a while, and on the CPU afterwards."""
    there = [module for module in modules if module is not None]
    for module in there:
        module.to(device)
    try:
        yield
    finally:
        for module in there:
            module.to("cpu")


def _boxed_patients(
    config: SystemConfig, ref: DataRef, train: Sequence[Study], regions: LearntRegions, start: Checkpoint | None
) -> tuple[str, ...]:
    """Return the marks of the patients whose boxes teach a detector, or taught what this run starts from."""
    before = () if start is None else start.boxed_patients
    taught, names = config.needs.taught_boxes, config.needs.study_names
    own: Iterable[str] = ()
    if taught is not None and taught.corners:
        own = boxed_patients(train, taught.findings or names, where=ref.open().licence.where)
    return tuple(dict.fromkeys((*regions.boxed_patients, *before, *own)))


def _parts(encoder: Encoder, words: _Words, pool: TrainingPool | None, bank: TrainingBank | None) -> SystemParts:
    return SystemParts(
        encoder=encoder,
        pool=pool.pool if pool else None,
        bank=bank.bank if bank else None,
        patch_pool=pool.patches.pool if pool and pool.patches else None,
        vocabulary=len(words.tokenizer) if words.tokenizer else 0,
        marks=Marks.of(words.tokenizer) if words.tokenizer else None,
        terms=words.reader.terms,
    )


def _scale(prepared: PreparedRun, features: ViewFeatures, *, fresh: bool, device: torch.device | str) -> None:
    """Set what a fresh system takes from its training studies: the scale of features, the start of contrast."""
    config, train, system = prepared.config, prepared.train, prepared.system
    with _on(device, system):
        if config.projection.standardize:
            if fresh:
                views = chosen_views(train.studies, max_views=config.data.max_views)
                standardize(system, views, features, seed=config.train.seed)
            center_zeros(system)
        if fresh and config.contrast is not None and config.train.contrast_start == "scaled":
            samples = prepared.samples(train)
            chosen = draw(len(train), STUDIES, seed=config.train.seed)
            batch = collate([samples[place] for place in chosen], pad=prepared.pad)
            scale_contrast(system, batch.to(system.device))


@dataclass(frozen=True, eq=False)
class _Words:
    """The vocabulary and what the heads ask for, of the training reports or of the checkpoint to start from."""

    tokenizer: Tokenizer | None
    reader: TargetReader
    start: Checkpoint | None


def _words(config: SystemConfig, train: Sequence[Study]) -> _Words:
    start = None if config.train.init_from is None else load_checkpoint(config.train.init_from)
    reader = TargetReader.by(config.needs, train, terms=start.terms if start else (), author=config.data.author)
    if not config.needs.words:
        return _Words(None, reader, start)
    tokenizer = start.tokenizer if start else make_tokenizer(config, train, reader)
    check_vocabulary(config, tokenizer)
    return _Words(tokenizer, reader, start)


def _start(system: System, words: _Words, train: Sequence[Study], config: SystemConfig) -> None:
    """Put in the weights of the checkpoint to start from, or word vectors; freeze what no loss teaches."""
    if words.start is not None:
        start_from(system, words.start, config)
    elif config.needs.word_vectors and words.tokenizer is not None:
        assert system.decoder is not None  # it is what needs them
        embedding = system.decoder.word_embedding
        assert embedding is not None
        texts = [learnt_text(study, config) for study in train]
        deviation = system.decoder.word_deviation
        start_word_vectors(embedding, words.tokenizer, texts, seed=config.train.seed, deviation=deviation)
    if any(loss.alone for loss in config.losses):
        freeze(system)
    if words.start is None and words.reader.attributes is not None:
        author, width = config.data.author, config.needs.attribute_width
        reports = [report_text(reading_of(study, author=author), sections=SECTIONS) for study in train]
        system.take_vectors(
            attribute_vectors(reports, words.reader.attributes, width=width, seed=config.train.seed)
        )


def _truncated(studies: Sequence[Study], config: SystemConfig, tokenizer: Tokenizer | None) -> int:
    if tokenizer is None:
        return 0
    limit = config.text.max_tokens
    return sum(tokenizer.truncates(learnt_text(study, config), max_tokens=limit) for study in studies)


def make_tokenizer(config: SystemConfig, studies: Sequence[Study], reader: TargetReader) -> Tokenizer:
    """Return the vocabulary of the training reports, cut to `text.max_words`."""
    texts = [learnt_text(study, config) for study in studies] + reader.texts(studies)
    tokenizer = Tokenizer.train(texts, min_count=config.text.min_count)
    words = list(tokenizer)
    return tokenizer if config.text.max_words is None else Tokenizer(words[: config.text.max_words])


def _split(
    studies: Sequence[Study],
    config: SystemConfig,
    words: _Words,
    labels: Sequence[str],
    *,
    uncertain: Uncertain = "ignore",
    text: Callable[[Study, SystemConfig], str] = learnt_text,
) -> Split:
    target = partial(_target, config=config, words=words, labels=labels, uncertain=uncertain)
    return Split(
        studies=studies,
        reports=tuple(text(study, config) for study in studies),
        truths=made_of(studies, partial(_truth, config=config)),
        targets=made_of(studies, target),
    )


def _validation_split(
    studies: Sequence[Study], config: SystemConfig, words: _Words, labels: Sequence[str]
) -> Split:
    """Return the validation split, judged by the default labeler, once it has what `train.monitor` scores."""
    judged = replace(words, reader=replace(words.reader, labeler=default_labeler()))
    split = _split(studies, config, judged, labels, text=written_text)
    check_monitor(config, split.studies, split.targets)
    return split


def _train_split(
    studies: Sequence[Study],
    config: SystemConfig,
    words: _Words,
    labels: Sequence[str],
    clusters: ReportClusters | None,
) -> Split:
    """Return the training split; of a control each study has the attributes of another one."""
    split = _split(studies, config, words, labels, uncertain=config.needs.uncertain)
    if clusters is not None:
        split = replace(split, targets=with_weak_labels(split.targets, studies, clusters, config))
    if not config.needs.shuffled:
        return split
    own = list(split.targets)
    given = [
        replace(target, further=replace(target.further, attributes=own[other].further.attributes))
        for target, other in zip(own, donors(len(own), seed=config.train.seed), strict=True)
    ]
    return replace(split, targets=given)


def _target(
    study: Study,
    *,
    config: SystemConfig,
    words: _Words,
    labels: Sequence[str],
    uncertain: Uncertain,
) -> Target:
    return target_of(
        study,
        written=learnt_text(study, config),
        tokenizer=words.tokenizer,
        max_tokens=config.text.max_tokens,
        labels=labels,
        uncertain=uncertain,
        one_class=config.needs.one_class,
        reader=words.reader,
    )


def _truth(study: Study, config: SystemConfig) -> tuple[Finding, ...]:
    """Return what is on the study: of whoever labelled it, else of the reading that is learnt."""
    labelled = label_reading(study) or reading_of(study, author=config.data.author)
    return labelled.findings


def _library(
    config: SystemConfig, studies: Sequence[Study], tokenizer: Tokenizer | None
) -> SentenceLibrary | None:
    size = config.needs.library
    if size is None or tokenizer is None:
        return None
    limit = config.text.max_tokens
    reports = [(s.study_id, tokenizer.encode(learnt_text(s, config), max_tokens=limit)) for s in studies]
    return make_library(reports, tokenizer=tokenizer, size=size, seed=config.train.seed)


def _pool(config: SystemConfig, studies: Sequence[Study], features: ViewFeatures) -> TrainingPool | None:
    if config.contrast is None or config.contrast.pool_options is None:
        return None
    return make_pool(
        config.contrast.pool_options,
        studies,
        max_views=config.data.max_views,
        pooled=lambda view: features.pooled(view).cpu(),
        seed=config.train.seed,
        patches=(lambda view: features.patches(view).cpu()) if config.contrast.compares_patches else None,
    )


def _bank(config: SystemConfig, data: TrainingData, here: EncodedFeatures) -> TrainingBank | None:
    options = None if config.contrast is None else config.contrast.bank_options
    if options is None:
        return None
    assert data.thumbnails is not None  # `load_data` makes them for a bank
    rows, columns = here.encoder.grid
    return make_bank(
        options,
        data.train,
        max_views=config.data.max_views,
        cells=rows * columns,
        thumbnail=thumbnails_in(data.thumbnails),
        picture=here.picture,
        encoder=here.encoder,
        seed=config.train.seed,
        pose=poses_in(data.thumbnails),
        chest=here.canonical_chest,
    )
