"""CIDEr-D against fixed document frequencies: the reward of self-critical training (after Rennie 2017)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from contrastcxr.metrics.text import coco_scorer, tokenise


class _Frequencies(defaultdict[tuple[str, ...], float]):
    """Counts that do not grow when asked for something unknown."""

    def __missing__(self, key: tuple[str, ...]) -> float:
        return 0.0


class CiderD:
    """Scores reports one by one; words weigh by how rare they are among given reports, the training ones.

    The computation is that of COCO caption evaluation (its `CIDEr` clips counts and punishes lengths, which is
    CIDEr-D); only where document frequencies come from is ours to say.

    Args:
        references: the reports whose document frequencies count; at least two.
    """

    def __init__(self, references: Sequence[str]) -> None:
        scorer = coco_scorer("cider.cider_scorer").CiderScorer(n=4, sigma=6.0)
        for reference in references:
            scorer.cook_append(None, [tokenise(reference)])
        scorer.compute_doc_freq()
        self._frequencies = _Frequencies(float, scorer.document_frequency)
        self._count = len(references)

    def __call__(self, references: Sequence[str], candidates: Sequence[str]) -> np.ndarray:
        """Return CIDEr-D `[S]` of each candidate against its reference, 10 at most."""
        scorer = coco_scorer("cider.cider_scorer").CiderScorer(n=4, sigma=6.0)
        for reference, candidate in zip(references, candidates, strict=True):
            scorer.cook_append(tokenise(candidate), [tokenise(reference)])
        scorer.document_frequency = self._frequencies
        # It takes the logarithm of how many references it holds, and reads as many as there are candidates.
        scorer.crefs += [None] * (self._count - len(scorer.crefs))
        return np.asarray(scorer.compute_cider(), np.float64)
