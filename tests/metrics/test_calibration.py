from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.metrics.bootstrap import study_weights
from contrastcxr.metrics.calibration import (
    calibration_error_statistic,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too large, and truths drawn from the right probabilities."""
    rng = np.random.default_rng(0)
    right = rng.normal(0, 1.5, n)
    return right * temperature, (rng.random(n) < 1 / (1 + np.exp(-right))).astype(float)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fitted_temperature_is_the_one_the_logits_were_scaled_by(temperature: float) -> None:
    logits, targets = drawn(temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.06)


def test_temperature_lowers_the_calibration_error() -> None:
    logits, targets = drawn(3.0)
    scaled = logits / fit_temperature(logits, targets)
    before, after = (expected_calibration_error(1 / (1 + np.exp(-x)), targets) for x in (logits, scaled))
    assert after < before / 4


def test_temperature_of_one_class_or_nothing_is_one() -> None:
    assert fit_temperature([2.0, 3.0], [1, 1]) == 1.0
    assert fit_temperature([], []) == 1.0


def test_calibration_error_of_a_known_table() -> None:
    probabilities, targets = [0.1] * 10 + [0.9] * 10, [1] + [0] * 9 + [1] * 7 + [0] * 3
    assert expected_calibration_error(probabilities, targets, bins=10) == pytest.approx((0.0 + 0.2) / 2)
    low, high = reliability(probabilities, targets, bins=10)
    assert (low.count, low.share_positive, high.share_positive) == (10, pytest.approx(0.1), pytest.approx(0.7))


def test_weighted_calibration_error_is_that_of_the_repeated_studies() -> None:
    rng = np.random.default_rng(0)
    probabilities, targets = rng.random((30, 4)), rng.integers(0, 2, (30, 4)).astype(float)
    targets[3, 2] = np.nan
    weights = study_weights([str(k) for k in range(30)], replicates=6)
    found = calibration_error_statistic(probabilities, targets)(weights)
    for row, value in zip(weights.astype(int), found, strict=True):
        drawn = np.repeat(np.arange(30), row)
        assert value == pytest.approx(expected_calibration_error(probabilities[drawn], targets[drawn]))


def test_probability_one_falls_into_the_last_bin() -> None:
    (only,) = reliability([1.0], [1])
    assert only.high == 1.0


def test_unknown_targets_are_left_out() -> None:
    assert expected_calibration_error([[0.5, 1.0]], [[0.0, np.nan]]) == 0.5
    assert np.isnan(expected_calibration_error([0.3], [np.nan]))


def test_values_and_targets_must_pair() -> None:
    with pytest.raises(ValueError, match="must pair"):
        expected_calibration_error([0.1, 0.2], [1])
