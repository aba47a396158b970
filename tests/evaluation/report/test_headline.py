"""Better and worse are said where the interval of a difference leaves out zero, and only there."""

from __future__ import annotations

import math

import pytest

from contrastcxr.evaluation.report.headline import cell, signature_parts, tally, verdict
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.scores import Score


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (0.01, 0.2, False, "better"),
        (0.01, 0.2, True, "worse"),
        (-0.2, -0.01, False, "worse"),
        (-0.2, -0.01, True, "better"),
        (-0.1, 0.1, False, "same"),
        (0.0, 0.0, True, "same"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, lower_is_better: bool, expected: str) -> None:
    change = Interval((low + high) / 2, low, high, 9)
    assert verdict(change, lower_is_better=lower_is_better) == expected


def test_an_undefined_difference_is_no_verdict() -> None:
    assert verdict(Interval(math.nan, math.nan, math.nan, 9), lower_is_better=False) == "same"


def test_cards_are_counted_for_each_baseline() -> None:
    cards = [
        {"beside": [{"key": "constant", "verdict": "better"}, {"key": "neighbour", "verdict": "worse"}]},
        {"beside": [{"key": "constant", "verdict": "same"}]},
    ]
    constant, neighbour = tally(cards)
    assert (constant["scores"], constant["better"], constant["worse"]) == (2, 1, 0)
    assert (neighbour["name"], neighbour["scores"], neighbour["worse"]) == ("nearest neighbour", 1, 1)


def test_a_figure_and_its_interval_are_apart() -> None:
    assert cell(Score("f1", 0.5, 0.25, 0.75, 9)) == {"value": ".500", "interval": "(.250–.750)"}
    assert cell(Score("f1", None, None, None, 9)) == {"value": "–", "interval": ""}
    assert cell(None) == {"value": "–", "interval": ""}


def test_a_signature_falls_into_its_parts() -> None:
    assert signature_parts("data:phantom:easy|n:60") == [("data", "phantom:easy"), ("n", "60")]
