"""Pictures that are unlike the training pictures pass the limit of the measure that is meant for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chest_like import CHANNELS, chest_like, chest_reference, many, pictures_of
from contrastcxr.quality.assess import LAYOUT, THUMBNAIL, assess, layout, measure_values, thumbnails
from contrastcxr.quality.fit import LEAST, cut, tilted
from contrastcxr.quality.measures import MEASURES, MeasureValue

Make = Callable[[np.ndarray], np.ndarray]


def warned(pixels: np.ndarray, features: torch.Tensor | None = None) -> dict[str, MeasureValue]:
    found = assess(chest_reference(), pictures_of([pixels], features))[0]
    return {m.name: m for m in found if m.passed}


def tilt(degrees: float) -> Make:
    def made(pixels: np.ndarray) -> np.ndarray:
        return tilted(torch.from_numpy(pixels)[None], torch.tensor([degrees]), black_corners=False)[0].numpy()

    return made


def without(*shares: float) -> Make:
    return lambda pixels: cut(torch.from_numpy(pixels)[None], torch.tensor([shares]))[0].numpy()


@pytest.mark.parametrize("name", list(MEASURES))
def test_each_measure_warns_on_about_one_in_a_hundred_of_the_pictures_its_limit_was_read_from(name: str) -> None:
    heldout = many(200, first=1000)
    rows = assess(chest_reference(), heldout)
    assert (name not in LEAST) <= sum(m.passed for row in rows for m in row if m.name == name) <= 2


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("dark", lambda p: p**3),
        ("bright", lambda p: p**0.3),
        ("flat", lambda p: 0.5 + (p - 0.5) * 0.3),
        ("clipped", lambda p: np.clip(p * 2, 0, 1)),
        ("turned", lambda p: np.rot90(p, 2).copy()),
        ("tilted", tilt(15)),
        ("cut", without(0.4, 0, 0, 0)),
        ("unlike", lambda p: 1 - p),
    ],
)
def test_harm_is_found_by_the_measure_for_it(name: str, make: Make) -> None:
    found = [name in warned(np.ascontiguousarray(make(chest_like(seed)))) for seed in range(5000, 5010)]
    assert sum(found) >= 9


def test_brightness_and_contrast_do_not_change_what_the_layout_says() -> None:
    pixels = chest_like(6000)
    plain, changed = (measure_values(chest_reference(), pictures_of([p])) for p in (pixels, 0.3 + 0.4 * pixels))
    for name in ("turned", "tilted", "cut", "unlike"):
        assert changed[name] == pytest.approx(plain[name], abs=1e-3)


def test_features_far_from_the_training_pictures_are_distant() -> None:
    away = torch.full((1, CHANNELS), 6.0)
    assert "distant" in warned(chest_like(6000), away)
    assert "distant" not in warned(chest_like(6000), torch.ones(1, CHANNELS))


def test_the_distance_of_training_pictures_is_about_one() -> None:
    assert measure_values(chest_reference(), many(120, first=0))["distant"].mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("degrees", "way"), [(15, " clockwise"), (-15, " anticlockwise")])
def test_a_tilt_is_named_with_its_way_and_degrees(degrees: float, way: str) -> None:
    found = warned(tilt(degrees)(chest_like(6001)))["tilted"]
    assert found.value == pytest.approx(15, abs=5)
    assert found.message().startswith(f"looks tilted{way}: degrees")


@pytest.mark.parametrize(
    ("quarters", "words"),
    [(1, "by a quarter, anticlockwise"), (2, "upside down"), (3, "by a quarter, clockwise")],
)
def test_a_turn_is_named(quarters: int, words: str) -> None:
    assert words in warned(np.rot90(chest_like(6002), quarters).copy())["turned"].message()


@pytest.mark.parametrize("side", range(4))
def test_the_side_that_is_cut_off_is_named(side: int) -> None:
    shares = [0.0, 0.0, 0.0, 0.0]
    shares[side] = 0.45
    message = warned(without(*shares)(chest_like(6003)))["cut"].message()
    assert ("left", "right", "top", "bottom")[side] in message


def test_a_picture_measures_alone_as_it_does_among_others() -> None:
    several = many(7, first=7000)
    together = measure_values(chest_reference(), several)
    for i in range(7):
        alone = measure_values(chest_reference(), several[[i]])
        assert all(alone[name][0] == pytest.approx(together[name][i], rel=1e-4, abs=1e-5) for name in MEASURES)


@given(st.integers(0, 99), st.sampled_from([8, 31, 32, 64, 90]))
def test_a_layout_has_mean_nought_and_length_one_whatever_the_size(seed: int, side: int) -> None:
    pictures = torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed)) * 9 - 4
    seen = layout(pictures)
    assert seen.shape == (2, LAYOUT, LAYOUT)
    torch.testing.assert_close(seen.mean((1, 2)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.square().sum((1, 2)), torch.ones(2), atol=1e-4, rtol=0)


def test_a_picture_of_one_grey_has_a_layout_of_noughts() -> None:
    assert not layout(torch.full((1, 40, 40), 0.7)).abs().gt(0.05).any()


def test_a_thumbnail_is_the_first_channel_made_small() -> None:
    images = torch.rand(2, 3, THUMBNAIL, THUMBNAIL)
    assert torch.equal(thumbnails(images), images[:, 0])
    assert thumbnails(torch.rand(1, 3, 224, 224)).shape == (1, THUMBNAIL, THUMBNAIL)


def test_the_measures_of_layout_are_correlations_with_the_template_turned() -> None:
    reference, pictures = chest_reference(), many(5, first=8000)
    values = measure_values(reference, pictures)
    for i, seen in enumerate(layout(pictures.small).numpy()):
        turned = [np.rot90(reference.template.numpy(), k) for k in range(4)]
        fits = [float(np.corrcoef(seen.ravel(), one.ravel())[0, 1]) for one in turned]
        assert values["unlike"][i] == pytest.approx(fits[0], abs=1e-4)
        assert values["turned"][i] == pytest.approx(max(fits[1:]) - fits[0], abs=1e-4)


def test_the_distance_is_that_of_a_plain_loop_over_axes_and_the_rest() -> None:
    reference, pictures = chest_reference(), many(5, first=8000)
    found = measure_values(reference, pictures)["distant"]
    for i, feature in enumerate(pictures.features.double()):
        away = feature - reference.centre.double()
        along = [float(away @ axis.double()) for axis in reference.axes]
        inside = [(a / float(s)) ** 2 for a, s in zip(along, reference.scale, strict=True)]
        beyond = (float(away @ away) - sum(a * a for a in along)) / reference.residual
        assert found[i] == pytest.approx(((sum(inside) / len(inside) + max(beyond, 0)) / 2) ** 0.5, rel=1e-3)


def test_the_grey_measures_are_those_of_the_original_pixels() -> None:
    pictures = many(3, first=8000)
    values = measure_values(chest_reference(), pictures)
    assert values["dark"].tolist() == values["bright"].tolist() == [grey.mean for grey in pictures.greys]
    assert values["flat"].tolist() == [grey.spread for grey in pictures.greys]
    assert values["clipped"].tolist() == [grey.clipped for grey in pictures.greys]


def test_only_measures_with_a_limit_are_given_and_in_the_order_of_the_list() -> None:
    reference = chest_reference()
    few = replace(reference, limits={name: reference.limits[name] for name in ("cut", "dark")})
    assert [m.name for m in assess(reference, many(1, first=0))[0]] == list(MEASURES)
    [found] = assess(few, many(1, first=0))
    assert [(m.name, m.limit) for m in found] == [(n, reference.limits[n]) for n in ("dark", "cut")]
