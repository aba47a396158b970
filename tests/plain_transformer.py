"""Pieces of the transformers' equations in loops over places and heads: what both their tests stand on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.norm import UnbiasedLayerNorm
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.decoders.transformer import TransformerDecoder


def four_patches(width: int) -> VisualFeatures:
    """One study of four patches, the last of which is masked and not zero."""
    patches = torch.randn(1, 4, width, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[True, True, True, False]])
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


def norm(layer: UnbiasedLayerNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """`γ (x − μ) / (std + 1e-6) + β`, with what a memory adds to γ and β."""
    mean, std = statistics.fmean(x.tolist()), statistics.stdev(x.tolist())
    gamma = layer.weight if scale is None else layer.weight + scale
    beta = layer.bias if shift is None else layer.bias + shift
    return gamma * (x - mean) / (std + 1e-6) + beta


def one_map(whole: nn.Linear, part: int, x: Tensor) -> Tensor:
    """One of the maps that are kept end to end in a single one."""
    rows = slice(part * len(x), (part + 1) * len(x))
    return whole.weight[rows] @ x + whole.bias[rows]


def by_heads(
    query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], out: nn.Linear, heads: int
) -> tuple[Tensor, Tensor]:
    """Each head: softmax of scaled products, weighted sum of values; joined and mapped.  Also the mean shares."""
    size = len(query) // heads
    joined, shares = [], []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = [float(query[part] @ key[part]) / math.sqrt(size) for key in keys]
        total = sum(math.exp(score) for score in scores)
        share = [math.exp(score) / total for score in scores]
        shares.append(torch.tensor(share))
        joined.append(sum((s * v[part] for s, v in zip(share, values, strict=True)), torch.zeros(size)))
    return out(torch.cat(joined)), torch.stack(shares).mean(dim=0)


def self_attention(attention: Any, query: Tensor, seen: Sequence[Tensor], heads: int) -> Tensor:
    whole = attention.query_key_value
    keys, values = ([one_map(whole, part, x) for x in seen] for part in (1, 2))
    return by_heads(one_map(whole, 0, query), keys, values, attention.out, heads)[0]


def patch_attention(attention: Any, query: Tensor, patches: Sequence[Tensor], heads: int) -> tuple[Tensor, Tensor]:
    keys, values = ([one_map(attention.key_value, part, x) for x in patches] for part in (0, 1))
    return by_heads(attention.query(query), keys, values, attention.out, heads)


def feed_forward(layers: Any, x: Tensor) -> Tensor:
    widen, narrow = layers[0], layers[3]
    return narrow.weight @ torch.clamp(widen.weight @ x + widen.bias, min=0) + narrow.bias


def encoded(transformer: TransformerDecoder, features: VisualFeatures, heads: int) -> list[Tensor]:
    """The real patches after the encoder."""
    parts: Any = transformer
    real = features.mask[0].nonzero().flatten().tolist()
    xs = [torch.clamp(parts.patch_embedding[0](features.patches[0, i]), min=0) for i in real]
    for layer in parts.encoder:
        normed = [norm(layer.attention_norm, x) for x in xs]
        xs = [x + self_attention(layer.attention, q, normed, heads) for x, q in zip(xs, normed, strict=True)]
        xs = [x + feed_forward(layer.feed_forward, norm(layer.feed_forward_norm, x)) for x in xs]
    return [norm(parts.encoder_norm, x) for x in xs]


def position(place: int, width: int) -> Tensor:
    """Sine and cosine of a place, in turns."""
    angles = [place / 10000 ** (2 * (column // 2) / width) for column in range(width)]
    return torch.tensor([math.cos(a) if column % 2 else math.sin(a) for column, a in enumerate(angles)])


def word(transformer: TransformerDecoder, token: int, place: int) -> Tensor:
    """`E w · sqrt(d)` plus sines and cosines of the place."""
    width = transformer.width
    return transformer.embedding.weight[token] * math.sqrt(width) + position(place, width)
