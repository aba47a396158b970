"""A start of Contrastive Attention that keeps the size of what goes through it (ours; paper A is silent)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from contrastcxr.models.contrast.attention import ContrastiveAttention
from contrastcxr.models.contrast.attention_functions import Scores
from contrastcxr.models.contrast.base import Contrast

_ROUNDING = 1e-5
"""Scores that deviate by less than this share of their size are of equal rows, which give no scale."""


@torch.no_grad()
def scale_start(contrast: Contrast, run: Callable[[], Any]) -> None:
    """Scale the weights, so that scores have a deviation of 1 over what they choose from, and v̂' the size of v̂.

    As torch draws them, the scores of features of size s deviate by about s²/3, so that for small features every
    pool row weighs the same, and W' and its ReLU leave v̂' a third of v̂.

    Args:
        contrast: freshly drawn.
        run: sends training studies through it once.
    """
    assert isinstance(contrast, ContrastiveAttention)  # the options of other kinds refuse it
    sizes: list[tuple[float, float]] = []

    def note(_: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        sizes.append((_size(given[0].pooled), _size(made.pooled)))

    hooks = [
        module.register_forward_hook(partial(_scale_scores, scaled=set()))
        for module in contrast.modules()
        if isinstance(module, Scores)
    ]
    hooks.append(contrast.register_forward_hook(note))
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    before, after = sizes[0]
    for parameter in contrast.update.parameters():
        parameter.mul_(before / after if after > 0 else 1.0)


def _scale_scores(module: nn.Module, _: tuple[Any, ...], scores: Tensor, *, scaled: set[int]) -> Tensor | None:
    """Scale an attention function by what it first gives, `[..., n, X, Y]`: each repeat deviates by 1 over Y."""
    assert isinstance(module, Scores)
    if scaled:
        return None
    scaled.add(id(module))
    each = scores.float().movedim(-3, 0).flatten(1, -2)  # [n, R, Y]
    spread = each.std(dim=-1, correction=0).mean(dim=-1)  # [n]
    size = each.square().mean(dim=(-2, -1)).sqrt()
    factors = torch.where(spread > _ROUNDING * size, 1.0 / spread, 1.0)
    module.scale_by(factors)
    return scores * factors.to(scores.dtype).view(-1, 1, 1)


def _size(values: Tensor) -> float:
    """Return the root of the mean square."""
    return float(values.float().square().mean().sqrt())
