from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.metrics.bootstrap import (
    interval,
    mean_of,
    paired_difference,
    plain_weights,
    ratio_of,
    study_weights,
)


def test_studies_of_one_patient_are_drawn_together() -> None:
    weights = study_weights(["a", "a", "b", "c", "c"], replicates=50, seed=3)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_a_seed_gives_the_same_draws_again_and_another_seed_does_not() -> None:
    groups = [str(k) for k in range(30)]
    assert np.array_equal(study_weights(groups, seed=1), study_weights(groups, seed=1))
    assert not np.array_equal(study_weights(groups, seed=1), study_weights(groups, seed=2))


def test_every_patient_is_drawn_once_on_average() -> None:
    weights = study_weights([str(k) for k in range(20)], replicates=4000, seed=0)
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.08)


def test_interval_of_a_mean_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    found = interval(mean_of(values), study_weights([str(k) for k in range(400)], replicates=4000))
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert found.n == 400


def test_drawing_by_patient_widens_the_interval_when_studies_of_a_patient_agree() -> None:
    patient_values = np.random.default_rng(1).normal(size=50)
    values, groups = np.repeat(patient_values, 4), [str(k // 4) for k in range(200)]
    by_patient = interval(mean_of(values), study_weights(groups))
    by_study = interval(mean_of(values), study_weights([str(k) for k in range(200)]))
    assert by_patient.high - by_patient.low > 1.5 * (by_study.high - by_study.low)


def test_vectorised_replicates_equal_a_plain_loop() -> None:
    values = np.asarray([1.0, 2.0, 4.0, np.nan])
    weights = study_weights(list("abcd"), replicates=20, seed=5)
    naive = []
    for row in weights:
        drawn = [v for v, count in zip(values, row, strict=True) for _ in range(int(count)) if not np.isnan(v)]
        naive.append(np.mean(drawn) if drawn else np.nan)
    assert mean_of(values)(weights) == pytest.approx(np.asarray(naive), nan_ok=True)


def test_a_ratio_without_denominator_is_undefined_and_not_an_error() -> None:
    found = interval(ratio_of(np.zeros(3), np.zeros(3)), study_weights(list("abc")))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_paired_difference_is_narrower_than_the_two_intervals() -> None:
    rng = np.random.default_rng(2)
    common = rng.normal(size=300)
    first, second = mean_of(common + 0.1 + rng.normal(0, 0.05, 300)), mean_of(common)
    weights = study_weights([str(k) for k in range(300)])
    paired, alone = paired_difference(first, second, weights), interval(first, weights)
    assert paired.excludes_zero()
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)
    assert paired.value == pytest.approx((first(plain_weights(300)) - second(plain_weights(300)))[0])


def test_no_study_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        study_weights([])


@pytest.mark.parametrize("groups", [["a"], ["a"] * 5])
def test_one_patient_has_a_figure_and_no_interval(groups: list[str]) -> None:
    found = interval(mean_of(np.arange(len(groups))), study_weights(groups, replicates=100))
    assert found.value == (len(groups) - 1) / 2
    assert np.isnan([found.low, found.high]).all()
    assert not found.excludes_zero()


def test_draws_in_which_a_statistic_is_undefined_are_left_out_of_its_interval() -> None:
    values = [1.0, np.nan, np.nan, np.nan]
    found = interval(mean_of(values), study_weights(list("abcd"), replicates=200))
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_an_undefined_figure_has_no_interval() -> None:
    found = interval(mean_of([np.nan, np.nan]), study_weights(list("ab"), replicates=20))
    assert np.isnan([found.value, found.low, found.high]).all()
