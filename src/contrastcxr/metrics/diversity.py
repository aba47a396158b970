"""How much the reports of a system differ from each other: a constant report scores well and says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from contrastcxr.metrics.text import tokenise
from contrastcxr.text.clean import split_sentences


@dataclass(frozen=True)
class Diversity:
    """Counts over one set of reports."""

    reports: int
    distinct_reports: int
    distinct_sentences: int
    most_common_share: float
    mean_words: float

    @property
    def distinct_share(self) -> float:
        """Distinct reports per report; 1 when no two are equal."""
        return self.distinct_reports / self.reports if self.reports else float("nan")


def diversity(reports: Sequence[str]) -> Diversity:
    """Count distinct reports and sentences, by their words as the text metrics see them.

    Args:
        reports: texts as written.
    """
    if not reports:
        return Diversity(0, 0, 0, float("nan"), float("nan"))
    counts = Counter(tokenise(report) for report in reports)
    sentences = {tokenise(sentence) for report in reports for sentence in split_sentences(report)} - {""}
    words = sum(len(report.split()) * times for report, times in counts.items())
    return Diversity(
        reports=len(reports),
        distinct_reports=len(counts),
        distinct_sentences=len(sentences),
        most_common_share=max(counts.values()) / len(reports),
        mean_words=words / len(reports),
    )
