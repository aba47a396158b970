"""What reports look like as texts: how long they are, and which sentences they are made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from contrastcxr.evaluation.report.charts import lengths
from contrastcxr.evaluation.report.headline import cell
from contrastcxr.metrics.lengths import LENGTH_DISTANCE, LONGEST, length_counts
from contrastcxr.metrics.scores import Scores
from contrastcxr.metrics.table import Answer, StudyTable
from contrastcxr.metrics.text import tokenise
from contrastcxr.text.clean import split_sentences

SHOWN = 10

Values = dict[str, Any]


def length_values(table: StudyTable, scores: Scores) -> Values | None:
    """Return the chart of words per report, its summary for both sides, and how far the lengths differ.

    None where texts are not compared. Lengths are those of `scores.json`: of words as they are scored, of studies
    whose reference holds some.
    """
    if table.lengths is None:
        return None
    wanted, written = ([int(v) for v in side[np.isfinite(side)]] for side in table.lengths)
    sides = {"references": wanted, "this system": written}
    return {
        "chart": lengths(wanted, written),
        "rows": [{"name": name, **_summary(values)} for name, values in sides.items()],
        "beyond": _beyond(wanted, written),
        "distance": cell(scores.get(LENGTH_DISTANCE)),
    }


def sentence_values(references: Sequence[Answer], system: Sequence[Answer]) -> list[Values]:
    """Return the most frequent sentences of each side, with the share of reports that hold them on both sides."""
    sides = {"Most frequent in the references": references, "Most frequent in this system's reports": system}
    shares = [SentenceShares(references), SentenceShares(system)]
    return [
        {
            "title": title,
            "distinct": f"{len(own.share):,}",
            "rows": [
                {"text": own.written[words], "shares": [f"{side.share.get(words, 0.0):.1%}" for side in shares]}
                for words in own.most_frequent(SHOWN)
            ],
        }
        for title, own in zip(sides, shares, strict=True)
    ]


class SentenceShares:
    """For each distinct sentence, by its words, the share of reports that hold it and how it is mostly written."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        holding: Counter[str] = Counter()
        for answer in answers:
            said = {tokenise(sentence): sentence for sentence in split_sentences(answer.words)}
            said.pop("", None)
            holding.update(said.keys())
            for words, sentence in said.items():
                spellings[words][sentence] += 1
        self.share = {words: count / len(answers) for words, count in holding.items()}
        self.written = {words: found.most_common(1)[0][0] for words, found in spellings.items()}

    def most_frequent(self, count: int) -> list[str]:
        """Return the words of the most frequent sentences; ties in order of the alphabet."""
        return sorted(self.share, key=lambda words: (-self.share[words], words))[:count]


def _beyond(wanted: Sequence[int], written: Sequence[int]) -> str:
    """Return how many reports the chart has no place for; empty where there are none."""
    longer = [length_counts(lengths)[1] for lengths in (wanted, written)]
    if not any(longer):
        return ""
    return f"More than {LONGEST} words, and not drawn: references {longer[0]:,}, this system {longer[1]:,}."


def _summary(values: Sequence[int]) -> Values:
    return {
        "mean": f"{sum(values) / len(values):.1f}",
        "median": f"{median(values):g}",
        "shortest": min(values),
        "longest": max(values),
        "empty": sum(value == 0 for value in values),
    }
