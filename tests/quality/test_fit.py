"""What is learnt of training pictures, and the pictures that the meters practise on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chest_like import CHANNELS, chest_reference, many
from contrastcxr.quality.assess import measure_values
from contrastcxr.quality.fit import AXES, LEAST, MINIMUM, SHARE, cut, fit_reference, tilted
from contrastcxr.quality.measures import MEASURES, QualityReference


def test_too_few_pictures_place_no_limit() -> None:
    few, enough = many(MINIMUM - 1, first=0), many(MINIMUM, first=0)
    assert fit_reference(few, enough, positions=["PA"]) is None
    assert fit_reference(enough, few, positions=["PA"]) is None


def test_a_tilted_picture_turns_the_way_of_the_clock() -> None:
    pixels = torch.zeros(1, 64, 64)
    pixels[0, 4:8, 30:34] = 1  # at twelve o'clock
    seen = tilted(pixels, torch.tensor([20.0]), black_corners=True)[0]
    row, column = divmod(int(seen.argmax()), 64)
    assert column > 36
    assert row < 16


def test_a_cut_takes_the_named_sides() -> None:
    pixels = torch.linspace(0, 1, 64).repeat(1, 64, 1)
    seen = cut(pixels, torch.tensor([[0.5, 0.25, 0.0, 0.0]]))[0]
    assert seen[32, 0] == pytest.approx(0.5, abs=0.02)
    assert seen[32, -1] == pytest.approx(0.75, abs=0.02)


def fitted(seed: int) -> QualityReference:
    found = fit_reference(many(MINIMUM, first=0), many(MINIMUM, first=500), positions=["PA"], seed=seed)
    assert found is not None
    return found


def test_the_fit_follows_from_the_seed() -> None:
    one, same, other = fitted(1), fitted(1), fitted(2)
    assert one.limits == same.limits
    assert torch.equal(one.meters, same.meters)
    assert not torch.equal(one.meters, other.meters)
    assert torch.equal(one.template, other.template)


def test_a_reference_counts_what_it_was_made_of() -> None:
    reference = chest_reference()
    assert (reference.training, reference.heldout) == (120, 200)
    assert reference.positions == {"AP": pytest.approx(1 / 3), "PA": pytest.approx(2 / 3)}
    assert list(reference.positions) == ["AP", "PA"]


def test_limits_are_the_quantiles_of_the_held_out_pictures_and_never_stricter_than_the_least() -> None:
    reference = chest_reference()
    values = measure_values(reference, many(200, first=1000))
    for name, measure in MEASURES.items():
        share = 1 - SHARE if measure.above else SHARE
        expected = max(float(np.quantile(values[name], share)), LEAST.get(name, -np.inf))
        assert reference.limits[name] == pytest.approx(expected, rel=1e-4), name


def test_axes_are_orthogonal_and_those_along_which_features_vary_most() -> None:
    reference, features = chest_reference(), many(120, first=0).features
    count = min(AXES, CHANNELS // 2)
    assert reference.axes.shape == (count, CHANNELS)
    torch.testing.assert_close(reference.axes @ reference.axes.T, torch.eye(count), atol=1e-4, rtol=0)
    values = np.linalg.eigvalsh(np.cov(features.numpy().T, bias=True))[::-1]
    np.testing.assert_allclose(reference.scale.numpy() ** 2, values[:count], rtol=1e-3)
    assert reference.residual == pytest.approx(values[count:].sum(), rel=1e-3)
    torch.testing.assert_close(reference.centre, features.mean(0))


def pictures(seed: int, side: int = 16) -> torch.Tensor:
    return torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 99), st.booleans())
def test_neither_a_tilt_by_nothing_nor_a_cut_of_nothing_changes_a_picture(seed: int, black: bool) -> None:
    plain = pictures(seed)
    upright = tilted(plain, torch.zeros(2), black_corners=black)
    torch.testing.assert_close(upright, plain, atol=1e-4, rtol=0)
    torch.testing.assert_close(cut(plain, torch.zeros(2, 4)), plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize("black", [True, False])
def test_a_tilt_by_a_quarter_is_a_quarter_turn_clockwise(black: bool) -> None:
    seen = tilted(pictures(0), torch.tensor([90.0, -90.0]), black_corners=black)
    torch.testing.assert_close(seen[0], pictures(0)[0].rot90(-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[1], pictures(0)[1].rot90(1), atol=1e-4, rtol=0)


def test_corners_are_black_or_the_picture_is_enlarged_until_none_shows() -> None:
    white = torch.ones(1, 40, 40)
    assert tilted(white, torch.tensor([20.0]), black_corners=True)[0, 0, 0] == 0
    torch.testing.assert_close(tilted(white, torch.tensor([20.0]), black_corners=False), white)


@given(st.tuples(*[st.floats(0, 0.45)] * 4))
def test_a_cut_picture_shows_what_stood_between_the_cuts(shares: tuple[float, ...]) -> None:
    left, right, top, bottom = shares
    centres = (torch.arange(16) + 0.5) / 16
    columns, rows = centres.repeat(1, 16, 1), centres[:, None].repeat(1, 1, 16)
    across = cut(columns, torch.tensor([shares]))[0, 5]
    down = cut(rows, torch.tensor([shares]))[0, :, 5]
    for i in range(16):
        place = (i + 0.5) / 16
        assert float(across[i]) == pytest.approx(left + place * (1 - left - right), abs=0.5 / 16)
        assert float(down[i]) == pytest.approx(top + place * (1 - top - bottom), abs=0.5 / 16)
