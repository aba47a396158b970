"""A loss of the whole system as CONTRIBUTING.md asks for one: pictures and words should look alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from contrastcxr.losses.base import States, StateWidths, SystemLoss, Targets, Term
from contrastcxr.losses.options import SystemLossOptions
from contrastcxr.models.features import masked_mean


class ToyLossOptions(SystemLossOptions):
    """The cosine distance of pictures and reports (a toy)."""

    kind: Literal["toy_distance"] = "toy_distance"
    width: int = Field(4, ge=1, description="of the space in which they meet")


class ToyLoss(SystemLoss):
    """`1 − cos(W_x mean_i x_i, W_y mean_t y_t)` of each study, the mean over studies."""

    def __init__(self, widths: StateWidths, options: ToyLossOptions) -> None:
        super().__init__()
        self.kind = options.kind
        self.of_patches = nn.Linear(widths.patches, options.width)
        self.of_words = nn.Linear(widths.words, options.width)

    def forward(self, states: States, targets: Targets) -> Mapping[str, Term]:
        """Return the distance, and the number of studies."""
        del targets
        studies = len(states.patches)
        counts = torch.bincount(states.study, minlength=studies).clamp_min(1).unsqueeze(-1)
        sums = states.words.new_zeros(studies, states.words.shape[-1]).index_add(0, states.study, states.words)
        pictures = self.of_patches(masked_mean(states.patches, states.patch_mask))
        distance = 1 - F.cosine_similarity(pictures, self.of_words(sums / counts), dim=-1)
        return {self.kind: (distance.mean(), torch.as_tensor(studies))}
