"""The options of every report decoder (docs/decoders.md), and what follows from them; needs no PyTorch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from contrastcxr.losses.options import Negatives
from contrastcxr.models.heads.options import HeadNeeds, HeadOptions

POSITIONS = 512
"""Tokens that a report of a transformer may have, BOS included; the public code has more, no data need them."""


class DecoderOptions(HeadOptions):
    """What every report decoder states.

    Attributes:
        own_words: whether it is taught word after word, so that a word may be its own (scheduled sampling).
        word_states: whether it has a state for each word, which a loss of the whole system compares.
        words_of_states: whether the probability of a word is made of its state alone.
        word_probabilities: whether it has the probability of a word, which a reward can raise.
        report_terms: the terms of its loss that are about writing a report, of `report_loss`.
        most_tokens: tokens that a report may have, BOS included; None for any number.
    """

    own_words: ClassVar[bool] = False
    word_states: ClassVar[bool] = True
    words_of_states: ClassVar[bool] = False
    word_probabilities: ClassVar[bool] = True
    report_terms: ClassVar[tuple[str, ...]] = ("word",)
    most_tokens: ClassVar[int | None] = None
    kind: str

    @property
    def needs(self) -> HeadNeeds:
        """Reports."""
        return HeadNeeds(words=True)

    @property
    def term_weights(self) -> dict[str, float]:
        """The words' cross-entropy, and what each decoder has beside it."""
        return {"word": 1.0, **super().term_weights}

    @property
    def looks_at_patches(self) -> bool:
        """Whether patches change what it writes, and not the global feature alone."""
        return True


class RecurrentOptions(DecoderOptions):
    """What the decoders share that take in a word after the other."""

    meaning: ClassVar[tuple[str, ...]] = ("input_relu",)
    sizes: ClassVar[tuple[str, ...]] = ("embedding", "hidden")
    embedding: int | None = Field(None, ge=2, description="width of a word vector; none takes width")
    hidden: int | None = Field(None, ge=2, description="width of the LSTMs; none takes width")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the output layer")
    word_deviation: float = Field(
        1.0, gt=0, le=10, description="of word vectors at the start; public captioning code has about .06"
    )
    input_relu: bool = Field(
        False, description="ReLU on what comes in, features and word vectors; public captioning code has it"
    )
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="of features and word vectors as they come in; public captioning code has .5"
    )


class LstmOptions(RecurrentOptions):
    """What the decoders of LSTMs share."""

    forget_bias: float = Field(
        0.0,
        ge=0,
        le=10,
        description="added to forget gates at the start; 1 lets a state last (after Gers 2000)",
    )


class NicOptions(LstmOptions):
    """LSTM shown the image once, before the first word (Vinyals 2015)."""

    words_of_states: ClassVar[bool] = True
    kind: Literal["nic"] = "nic"

    @property
    def looks_at_patches(self) -> bool:
        """Never: it looks at the global feature alone."""
        return False


class VisualAttentionOptions(LstmOptions):
    """Soft attention before each word, kept doubly stochastic (Xu 2015)."""

    own_words: ClassVar[bool] = True
    kind: Literal["visual_attention"] = "visual_attention"
    coverage_weight: float = Field(1.0, ge=0, description="λ of doubly stochastic attention")


class SpatialAttentionOptions(LstmOptions):
    """Attention after the LSTM has heard the word (Lu 2017)."""

    kind: Literal["spatial_attention"] = "spatial_attention"


class AdaptiveAttentionOptions(LstmOptions):
    """Spatial attention with a visual sentinel (Lu 2017)."""

    kind: Literal["adaptive_attention"] = "adaptive_attention"


class Att2inOptions(LstmOptions):
    """Attention enters the cell of the LSTM only (Rennie 2017)."""

    own_words: ClassVar[bool] = True
    words_of_states: ClassVar[bool] = True
    kind: Literal["att2in"] = "att2in"


class UpDownOptions(LstmOptions):
    """An LSTM that looks and an LSTM that speaks (Anderson 2018)."""

    own_words: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = (*RecurrentOptions.sizes, "attention")
    words_of_states: ClassVar[bool] = True
    kind: Literal["up_down"] = "up_down"
    attention: int | None = Field(None, ge=1, description="width inside the attention; none takes width")


class PlanOptions(LstmOptions):
    """What the decoders share that plan sentences."""

    meaning: ClassVar[tuple[str, ...]] = (*LstmOptions.meaning, "topic")
    report_terms: ClassVar[tuple[str, ...]] = ("word", "stop")
    sentences: int = Field(10, ge=1, le=256, description="the most sentences of a report")
    words: int = Field(30, ge=2, le=4096, description="the most tokens of a sentence, its end mark included")
    stop_weight: float = Field(1.0, ge=0, description="of `this is the last sentence`")
    topic: Literal["first", "every"] = Field(
        "first", description="first: fed before BOS, as published; every: added to each word vector too (ours)"
    )


class HlstmOptions(PlanOptions):
    """Sentence LSTM on the global feature, word LSTM on its topics (Krause 2017, Jing 2018)."""

    words_of_states: ClassVar[bool] = True
    kind: Literal["hlstm"] = "hlstm"
    layers: int = Field(2, ge=1, le=64, description="of the word LSTM")
    pool: Literal["mean", "max"] = Field(
        "mean", description="mean: the global feature; max: over regions (Krause)"
    )
    stop_weight: float = Field(5.0, ge=0, description="of `this is the last sentence` (Krause)")

    @property
    def looks_at_patches(self) -> bool:
        """Where it pools regions; else it is fed the global feature."""
        return self.pool == "max"


class HlstmDualOptions(PlanOptions):
    """Two word LSTMs, for normal and for abnormal sentences (Harzig 2019)."""

    report_terms: ClassVar[tuple[str, ...]] = ("word", "stop", "abnormal")
    kind: Literal["hlstm_dual"] = "hlstm_dual"
    abnormal_weight: float = Field(1.0, ge=0, description="of `this sentence names an abnormality`")

    @property
    def needs(self) -> HeadNeeds:
        """Reports, and which of their sentences name an abnormality."""
        return HeadNeeds(words=True, sentence_flags=True)


class CoAttentionOptions(PlanOptions):
    """Attention over patches and predicted tags (Jing 2018)."""

    words_of_states: ClassVar[bool] = True
    meaning: ClassVar[tuple[str, ...]] = (*PlanOptions.meaning, "tags")
    kind: Literal["co_attention"] = "co_attention"
    tags: Literal["phantom", "nih14", "chexpert", "mesh"] = Field(
        "chexpert", description="labels that serve as tags; mesh: the indexing terms of the training studies"
    )
    tag_weight: float = Field(1.0, ge=0, description="of the tags' cross-entropy")
    coverage_weight: float = Field(1.0, ge=0, description="λ of doubly stochastic attention, patches and tags")

    @property
    def needs(self) -> HeadNeeds:
        """Reports and tags."""
        return HeadNeeds(words=True, tags=self.tags)


class MultiAttentionOptions(PlanOptions):
    """Channel and space attention; the indication shifts every word (Huang 2019)."""

    words_of_states: ClassVar[bool] = True
    kind: Literal["multi_attention"] = "multi_attention"
    background: Literal["indication", "none"] = Field(
        "indication", description="what shifts the words; none reads no indication"
    )
    word_vectors: Literal["word2vec", "random"] = Field(
        "word2vec", description="how word vectors start: from the training reports, or at random"
    )

    @property
    def needs(self) -> HeadNeeds:
        """Reports, the indication unless `background` is none, and word vectors to start from."""
        return HeadNeeds(
            words=True,
            indication=self.background == "indication",
            word_vectors=self.word_vectors == "word2vec",
        )


class CvseOptions(RecurrentOptions):
    """A report put together from sentences of training reports (Ni 2020)."""

    word_states: ClassVar[bool] = False
    word_probabilities: ClassVar[bool] = False
    report_terms: ClassVar[tuple[str, ...]] = ("ranking",)
    kind: Literal["cvse"] = "cvse"
    sentences: int = Field(5, ge=1, le=256, description="the most sentences of a report")
    library: int = Field(1000, ge=1, description="sentences it can say, the most frequent abnormal ones")
    negatives: Negatives = Field(
        "hardest", description="the one of the batch that costs a pair most, or the mean of all"
    )
    ranking_weight: float = Field(1.0, ge=0, description="of the hinge")

    @property
    def needs(self) -> HeadNeeds:
        """Reports, which of their sentences name an abnormality, and a library of such sentences."""
        return HeadNeeds(words=True, sentence_flags=True, library=self.library)

    @property
    def whole_batch(self) -> str | None:
        """Negatives are those of the batch."""
        return "kind cvse"

    @property
    def term_weights(self) -> dict[str, float]:
        """The ranking alone: it has no probability of a word."""
        return {"ranking": self.ranking_weight}


class TransformerOptions(DecoderOptions):
    """Pre-norm transformer over the patches, as R2Gen's baseline has it (Chen 2020)."""

    words_of_states: ClassVar[bool] = True
    meaning: ClassVar[tuple[str, ...]] = ("heads",)
    sizes: ClassVar[tuple[str, ...]] = ("feed_forward",)
    divisors: ClassVar[tuple[str, ...]] = ("heads",)
    most_tokens: ClassVar[int | None] = POSITIONS
    kind: Literal["transformer"] = "transformer"
    layers: int = Field(3, ge=1, le=256, description="of the encoder, and of the decoder")
    heads: int = Field(8, ge=1, description="of every attention but a memory's")
    feed_forward: int = Field(512, ge=1, description="hidden width of the feed-forwards")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside the layers")


class R2GenOptions(TransformerOptions):
    """The transformer with a relational memory that steers the norms of its decoder (Chen 2020)."""

    meaning: ClassVar[tuple[str, ...]] = ("heads", "memory_heads")
    divisors: ClassVar[tuple[str, ...]] = ("heads", "memory_heads")
    kind: Literal["r2gen"] = "r2gen"  # type: ignore[assignment]
    memory_slots: int = Field(3, ge=1, le=256, description="rows of the memory")
    memory_heads: int = Field(8, ge=1, description="of the memory's attention")
