"""Reports that are said of every study, each the best of its kind: what a system must beat to have looked at all.

Every one is chosen on training and validation reports alone.  Published scores on small, mostly normal data sets
lie within reach of them, which is why they stand beside every figure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from contrastcxr.metrics.baselines import constant_report, ranked_reports
from contrastcxr.metrics.text import bleu, rouge_l

_STOP = re.compile(r"(?:^|\s)\.(?=\s|$)")
SENTENCES = 100
MEDOIDS = 50
LONGEST = 12

Chooser = Callable[[Sequence[str], Sequence[str]], str]
"""From training and validation reports, in words with ` . ` after each sentence, to one report in such words."""


def most_frequent(training: Sequence[str], validation: Sequence[str]) -> str:
    """Return the training report that occurs most often."""
    del validation
    return ranked_reports(training)[0]


def most_central(training: Sequence[str], validation: Sequence[str]) -> str:
    """Return the one of the most frequent training reports with the highest mean ROUGE-L on validation."""
    tried = ranked_reports(training)[:MEDOIDS]
    if not validation:
        return tried[0]
    return max(tried, key=lambda report: float(np.mean(rouge_l(validation, [report] * len(validation)))))


def composed(training: Sequence[str], validation: Sequence[str]) -> str:
    """Return a report put together from frequent training sentences.

    Sentences are added one after the other, while validation BLEU-4 rises.

    Each step tries every one of the most frequent sentences at the end of the report so far.
    """
    counts = Counter(sentence for report in training for sentence in _sentences(report))
    if not counts:
        raise ValueError("no training report is at hand; a constant report is made from them")
    tried = sorted(counts, key=lambda sentence: (-counts[sentence], sentence))[:SENTENCES]
    held_out = list(validation) or list(training)
    report, best = "", -1.0
    for _ in range(LONGEST):
        longer = [f"{report} {sentence}".strip() for sentence in tried if sentence not in report]
        scores = [bleu(held_out, [text] * len(held_out))[3] for text in longer]
        if not scores or max(scores) <= best:
            break
        best = max(scores)
        report = longer[int(np.argmax(scores))]
    return report


CONSTANTS: Mapping[str, Chooser] = {
    "most frequent": most_frequent,
    "best of training": constant_report,
    "most central": most_central,
    "composed": composed,
}
"""Constant reports by name."""


def _sentences(report: str) -> list[str]:
    return [f"{sentence.strip()} ." for sentence in _STOP.split(report) if sentence.strip()]
