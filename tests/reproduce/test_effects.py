"""Verdicts as a rule over two-level intervals."""

from __future__ import annotations

import math

import pytest

from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.seeds import SeedDifference
from contrastcxr.reproduce.effects import ContrastEffect, SystemEffect
from contrastcxr.reproduce.judging import JUDGINGS, KNOWLEDGE, LOCALIZATION

ABOVE, BELOW, HOLDS = (0.05, 0.15), (-0.15, -0.05), (-0.05, 0.15)


def change(ends: tuple[float, float], seeds: int = 3) -> SeedDifference:
    """A difference with these ends; of one seed they are those over patients alone."""
    middle = sum(ends) / 2
    low, high = ends if seeds > 1 else (math.nan, math.nan)
    return SeedDifference(middle, low, high, 0.01, (middle,) * seeds, Interval(middle, *ends, 60))


def effect(score: str = "positive_f1", **over: SeedDifference) -> ContrastEffect:
    return ContrastEffect("nic", dict.fromkeys(over, (0,)), {name: {score: found} for name, found in over.items()})


@pytest.mark.parametrize(
    ("over", "outcome"),
    [
        ({}, "unknown"),
        ({"none": change(ABOVE)}, "above plain"),
        ({"none": change(ABOVE), "random": change(ABOVE), "zeros": change(ABOVE)}, "helped"),
        ({"none": change(ABOVE), "random": change(ABOVE), "zeros": change(HOLDS)}, "as a control"),
        ({"none": change(ABOVE), "random": change(ABOVE), "zeros": change(ABOVE, 1)}, "above plain"),
        ({"none": change(HOLDS), "random": change(ABOVE), "zeros": change(ABOVE)}, "no difference"),
        ({"none": change(BELOW)}, "harmed"),
        ({"none": change(BELOW, 1), "random": change(BELOW)}, "one seed"),
        ({"none": change((math.nan, math.nan))}, "no difference"),
    ],
)
def test_what_contrast_did(over: dict[str, SeedDifference], outcome: str) -> None:
    assert effect(**over).outcome() == outcome


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (change(ABOVE), "better"),
        (change(BELOW), "worse"),
        (change(HOLDS), "no difference"),
        (change(ABOVE, 1), "one seed"),
    ],
)
def test_what_another_system_is(found: SeedDifference, outcome: str) -> None:
    made = SystemEffect("cam@tuned-none", "cam-none", (0, 1, 2), {"tiou_0.3": found}, LOCALIZATION)
    assert made.outcome() == outcome
    assert made.outcome("pointing") == "unknown"


@pytest.mark.parametrize("score", ["false_boxes", "word_loss_abnormal", "word_loss_normal", "missed_abnormality"])
def test_less_of_some_scores_is_better(score: str) -> None:
    assert effect(score, none=change(BELOW)).outcome(score) == "above plain"
    assert effect(score, none=change(ABOVE)).outcome(score) == "harmed"
    fewer = SystemEffect("cam@tuned-none", "cam-none", (0, 1), {score: change(BELOW)}, LOCALIZATION)
    assert fewer.outcome(score) == "better"


def test_what_decides_is_compared_and_shown() -> None:
    for judging in JUDGINGS.values():
        assert set(judging.primaries) <= set(judging.compared) <= set(judging.shown)
    assert list(KNOWLEDGE.primaries) == ["word_loss_abnormal", "positive_f1"]
    assert KNOWLEDGE.primary == "word_loss_abnormal"
