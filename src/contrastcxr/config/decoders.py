"""One part per report decoder (docs/decoders.md); `kind` is its name in `models.heads.decoders.DECODERS`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Field

from contrastcxr.config.base import Part

ALIASES = {"st": "visual_attention", "topdown": "up_down", "hcr": "co_attention", "mdt": "r2gen"}
"""Names that paper C has for decoders of paper A."""


class _Recurrent(Part):
    """What the decoders of one or more LSTMs share."""

    embedding: int | None = Field(None, ge=2, description="width of a word vector; none takes width")
    hidden: int | None = Field(None, ge=2, description="width of the LSTMs; none takes width")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the output layer")


class NicConfig(_Recurrent):
    """LSTM shown the image once, before the first word (Vinyals 2015)."""

    kind: Literal["nic"] = "nic"


class VisualAttentionConfig(_Recurrent):
    """Soft attention before each word, kept doubly stochastic (Xu 2015)."""

    kind: Literal["visual_attention"] = "visual_attention"
    coverage_weight: float = Field(1.0, ge=0, description="λ of doubly stochastic attention")


class SpatialAttentionConfig(_Recurrent):
    """Attention after the LSTM has heard the word (Lu 2017)."""

    kind: Literal["spatial_attention"] = "spatial_attention"


class AdaptiveAttentionConfig(_Recurrent):
    """Spatial attention with a visual sentinel (Lu 2017)."""

    kind: Literal["adaptive_attention"] = "adaptive_attention"


class Att2inConfig(_Recurrent):
    """Attention enters the cell of the LSTM only (Rennie 2017)."""

    kind: Literal["att2in"] = "att2in"


class UpDownConfig(_Recurrent):
    """An LSTM that looks and an LSTM that speaks (Anderson 2018)."""

    kind: Literal["up_down"] = "up_down"
    attention: int | None = Field(None, ge=1, description="width inside the attention; none takes width")


class _Hierarchical(_Recurrent):
    """What the decoders share that plan sentences."""

    sentences: int = Field(10, ge=1, le=256, description="the most sentences of a report")
    words: int = Field(30, ge=2, le=4096, description="the most tokens of a sentence, its end mark included")
    stop_weight: float = Field(1.0, ge=0, description="of `this is the last sentence`")


class HlstmConfig(_Hierarchical):
    """Sentence LSTM on the global feature, word LSTM on its topics (Krause 2017, Jing 2018)."""

    kind: Literal["hlstm"] = "hlstm"
    layers: int = Field(2, ge=1, le=64, description="of the word LSTM")
    pool: Literal["mean", "max"] = Field(
        "mean", description="mean: the global feature; max: over regions (Krause)"
    )
    stop_weight: float = Field(5.0, ge=0, description="of `this is the last sentence` (Krause)")


class HlstmDualConfig(_Hierarchical):
    """Two word LSTMs, for normal and for abnormal sentences (Harzig 2019)."""

    kind: Literal["hlstm_dual"] = "hlstm_dual"
    abnormal_weight: float = Field(1.0, ge=0, description="of `this sentence names an abnormality`")


class CoAttentionConfig(_Hierarchical):
    """Attention over patches and predicted tags (Jing 2018)."""

    kind: Literal["co_attention"] = "co_attention"
    tags: Literal["phantom", "nih14", "chexpert", "mesh"] = Field(
        "chexpert", description="labels that serve as tags; mesh: the indexing terms of the training studies"
    )
    tag_weight: float = Field(1.0, ge=0, description="of the tags' cross-entropy")
    coverage_weight: float = Field(1.0, ge=0, description="λ of doubly stochastic attention, patches and tags")


class MultiAttentionConfig(_Hierarchical):
    """Channel and space attention; the indication shifts every word (Huang 2019)."""

    kind: Literal["multi_attention"] = "multi_attention"
    background: Literal["indication", "none"] = Field(
        "indication", description="what shifts the words; none reads no indication"
    )
    word_vectors: Literal["word2vec", "random"] = Field(
        "word2vec", description="how word vectors start: from the training reports, or at random"
    )


class CvseConfig(_Recurrent):
    """A report put together from sentences of training reports (Ni 2020)."""

    kind: Literal["cvse"] = "cvse"
    sentences: int = Field(5, ge=1, le=256, description="the most sentences of a report")
    library: int = Field(1000, ge=1, description="sentences it can say, the most frequent abnormal ones")
    ranking_weight: float = Field(1.0, ge=0, description="of the hinge with the hardest negatives")


class TransformerConfig(Part):
    """Pre-norm transformer over the patches, as R2Gen's baseline has it (Chen 2020)."""

    kind: Literal["transformer"] = "transformer"
    layers: int = Field(3, ge=1, le=256, description="of the encoder, and of the decoder")
    heads: int = Field(8, ge=1, description="of every attention but a memory's")
    feed_forward: int = Field(512, ge=1, description="hidden width of the feed-forwards")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside the layers")


class R2GenConfig(Part):
    """The transformer with a relational memory that steers the norms of its decoder (Chen 2020)."""

    kind: Literal["r2gen"] = "r2gen"
    layers: int = Field(3, ge=1, le=256, description="of the encoder, and of the decoder")
    heads: int = Field(8, ge=1, description="of every attention but a memory's")
    feed_forward: int = Field(512, ge=1, description="hidden width of the feed-forwards")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside the layers")
    memory_slots: int = Field(3, ge=1, le=256, description="rows of the memory")
    memory_heads: int = Field(8, ge=1, description="of the memory's attention")


def _by_its_name(value: Any) -> Any:
    if isinstance(value, dict) and value.get("kind") in ALIASES:
        return {**value, "kind": ALIASES[value["kind"]]}
    return value


AnyDecoder = Union[  # noqa: UP007 (read at run time)
    NicConfig,
    VisualAttentionConfig,
    SpatialAttentionConfig,
    AdaptiveAttentionConfig,
    Att2inConfig,
    UpDownConfig,
    HlstmConfig,
    HlstmDualConfig,
    CoAttentionConfig,
    MultiAttentionConfig,
    CvseConfig,
    TransformerConfig,
    R2GenConfig,
]
DecoderConfig = Annotated[Annotated[AnyDecoder, Field(discriminator="kind")], BeforeValidator(_by_its_name)]
"""Any of them; `kind` may be one of `ALIASES`."""
