"""Layer norms whose scale and shift come from a memory (MCLN of R2Gen; Chen 2020, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.norm import UnbiasedLayerNorm

BIAS = 0.1
"""What every bias of the two MLPs starts at (code)."""


@dataclass(frozen=True, eq=False)
class ConditionedNorm:
    """A norm as one memory has it: `(γ + Δγ) ⊙ (x − μ) / (std + eps) + β + Δβ`, `Δγ` and `Δβ` `[..., d]`."""

    norm: UnbiasedLayerNorm
    scale: Tensor
    shift: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """`x [..., d]` normalised over its last axis."""
        normal = (self.norm.weight + self.scale) * self.norm.standardise(x) + (self.norm.bias + self.shift)
        return normal.to(x.dtype)


class MemoryConditions(nn.Module):
    """Scale and shift of every norm of a decoder, from one memory shared by all.

    Each has an MLP of its own, Linear-ReLU-Linear. All of them read the same memory, so they are kept and run
    side by side: one product for the first layers, one batched product for the second ones.

    Args:
        memory: width of a memory, its slots laid end to end.
        width: d of the norms.
        norms: how many.
    """

    def __init__(self, memory: int, width: int, norms: int) -> None:
        super().__init__()
        self.norms = norms
        self.width = width
        self.inner = nn.Linear(memory, 2 * norms * width)  # scales of all norms, then shifts of all norms
        self.outer = nn.Parameter(torch.empty(2 * norms, width, width))  # [MLP, out, in]
        self.outer_bias = nn.Parameter(torch.full((2 * norms, width), BIAS))
        nn.init.constant_(self.inner.bias, BIAS)
        for part in (*self.inner.weight.chunk(2 * norms), *self.outer):
            nn.init.xavier_uniform_(part)

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Scales and shifts `[norms, ..., d]` of `memory [..., S*d]`."""
        hidden = torch.relu(self.inner(memory))
        hidden = hidden.reshape(-1, 2 * self.norms, self.width).transpose(0, 1)  # [2*norms, M, d]
        made = torch.baddbmm(self.outer_bias.unsqueeze(1), hidden, self.outer.transpose(1, 2))
        scales, shifts = made.view(2, self.norms, *memory.shape[:-1], self.width)
        return scales, shifts

    def bind(self, memory: Tensor, norms: Sequence[UnbiasedLayerNorm]) -> list[ConditionedNorm]:
        """The norms as `memory [..., S*d]` has them, in their order."""
        scales, shifts = self(memory)
        return [ConditionedNorm(*parts) for parts in zip(norms, scales, shifts, strict=True)]
