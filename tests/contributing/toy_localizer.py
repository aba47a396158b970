"""A localizer as CONTRIBUTING.md asks for one: the highest patch says whether, and where."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import FindingMaps, HeadInputs, IdentifyingHead, Lesson, PartialReading
from contrastcxr.models.heads.findings import label_loss
from contrastcxr.models.heads.localizers.options import LabelLocalizerOptions
from contrastcxr.models.heads.writing import Search


class ToyLocalizerOptions(LabelLocalizerOptions):
    """The highest patch (a toy)."""

    kind: Literal["toy_map"] = "toy_map"
    cut: float = Field(127.0, gt=0, lt=255, description="of 255 of a map's range")


class ToyLocalizer(IdentifyingHead):
    """`y_l = max_i w_l^T f_i + b_l`; what is marked lies above one cut of the map."""

    def __init__(self, inputs: HeadInputs, options: ToyLocalizerOptions) -> None:
        super().__init__(options, options.kind, inputs.findings)
        self.cut = options.cut
        self.classifier = nn.Linear(inputs.width, len(self.findings))

    def _scores(self, features: VisualFeatures) -> Tensor:
        scores: Tensor = self.classifier(features.patches).transpose(1, 2)  # [B, L, N]
        return scores

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""
        return self._scores(features).masked_fill(~features.mask.unsqueeze(1), -torch.inf).amax(dim=-1)

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the binary cross-entropy over the labels that are known."""
        del states
        return Lesson({self.kind: label_loss(self.logits(features), targets)})

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the probability of each finding and its map."""
        del search
        heat = self._scores(features).float().masked_fill(~features.mask.unsqueeze(1), 0.0)
        maps = FindingMaps(self.findings, heat, torch.sigmoid(heat), (self.cut,))
        return PartialReading(findings=self.findings, probabilities=self.probabilities(features), maps=maps)
