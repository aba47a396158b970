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
        """Return `x [..., d]` normalised over its last axis."""
        normal = (self.norm.weight + self.scale) * self.norm.standardise(x) + (self.norm.bias + self.shift)
        return normal.to(x.dtype)


class MemoryConditions(nn.Module):
    """Scale and shift of every norm of a decoder, from one memory shared by all.

    Each has an MLP of its own, Linear-ReLU-Linear. All of them read the same memory, so they are kept and run
    side by side, a batched product for the first layers and one for the second. (One wide product for the first
    layers is the same arithmetic, and half as slow again on a CPU at the few rows of a search.)

    Args:
        memory: width of a memory, its slots laid end to end.
        width: d of the norms.
        norms: how many.
    """

    def __init__(self, memory: int, width: int, norms: int) -> None:
        super().__init__()
        self.norms = norms
        self.width = width
        # [MLP, out, in]: the scales of all norms, then their shifts.
        self.inner = nn.Parameter(torch.empty(2 * norms, width, memory))
        self.inner_bias = nn.Parameter(torch.full((2 * norms, width), BIAS))
        self.outer = nn.Parameter(torch.empty(2 * norms, width, width))
        self.outer_bias = nn.Parameter(torch.full((2 * norms, width), BIAS))
        for part in (*self.inner, *self.outer):
            nn.init.xavier_uniform_(part)

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return scales and shifts `[norms, ..., d]` of `memory [..., S*d]`."""
        rows = memory.reshape(1, -1, memory.shape[-1]).expand(2 * self.norms, -1, -1)  # [2*norms, M, S*d]
        hidden = torch.relu(torch.baddbmm(self.inner_bias.unsqueeze(1), rows, self.inner.transpose(1, 2)))
        made = torch.baddbmm(self.outer_bias.unsqueeze(1), hidden, self.outer.transpose(1, 2))
        scales, shifts = made.view(2, self.norms, *memory.shape[:-1], self.width)
        return scales, shifts

    def bind(self, memory: Tensor, norms: Sequence[UnbiasedLayerNorm]) -> list[ConditionedNorm]:
        """Return the norms as `memory [..., S*d]` has them, in their order."""
        scales, shifts = self(memory)
        return [ConditionedNorm(*parts) for parts in zip(norms, scales, shifts, strict=True)]
