"""Pictures that are unlike the training pictures pass the limit of the measure that is meant for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chest_like import CHANNELS, chest_like, chest_reference, many, pictures_of
from contrastcxr.quality.assess import assess, measure_values
from contrastcxr.quality.fit import LEAST, MINIMUM, cut, fit_reference, tilted
from contrastcxr.quality.measures import MEASURES, MeasureValue, QualityReference, grey_values

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


def test_grey_values_are_those_of_the_pixels() -> None:
    pixels = np.full((10, 10), 0.5, np.float32)
    pixels[:3] = 1.0
    pixels[9] = 0.0
    found = grey_values(pixels)
    assert found.mean == pytest.approx(0.6)
    assert found.clipped == pytest.approx(0.3)
    assert found.spread == pytest.approx(1.0)


def test_a_large_picture_is_sampled_and_measures_as_all_of_it_does() -> None:
    pixels = np.random.default_rng(0).random((2100, 1500)).astype(np.float32)
    found = grey_values(pixels)
    assert found.mean == pytest.approx(pixels.mean(), abs=0.01)
    assert found.spread == pytest.approx(0.9, abs=0.01)


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


def test_a_message_has_the_number_and_the_limit() -> None:
    assert MeasureValue("dark", 0.2, 0.375).message() == "too dark: mean grey value 0.20, limit 0.38"


def test_a_picture_measures_alone_as_it_does_among_others() -> None:
    several = many(7, first=7000)
    together = measure_values(chest_reference(), several)
    for i in range(7):
        alone = measure_values(chest_reference(), several[[i]])
        assert all(alone[name][0] == pytest.approx(together[name][i], rel=1e-4, abs=1e-5) for name in MEASURES)


def test_what_is_saved_measures_the_same() -> None:
    reference = chest_reference()
    again = QualityReference.from_saved(reference.metadata(), reference.tensors())
    assert again.limits == reference.limits
    pictures = many(5, first=7000)
    assert assess(again, pictures) == assess(reference, pictures)


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
