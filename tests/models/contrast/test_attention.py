"""Contrastive Attention against naive loops straight from equations 4 to 10 of paper A."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.contrast.attention import ContrastiveAttention, StageFeatures
from contrastcxr.models.contrast.attention_functions import AdditiveScores, BilinearScores, DotScores
from contrastcxr.models.contrast.comparison import PoolComparison
from contrastcxr.models.features import VisualFeatures, masked_mean
from models.studies import select

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


def _common(contrast: PoolComparison, query: Tensor, normals: list[Tensor], repeats: int) -> Tensor:
    """Eq. 5 to 7; without Differentiate Attention the mean of what was aggregated."""
    closest = normals
    if contrast.aggregate is not None:
        closest = [_att(contrast.aggregate.scores, r, query, normals) for r in range(repeats)]
    if contrast.differentiate is None:
        return torch.stack(closest).mean(dim=0)
    rows = [query, *closest]
    return torch.stack([_att(contrast.differentiate.scores, 0, row, rows) for row in rows]).mean(dim=0)


def _updated(contrast: ContrastiveAttention, vector: Tensor, *differences: Tensor) -> Tensor:
    """Eq. 9 and 10."""
    joined = torch.cat([vector, *differences])
    return torch.clamp(contrast.update.weight @ joined + contrast.update.bias, min=0)


@pytest.mark.parametrize("attention", ["dot", "additive", "bilinear"])
@pytest.mark.parametrize(
    ("steps", "repeats"),
    [({}, 1), ({}, 4), ({"aggregate": False}, 1), ({"differentiate": False}, 1), ({"differentiate": False}, 4)],
    ids=["n=1", "n=4", "no AA", "no DA, n=1", "no DA, n=4"],
)
def test_every_option_equals_the_equations(
    attention: str,
    steps: dict[str, bool],
    repeats: int,
    features: VisualFeatures,
    pool: Tensor,
    exclude: Tensor,
) -> None:
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, repeats, attention=attention, **steps)  # type: ignore[arg-type]
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
    alone = contrast(select(features, torch.tensor([1])), pool=pool, exclude=exclude[1:2])
    torch.testing.assert_close(together.patches[1:2], alone.patches)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled)


def test_extreme_scores_stay_finite_without_aggregation(features: VisualFeatures, exclude: Tensor) -> None:
    pool = 1e3 * torch.randn(POOL, D, generator=torch.Generator().manual_seed(5))
    found = ContrastiveAttention(D, aggregate=False)(features, pool=pool, exclude=exclude)
    assert found.patches.isfinite().all()


@pytest.mark.parametrize("gap", [20.0, 60.0, 100.0, 400.0])
def test_rows_that_look_at_nothing_but_what_is_left_out_equal_the_equations(gap: float, pool: Tensor) -> None:
    # Every row, asked by far the most by the first, which belongs to the study's own patient.
    comparison = PoolComparison(D, 1, aggregate=False)
    assert comparison.differentiate is not None
    with torch.no_grad():
        for part in comparison.differentiate.parameters():
            part.zero_()
        comparison.differentiate.scores.query.bias[0] = math.sqrt(D)
        comparison.differentiate.scores.key[0] = torch.eye(D)  # the score of a row is its first number
    query = torch.randn(1, D, generator=torch.Generator().manual_seed(6)).requires_grad_()
    rows = torch.cat([torch.full((1, D), gap), pool[1:]]).requires_grad_()
    keep = torch.ones(1, POOL, dtype=torch.bool)
    keep[0, 0] = False
    found, _ = comparison.common(query, rows, keep)
    expected = _common(comparison, query[0], list(rows[1:]), 1)
    torch.testing.assert_close(found[0], expected)
    for asked, wanted in zip(
        torch.autograd.grad(found.square().sum(), (query, rows)),
        torch.autograd.grad(expected.square().sum(), (query, rows)),
        strict=True,
    ):
        torch.testing.assert_close(asked, wanted, atol=1e-5, rtol=1e-4)


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
    assert contrast.of_patches is not None
    query = features.patches[0, 1]
    common = _common(contrast.of_patches, query, list(patch_pool), 2)
    torch.testing.assert_close(found.patches[0, 1], _updated(contrast, query, query - common))
    # v̂' stays Eq. 9 with the pool of global vectors
    difference = features.pooled[0] - _common(contrast, features.pooled[0], list(pool), 2)
    torch.testing.assert_close(found.pooled[0], _updated(contrast, features.pooled[0], difference))


V, STAGES = 2, 2
PATCHES_OF_A_VIEW = 3


@pytest.fixture
def two_views() -> VisualFeatures:
    """Three studies of two views of three patches; the second has one view."""
    torch.manual_seed(4)
    mask = torch.ones(B, V * PATCHES_OF_A_VIEW, dtype=torch.bool)
    mask[1, PATCHES_OF_A_VIEW:] = False
    patches = torch.randn(B, V * PATCHES_OF_A_VIEW, D) * mask.unsqueeze(-1)
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


@pytest.fixture
def by_view() -> Tensor:
    """First views may look at the first four rows of the pool, second ones at the others."""
    mask = torch.zeros(B, V, POOL, dtype=torch.bool)
    mask[:, 0, 4:] = True
    mask[:, 1, :4] = True
    mask[2, 0, 1] = True
    return mask


@pytest.fixture
def stages() -> StageFeatures:
    generator = torch.Generator().manual_seed(6)
    queries = torch.randn(B, V, STAGES, D, generator=generator)
    return StageFeatures(queries, torch.randn(POOL, STAGES, D, generator=generator))


def _rows(pool: Tensor, exclude: Tensor) -> list[Tensor]:
    return [row for row, out in zip(pool, exclude, strict=True) if not out]


@pytest.mark.parametrize("aggregate", [True, False])
def test_contrast_by_view_compares_each_view_with_its_own_rows(
    aggregate: bool, two_views: VisualFeatures, by_view: Tensor, pool: Tensor
) -> None:
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, 2, aggregate=aggregate, per_view=True)
    found = contrast(two_views, pool=pool, exclude=by_view)
    for b in range(B):
        differences = []
        for v in range(V if b != 1 else 1):
            own = two_views.patches[b, v * PATCHES_OF_A_VIEW : (v + 1) * PATCHES_OF_A_VIEW]
            query = own.mean(dim=0)
            differences.append(query - _common(contrast, query, _rows(pool, by_view[b, v]), 2))
            for i, patch in enumerate(own):
                expected = _updated(contrast, patch, differences[-1])
                torch.testing.assert_close(found.patches[b, v * PATCHES_OF_A_VIEW + i], expected)
        mean = torch.stack(differences).mean(dim=0)
        torch.testing.assert_close(found.evidence["difference"][b], mean)
        torch.testing.assert_close(found.pooled[b], _updated(contrast, two_views.pooled[b], mean))
    assert found.patches[1, PATCHES_OF_A_VIEW:].eq(0).all()
    kept = found.evidence["pool_keep"].tolist()
    assert kept[0] == [True] * POOL
    assert kept[1] == [True] * 4 + [False] * 3
    torch.testing.assert_close(found.evidence["common"], two_views.pooled - found.evidence["difference"])


def test_contrast_by_view_of_one_view_is_the_papers(
    features: VisualFeatures, pool: Tensor, exclude: Tensor
) -> None:
    whole = select(features, torch.tensor([0, 2]))
    rows = exclude[[0, 2]]
    torch.manual_seed(3)
    paper = ContrastiveAttention(D)(whole, pool=pool, exclude=rows)
    torch.manual_seed(3)
    single = ContrastiveAttention(D, per_view=True)(whole, pool=pool, exclude=rows.unsqueeze(1))
    torch.testing.assert_close(single.patches, paper.patches)
    torch.testing.assert_close(single.pooled, paper.pooled)
    for name, value in paper.evidence.items():
        torch.testing.assert_close(single.evidence[name], value)


@pytest.mark.parametrize("mask", [None, torch.zeros(B, POOL).bool(), torch.zeros(B, 4, POOL).bool()])
def test_contrast_by_view_must_be_told_the_views(mask: Tensor | None, two_views: VisualFeatures) -> None:
    with pytest.raises(IncompatibleError, match=r"needs an exclude mask \[B, V, N_P\]"):
        ContrastiveAttention(D, per_view=True)(two_views, pool=torch.zeros(POOL, D), exclude=mask)


@pytest.mark.parametrize("per_view", [False, True])
def test_further_stages_join_their_differences_to_the_update(
    per_view: bool, two_views: VisualFeatures, by_view: Tensor, pool: Tensor, stages: StageFeatures
) -> None:
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, 2, stages=STAGES, per_view=per_view)
    exclude = by_view if per_view else by_view[:, 0]
    found = contrast(two_views, pool=pool, exclude=exclude, stages=stages)
    for b, v in [(0, 1), (1, 0), (2, 0)]:
        real = V if b != 1 else 1
        own = slice(v * PATCHES_OF_A_VIEW, (v + 1) * PATCHES_OF_A_VIEW)
        normals = exclude[b, v] if per_view else exclude[b]
        query = two_views.patches[b, own].mean(dim=0) if per_view else two_views.pooled[b]
        differences = [query - _common(contrast, query, _rows(pool, normals), 2)]
        for s, comparison in enumerate(contrast.of_stages):
            assert isinstance(comparison, PoolComparison)
            asked = stages.queries[b, v, s] if per_view else stages.queries[b, :real, s].mean(dim=0)
            differences.append(asked - _common(comparison, asked, _rows(stages.pool[:, s], normals), 2))
        place = v * PATCHES_OF_A_VIEW
        expected = _updated(contrast, two_views.patches[b, place], *differences)
        torch.testing.assert_close(found.patches[b, place], expected)
        if real == 1 or not per_view:
            expected = _updated(contrast, two_views.pooled[b], *differences)
            torch.testing.assert_close(found.pooled[b], expected)


def test_stages_that_were_not_asked_for_or_not_given_are_refused(
    two_views: VisualFeatures, pool: Tensor, stages: StageFeatures
) -> None:
    with pytest.raises(IncompatibleError, match="1 further stages was given 2"):
        ContrastiveAttention(D, stages=1)(two_views, pool=pool, stages=stages)
    with pytest.raises(IncompatibleError, match="2 further stages was given 0"):
        ContrastiveAttention(D, stages=2)(two_views, pool=pool)


EVERYTHING = {"patches": True, "stages": STAGES, "per_view": True}


def _everything(
    contrast: ContrastiveAttention, features: VisualFeatures, pool: Tensor, exclude: Tensor, stages: StageFeatures
) -> VisualFeatures:
    found: VisualFeatures = contrast(
        features,
        pool=pool,
        exclude=exclude,
        patch_pool=pool.flip(0),
        patch_exclude=exclude.flip(2),
        stages=stages,
    )
    return found


def test_gradient_reaches_every_parameter_of_all_options_together(
    two_views: VisualFeatures, by_view: Tensor, pool: Tensor, stages: StageFeatures
) -> None:
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, 2, **EVERYTHING)  # type: ignore[arg-type]
    found = _everything(contrast, two_views, pool, by_view, stages)
    (found.pooled.square().sum() + found.patches.square().sum()).backward()
    dead = [name for name, p in contrast.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


def test_order_and_padding_change_nothing_with_all_options_together(
    two_views: VisualFeatures, by_view: Tensor, pool: Tensor, stages: StageFeatures
) -> None:
    """Study 1 has one view: alone, without the padding, it gets what it gets among others."""
    torch.manual_seed(3)
    contrast = ContrastiveAttention(D, 2, **EVERYTHING)  # type: ignore[arg-type]
    together = _everything(contrast, two_views, pool, by_view, stages)
    order = torch.tensor([2, 0, 1])
    turned = StageFeatures(stages.queries[order], stages.pool)
    moved = _everything(contrast, select(two_views, order), pool, by_view[order], turned)
    torch.testing.assert_close(moved.patches, together.patches[order])
    torch.testing.assert_close(moved.pooled, together.pooled[order])
    patches = two_views.patches[1:2, :PATCHES_OF_A_VIEW]
    short = VisualFeatures(patches, two_views.pooled[1:2], two_views.mask[1:2, :PATCHES_OF_A_VIEW])
    single = StageFeatures(stages.queries[1:2, :1], stages.pool)
    alone = _everything(contrast, short, pool, by_view[1:2, :1], single)
    torch.testing.assert_close(alone.patches[0], together.patches[1, :PATCHES_OF_A_VIEW])
    torch.testing.assert_close(alone.pooled[0], together.pooled[1])
    for name, value in alone.evidence.items():
        there = together.evidence[name][1]
        torch.testing.assert_close(value[0], there[:PATCHES_OF_A_VIEW] if name == "contrast_map" else there)


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


@pytest.mark.parametrize(
    "options",
    [{"repeats": 0}, {"aggregate": False, "patches": True}, {"aggregate": False, "differentiate": False}],
)
def test_options_without_a_meaning_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(IncompatibleError):
        ContrastiveAttention(D, **options)  # type: ignore[arg-type]
