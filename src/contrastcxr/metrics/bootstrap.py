"""Bootstrap intervals over patients, for every replicate at once.

A statistic here is a function of study weights: `[R, S] -> [R]`.  Row `r` holds how often replicate `r` drew
each study, so that a corpus score such as BLEU, an AUC or a ratio is computed for all replicates in a few array
operations, and two systems are compared on the same draws (the paired bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

REPLICATES = 1000


@dataclass(frozen=True)
class Interval:
    """A figure, its 95% percentile interval and the number of studies behind it; NaN where undefined."""

    value: float
    low: float
    high: float
    n: int

    def excludes_zero(self) -> bool:
        """Return True when the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def study_weights(groups: Sequence[str], *, replicates: int = REPLICATES, seed: int = 0) -> Floats:
    """Return how often each study is drawn in each replicate, `[R, S]`; studies of one group are drawn together.

    Args:
        groups: patient id of each study, or the study id where no patient is known.
        replicates: number R of draws with replacement, each of as many groups as there are.
        seed: of a generator of its own.
    """
    if not groups:
        raise ValueError("no study to draw from; a bootstrap needs at least one")
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), share, size=replicates)  # [R, G]
    return draws[:, member].astype(np.float64)  # [R, S]


def plain_weights(studies: int) -> Floats:
    """Return the weights of the sample itself, `[1, S]`: every study once."""
    return np.ones((1, studies))


def interval(statistic: Statistic, weights: Floats) -> Interval:
    """Return the statistic on the sample with its 95% percentile interval over the replicates.

    Replicates in which the statistic is undefined (NaN: no positive drawn) are left out. The ends are NaN where it
    is undefined in all of them, and where all draws are alike, as of a single patient.
    """
    studies = weights.shape[1]
    value = float(statistic(plain_weights(studies))[0])
    if not math.isfinite(value) or all_alike(weights):
        return Interval(value, math.nan, math.nan, studies)
    return percentile_interval(value, statistic(weights), studies)


def all_alike(weights: Floats) -> bool:
    """Return True where every replicate draws the same, as of a single patient."""
    return len(weights) > 1 and bool((weights == weights[0]).all())


def percentile_interval(value: float, draws: Floats, studies: int) -> Interval:
    """Return a figure with the 95% percentile interval of its draws `[R]`; NaN ends where none is defined."""
    return Interval(value, *_percentiles(draws), studies)


def paired_difference(first: Statistic, second: Statistic, weights: Floats) -> Interval:
    """Return `first − second` with the 95% interval of the difference on the same draws."""
    return interval(lambda w: first(w) - second(w), weights)


def mean_of(values: ArrayLike) -> Statistic:
    """Return the statistic that is the weighted mean of one value per study; NaN values count neither way."""
    known = np.asarray(values, dtype=np.float64)  # [S]
    return ratio_of(np.nan_to_num(known, nan=0.0), (~np.isnan(known)).astype(np.float64))


def ratio_of(numerator: ArrayLike, denominator: ArrayLike) -> Statistic:
    """Return the statistic `Σ w·numerator / Σ w·denominator`; NaN where the denominator is zero."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)

    def statistic(weights: Floats) -> Floats:
        return divide(weights @ top, weights @ bottom)

    return statistic


def divide(numerator: Floats, denominator: Floats, *, undefined: float = float("nan")) -> Floats:
    """Return `numerator / denominator`, and `undefined` where the denominator is zero."""
    result = np.full(np.broadcast(numerator, denominator).shape, undefined)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def _percentiles(draws: Floats) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
