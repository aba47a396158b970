"""Projection of raw features: views side by side, means over real patches only."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.projection import PatchProjection

RAW = torch.randn(2, 2, 3, 5, generator=torch.Generator().manual_seed(0))  # [B, V, N, C]
MASK = torch.tensor([[True, True], [True, False]])


def test_views_are_side_by_side_and_absent_ones_are_zero() -> None:
    projection = PatchProjection(5, 4)
    features = projection(RAW, MASK)
    assert features.patches.shape == (2, 6, 4)
    torch.testing.assert_close(features.patches[0, 3:], projection.linear(RAW[0, 1]))
    assert features.patches[1, 3:].eq(0).all()
    assert features.mask.tolist() == [[True] * 6, [True] * 3 + [False] * 3]


def test_the_global_feature_is_the_mean_over_real_patches() -> None:
    features = PatchProjection(5, 4)(RAW, MASK)
    torch.testing.assert_close(features.pooled[0], features.patches[0].mean(dim=0))
    torch.testing.assert_close(features.pooled[1], features.patches[1, :3].mean(dim=0))


def test_what_stands_in_an_absent_view_changes_nothing() -> None:
    projection, other = PatchProjection(5, 4), RAW.clone()
    other[1, 1] = 99.0
    torch.testing.assert_close(projection(other, MASK).pooled, projection(RAW, MASK).pooled, atol=0, rtol=0)


def test_linear_commutes_with_the_mean_so_that_a_pool_may_stay_raw() -> None:
    projection = PatchProjection(5, 4)
    pooled = projection.project(RAW[:, 0].mean(dim=1))
    torch.testing.assert_close(pooled, projection(RAW[:, :1], MASK[:, :1]).pooled)


def test_r2gen_is_linear_relu_dropout_and_not_linear() -> None:
    projection = PatchProjection(5, 4, kind="r2gen").eval()
    torch.testing.assert_close(projection.project(RAW), torch.relu(projection.linear(RAW)))
    assert not projection.is_linear
    assert projection.train().project(torch.ones(50, 5)).eq(0).any()


def test_half_precision_features_of_a_cache_are_accepted() -> None:
    projection = PatchProjection(5, 4)
    torch.testing.assert_close(projection.project(RAW.half()), projection.project(RAW), atol=1e-2, rtol=1e-2)


def test_other_channels_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="features have 5 channels, the projection was built for 6"):
        PatchProjection(6, 4)(RAW, MASK)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="'mlp'"):
        PatchProjection(5, 4, kind="mlp")  # type: ignore[arg-type]


def test_features_of_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"need pooled \(2, 4\)"):
        VisualFeatures(torch.zeros(2, 3, 4), torch.zeros(2, 5), torch.ones(2, 3, dtype=torch.bool))


def _standardized(kind: str = "linear", **more: object) -> PatchProjection:
    projection = PatchProjection(5, 4, kind=kind, standardize=True, **more).eval()  # type: ignore[arg-type]
    flat = RAW.reshape(-1, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]) + 7.0
    projection.set_scale(flat.mean(dim=0), flat.std(dim=0, correction=0))
    return projection


def _scaled(raw: torch.Tensor) -> torch.Tensor:
    flat = RAW.reshape(-1, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]) + 7.0
    deviation = flat.std(dim=0, correction=0)
    deviation[4] = 1.0
    return (raw - flat.mean(dim=0)) / deviation


def test_standardised_features_have_mean_0_and_deviation_1_by_channel() -> None:
    projection = _standardized("none")
    own = projection.project(RAW * torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]) + 7.0).reshape(-1, 5)
    torch.testing.assert_close(own.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(own.std(dim=0, correction=0), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))


@pytest.mark.parametrize("kind", ["linear", "r2gen"])
def test_the_map_sees_standardised_features(kind: str) -> None:
    projection = _standardized(kind)
    expected = projection.linear(_scaled(RAW))
    torch.testing.assert_close(
        projection.project(RAW), expected if kind == "linear" else expected.relu(), atol=1e-5, rtol=1e-5
    )


def test_standardising_commutes_with_the_mean_so_that_a_pool_may_stay_raw() -> None:
    projection = _standardized()
    pooled = projection.project(RAW[:, 0].mean(dim=1))
    torch.testing.assert_close(pooled, projection(RAW[:, :1], MASK[:, :1]).pooled, atol=1e-5, rtol=1e-5)


def test_further_stages_are_standardised_with_their_own_channels() -> None:
    projection = PatchProjection(5, 4, stage_channels=(2,), standardize=True)
    projection.set_scale(torch.arange(5.0), torch.full((5,), 2.0))
    scaled = (RAW - torch.arange(5.0)) / 2.0
    torch.testing.assert_close(projection.project(RAW), projection.linear(scaled[..., :3]))
    torch.testing.assert_close(projection.project_stages(RAW)[..., 0, :], projection.stages[0](scaled[..., 3:]))


def test_a_file_of_before_standardising_is_read_as_it_was() -> None:
    old = PatchProjection(5, 4)
    assert not {"mean", "deviation"} & set(old.state_dict())
    assert set(_standardized().state_dict()) == {*old.state_dict(), "mean", "deviation"}


@pytest.mark.parametrize("value", [0.0, 0.3, -7.7])
def test_a_channel_that_is_one_rounded_number_keeps_its_size(value: float) -> None:
    projection = PatchProjection(2, 2, kind="none", standardize=True)
    projection.set_scale(torch.tensor([value, 1.0]), torch.tensor([abs(value) * 1e-7, 0.5]))
    torch.testing.assert_close(projection.deviation, torch.tensor([1.0, 0.5]))
