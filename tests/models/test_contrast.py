"""Contrastive Attention against naive loops straight from equations 4 to 10 of paper A."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.attention_functions import AdditiveScores, BilinearScores, DotScores
from contrastcxr.models.contrast import ContrastiveAttention
from contrastcxr.models.features import VisualFeatures, masked_mean

B, N, D, POOL = 3, 5, 8, 7


@pytest.fixture
def features() -> VisualFeatures:
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    patches = torch.randn(B, N, D) * mask.unsqueeze(-1)
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


@pytest.fixture
def pool() -> Tensor:
    return torch.randn(POOL, D, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def exclude() -> Tensor:
    mask = torch.zeros(B, POOL, dtype=torch.bool)
    mask[0, :2] = True
    mask[1, 4] = True
    return mask


def _score(scores: torch.nn.Module, repeat: int, x: Tensor, y: Tensor) -> Tensor:
    part = slice(repeat * D, (repeat + 1) * D)
    if isinstance(scores, BilinearScores):
        return x @ scores.between[repeat] @ y
    assert isinstance(scores, DotScores | AdditiveScores)
    query = scores.query.weight[part] @ x + scores.query.bias[part]
    if isinstance(scores, DotScores):
        return query @ (y @ scores.key[repeat]) / math.sqrt(D)
    return scores.weight[repeat] @ torch.tanh(query + scores.key.weight[part] @ y)


def _att(scores: torch.nn.Module, repeat: int, x: Tensor, rows: list[Tensor]) -> Tensor:
    """Eq. 4 for one query: softmax of its scores against the rows, times the rows."""
    weights = torch.softmax(torch.stack([_score(scores, repeat, x, row) for row in rows]), dim=0)
    return sum((w * row for w, row in zip(weights, rows, strict=True)), torch.zeros(D))


def _common(contrast: ContrastiveAttention, query: Tensor, normals: list[Tensor], repeats: int) -> Tensor:
    """Eq. 5 to 7."""
    closest = normals
    if contrast.aggregate is not None:
        closest = [_att(contrast.aggregate.scores, r, query, normals) for r in range(repeats)]
    rows = [query, *closest]
    return torch.stack([_att(contrast.differentiate.scores, 0, row, rows) for row in rows]).mean(dim=0)


def _updated(contrast: ContrastiveAttention, vector: Tensor, difference: Tensor) -> Tensor:
    """Eq. 9 and 10."""
    joined = torch.cat([vector, difference])
    return torch.clamp(contrast.update.weight @ joined + contrast.update.bias, min=0)


@pytest.mark.parametrize("attention", ["dot", "additive", "bilinear"])
@pytest.mark.parametrize(("aggregate", "repeats"), [(True, 1), (True, 4), (False, 1)], ids=["n=1", "n=4", "no AA"])
def test_every_option_equals_the_equations(
    attention: str, aggregate: bool, repeats: int, features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, repeats, aggregate=aggregate, attention=attention)  # type: ignore[arg-type]
    found = contrast(features, pool=pool, exclude=exclude)
    for b in range(B):
        query = features.pooled[b]
        normals = [row for row, out in zip(pool, exclude[b], strict=True) if not out]
        difference = query - _common(contrast, query, normals, repeats)  # Eq. 8
        torch.testing.assert_close(found.evidence["difference"][b], difference)
        torch.testing.assert_close(found.pooled[b], _updated(contrast, query, difference))
        for i in range(N):
            expected = _updated(contrast, features.patches[b, i], difference) * features.mask[b, i]
            torch.testing.assert_close(found.patches[b, i], expected)


def test_the_global_feature_is_equation_9_and_not_the_mean_of_the_patches(
    features: VisualFeatures, pool: Tensor
) -> None:
    found = ContrastiveAttention(D)(features, pool=pool)
    assert not torch.allclose(found.pooled, masked_mean(found.patches, found.mask))


def test_masked_patches_are_zero_again_after_the_relu(features: VisualFeatures, pool: Tensor) -> None:
    contrast = ContrastiveAttention(D)
    torch.nn.init.ones_(contrast.update.bias)
    found = contrast(features, pool=pool)
    assert found.patches[1, 3:].eq(0).all()
    assert found.patches[1, :3].ne(0).any()
    assert found.evidence["contrast_map"][1, 3:].eq(0).all()


@pytest.mark.parametrize("aggregate", [True, False])
def test_pool_weights_sum_to_one_per_repeat_and_leave_out_the_excluded(
    aggregate: bool, features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    contrast = ContrastiveAttention(D, 4 if aggregate else 1, aggregate=aggregate)
    found = contrast(features, pool=pool, exclude=exclude)
    weights = found.evidence["pool_weights"]
    assert weights.shape == (B, 4 if aggregate else 1, POOL)
    assert weights.transpose(1, 2)[exclude].eq(0).all()
    total = weights.sum(dim=-1)
    if aggregate:
        torch.testing.assert_close(total, torch.ones_like(total))
    else:  # the rest went to the image itself
        assert ((total > 0) & (total < 1)).all()
    assert torch.equal(found.evidence["pool_keep"], ~exclude)


@pytest.mark.parametrize("aggregate", [True, False])
def test_a_study_without_any_normal_has_no_difference(
    aggregate: bool, features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    exclude[2] = True
    contrast = ContrastiveAttention(D, aggregate=aggregate)
    found = contrast(features, pool=pool, exclude=exclude)
    assert found.evidence["difference"][2].eq(0).all()
    assert found.evidence["pool_weights"][2].eq(0).all()
    (found.patches.sum() + found.pooled.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in contrast.parameters())


@pytest.mark.parametrize("aggregate", [True, False])
def test_a_study_gets_what_it_gets_alone(
    aggregate: bool, features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    contrast = ContrastiveAttention(D, aggregate=aggregate)
    together = contrast(features, pool=pool, exclude=exclude)
    alone = contrast(features.select(torch.tensor([1])), pool=pool, exclude=exclude[1:2])
    torch.testing.assert_close(together.patches[1:2], alone.patches)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled)


def test_extreme_scores_stay_finite_without_aggregation(features: VisualFeatures, exclude: Tensor) -> None:
    pool = 1e3 * torch.randn(POOL, D, generator=torch.Generator().manual_seed(5))
    found = ContrastiveAttention(D, aggregate=False)(features, pool=pool, exclude=exclude)
    assert found.patches.isfinite().all()


@pytest.mark.parametrize("aggregate", [True, False])
def test_bfloat16_autocast_is_safe(
    aggregate: bool, features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    contrast = ContrastiveAttention(D, aggregate=aggregate)
    plain = contrast(features, pool=pool, exclude=exclude)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = contrast(features, pool=pool, exclude=exclude)
    torch.testing.assert_close(rough.pooled.float(), plain.pooled, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("attention", ["dot", "additive", "bilinear"])
@pytest.mark.parametrize("aggregate", [True, False])
def test_gradient_reaches_every_parameter_and_the_pool(
    attention: str, aggregate: bool, features: VisualFeatures, pool: Tensor
) -> None:
    contrast = ContrastiveAttention(D, aggregate=aggregate, attention=attention)  # type: ignore[arg-type]
    pool.requires_grad_()
    contrast(features, pool=pool).pooled.square().sum().backward()
    dead = [name for name, p in contrast.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []
    assert pool.grad is not None
    assert pool.grad.abs().sum() > 0


def test_patch_contrast_gives_each_patch_its_own_difference(features: VisualFeatures, pool: Tensor) -> None:
    contrast = ContrastiveAttention(D, 2, patches=True)
    patch_pool = torch.randn(9, D)
    found = contrast(features, pool=pool, patch_pool=patch_pool)
    assert contrast.patch_aggregate is not None
    assert contrast.patch_differentiate is not None
    query, rows = features.patches[0, 1], list(patch_pool)
    closest = [_att(contrast.patch_aggregate.scores, r, query, rows) for r in range(2)]
    own = [query, *closest]
    common = torch.stack([_att(contrast.patch_differentiate.scores, 0, row, own) for row in own]).mean(dim=0)
    torch.testing.assert_close(found.patches[0, 1], _updated(contrast, query, query - common))
    # v̂' stays Eq. 9 with the pool of global vectors
    difference = features.pooled[0] - _common(contrast, features.pooled[0], list(pool), 2)
    torch.testing.assert_close(found.pooled[0], _updated(contrast, features.pooled[0], difference))


def test_patch_contrast_without_its_pool_is_refused(features: VisualFeatures, pool: Tensor) -> None:
    with pytest.raises(IncompatibleError, match="needs a pool of patch vectors"):
        ContrastiveAttention(D, patches=True)(features, pool=pool)


@pytest.mark.parametrize(
    ("mask", "found"), [(torch.zeros(B, POOL), "torch.float32"), (torch.zeros(B, 3).bool(), r"\(3, 3\)")]
)
def test_a_mask_that_does_not_fit_is_refused(
    mask: Tensor, found: str, features: VisualFeatures, pool: Tensor
) -> None:
    with pytest.raises(IncompatibleError, match=found):
        ContrastiveAttention(D)(features, pool=pool, exclude=mask)


@pytest.mark.parametrize("options", [{"repeats": 0}, {"aggregate": False, "patches": True}])
def test_options_without_a_meaning_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(IncompatibleError):
        ContrastiveAttention(D, **options)  # type: ignore[arg-type]
