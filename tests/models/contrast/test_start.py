"""The scaled start of Contrastive Attention: sizes before the first step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from contrastcxr.models.contrast.attention import ContrastiveAttention
from contrastcxr.models.contrast.attention_functions import Scores
from contrastcxr.models.contrast.start import scale_start
from contrastcxr.models.features import VisualFeatures, masked_mean

B, N, D, POOL = 6, 5, 16, 40


def _features(size: float) -> VisualFeatures:
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(B, N, D, generator=generator) * size
    mask = torch.ones(B, N, dtype=torch.bool)
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


def _pool(size: float) -> Tensor:
    return torch.randn(POOL, D, generator=torch.Generator().manual_seed(2)) * size


def _contrast(**options: Any) -> ContrastiveAttention:
    torch.manual_seed(0)
    return ContrastiveAttention(D, **{"repeats": 3, **options}).eval()


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _spreads(contrast: ContrastiveAttention, features: VisualFeatures, pool: Tensor, **more: Any) -> list[Tensor]:
    """Return what the first scores of each attention function deviate by over what they choose from."""
    found: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _, __, scores: found.append(scores.std(dim=-1, correction=0)))
        for module in contrast.modules()
        if isinstance(module, Scores)
    ]
    with torch.no_grad():
        contrast(features, pool=pool, **more)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("attention", ["dot", "additive", "bilinear"])
@pytest.mark.parametrize("size", [0.01, 0.3, 5.0])
def test_scores_deviate_by_one_and_the_features_keep_their_size(attention: str, size: float) -> None:
    contrast, features, pool = _contrast(attention=attention), _features(size), _pool(size)
    scale_start(contrast, lambda: contrast(features, pool=pool))
    for spread in _spreads(contrast, features, pool):
        by_repeat = spread.mean(dim=-1).flatten(1).mean(dim=0)  # [n]
        torch.testing.assert_close(by_repeat, torch.ones_like(by_repeat), atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        after = contrast(features, pool=pool).pooled
    assert _size(after) == pytest.approx(_size(features.pooled), rel=1e-3)


@pytest.mark.parametrize(
    "options", [{"aggregate": False}, {"differentiate": False}], ids=["no Aggregate", "no Differentiate"]
)
def test_either_attention_alone_is_scaled(options: dict[str, bool]) -> None:
    contrast, features, pool = _contrast(**options), _features(0.1), _pool(0.1)
    scale_start(contrast, lambda: contrast(features, pool=pool))
    first = _spreads(contrast, features, pool)[0]
    assert float(first.mean()) == pytest.approx(1.0, abs=1e-3)


def test_patches_have_attentions_of_their_own_that_are_scaled_too() -> None:
    contrast, features, pool = _contrast(patches=True), _features(0.1), _pool(0.1)
    scale_start(contrast, lambda: contrast(features, pool=pool, patch_pool=pool))
    spreads = _spreads(contrast, features, pool, patch_pool=pool)
    assert len(spreads) == 4
    assert all(float(spread.mean()) == pytest.approx(1.0, abs=1e-3) for spread in spreads)


def test_without_it_small_features_are_compared_with_all_alike() -> None:
    contrast, features, pool = _contrast(), _features(0.1), _pool(0.1)
    assert float(_spreads(contrast, features, pool)[0].mean()) < 0.02


def test_a_pool_of_equal_rows_leaves_finite_weights() -> None:
    contrast, features = _contrast(), _features(0.1)
    scale_start(contrast, lambda: contrast(features, pool=torch.zeros(POOL, D)))
    assert all(torch.isfinite(parameter).all() for parameter in contrast.parameters())


def test_a_second_pass_scales_nothing_more() -> None:
    contrast, features, pool = _contrast(), _features(0.1), _pool(0.1)
    scale_start(contrast, lambda: contrast(features, pool=pool))
    before = [parameter.clone() for parameter in contrast.parameters()]
    with torch.no_grad():
        contrast(features, pool=pool)
    assert all(map(torch.equal, before, contrast.parameters()))
