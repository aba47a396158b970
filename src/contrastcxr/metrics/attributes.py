"""Attributes: how well probabilities of words tell which of them a report states (paper D).

A study is scored where the reference states one of the list, as all of paper D do. Accuracy over all cells is
high for whoever says no word at all, which therefore stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contrastcxr.metrics.bootstrap import Floats, Statistic, divide
from contrastcxr.metrics.identification import Identification, auc_statistic

SAID_ABOVE = 0.5
"""A word is said where its probability is greater (paper D)."""
CELLS_TOGETHER = 2_000_000
"""Weights of cells that are in memory together, at most."""
ATTRIBUTE_SCORES: Mapping[str, str] = {
    "attribute_auc": "AUC of attributes, over all studies and words",
    "attribute_auc_macro": "AUC of attributes, mean over words",
    "attribute_accuracy": "attributes right, of all studies and words",
    "attribute_accuracy_none": "attributes right of whoever says none",
    "attribute_side": "the one side that is stated told from the other",
}


@dataclass(frozen=True, eq=False)
class AttributeCounts:
    """What a study table keeps of attributes.

    Attributes:
        names: the A attributes.
        stated: `[S, A]` 1 where the reference states it, else 0; NaN in a study of which it states none.
        told: `[S, A]` probability of the system; NaN where it gives none.
    """

    names: tuple[str, ...]
    stated: Floats
    told: Floats

    @property
    def studies(self) -> int:
        """Studies that are scored."""
        return int(np.isfinite(self.stated).all(axis=1).sum())

    def statistics(self, minimum: int) -> dict[str, Statistic]:
        """Return every score as a statistic of study weights; of single words those with so many either way."""
        each = Identification(self.names, self.told, self.stated)
        scored = each.scored(minimum)
        right = (self.told > SAID_ABOVE) == (self.stated > SAID_ABOVE)
        known = np.isfinite(self.stated) & np.isfinite(self.told)
        found = {
            "attribute_auc": _of_cells(self.told, self.stated),
            "attribute_accuracy": _share(right & known, known),
            "attribute_accuracy_none": _share((self.stated < SAID_ABOVE) & known, known),
        }
        if (sides := self._sides()) is not None:
            found["attribute_side"] = _share(*sides)
        if scored:
            found["attribute_auc_macro"] = each.mean_statistic(scored)
        return found | {f"attribute_auc/{name}": each.statistic(name) for name in scored}

    def _sides(self) -> tuple[Floats, Floats] | None:
        """Return `[S, 1]` twice: whether the side that is stated is told from the other, and where one is stated.

        A tie is half right. None without both words, or without a study that states one of them alone.
        """
        if not {"left", "right"} <= set(self.names):
            return None
        places = [self.names.index(name) for name in ("left", "right")]
        stated, told = self.stated[:, places], self.told[:, places]
        both = (
            self.stated[:, self.names.index("bilateral")] if "bilateral" in self.names else np.zeros(len(stated))
        )
        one = (stated.sum(axis=1) == 1) & (both == 0) & np.isfinite(told).all(axis=1)
        lead = np.where(stated[:, 0] > SAID_ABOVE, told[:, 0] - told[:, 1], told[:, 1] - told[:, 0])
        right = np.where(one, (np.sign(np.where(one, lead, 0.0)) + 1) / 2, 0.0)
        return (right[:, None], one[:, None].astype(np.float64)) if one.any() else None

    def reasons(self, minimum: int) -> dict[str, str]:
        """Return why scores are empty: of single words, and of their mean where no word is scored."""
        scored = Identification(self.names, self.told, self.stated).scored(minimum)
        few = f"n < {max(minimum, 1)}"
        mean = {} if scored else {"attribute_auc_macro": f"no word has {minimum} studies either way"}
        return mean | {f"attribute_auc/{name}": few for name in self.names if name not in scored}


def attribute_counts(
    references: Sequence[Mapping[str, float] | None], candidates: Sequence[Mapping[str, float] | None]
) -> AttributeCounts | None:
    """Return what is scored; None where the references state no attribute, or the system gives none anywhere.

    Args:
        references: 1 and 0 by attribute; None of a study that states none.
        candidates: probabilities by attribute; None of a study without any.
    """
    names = next((tuple(each) for each in references if each is not None), ())
    if not names or all(each is None for each in candidates):
        return None
    stated, told = (_rows(each, names) for each in (references, candidates))
    return AttributeCounts(names, stated, told)


def _rows(given: Sequence[Mapping[str, float] | None], names: Sequence[str]) -> Floats:
    return np.asarray([[(row or {}).get(name, np.nan) for name in names] for row in given], np.float64)


def _share(counted: np.ndarray, all_of: np.ndarray) -> Statistic:
    right, cells = counted.sum(axis=1).astype(np.float64), all_of.sum(axis=1).astype(np.float64)
    return lambda weights: divide(weights @ right, weights @ cells)


def _of_cells(told: Floats, stated: Floats) -> Statistic:
    """Return the AUC over all cells, those of a study drawn together."""
    statistic = auc_statistic(told.ravel(), stated.ravel())
    words = stated.shape[1]

    def pooled(weights: Floats) -> Floats:
        together = max(1, CELLS_TOGETHER // max(stated.size, 1))
        parts = [weights[start : start + together] for start in range(0, len(weights), together)]
        return np.concatenate([statistic(np.repeat(part, words, axis=1)) for part in parts])

    return pooled
