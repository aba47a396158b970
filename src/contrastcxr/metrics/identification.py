"""Identification of findings: the area under the ROC curve, by ranks, with ties counted half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contrastcxr.metrics.bootstrap import Floats, Statistic, divide

MINIMUM_POSITIVES = 10


def auc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; NaN without both.

    Args:
        scores: `[S]`, higher is more positive.
        targets: `[S]` of 0 and 1; NaN is left out.
    """
    statistic = auc_statistic(scores, targets)
    return float(statistic(np.ones((1, np.size(np.asarray(scores)))))[0])


def auc_statistic(scores: ArrayLike, targets: ArrayLike) -> Statistic:
    """Return the AUC as a statistic of study weights (Mann–Whitney with weights), for all replicates at once."""
    values, truth = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
    known = np.flatnonzero(np.isfinite(truth) & np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    first, last = _tie_bounds(values[order])
    positive = truth[order] > 0.5

    def statistic(weights: Floats) -> Floats:
        drawn = weights[:, order]  # [R, K]
        negatives = np.cumsum(np.where(positive, 0.0, drawn), axis=1)
        below = np.concatenate([np.zeros((len(drawn), 1)), negatives], axis=1)  # [R, K + 1]
        beaten = (below[:, first] + below[:, last]) / 2  # ties count half
        wins = np.where(positive, drawn * beaten, 0.0).sum(axis=1)
        pairs = np.where(positive, drawn, 0.0).sum(axis=1) * below[:, -1]
        return divide(wins, pairs)

    return statistic


@dataclass(frozen=True)
class Identification:
    """Probabilities and truth of every finding, `[S, L]` each; truth is NaN where unknown."""

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    targets: NDArray[np.float64]

    def positives(self) -> dict[str, int]:
        """Return the number of positive studies per finding."""
        counts = np.nansum(self.targets > 0.5, axis=0)
        return {name: int(count) for name, count in zip(self.names, counts, strict=True)}

    def scored(self, minimum: int = MINIMUM_POSITIVES) -> tuple[str, ...]:
        """Return the findings with at least `minimum` positives and as many negatives: those that are averaged."""
        negatives = (self.targets < 0.5).sum(axis=0)
        enough = [min(self.positives()[n], int(k)) >= minimum for n, k in zip(self.names, negatives, strict=True)]
        return tuple(name for name, keep in zip(self.names, enough, strict=True) if keep)

    def statistic(self, name: str) -> Statistic:
        """Return the AUC of one finding as a statistic of study weights."""
        column = self.names.index(name)
        return auc_statistic(self.probabilities[:, column], self.targets[:, column])

    def mean_statistic(self, names: Sequence[str]) -> Statistic:
        """Return the mean AUC over `names`; in a replicate without a positive of one of them, over the others."""
        parts = [self.statistic(name) for name in names]

        def statistic(weights: Floats) -> Floats:
            if not parts:
                return np.full(len(weights), np.nan)
            table = np.stack([part(weights) for part in parts])  # [L, R]
            known = np.isfinite(table)
            return divide(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))

        return statistic


def _tie_bounds(ordered: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the run of equal values of each place of a sorted list begins and ends (exclusive)."""
    return np.searchsorted(ordered, ordered, side="left"), np.searchsorted(ordered, ordered, side="right")
