"""Differences between two systems over training seeds: the two-level interval, of seeds and of patients.

What a change is worth must hold for another seed as well as for other patients. An interval over patients alone,
with the seeds held fixed, takes the luck of a few trainings for an effect (Bouthillier et al., MLSys 2021, on the
sources of variance of a benchmark).

A bootstrap that draws seeds, then patients, is the obvious remedy, and with few seeds it is wrong: its
percentiles cannot leave the range of the seeds, and that of three holds the true mean three times in four. So the
two levels are joined by their half-widths **(ours)**, as in the method of variance estimates recovery (Zou and
Donner 2008). For K seeds with differences `d_s`

    half-width² = t² · S² / K + z² · C,  at least z² · P        (t of K − 1 degrees of freedom, z of the normal)

- `S²` is the variance of `d_s` over seeds: the noise of each seed and of the patients' answers to it. The first
  term alone is Student's interval over seeds, 12.7, 4.3 and 2.8 standard errors to a side with 2, 3 and 5 seeds.
- `C` is the mean covariance of two seeds' differences over draws of patients, the same patients for both: what the
  choice of patients adds to all seeds at once. It is nil where each seed has patients of its own (folds).
- `P` is the variance of the mean over the same draws.

Folds that are scored as one (`metrics.folds`) stand in the place of seeds by their pseudo-values (Tukey's
jackknife): of a difference `d` over all K folds, and `d_k` over all but fold k, `K d - (K - 1) d_k`.  So a finding
that no fold alone has often enough counts as it does in the figures of the rows (ours).

So the interval is never narrower than that over seeds alone, nor than that over patients alone. Where there is no
effect it misses zero 1 to 5 times in 100, and 5 where seeds decide. The p-value is the level at which it touches
zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.bootstrap import (
    REPLICATES,
    Floats,
    Interval,
    Statistic,
    all_alike,
    percentile_interval,
    plain_weights,
    study_weights,
)
from contrastcxr.metrics.folds import joined
from contrastcxr.metrics.identification import MINIMUM_POSITIVES
from contrastcxr.metrics.scores import statistics
from contrastcxr.metrics.table import StudyTable

Pair = tuple[Sequence[StudyTable], Sequence[StudyTable]]
"""Study tables of two systems, one a seed or fold each."""
_NOTHING = 1e-12
"""Below it a difference is rounding."""
_HALVINGS = 40
"""Steps to a p-value, exact to 1e-12."""


@dataclass(frozen=True)
class SeedDifference:
    """A paired difference in one score, as a mean over the training seeds that both systems have.

    Attributes:
        value: the mean.
        low: end of the 95% two-level interval; NaN with one seed.
        high: likewise.
        p: two-sided, of the same distribution; NaN with one seed.
        by_seed: the difference on each seed.
        patients: the 95% interval over patients, these seeds held fixed.
    """

    value: float
    low: float
    high: float
    p: float
    by_seed: tuple[float, ...]
    patients: Interval

    @property
    def known(self) -> bool:
        """True where there are two seeds at least, so that something is known beyond those that were run."""
        return len(self.by_seed) > 1

    def turned(self) -> SeedDifference:
        """Return the difference the other way round, second minus first."""
        over = Interval(-self.patients.value, -self.patients.high, -self.patients.low, self.patients.n)
        return SeedDifference(-self.value, -self.high, -self.low, self.p, tuple(-d for d in self.by_seed), over)


def seed_differences(
    first: Sequence[StudyTable],
    second: Sequence[StudyTable],
    names: Iterable[str],
    *,
    beyond: Pair | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    minimum: int = MINIMUM_POSITIVES,
) -> dict[str, SeedDifference]:
    """Return `first − second` for the named scores, over seeds and patients.

    Args:
        first: one system's study tables, one a seed.
        second: the other's, on the same seeds in the same order.
        names: of scores; one that a side lacks is left out.
        beyond: two further systems, whose difference is taken off: what two changes do together beyond each alone.
        replicates: draws of patients; a patient in the test set of several seeds is drawn with all of them.
        seed: of the draws.
        minimum: positives and negatives that a finding needs to enter the mean AUC.

    Raises:
        ValueError: the tables are not of the same studies, seed by seed.
    """
    pairs = _pairs(first, second, beyond)
    weights = study_weights([group for t in first for group in t.groups], replicates=replicates, seed=seed)
    ends = np.cumsum([len(table) for table in first])
    places = [slice(int(end) - len(table), int(end)) for table, end in zip(first, ends, strict=True)]
    sides = [
        [[statistics(table, minimum=minimum) for table in alike(*each)] for each in zip(*pair, strict=True)]
        for pair in pairs
    ]
    known = [side for pair in sides for each in pair for side in each]
    found = {}
    for name in (name for name in names if all(name in side for side in known)):
        parts = [[(one[name], other[name]) for one, other in pair] for pair in sides]
        by_seed = _by_seed(parts, places, plain_weights(weights.shape[1]))[:, 0]
        draws = np.full((len(places), 1), np.nan) if all_alike(weights) else _by_seed(parts, places, weights)
        found[name] = over_seeds(by_seed, draws, weights.shape[1])
    return found


def fold_differences(
    first: Sequence[StudyTable],
    second: Sequence[StudyTable],
    names: Iterable[str],
    *,
    beyond: Pair | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    minimum: int = MINIMUM_POSITIVES,
) -> dict[str, SeedDifference]:
    """Return `first − second` for the named scores of all folds as one, over folds and patients.

    Args are those of `seed_differences`, a fold in the place of a seed; `minimum` is counted over all folds.

    Raises:
        ValueError: the tables are not of the same studies, fold by fold.
    """
    pairs = _pairs(first, second, beyond)
    sides = [
        [statistics(table, minimum=minimum) for table in alike(joined(one), joined(other))] for one, other in pairs
    ]
    weights = study_weights([group for t in first for group in t.groups], replicates=replicates, seed=seed)
    fold = np.repeat(np.arange(len(first), dtype=np.intp), [len(table) for table in first])
    found = {}
    for name in (name for name in names if all(name in side for pair in sides for side in pair)):
        parts = [(one[name], other[name]) for one, other in sides]
        by_fold = _less(_pseudo_values(*part, plain_weights(len(fold)), fold) for part in parts)[:, 0]
        draws = (
            np.full((len(first), 1), np.nan)
            if all_alike(weights)
            else _less(_pseudo_values(*part, weights, fold) for part in parts)
        )
        found[name] = over_seeds(by_fold, draws, len(fold))
    return found


def _pairs(first: Sequence[StudyTable], second: Sequence[StudyTable], beyond: Pair | None) -> list[Pair]:
    pairs = [(first, second), *([] if beyond is None else [beyond])]
    if any([t.studies for t in side] != [t.studies for t in first] for pair in pairs for side in pair):
        raise ValueError("the systems were not scored on the same studies; a paired comparison needs that")
    return pairs


def _less(differences: Iterable[Floats]) -> Floats:
    """Return the first difference less the others."""
    lead, *others = differences
    return np.asarray(lead - sum(others)) if others else lead


def _pseudo_values(one: Statistic, other: Statistic, weights: Floats, fold: NDArray[np.intp]) -> Floats:
    """Return the pseudo-value of each fold in each draw, `[K, R]`; `fold [S]` numbers them from 0."""
    whole, folds = one(weights) - other(weights), int(fold.max()) + 1
    if folds == 1:
        return np.asarray(whole)[None]
    without = [weights * (fold != k) for k in range(folds)]
    return np.stack([folds * whole - (folds - 1) * (one(kept) - other(kept)) for kept in without])


def _by_seed(
    pairs: Sequence[Sequence[tuple[Statistic, Statistic]]], places: Sequence[slice], weights: Floats
) -> Floats:
    """Return the difference on each seed in each draw, `[K, R]`, less that of a second pair where there is one."""
    return _less(
        np.stack(
            [one(weights[:, at]) - other(weights[:, at]) for (one, other), at in zip(parts, places, strict=True)]
        )
        for parts in pairs
    )


def over_seeds(by_seed: Floats, draws: Floats, studies: int) -> SeedDifference:
    """Return the mean of the seeds' differences with both intervals and the p-value.

    Args:
        by_seed: `[K]` differences on the sample.
        draws: `[K, R]` the same over draws of patients, the same patients for all seeds of a draw.
        studies: behind them, of all seeds.
    """
    value, seeds = float(np.mean(by_seed)), tuple(float(d) for d in by_seed)
    patients = percentile_interval(value, draws.mean(axis=0), studies)
    if len(seeds) < 2 or not math.isfinite(value) or not math.isfinite(patients.low):
        return SeedDifference(value, math.nan, math.nan, math.nan, seeds, patients)
    levels = _Levels.of(by_seed, draws[:, np.isfinite(draws).all(axis=0)])
    half = levels.half_width(0.05)
    return SeedDifference(value, value - half, value + half, levels.p(value), seeds, patients)


@dataclass(frozen=True)
class _Levels:
    """Variances of a mean over seeds: of seeds, common to them by the choice of patients, of patients alone."""

    count: int
    seeds: float
    common: float
    patients: float

    @classmethod
    def of(cls, by_seed: Floats, draws: Floats) -> _Levels:
        """Return them from differences `[K]` and from draws of patients `[K, R]`."""
        count, together = len(by_seed), np.cov(draws)  # [K, K]
        common = float(together.sum() - np.trace(together)) / (count * (count - 1))
        return cls(count, float(np.var(by_seed, ddof=1)) / count, max(0.0, common), float(together.mean()))

    def half_width(self, level: float) -> float:
        """Return half the width of the interval that misses the truth with this probability."""
        of_seeds, of_patients = float(stdtrit(self.count - 1, 1 - level / 2)), float(ndtri(1 - level / 2))
        two = of_seeds**2 * self.seeds + of_patients**2 * self.common
        return math.sqrt(max(two, of_patients**2 * self.patients))

    def p(self, value: float) -> float:
        """Return the level at which the interval around a value touches zero, by bisection."""
        if abs(value) <= _NOTHING:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.half_width(middle) < abs(value) else (middle, high)
        return high
