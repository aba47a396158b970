"""The finding head: what is on the radiograph, as probabilities."""

from __future__ import annotations

from torch import Tensor, nn

from contrastcxr.losses.base import Targets, Term, needed
from contrastcxr.losses.findings import finding_bce
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs, IdentifyingHead, Lesson, PartialReading
from contrastcxr.models.heads.options import FindingHeadOptions
from contrastcxr.models.heads.writing import Search


class FindingHead(IdentifyingHead):
    """One logistic regression per finding on the (contrasted) global feature (ours).

    It is a linear map after dropout, so that what it knows is what `v̂'` knows and a gain of Contrastive
    Attention shows.

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: FindingHeadOptions) -> None:
        super().__init__(options, "finding head", inputs.findings)
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(inputs.width, len(self.findings))

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""
        logits: Tensor = self.linear(self.dropout(features.pooled))
        return logits

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the binary cross-entropy over the labels that are known."""
        del states  # it has none
        return Lesson({"finding": label_loss(self.logits(features), targets)})

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the probability of each finding."""
        del search
        return PartialReading(findings=self.findings, probabilities=self.probabilities(features))


def label_loss(logits: Tensor, targets: Targets) -> Term:
    """Return the binary cross-entropy of `logits [B, L]` over the labels that are known, and their number.

    Raises:
        IncompatibleError: the studies have no labels.
    """
    missing = "a training batch needs labels of findings; choose data whose studies have them"
    findings, known = needed(targets.findings, missing), needed(targets.known, missing)
    return finding_bce(logits, findings, known), known.sum()
