"""Multi-head attention over tokens and over patches, whole sequences or one cached step at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.cache import BeamGrid, PatchMemory, TokenCache


def mask_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where `mask` is True and the lowest finite number elsewhere: a softmax over it is never NaN."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)


def _xavier_by_block(weight: Tensor, blocks: int) -> None:
    for part in weight.chunk(blocks):
        nn.init.xavier_uniform_(part)


class _Heads(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise IncompatibleError(f"width {width} cannot be shared among {heads} heads; it must be a multiple")
        self.width = width
        self.heads = heads
        self.dropout = dropout
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.out.weight)

    def split(self, x: Tensor) -> Tensor:
        """Return `x [..., T, d]` split into heads, `[..., heads, T, d / heads]`."""
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)

    def merge(self, x: Tensor) -> Tensor:
        """Return `[..., heads, T, d / heads]` merged to `[..., T, d]`."""
        return x.transpose(-3, -2).flatten(-2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, bias: Tensor | None, causal: bool) -> Tensor:
        """Return the attention of split heads, merged and mapped, `[..., T, d]`."""
        heads = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, is_causal=causal, dropout_p=self.dropout if self.training else 0.0
        )
        answer: Tensor = self.out(self.merge(heads))
        return answer


class SelfAttention(_Heads):
    """Attention of a sequence over itself, queries, keys and values from one map."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.query_key_value = nn.Linear(width, 3 * width)
        _xavier_by_block(self.query_key_value.weight, 3)

    def forward(self, x: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return the self-attention of `x [B, T, d]`.

        Each place attends where `mask [B, T]` is True, or to itself and its past.
        """
        query, key, value = (self.split(part) for part in self.query_key_value(x).chunk(3, dim=-1))
        bias = None if mask is None else mask_bias(mask, query.dtype)[:, None, None]  # [B, 1, 1, T]
        return self.attend(query, key, value, bias=bias, causal=causal)

    def step(self, x: Tensor, cache: TokenCache, layer: int, grid: BeamGrid, bias: Tensor | None) -> Tensor:
        """Return the attention of `x [R, d]` over its own path of tokens (`bias`, see `mask_bias`).

        The place of `x` in `cache` is written.
        """
        query, keys_values = self.query_key_value(x).split((self.width, 2 * self.width), dim=-1)
        cache.write(layer, grid.spread(keys_values))
        key, value = (self.split(part) for part in cache.read(layer).chunk(2, dim=-1))  # [M, h, t*slots, d/h]
        query = self.split(grid.spread(query))  # [M, h, slots, d/h]
        return grid.gather(self.attend(query, key, value, bias=bias, causal=False))


class PatchAttention(_Heads):
    """Attention of tokens over the encoded patches."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        nn.init.xavier_uniform_(self.query.weight)
        _xavier_by_block(self.key_value.weight, 2)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return the attention of `x [B, T, d]` over `memory [B, N, d]` where `mask [B, N]` is True."""
        key, value = (self.split(part) for part in self.key_value(memory).chunk(2, dim=-1))
        query = self.split(self.query(x))
        return self.attend(query, key, value, bias=mask_bias(mask, query.dtype)[:, None, None], causal=False)

    def step(
        self, x: Tensor, memory: PatchMemory, layer: int, grid: BeamGrid, *, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the attention of `x [R, d]` over the patches of its study.

        With `weights`, the mean weight of the heads `[R, N]` comes too.
        """
        key, value = (self.split(part) for part in memory.keys_values[layer].chunk(2, dim=-1))  # [M, h, N, d/h]
        query = self.split(grid.spread(self.query(x)))  # [M, h, slots, d/h]
        bias = mask_bias(memory.mask, query.dtype)[:, None, None]  # [M, 1, 1, N]
        if not weights:
            return grid.gather(self.attend(query, key, value, bias=bias, causal=False)), None
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.width // self.heads) + bias
        shares = torch.softmax(scores.float(), dim=-1)  # [M, h, slots, N]
        answer = self.out(self.merge(shares.to(value.dtype) @ value))
        return grid.gather(answer), grid.gather(shares.mean(dim=1))
