"""Readers that cannot read: the best constant report, the commonest findings, the report of the nearest image.

They stand beside every system, since on reports that are mostly normal they score well.  Neither sees the test
references: the constant is picked on validation, findings are counted in training, the neighbour is found by image
features alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contrastcxr.metrics.text import bleu

CANDIDATES = 100
COMMONEST = 5
"""How many findings are always named."""


def constant_report(training: Sequence[str], validation: Sequence[str], *, candidates: int = CANDIDATES) -> str:
    """Return the one training report that scores the highest BLEU-4 on validation when said of every study.

    Tried are the most frequent training reports and, to fill up, training reports at even distances in order of
    length.  Without validation reports it is the most frequent training report.

    Args:
        training: tokenised training reports; `evaluate` gives those of normal studies.
        validation: tokenised validation reports.
        candidates: number of distinct reports tried.
    """
    ranked = ranked_reports(training)
    if not validation:
        return ranked[0]
    tried = _spread(ranked, candidates)
    return max(tried, key=lambda report: bleu(validation, [report] * len(validation))[3])


def ranked_reports(training: Sequence[str]) -> list[str]:
    """Return distinct reports that are not empty, the most frequent first, ties in alphabet order."""
    counts = Counter(report for report in training if report)
    if not counts:
        raise ValueError("no training report is at hand; a constant report is picked among them")
    return sorted(counts, key=lambda report: (-counts[report], report))


def commonest_findings(present: NDArray[np.bool_], names: Sequence[str], *, count: int = COMMONEST) -> list[str]:
    """Return the findings that most training studies have, at most `count` of them, ties in the order of names.

    Naming them of every study needs no picture, and beats many a system that writes normal reports.

    Args:
        present: `[M, L]`, True where a training study has a finding.
        names: of the L findings.
        count: how many; a finding that no study has is not among them.
    """
    counts = present.sum(axis=0)
    ranked = sorted(range(len(names)), key=lambda k: -counts[k])
    return [names[k] for k in ranked[:count] if counts[k]]


def nearest_neighbours(
    queries: NDArray[np.floating],
    memory: NDArray[np.floating],
    *,
    query_patients: Sequence[str] | None = None,
    memory_patients: Sequence[str] | None = None,
    block: int = 256,
) -> NDArray[np.intp]:
    """Return for each query `[S, C]` its most similar row of `memory [M, C]`, of another patient, `[S]`.

    The most similar row is the one with the highest cosine.

    Args:
        queries: pooled image features of the studies to read.
        memory: pooled image features of the training studies.
        query_patients: patient of each query; with `memory_patients`, rows of the same patient are passed over.
        memory_patients: patient of each row.
        block: number of queries compared at once.
    """
    if len(memory) == 0:
        raise ValueError("no training image is at hand; a nearest neighbour is looked for among them")
    unit_queries, unit_memory = _unit(queries), _unit(memory)
    found = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), block):
        likeness = unit_queries[start : start + block] @ unit_memory.T  # [b, M]
        if query_patients is not None and memory_patients is not None:
            same = np.asarray(query_patients)[start : start + block, None] == np.asarray(memory_patients)[None, :]
            likeness = np.where(same, -np.inf, likeness)
        found[start : start + block] = likeness.argmax(axis=1)
    return found


def _spread(ranked: list[str], candidates: int) -> list[str]:
    frequent = ranked[: candidates // 2]
    others = sorted(ranked[candidates // 2 :], key=lambda report: (len(report.split()), report))
    wanted = min(candidates - len(frequent), len(others))
    places = np.linspace(0, max(len(others) - 1, 0), wanted)
    return [*frequent, *(others[int(place)] for place in places)]


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(rows, np.float64)
    unit: NDArray[np.float64] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit
