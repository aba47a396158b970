"""Calibration of finding probabilities: reliability table, expected calibration error, temperature.

After Guo et al. 2017 (temperature scaling, equal-width bins); none of the four papers calibrates, so all of it
is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contrastcxr.metrics.bootstrap import Statistic, divide

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs of study and finding whose probability fell in `[low, high)`."""

    low: float
    high: float
    count: int
    mean_probability: float
    share_positive: float


def reliability(probabilities: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Return the reliability table over equal-width bins; empty bins are left out.

    Args:
        probabilities: any shape, in [0, 1].
        targets: the same shape, 0 or 1; NaN is left out.
        bins: number of bins.
    """
    given, truth = _known(probabilities, targets)
    place = np.minimum((given * bins).astype(int), bins - 1)
    return tuple(_bin(k, bins, given[place == k], truth[place == k]) for k in range(bins) if np.any(place == k))


def expected_calibration_error(probabilities: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> float:
    """Return the mean distance between probability and share of positives, over the bins by count.

    NaN without pairs.
    """
    table = reliability(probabilities, targets, bins=bins)
    total = sum(row.count for row in table)
    if total == 0:
        return float("nan")
    return sum(row.count * abs(row.mean_probability - row.share_positive) for row in table) / total


def calibration_error_statistic(probabilities: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> Statistic:
    """Return the expected calibration error as a statistic of study weights.

    Args:
        probabilities: `[S, L]`, in [0, 1].
        targets: `[S, L]`, 0 or 1; NaN is left out.
        bins: number of equal-width bins.
    """
    given, truth = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    known = np.isfinite(given) & np.isfinite(truth)
    gap = np.where(known, given - truth, 0.0)
    place = np.minimum((np.nan_to_num(given) * bins).astype(int), bins - 1)
    gaps = np.stack([np.where(place == k, gap, 0.0).sum(axis=1) for k in range(bins)], axis=1)  # [S, bins]
    pairs = known.sum(axis=1).astype(np.float64)
    return lambda weights: divide(np.abs(weights @ gaps).sum(axis=1), weights @ pairs)


def fit_temperature(logits: ArrayLike, targets: ArrayLike, *, low: float = 0.05, high: float = 20.0) -> float:
    """Return the temperature T that minimises the cross-entropy of `sigmoid(logits / T)`; one for all findings.

    Args:
        logits: any shape; uncalibrated.
        targets: the same shape, 0 or 1; NaN is left out.
        low: smallest temperature considered.
        high: largest temperature considered.

    Returns:
        T, or 1.0 where there is nothing to fit (no pair, or one class only).
    """
    from scipy.optimize import minimize_scalar

    raw, truth = _known(logits, targets)
    if raw.size == 0 or np.all(truth == truth[0]):
        return 1.0
    found = minimize_scalar(
        lambda log_t: cross_entropy(raw / np.exp(log_t), truth),
        bounds=(np.log(low), np.log(high)),
        method="bounded",
    )
    return float(np.exp(found.x))


def cross_entropy(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Return the mean binary cross-entropy of logits, in nats."""
    return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))


def _known(values: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    flat, truth = np.asarray(values, np.float64).ravel(), np.asarray(targets, np.float64).ravel()
    if flat.shape != truth.shape:
        raise ValueError(f"{flat.size} values and {truth.size} targets; they must pair")
    keep = np.isfinite(truth) & np.isfinite(flat)
    return flat[keep], truth[keep]


def _bin(k: int, bins: int, given: NDArray[np.float64], truth: NDArray[np.float64]) -> ReliabilityBin:
    return ReliabilityBin(k / bins, (k + 1) / bins, given.size, float(given.mean()), float(truth.mean()))
