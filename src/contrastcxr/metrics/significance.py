"""Tests between two systems, and over a table of them: approximate randomisation, and Holm's correction.

Both systems read the same studies.  Under the null hypothesis it does not matter whose answer is whose, so the
answers of a patient are exchanged at random, many times, and the difference is compared with those that chance
gives (Noreen 1989).  The paired bootstrap of `metrics.scores.differences` says how large a difference is; this
says whether chance alone could have made it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.bootstrap import Floats, Statistic, plain_weights
from contrastcxr.metrics.identification import MINIMUM_POSITIVES
from contrastcxr.metrics.scores import statistics
from contrastcxr.metrics.table import StudyTable

SHUFFLES = 9_999


def randomisation_p_values(
    first: StudyTable,
    second: StudyTable,
    names: Iterable[str],
    *,
    shuffles: int = SHUFFLES,
    seed: int = 0,
    minimum: int = MINIMUM_POSITIVES,
) -> dict[str, float]:
    """Return the two-sided p-value of the difference in each named score: `(1 + as large) / (1 + shuffles)`.

    Args:
        first: one system's study table.
        second: the other's, of the same studies in the same order.
        names: of scores; those that one of the two lacks are left out.
        shuffles: random exchanges; each patient's answers move together.
        seed: of the exchanges.
        minimum: positives, and negatives, that a finding needs to enter the mean AUC.

    Raises:
        ValueError: the tables are not of the same studies.
    """
    if first.studies != second.studies:
        raise ValueError("the two systems were not scored on the same studies; a paired test needs that")
    # Each finding's positives stand twice in the joined table, so that twice as many let it enter the mean AUC.
    scores = statistics(_side_by_side(first, second), minimum=2 * minimum)
    kept = _exchanges(first.groups, shuffles, seed)  # 1: own answers are kept
    return {name: _p_value(scores[name], kept) for name in names if name in scores}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's step-down correction (1979) over the tests of one table: adjusted p-values by name.

    A family-wise error of 5% is kept by calling those below .05 significant. An undefined p-value (NaN) stays so
    and is no test of the family.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    order = sorted((name for name in p_values if math.isfinite(p_values[name])), key=lambda name: p_values[name])
    for rank, name in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted.get(name, math.nan) for name in p_values}


def _p_value(score: Statistic, kept: Floats) -> float:
    observed = _difference(score, plain_weights(kept.shape[1]))[0]
    if not np.isfinite(observed):
        return float("nan")
    chance = _difference(score, kept)
    chance = chance[np.isfinite(chance)]
    as_large = np.count_nonzero(np.abs(chance) >= abs(observed) - 1e-12)
    return float((1 + as_large) / (1 + len(chance)))


def _difference(statistic: Statistic, kept: Floats) -> Floats:
    """Return first minus second after the exchange.

    The table holds the rows of the first, then those of the second.
    """
    there, away = kept, 1 - kept
    difference: Floats = statistic(np.hstack([there, away])) - statistic(np.hstack([away, there]))
    return difference


def _exchanges(groups: Sequence[str], shuffles: int, seed: int) -> Floats:
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    coins = np.random.default_rng(seed).integers(0, 2, size=(shuffles, len(names)))  # [R, G]
    kept: Floats = coins[:, member].astype(np.float64)  # [R, S]
    return kept


def _side_by_side(first: StudyTable, second: StudyTable) -> StudyTable:
    """Return one table of `2 S` rows; a quantity that one of the two lacks is left out."""
    first, second = alike(first, second)
    joined: dict[str, Any] = {}
    for field in fields(StudyTable):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            joined[field.name] = np.concatenate([one, other])
        elif field.name in ("groups", "studies"):
            joined[field.name] = (*one, *other)
        elif field.name not in ("names", "notes", "learned_names", "attribute_names"):
            joined[field.name] = None
    return replace(first, **joined)
