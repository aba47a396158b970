"""The layer norm of the annotated transformer, which R2Gen's released weights were trained with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class UnbiasedLayerNorm(nn.Module):
    """`γ ⊙ (x − μ) / (std + eps) + β`: unbiased deviation, eps added to it and not to the variance (code)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return `x [..., d]` normalised over its last axis."""
        normal: Tensor = self.weight * self.standardise(x) + self.bias
        return normal.to(x.dtype)

    def standardise(self, x: Tensor) -> Tensor:
        """Return `(x − μ) / (std + eps)` in float32, for norms that get their scale and shift from elsewhere."""
        x = x.float()
        centred = x - x.mean(dim=-1, keepdim=True)
        # A length has a gradient at 0 (an all-equal row, such as a masked patch); the root of a variance has none.
        length: Tensor = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
        return centred / (length / math.sqrt(x.shape[-1] - 1) + self.eps)
