"""Parts become a system: the only place where they meet, and where an impossible pair is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel

from contrastcxr.config import CoAttentionConfig, ContrastConfig, CvseConfig, DecoderConfig, SystemConfig
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import IncompatibleError
from contrastcxr.models.contrast.attention import ContrastiveAttention
from contrastcxr.models.contrast.pool import NormalityPool
from contrastcxr.models.encoders import Encoder, build_encoder
from contrastcxr.models.heads.decoders import build_decoder
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.library import SentenceLibrary
from contrastcxr.models.heads.decoders.transformer import POSITIONS
from contrastcxr.models.heads.findings import FindingHead
from contrastcxr.models.projection import PatchProjection
from contrastcxr.models.system import ReportSystem
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.labels import label_set

GLOBAL_DECODERS = ("nic", "hlstm")
"""Decoders that look at the global feature alone."""

SENTENCE_DECODERS = ("hlstm", "hlstm_dual", "co_attention", "multi_attention", "cvse")
"""Decoders that plan or choose a report sentence by sentence."""

RECURRENT_DECODERS = ("visual_attention", "att2in", "up_down")
"""Decoders that are taught word after word, so that a word may be their own (scheduled sampling)."""

EMBEDDING_DECODERS = ("transformer", "r2gen")
"""Decoders with a patch embedding of their own, unless the projection is one."""

_NOT_OF_THE_MODULE = ("kind", "tags", "word_vectors", "library")


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
    if contrast is not None and config.projection.kind != "linear":
        raise IncompatibleError(
            f"contrast with projection.kind {config.projection.kind}: the pool is kept raw, so the projection "
            "must be linear; set projection.kind: linear or contrast: null"
        )
    if contrast is not None:
        _check_contrast(contrast, config)
    _check_heads(config)
    if getattr(config.decoder, "tags", None) == "mesh" and config.data.kind == "phantom":
        raise IncompatibleError(
            f"decoder.tags mesh with data.source {config.data.source}: no phantom has indexing terms; "
            "set decoder.tags: phantom"
        )
    if config.image.augment and not config.encoder.trainable:
        raise IncompatibleError(
            "image.augment with a frozen encoder: its features are cached and never change; "
            "set encoder.trainable: true"
        )
    _check_choice_of_checkpoint(config)
    _check_lengths(config)


def _check_heads(config: SystemConfig) -> None:
    for option in ("heads", "memory_heads"):
        heads = getattr(config.decoder, option, 1)
        if config.width % heads:
            raise IncompatibleError(
                f"width {config.width} with decoder.{option} {heads}: each head takes an equal part; "
                "choose a width that the heads divide"
            )


def _check_contrast(contrast: ContrastConfig, config: SystemConfig) -> None:
    # Against the default and not against what was written: a run folder and a checkpoint write every value out.
    if not contrast.aggregate and contrast.repeats != _default(contrast, "repeats"):
        raise IncompatibleError(
            "contrast.repeats with contrast.aggregate off: n is the number of aggregating attentions; "
            "remove one of the two"
        )
    if not contrast.aggregate and not contrast.differentiate:
        raise IncompatibleError(
            "contrast.aggregate and contrast.differentiate both off: no attention is left; turn one of them on"
        )
    if contrast.patches and not contrast.aggregate:
        raise IncompatibleError(
            "contrast.patches with contrast.aggregate off: patches are compared through Aggregate Attention; "
            "turn it on or patches off"
        )
    if contrast.patches and _looks_at_no_patch(config.decoder):
        raise IncompatibleError(
            f"contrast.patches with decoder.kind {config.decoder.kind}: it looks at the global feature only, "
            "which patches do not change; choose another decoder or turn patches off"
        )
    _check_stages(contrast.stages, config.encoder.stage)
    _check_pool(contrast)


def _looks_at_no_patch(decoder: DecoderConfig) -> bool:
    return decoder.kind in GLOBAL_DECODERS and not (decoder.kind == "hlstm" and decoder.pool == "max")


def _default(part: BaseModel, field: str) -> object:
    return type(part).model_fields[field].default


def _check_stages(stages: Sequence[int], read: int | None) -> None:
    if list(stages) != sorted(set(stages)):
        raise IncompatibleError(f"contrast.stages {list(stages)}: give each stage once, in increasing order")
    if stages and read is not None and stages[-1] >= read:
        raise IncompatibleError(
            f"contrast.stages {list(stages)} with encoder.stage {read}: further stages are finer than the one "
            "that is read; give smaller numbers"
        )


def _check_pool(contrast: ContrastConfig) -> None:
    pool = contrast.pool
    if not contrast.patches and pool.patches != _default(pool, "patches"):
        raise IncompatibleError(
            "contrast.pool.patches with contrast.patches off: no pool of patches is drawn; remove one of the two"
        )
    if pool.views == "same_view" and pool.match == "none":
        raise IncompatibleError(
            "contrast.pool.views same_view with contrast.pool.match none: a view is compared with its own "
            "position; set contrast.pool.match: view"
        )
    if pool.views == "same_view" and pool.unit == "study":
        raise IncompatibleError(
            "contrast.pool.views same_view with contrast.pool.unit study: a row is several views; "
            "set contrast.pool.unit: image"
        )


def _check_choice_of_checkpoint(config: SystemConfig) -> None:
    if config.train.monitor == "auc" and config.finding_head is None:
        raise IncompatibleError("train.monitor auc without a finding_head; add one or choose another metric")
    if config.train.word_weight == 0 and config.finding_head is None:
        raise IncompatibleError(
            "train.word_weight 0 without a finding_head: nothing is left to learn; add one or weigh the words"
        )
    if config.train.scst:
        _check_scst(config)
    if config.train.scheduled_sampling is not None and config.decoder.kind not in RECURRENT_DECODERS:
        raise IncompatibleError(
            f"train.scheduled_sampling with decoder.kind {config.decoder.kind}: it is taught all words at once; "
            f"choose one of {', '.join(RECURRENT_DECODERS)} or take it away"
        )


def _check_lengths(config: SystemConfig) -> None:
    if config.decoder.kind in ("transformer", "r2gen") and config.text.max_tokens > POSITIONS:
        raise IncompatibleError(
            f"text.max_tokens {config.text.max_tokens} with decoder.kind {config.decoder.kind}: "
            f"it has {POSITIONS} positions; lower the first"
        )
    if config.generate.max_tokens > config.text.max_tokens:
        raise IncompatibleError(
            f"generate.max_tokens {config.generate.max_tokens} above text.max_tokens {config.text.max_tokens}: "
            "positions that were never trained; lower the first"
        )


def _check_scst(config: SystemConfig) -> None:
    if config.decoder.kind == "cvse":
        raise IncompatibleError(
            "train.scst with decoder.kind cvse: it has no probability of a word to reward; choose another decoder"
        )
    if config.train.init_from is None:
        raise IncompatibleError(
            "train.scst without train.init_from: it goes on from a system that writes reports; train one first "
            "and give its run folder"
        )
    if config.train.monitor == "loss":
        raise IncompatibleError(
            "train.scst with train.monitor loss: the cross-entropy is not what it lowers; set train.monitor: bleu4"
        )


def make_encoder(config: SystemConfig, *, weights: str | None = None, seed: int = 0) -> Encoder:
    """Return the configured encoder with its weights, or with others (see `build_encoder`)."""
    return build_encoder(
        config.encoder.name,
        weights=weights or config.encoder.weights,
        stage=config.encoder.stage,
        stages=config.contrast.stages if config.contrast is not None else (),
        image_size=config.image.size,
        trainable=config.encoder.trainable,
        train_norm=config.encoder.train_norm,
        seed=seed,
    )


def make_preprocess(config: SystemConfig, encoder: Encoder) -> Preprocess:
    """Return the transform that gives the encoder what it was trained on."""
    return Preprocess(size=config.image.size, mean=encoder.mean, std=encoder.std)


def head_labels(config: SystemConfig) -> tuple[str, ...]:
    """Return the findings of the configured head, in the order of its outputs; empty without a head."""
    return label_set(config.finding_head.labels) if config.finding_head is not None else ()


def tag_names(decoder: DecoderConfig, *, terms: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the tags that a decoder predicts, in the order of its outputs; empty for one that predicts none.

    `terms` are the indexing terms of the training studies, for `tags: mesh`.
    """
    if not isinstance(decoder, CoAttentionConfig):
        return ()
    return tuple(terms) if decoder.tags == "mesh" else label_set(decoder.tags)


def build_system(
    config: SystemConfig,
    *,
    vocabulary: int,
    encoder: Encoder,
    pool: NormalityPool | None = None,
    patch_pool: NormalityPool | None = None,
    labels: Sequence[str] | None = None,
    marks: Marks | None = None,
    library: SentenceLibrary | None = None,
    terms: Sequence[str] = (),
    seed: int = 0,
) -> ReportSystem:
    """Return a system as the configuration says, freshly initialised (the encoder keeps its weights).

    Args:
        config: of the system.
        vocabulary: number of token ids.
        encoder: from pixels to raw features.
        pool: raw features of the pool; needed with, and only with, `config.contrast`.
        patch_pool: raw patch vectors; needed with, and only with, `config.contrast.patches`.
        labels: of the finding head; those of `config.finding_head` unless a checkpoint says otherwise.
        marks: of the vocabulary; needed by decoders that plan sentences.
        library: sentences to choose from; needed by, and only by, decoders that retrieve.
        terms: indexing terms that are tags; needed by `co_attention` with `tags: mesh`.
        seed: of the initialisation; the global generator is left as it was.

    Raises:
        IncompatibleError: parts that cannot work together.
    """
    check_pairs(config)
    if (pool is None) != (config.contrast is None):
        found = "without" if pool is None else "with"
        raise IncompatibleError(
            f"contrast {'on' if config.contrast else 'off'} {found} a pool; the two go together"
        )
    # torch initialises modules from the global generator: the fork leaves that generator as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReportSystem(
            encoder=encoder,
            projection=PatchProjection(
                encoder.channels, config.width, config.projection.kind, stage_channels=encoder.stage_channels
            ),
            decoder=_decoder(config, vocabulary=vocabulary, marks=marks, library=library, terms=terms),
            finding_head=_finding_head(config, labels),
            contrast=_contrast(config),
            pool=pool,
            patch_pool=patch_pool,
            match_views=config.contrast is not None and config.contrast.pool.match == "view",
        )


def _decoder(
    config: SystemConfig,
    *,
    vocabulary: int,
    marks: Marks | None,
    library: SentenceLibrary | None,
    terms: Sequence[str],
) -> ReportDecoder:
    part = config.decoder
    options = {
        name: getattr(part, name)
        for name in type(part).model_fields
        if name not in _NOT_OF_THE_MODULE and not name.endswith("_weight")
    }
    if part.kind in EMBEDDING_DECODERS:
        options["patch_embedding"] = config.projection.kind == "linear"
    if part.kind in SENTENCE_DECODERS:
        options |= _sentence_marks(part.kind, marks)
    if isinstance(part, CoAttentionConfig):
        options["tags"] = len(tag_names(part, terms=terms))
    if (library is None) == isinstance(part, CvseConfig):
        raise IncompatibleError(f"decoder.kind {part.kind}: a sentence library goes with cvse, and only with it")
    if library is not None:
        options["library"] = library
    return build_decoder(part.kind, vocabulary=vocabulary, width=config.width, **options)


def _sentence_marks(kind: str, marks: Marks | None) -> dict[str, int]:
    if marks is None or marks.sentence_end is None:
        raise IncompatibleError(
            f"decoder.kind {kind} with a vocabulary that has no '.': it plans sentence by sentence; choose data "
            "whose reports have sentences, or another decoder"
        )
    return {"sentence_end": marks.sentence_end, "end_of_report": marks.end_of_report}


def _finding_head(config: SystemConfig, labels: Sequence[str] | None) -> FindingHead | None:
    if config.finding_head is None:
        return None
    return FindingHead(config.width, labels or head_labels(config), dropout=config.finding_head.dropout)


def _contrast(config: SystemConfig) -> ContrastiveAttention | None:
    part = config.contrast
    if part is None:
        return None
    return ContrastiveAttention(
        config.width,
        part.repeats,
        aggregate=part.aggregate,
        differentiate=part.differentiate,
        attention=part.attention,
        patches=part.patches,
        stages=len(part.stages),
        per_view=part.pool.views == "same_view",
    )
