"""How long reports are, in words as they are scored: in the bins of paper C, and how far two lists differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from contrastcxr.metrics.bootstrap import Floats, Statistic, divide

WIDE, LONGEST = 5, 100
EDGES = tuple(range(0, LONGEST + 1, WIDE))
"""Ends of the 20 bins of paper C, Figure 2; each holds its lower end, the last one its upper end too."""
LENGTH_DISTANCE = "length_distance"
Lengths = tuple[Floats, Floats]
"""Words `[S]` of each reference, and of each report of a system."""


def length_counts(lengths: ArrayLike) -> tuple[list[int], int]:
    """Return how many reports lie in each bin, and how many are longer than the last; NaN counts nowhere."""
    values = np.asarray(lengths, np.float64)
    counts, _ = np.histogram(values[values <= LONGEST], bins=EDGES)
    return [int(count) for count in counts], int((values > LONGEST).sum())


def length_distribution(systems: Mapping[str, Lengths | None]) -> dict[str, object]:
    """Return the counts of the references and of every system that writes, as `scores.json` holds them.

    Nothing where the first system has no lengths.

    Args:
        systems: lengths of the same studies by system, None where texts are not compared.
    """
    known = {name: lengths for name, lengths in systems.items() if lengths is not None}
    first = next(iter(systems))
    if first not in known:
        return {}
    written = {name: _said(lengths) for name, (_, lengths) in known.items()}
    return {"edges": list(EDGES), "references": _said(known[first][0]), "systems": written}


def length_distance(wanted: Floats, written: Floats) -> Statistic:
    """Return the Wasserstein distance between two lists of lengths `[S]`, in words; NaN counts nowhere.

    It is the area between the two distribution functions, so `scipy.stats.wasserstein_distance` of the weighted
    lists, for every replicate at once. Whose report is how long plays no part.
    """
    known = np.isfinite(wanted)
    steps = np.unique(np.concatenate([wanted[known], written[known]]))  # [U]
    below = [(side[:, None] <= steps[:-1]).astype(np.float64) for side in (wanted, written)]  # [S, U - 1]
    ahead, gaps, scored = below[0] - below[1], np.diff(steps), known.astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        return divide(np.abs(weights @ ahead) @ gaps, weights @ scored)

    return statistic


def _said(lengths: Floats) -> dict[str, object]:
    counts, longer = length_counts(lengths)
    return {"counts": counts, "longer": longer}
