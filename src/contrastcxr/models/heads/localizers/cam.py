"""CAM: where a linear classifier of the mean patch sees each finding (after Zhou 2016, Wang 2017; paper B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.localizers.maps import MapLocalizer
from contrastcxr.models.heads.localizers.options import CamOptions

SHARPNESS = 10.0
"""r of log-sum-exp pooling (Wang 2017 °)."""


class CamLocalizer(MapLocalizer):
    """A linear classifier of the pooled patches, `y_l = w_l^T pool(f_i) + b_l`, and its maps `w_l^T f_i`.

    What is marked is as in Wang 2017 ° (paper B) or, `marks: regions`, by the rule of paper D's rows. His
    transition layer is here a linear map and ReLU on every patch (`transition`), his pooling log-sum-exp with
    r = 10 (`pooling`).

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: CamOptions) -> None:
        super().__init__(inputs, options, regions=options.marks == "regions")
        width = options.transition or inputs.width
        self.transition = nn.Linear(inputs.width, width) if options.transition else None
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(width, len(self.findings))
        self.sharp = options.pooling == "log_sum_exp"

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""
        return self._classified(self._patches(features), features.mask)

    def heat(self, features: VisualFeatures) -> Tensor:
        """Return `w_l^T f_i`, `[B, L, N]`; 0 where there is no patch."""
        return self._heat(self._patches(features), features.mask)

    def logits_and_maps(self, features: VisualFeatures) -> tuple[Tensor, Tensor]:
        """Return the logits `[B, L]` of the findings and their maps `[B, L, N]`."""
        patches = self._patches(features)
        return self._classified(patches, features.mask), self._heat(patches, features.mask)

    def _patches(self, features: VisualFeatures) -> Tensor:
        if self.transition is None:
            return features.patches
        patches: Tensor = torch.relu(self.transition(features.patches))
        return patches

    def _classified(self, patches: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self._pooled(patches, mask)))
        return logits

    def _heat(self, patches: Tensor, mask: Tensor) -> Tensor:
        heat = torch.einsum("bnd,ld->bln", patches, self.classifier.weight)
        return heat.masked_fill(~mask.unsqueeze(1), 0.0)

    def _pooled(self, patches: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of `patches [B, N, d]`, or `1/r log mean exp(r f_i)`, `[B, d]`."""
        if not self.sharp:
            return masked_mean(patches, mask)
        scaled = (SHARPNESS * patches).masked_fill(~mask.unsqueeze(-1), -torch.inf)
        counts = mask.sum(dim=1, keepdim=True).to(patches.dtype)
        return (torch.logsumexp(scaled, dim=1) - counts.log()) / SHARPNESS
