"""Parts become a system: the only place where they meet, and where an impossible pair is refused by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from contrastcxr.data.transforms import Preprocess
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import IncompatibleError, listed
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.losses.base import StateWidths, SystemLoss
from contrastcxr.losses.options import SystemLossOptions
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.contrast import CONTRASTS
from contrastcxr.models.contrast.bank import NegativeBank
from contrastcxr.models.contrast.base import Contrast
from contrastcxr.models.contrast.options import ContrastOptions
from contrastcxr.models.contrast.pool import NormalityPool
from contrastcxr.models.encoders import Encoder, build_encoder
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.build import build_head
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.options import DecoderOptions
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.models.heads.options import SLOTS
from contrastcxr.models.projection import PatchProjection
from contrastcxr.models.system import System
from contrastcxr.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from contrastcxr.config import SystemConfig


@dataclass(frozen=True)
class Marks:
    """Ids of a vocabulary that mean something to a decoder: the end of a sentence, if any, and of a report."""

    sentence_end: int | None
    end_of_report: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Marks:
        """Return the marks of a vocabulary; `.` ends a sentence."""
        return cls(tokenizer.id_of(".") if "." in tokenizer else None, tokenizer.special.eos)


def check_pairs(config: SystemConfig) -> None:
    """Refuse parts that exist but cannot work together, before anything is loaded.

    Raises:
        IncompatibleError: names the two values and what to change.
    """
    contrast = config.contrast
    _check_teachers(config)
    if contrast is not None:
        _check_contrast(contrast, config)
    _check_own_stage(config)
    if not config.projection.keeps_channels:
        _check_width(config, config.width)
    if config.needs.tags == "mesh" and config.data.kind == "phantom":
        raise IncompatibleError(
            f"decoder.tags mesh with data.source {config.data.source}: no phantom has indexing terms; "
            "set decoder.tags: phantom"
        )
    if config.image.augment and not config.encoder.trainable:
        raise IncompatibleError(
            "image.augment with a frozen encoder: its features are cached and never change; "
            "set encoder.trainable: true"
        )
    if config.text.order != "as_written" and not config.needs.words:
        raise IncompatibleError(
            f"text.order {config.text.order} without a decoder: order on text without sentences, since no word is "
            "learnt; set text.order: as_written, or give it a decoder"
        )
    _check_choice_of_checkpoint(config)
    _check_lengths(config)
    _check_losses(config)
    pool = None if contrast is None else contrast.pool_options
    check_search(config.generate, config.decoder, None if pool is None else pool.kind)


def _check_teachers(config: SystemConfig) -> None:
    """Refuse a system in which nothing learns, or an aligner that learns beside a head."""
    align = config.align
    if config.heads and align is not None and align.trained_here:
        raise IncompatibleError(
            f"align without align.weights beside {listed(config.heads)}: an aligner is trained alone, first; "
            "train one, as with configs/cpu/phantom-align.yaml, and set align.weights to its run"
        )
    if config.heads:
        return
    if align is None or not align.trained_here:
        found = "" if align is None else ", and align.weights is trained already"
        raise IncompatibleError(
            f"{config.name} has none of {listed(SLOTS)}{found}: nothing teaches it and it answers nothing; "
            "give it one, such as --set decoder.kind=transformer"
        )
    idle = {"contrast": config.contrast is not None, "encoder.trainable": config.encoder.trainable}
    for part, there in idle.items():
        if there:
            raise IncompatibleError(
                f"{part} in {config.name}, which trains an aligner alone: nothing teaches it; take it away"
            )
    if not config.projection.keeps_channels:
        raise IncompatibleError(
            f"projection.kind {config.projection.kind} in {config.name}, which trains an aligner alone: nothing "
            "teaches it; set projection.kind: none"
        )


def check_search(settings: GenerationSettings, decoder: DecoderOptions | None, pool: str | None) -> None:
    """Refuse a search that a system cannot be asked for; `pool` is the kind of its pool, if it has one.

    Raises:
        IncompatibleError: names the two values and what to change.
    """
    asked = [
        *(["generate.method votes"] if settings.method == "votes" else []),
        *([f"generate.guidance {settings.guidance:g}"] if settings.guidance else []),
    ]
    if asked and (decoder is None or not decoder.word_probabilities):
        raise IncompatibleError(
            f"{asked[0]} with decoder.kind {_kind(decoder)}: it has no probability of a word; choose another "
            "decoder or generate.method: beam without guidance"
        )
    if settings.guidance and pool != "normal":
        raise IncompatibleError(
            f"{asked[-1]} with {'contrast: null' if pool is None else f'contrast.pool.kind {pool}'}: normal "
            "pictures come from a pool of normals, which this system lacks; set generate.guidance: 0"
        )


def _check_width(config: SystemConfig, width: int) -> None:
    for slot, head in config.heads.items():
        head.check_width(width, slot)


def _check_own_stage(config: SystemConfig) -> None:
    stages, read, contrast = config.own_stages, config.encoder.stage, config.contrast
    if config.encoder.regions is not None:
        _check_regions(config)
        return
    if not stages:
        return
    if read is not None and stages[-1] >= read:
        raise IncompatibleError(
            f"localizer.stage {stages[-1]} with encoder.stage {read}: it is finer than the one that is read; give "
            "a smaller number, or localizer.stage: null"
        )
    if contrast is not None and (contrast.encoder_stages or contrast.bank_options is not None):
        raise IncompatibleError(
            f"localizer.stage {stages[-1]} with contrast.kind {contrast.kind} of maps and stages of its own: the "
            "encoder has further channels for one of the two; set localizer.stage: null or take them away"
        )


def _check_regions(config: SystemConfig) -> None:
    """Refuse parts that need a grid, or learn what a detector keeps, where patches are regions."""
    localizer = config.localizer
    wanting = {
        "contrast": config.contrast is not None,
        "encoder.trainable": config.encoder.trainable,
        f"projection.kind {config.projection.kind}": not config.projection.keeps_channels,
        "a localizer on stages of its own": localizer is not None and bool(config.own_stages),
    }
    wrong = next((name for name, there in wanting.items() if there), None)
    if wrong is not None:
        raise IncompatibleError(
            f"{wrong} with encoder.regions: patches are the regions of a frozen detector; take it away, and set "
            "projection.kind: none"
        )


def _check_contrast(contrast: ContrastOptions, config: SystemConfig) -> None:
    contrast.check(
        encoder_stage=config.encoder.stage, projection=config.projection, start=config.train.contrast_start
    )
    if contrast.compares_patches and config.decoder is not None and not config.decoder.looks_at_patches:
        raise IncompatibleError(
            f"contrast.patches with decoder.kind {config.decoder.kind}: it looks at the global feature only, "
            "which patches do not change; choose another decoder or turn patches off"
        )


def _check_choice_of_checkpoint(config: SystemConfig) -> None:
    train, needs, decoder = config.train, config.needs, config.decoder
    if train.monitor == "auc" and needs.findings is None:
        raise IncompatibleError("train.monitor auc without a finding_head; add one or choose another metric")
    taught = needs.taught_boxes
    if train.monitor == "map" and (taught is None or not taught.corners):
        raise IncompatibleError(
            "train.monitor map without a detector, such as localizer.kind retinanet; choose loss"
        )
    if train.monitor in ("bleu4", "positive_f1", "report_loss", "abnormal_words") and decoder is None:
        raise IncompatibleError(
            f"train.monitor {train.monitor} without a decoder: nothing writes a report; set it to auc or loss"
        )
    if train.monitor == "abnormal_words" and decoder is not None and not decoder.word_probabilities:
        raise IncompatibleError(
            f"train.monitor abnormal_words with decoder.kind {_kind(decoder)}: it has no probability of a word; "
            "choose another metric"
        )
    _check_patience(config)
    if train.scst:
        _check_scst(config)
    if train.scheduled_sampling is not None and not (decoder is not None and decoder.own_words):
        able = [name for name, entry in DECODERS.items() if entry.options.own_words]
        raise IncompatibleError(
            f"train.scheduled_sampling with decoder.kind {_kind(decoder)}: it is taught all words at once; "
            f"choose one of {listed(able)} or take it away"
        )


def _check_patience(config: SystemConfig) -> None:
    if not config.heads:
        return
    for head in config.heads.values():
        if head.own_patience is None:
            return
    slots = list(config.heads)
    raise IncompatibleError(
        f"{listed(f'{slot}.patience' for slot in slots)} without a head that has none: once they shape the "
        f"features no more, nothing does; set {slots[0]}.patience: null"
    )


def _kind(decoder: DecoderOptions | None) -> str:
    return "null" if decoder is None else decoder.kind


def _check_lengths(config: SystemConfig) -> None:
    decoder = config.decoder
    if decoder is None:
        return
    if decoder.most_tokens is not None and config.text.max_tokens > decoder.most_tokens:
        raise IncompatibleError(
            f"text.max_tokens {config.text.max_tokens} with decoder.kind {decoder.kind}: "
            f"it has {decoder.most_tokens} positions; lower the first"
        )
    if config.generate.max_tokens > config.text.max_tokens:
        raise IncompatibleError(
            f"generate.max_tokens {config.generate.max_tokens} above text.max_tokens {config.text.max_tokens}: "
            "positions that were never trained; lower the first"
        )


def _check_losses(config: SystemConfig) -> None:
    kinds = [loss.kind for loss in config.losses]
    if len(set(kinds)) < len(kinds):
        raise IncompatibleError(f"losses {listed(kinds)}: give each of them once")
    if kinds and (config.decoder is None or not config.decoder.word_states):
        raise IncompatibleError(
            f"losses {listed(kinds)} with decoder.kind {_kind(config.decoder)}: it has no state of each word; "
            "choose a decoder that writes word by word, or take the losses away"
        )
    for loss in config.losses:
        _check_loss(loss, config)


def _check_loss(loss: SystemLossOptions, config: SystemConfig) -> None:
    """Refuse a loss of the whole system that this one, or its batches, cannot give what it needs."""
    decoder, train = config.decoder, config.train
    assert decoder is not None  # `_check_losses` refuses losses without one
    if loss.needs_slopes and not decoder.words_of_states:
        raise IncompatibleError(
            f"losses {loss.kind} with decoder.kind {decoder.kind}: the adversarial variant moves the states "
            "that words are made of, and its words are made of more; choose another variant, or a decoder such as "
            "transformer"
        )
    if train.batch_size < loss.smallest_batch:
        raise IncompatibleError(
            f"train.batch_size {train.batch_size} with losses {loss.kind}: each study is told from the others of "
            f"its batch, of which there are too few; set it to {loss.smallest_batch} or more"
        )
    _check_weak_labels(loss, config)
    if loss.alone and (loss.needs_slopes or config.encoder.trainable):
        other = "encoder.trainable" if config.encoder.trainable else "a variant that moves its states"
        raise IncompatibleError(
            f"losses {loss.kind} with frozen beside {other}: the system stays as it is; take one away"
        )
    if loss.alone and (train.init_from is None or train.monitor != "last"):
        raise IncompatibleError(
            f"losses {loss.kind} with frozen: only its own weights learn, of a system that was trained before, "
            "and no validation score moves; set train.init_from, and train.monitor: last"
        )
    if not loss.starts(train.epochs - 1):
        raise IncompatibleError(
            f"losses {loss.kind} starts after the last of train.epochs {train.epochs}, and is never "
            "taught; start it earlier"
        )


def _check_weak_labels(loss: SystemLossOptions, config: SystemConfig) -> None:
    """Refuse what reports cannot be clustered by, and batches or patches that a loss on clusters cannot take."""
    labels, train = loss.weak_labels, config.train
    if labels is None:
        return
    if labels.lacks_weights:
        raise IncompatibleError(
            f"losses {loss.kind}: clusters.embedding chexbert without clusters.weights: they are not shipped; "
            "give the folder with them, or choose tfidf or sentence"
        )
    if config.encoder.regions is not None:
        raise IncompatibleError(
            f"losses {loss.kind} with encoder.regions: pictures are compared place by place, and regions have "
            "none; take one of them away"
        )
    if train.group_by_length:
        raise IncompatibleError(
            f"train.group_by_length with losses {loss.kind}: reports would be told apart by their length alone; "
            "set it to false"
        )
    if train.scst:
        raise IncompatibleError(
            f"train.scst with losses {loss.kind}: a stage of rewards forces no words, whose states it compares; "
            "take one of them away"
        )


def _check_scst(config: SystemConfig) -> None:
    decoder = config.decoder
    if decoder is None or not decoder.word_probabilities:
        raise IncompatibleError(
            f"train.scst with decoder.kind {_kind(decoder)}: it has no probability of a word to reward; choose "
            "another decoder"
        )
    if config.train.init_from is None:
        raise IncompatibleError(
            "train.scst without train.init_from: it goes on from a system that writes reports; train one first "
            "and give its run folder"
        )
    if config.train.monitor in ("loss", "report_loss", "abnormal_words"):
        raise IncompatibleError(
            f"train.scst with train.monitor {config.train.monitor}: the cross-entropy is not what it lowers; set "
            "train.monitor: bleu4"
        )


def make_encoder(config: SystemConfig, *, weights: str | None = None, seed: int = 0) -> Encoder:
    """Return the configured encoder with its weights, or with others (see `build_encoder`)."""
    contrast, regions = config.contrast, config.encoder.regions
    encoder = build_encoder(
        config.encoder.name,
        weights=weights or config.encoder.weights,
        stage=config.encoder.stage,
        stages=config.encoder_stages,
        separate_stages=contrast is not None and contrast.separate_backbone,
        image_size=config.image.size,
        trainable=config.encoder.trainable,
        stage_pooling=config.stage_pooling,
        train_norm=config.encoder.train_norm,
        seed=seed,
    )
    if regions is not None:
        encoder.find_regions(width=regions.pyramid, count=regions.count, smallest_anchor=regions.smallest_anchor)
    return encoder


def make_preprocess(config: SystemConfig, encoder: Encoder) -> Preprocess:
    """Return the transform that gives the encoder what it was trained on."""
    return Preprocess(size=config.image.size, mean=encoder.mean, std=encoder.std)


@dataclass(frozen=True, eq=False, kw_only=True)
class SystemParts:
    """What a system is built from beside its configuration: made by training, or kept by a checkpoint.

    Attributes:
        encoder: from pixels to raw features.
        pool: raw features of the pool; needed with, and only with, `contrast.pool`.
        bank: the negatives; needed with, and only with, `contrast.bank`.
        patch_pool: raw patch vectors; needed with, and only with, `contrast.patches`.
        vocabulary: number of token ids; 0 for a system without words.
        marks: of the vocabulary.
        findings: names that the heads know; those of the configuration unless a checkpoint says otherwise.
        library: sentences to choose from; needed by, and only by, heads that retrieve.
        terms: indexing terms that are tags.
        aligner: needed with, and only with, `align`.
    """

    encoder: Encoder
    pool: NormalityPool | None = None
    bank: NegativeBank | None = None
    patch_pool: NormalityPool | None = None
    vocabulary: int = 0
    marks: Marks | None = None
    findings: tuple[str, ...] = ()
    library: SentenceLibrary | None = None
    terms: tuple[str, ...] = ()
    aligner: Aligner | None = None


def build_system(config: SystemConfig, parts: SystemParts, *, seed: int = 0, losses: bool = True) -> System:
    """Return a system as the configuration says, freshly initialised (the encoder keeps its weights).

    Args:
        config: of the system.
        parts: what it is built from.
        seed: of the initialisation; the global generator is left as it was.
        losses: with the losses of the whole system, which reading does not need.

    Raises:
        IncompatibleError: parts that cannot work together.
    """
    check_pairs(config)
    _check_reference(config.contrast, parts)
    if (parts.aligner is None) != (config.align is None):
        found = "without" if parts.aligner is None else "with"
        raise IncompatibleError(f"align {'on' if config.align else 'off'} {found} an aligner; the two go together")
    # torch initialises modules from the global generator: the fork leaves that generator as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _assembled(config, parts, losses=losses)


def _check_reference(contrast: ContrastOptions | None, parts: SystemParts) -> None:
    wanted = {
        "pool": contrast is not None and contrast.pool_options is not None,
        "bank": contrast is not None and contrast.bank_options is not None,
    }
    for name, given in (("pool", parts.pool is not None), ("bank", parts.bank is not None)):
        if given != wanted[name]:
            raise IncompatibleError(
                f"contrast {'on' if contrast else 'off'} {'with' if given else 'without'} a {name}; "
                "the two go together"
            )


def _assembled(config: SystemConfig, parts: SystemParts, *, losses: bool) -> System:
    encoder, contrast = parts.encoder, config.contrast
    pool, bank = parts.pool, parts.bank
    projection = PatchProjection(
        encoder.channels,
        config.width,
        config.projection.kind,
        stage_channels=encoder.stage_channels,
        map_stages=bank is None and not config.own_stages,
        standardize=config.projection.standardize,
    )
    _check_width(config, projection.width)
    inputs = _head_inputs(config, parts, projection, encoder)
    heads = {slot: build_head(HEADS[slot], options, inputs) for slot, options in config.heads.items()}
    return System(
        encoder=encoder,
        projection=projection,
        contrast=_contrast(contrast, projection),
        pool=pool,
        bank=bank,
        patch_pool=parts.patch_pool,
        match_views=contrast is not None
        and contrast.pool_options is not None
        and contrast.pool_options.match == "view",
        losses=_losses(config, heads.get("decoder"), projection, parts.encoder) if losses else {},
        aligner=parts.aligner,
        **heads,
    )


def _head_inputs(
    config: SystemConfig, parts: SystemParts, projection: PatchProjection, encoder: Encoder
) -> HeadInputs:
    needs, marks = config.needs, parts.marks
    if (parts.library is None) == (needs.library is not None):
        raise IncompatibleError(
            f"decoder.kind {_kind(config.decoder)}: a sentence library goes with a decoder that retrieves, and "
            "with no other"
        )
    return HeadInputs(
        width=projection.width,
        image_size=config.image.size,
        stage_widths=encoder.stage_widths if config.own_stages else (),
        vocabulary=parts.vocabulary,
        sentence_end=None if marks is None else marks.sentence_end,
        end_of_report=2 if marks is None else marks.end_of_report,
        patches_embedded=projection.embeds_patches,
        findings=parts.findings or needs.finding_names,
        tag_count=len(needs.tag_names(terms=parts.terms)),
        sentence_library=parts.library,
    )


def _losses(
    config: SystemConfig, decoder: ReportDecoder | None, projection: PatchProjection, encoder: Encoder
) -> dict[str, SystemLoss]:
    if not config.losses:
        return {}
    assert decoder is not None  # `check_pairs` refuses losses without a decoder,
    assert decoder.word_width is not None  # and with one that has no state of each word
    cells = 0 if encoder.detector is not None else math.prod(encoder.grid)
    widths = StateWidths(projection.width, decoder.word_width, (cells, projection.channels))
    return {options.kind: SYSTEM_LOSSES[options.kind].load()(widths, options) for options in config.losses}


def _contrast(options: ContrastOptions | None, projection: PatchProjection) -> Contrast | None:
    if options is None:
        return None
    made: Contrast = CONTRASTS[options.kind].load().built(options, projection)
    return made
