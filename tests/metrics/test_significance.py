from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.scores import differences
from contrastcxr.metrics.significance import holm, randomisation_p_values
from contrastcxr.metrics.table import StudyTable


def table(rouge: np.ndarray, *, groups: tuple[str, ...] | None = None) -> StudyTable:
    """Of equal words and findings, with one score that differs."""
    n = len(rouge)
    studies = tuple(f"s{i:02d}" for i in range(n))
    return StudyTable(
        names=("Edema",),
        groups=groups or studies,
        studies=studies,
        bleu=np.ones((n, 10)),
        rouge_l=rouge,
        cider=np.zeros(n),
        words=np.full(n, 7.0),
    )


def by_hand(a: np.ndarray, b: np.ndarray, shuffles: int, seed: int) -> float:
    coins = np.random.default_rng(seed).integers(0, 2, size=(shuffles, len(a)))
    observed = abs(a.mean() - b.mean())
    as_large = 0
    for row in coins:
        one = [x if keep else y for x, y, keep in zip(a, b, row, strict=True)]
        other = [y if keep else x for x, y, keep in zip(a, b, row, strict=True)]
        as_large += abs(np.mean(one) - np.mean(other)) >= observed - 1e-12
    return (1 + as_large) / (1 + shuffles)


@pytest.fixture
def two() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    a = rng.random(12)
    return a, a + rng.normal(0.05, 0.1, 12)


def test_the_p_value_is_that_of_plain_loops(two: tuple[np.ndarray, np.ndarray]) -> None:
    found = randomisation_p_values(table(two[0]), table(two[1]), ["rouge_l"], shuffles=499, seed=1)
    assert found["rouge_l"] == pytest.approx(by_hand(*two, 499, 1))


def test_equal_systems_differ_by_chance_alone(two: tuple[np.ndarray, np.ndarray]) -> None:
    assert randomisation_p_values(table(two[0]), table(two[0]), ["rouge_l", "bleu_4"], shuffles=99) == {
        "rouge_l": 1.0,
        "bleu_4": 1.0,
    }


def test_a_system_that_is_better_everywhere_is_not_so_by_chance() -> None:
    a = np.linspace(0.2, 0.5, 30)
    found = randomisation_p_values(table(a + 0.1), table(a), ["rouge_l"], shuffles=999)
    assert found["rouge_l"] == pytest.approx(1 / 1000)


def test_answers_of_a_patient_are_exchanged_together() -> None:
    a = np.linspace(0.2, 0.5, 30)
    groups = ("one",) * 15 + ("two",) * 15
    found = randomisation_p_values(
        table(a + 0.1, groups=groups), table(a, groups=groups), ["rouge_l"], shuffles=999
    )
    assert found["rouge_l"] > 0.4  # two patients: half of all exchanges move both or none


def test_chance_gives_small_p_values_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    found = [
        randomisation_p_values(table(rng.random(20)), table(rng.random(20)), ["rouge_l"], shuffles=99, seed=i)[
            "rouge_l"
        ]
        for i in range(200)
    ]
    assert 0.1 < np.mean(np.asarray(found) <= 0.2) < 0.3


def test_other_studies_cannot_be_compared(two: tuple[np.ndarray, np.ndarray]) -> None:
    other = replace(table(two[1]), studies=tuple(f"t{i}" for i in range(12)))
    with pytest.raises(ValueError, match="same studies"):
        randomisation_p_values(table(two[0]), other, ["rouge_l"])


def test_holm_multiplies_by_the_tests_that_are_left() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_holm_never_exceeds_one_and_never_falls() -> None:
    assert holm({"a": 0.6, "b": 0.5}) == pytest.approx({"a": 1.0, "b": 1.0})
    assert holm({}) == {}


def called(names: tuple[str, ...], truth: np.ndarray, probabilities: np.ndarray) -> StudyTable:
    """A system that gives probabilities of findings; `truth` is 1 where a finding is present."""
    return replace(
        table(np.zeros(len(truth))),
        names=names,
        truth=np.where(truth > 0, 3, 1).astype(np.int8),
        claimed=np.ones(truth.shape, dtype=np.int8),
        probabilities=probabilities,
    )


def test_the_mean_auc_is_tested_over_the_findings_it_is_the_mean_of() -> None:
    """Edema is called alike by both; Mass has six positives, too few for the mean, and one ranks them wrong."""
    rng = np.random.default_rng(0)
    truth = np.stack([rng.random(200) < 0.3, np.arange(200) < 6], axis=1).astype(float)
    edema, right = rng.random(200), np.where(truth[:, 1] > 0, 0.9, 0.1) + rng.random(200) / 100
    first, second = (
        called(("Edema", "Mass"), truth, np.stack([edema, mass], axis=1)) for mass in (right, 1 - right)
    )
    assert differences([first], [second], ["auc_mean"], replicates=50)["auc_mean"].value == 0
    assert randomisation_p_values(first, second, ["auc_mean"], shuffles=99)["auc_mean"] == 1.0


def test_what_only_one_system_answers_does_not_enter_a_difference() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random((100, 2)) < 0.4).astype(float)
    edema = np.where(truth[:, 0] > 0, 0.8, 0.2) + rng.random(100) / 10
    one = called(("Edema", "Mass"), truth, np.stack([edema, np.full(100, np.nan)], axis=1))
    other = called(("Edema", "Mass"), truth, np.stack([edema, rng.random(100)], axis=1))
    found = differences([one], [other], ["auc_mean", "calibration_error", "brier"], replicates=50)
    assert {name: change.value for name, change in found.items()} == dict.fromkeys(found, 0.0)
    assert randomisation_p_values(one, other, ["brier"], shuffles=99) == {"brier": 1.0}
    nothing = replace(one, probabilities=np.full((100, 2), np.nan))
    assert "auc_mean" not in differences([nothing], [other], ["auc_mean"], replicates=50)


def test_findings_and_learned_scores_are_paired_by_name() -> None:
    truth = (np.random.default_rng(2).random((60, 2)) < 0.5).astype(float)
    one = called(("Edema", "Mass"), truth, truth)
    other = called(("Mass", "Hernia"), truth[:, ::-1], truth[:, ::-1])
    first, second = alike(one, other)
    assert first.names == second.names == ("Mass",)
    assert np.array_equal(first.truth, second.truth)
    one = replace(one, learned=np.stack([np.arange(60.0), np.zeros(60)], axis=1), learned_names=("a/f1", "b/f1"))
    other = replace(one, learned=np.arange(60.0)[:, None], learned_names=("a/f1",))
    assert randomisation_p_values(one, other, ["a/f1", "b/f1"], shuffles=99) == {"a/f1": 1.0}


def test_an_undefined_p_value_is_no_test_of_the_family() -> None:
    found = holm({"a": 1e-4, "m": math.nan, "c": 2e-4})
    assert math.isnan(found.pop("m"))
    assert found == pytest.approx({"a": 2e-4, "c": 2e-4})


def test_attributes_of_two_systems_are_exchanged_too() -> None:
    rng = np.random.default_rng(0)
    stated = (rng.random((30, 2)) < 0.5).astype(np.float64)
    good, blind = stated * 0.5 + rng.random((30, 2)) * 0.4, rng.random((30, 2))
    plain = table(np.ones(30))
    one, other = (
        replace(plain, attributes_stated=stated, attributes_told=told, attribute_names=("left", "lower"))
        for told in (good, blind)
    )
    found = randomisation_p_values(one, other, ["attribute_auc", "attribute_accuracy"], shuffles=200, seed=0)
    assert found["attribute_auc"] < 0.02
    assert all(0 < p <= 1 for p in found.values())
