"""Grey values of pictures made so that they are known, limits at, below and above, and what a checkpoint keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chest_like import chest_reference, many
from contrastcxr.quality.assess import assess
from contrastcxr.quality.measures import (
    BLACK,
    MEASURES,
    SAMPLED_SIDE,
    WHITE,
    MeasureName,
    MeasureValue,
    QualityReference,
    grey_values,
)


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


def test_a_message_has_the_number_and_the_limit() -> None:
    assert MeasureValue("dark", 0.2, 0.375).message() == "too dark: mean grey value 0.20, limit 0.38"


def test_what_is_saved_measures_the_same() -> None:
    reference = chest_reference()
    again = QualityReference.from_saved(reference.metadata(), reference.tensors())
    assert again.limits == reference.limits
    pictures = many(5, first=7000)
    assert assess(again, pictures) == assess(reference, pictures)


@given(st.floats(0.01, 0.99), st.integers(1, 40), st.integers(1, 40))
def test_a_picture_of_one_grey_has_its_mean_and_no_spread(grey: float, height: int, width: int) -> None:
    found = grey_values(np.full((height, width), grey, np.float32))
    assert found.mean == pytest.approx(grey, abs=1e-5)
    assert (found.spread, found.clipped) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("grey", "clipped"),
    [(0.0, 1), (BLACK, 1), (BLACK + 0.001, 0), (WHITE - 0.001, 0), (WHITE, 1), (1.0, 1)],
)
def test_a_pixel_is_saturated_from_the_last_step_of_an_eight_bit_picture_on(grey: float, clipped: float) -> None:
    assert grey_values(np.full((4, 4), grey, np.float64)).clipped == clipped


@given(white=st.integers(0, 10), black=st.integers(0, 10))
def test_what_is_clipped_is_the_greater_share_and_not_the_sum(white: int, black: int) -> None:
    pixels = np.full((20, 5), 0.5, np.float32)
    pixels[:white] = 1.0
    pixels[20 - black :] = 0.0
    assert grey_values(pixels).clipped == pytest.approx(max(white, black) / 20)


def test_the_spread_leaves_five_in_a_hundred_out_at_either_end() -> None:
    ramp = np.linspace(0, 1, 101, dtype=np.float64)[None]
    assert grey_values(ramp).spread == pytest.approx(0.9)
    ramp[0, :5], ramp[0, -5:] = 0.0, 1.0
    assert grey_values(ramp).spread == pytest.approx(0.9)


def test_every_second_row_of_a_picture_of_twice_the_sampled_side_is_seen() -> None:
    pixels = np.zeros((2 * SAMPLED_SIDE, 8), np.float32)
    pixels[1::2] = 1.0
    assert grey_values(pixels).mean == 0.0
    pixels[::4] = 0.5
    assert grey_values(pixels).mean == 0.25
    assert grey_values(pixels[: 2 * SAMPLED_SIDE - 1]).mean > 0.5


@pytest.mark.parametrize("name", list(MEASURES))
def test_a_value_warns_beyond_its_limit_and_not_at_it(name: MeasureName) -> None:
    above = MEASURES[name].above
    assert not MeasureValue(name, 0.5, 0.5).passed
    assert MeasureValue(name, 0.5001, 0.5).passed is above
    assert MeasureValue(name, 0.4999, 0.5).passed is not above


@pytest.mark.parametrize("name", list(MEASURES))
def test_each_message_says_what_it_measures_with_the_digits_that_matter(name: MeasureName) -> None:
    message = MeasureValue(name, 7.126, 3.0, " somehow").message()
    measure = MEASURES[name]
    number, limit = ("7", "3") if name == "tilted" else ("7.13", "3.00")
    assert message == f"{measure.says} somehow: {measure.quantity} {number}, limit {limit}"


def test_pictures_are_taken_by_index_in_the_order_asked_for() -> None:
    several = many(4, first=0)
    picked = several[[3, 1]]
    assert len(picked) == 2
    assert picked.greys == (several.greys[3], several.greys[1])
    assert torch.equal(picked.small, several.small[[3, 1]])
    assert torch.equal(picked.features, several.features[[3, 1]])


def test_a_limit_of_a_measure_that_is_not_known_today_is_passed_over() -> None:
    reference = chest_reference()
    saved = reference.metadata()
    saved["limits"]["grainy"] = 1.0
    assert QualityReference.from_saved(saved, reference.tensors()).limits == reference.limits


def test_statistics_saved_in_half_precision_come_back_as_floats() -> None:
    reference = chest_reference()
    half = {name: value.half() for name, value in reference.tensors().items()}
    again = QualityReference.from_saved(reference.metadata(), half)
    assert {value.dtype for value in again.tensors().values()} == {torch.float32}


@pytest.mark.parametrize("lost", ["limits", "residual", "template", "axes"])
def test_statistics_that_lack_a_part_are_none(lost: str) -> None:
    reference = chest_reference()
    metadata = {k: v for k, v in reference.metadata().items() if k != lost}
    tensors = {k: v for k, v in reference.tensors().items() if k != lost}
    with pytest.raises(KeyError, match=lost):
        QualityReference.from_saved(metadata, tensors)


def test_what_is_saved_is_a_copy() -> None:
    reference = replace(chest_reference(), limits={"dark": 0.1})
    reference.metadata()["limits"]["dark"] = 0.9
    assert reference.limits == {"dark": 0.1}
