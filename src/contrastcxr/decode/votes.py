"""Which of a decoder's own samples is written: what to say is decided by votes, how to say it by a sample (ours).

Minimum Bayes risk over samples (Kumar and Byrne 2004; Eikema and Aziz 2020) with two gains, one after the other:
the F1 of the findings that a sample states with those that enough samples state, then the words it shares with the
others. The wordings of a finding are rivals in a beam; in votes their probabilities add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum


@dataclass(frozen=True)
class SampledReport:
    """One report that was drawn.

    Attributes:
        findings: that it states to be present.
        words: token ids.
        log_prob: of the words and the end.
    """

    findings: frozenset[str]
    words: tuple[int, ...]
    log_prob: float


def vote_shares(samples: Sequence[SampledReport]) -> dict[str, float]:
    """Return the share of the samples that state each finding, the largest first, then by name."""
    votes = Counter(name for sample in samples for name in sample.findings)
    return {name: votes[name] / len(samples) for name in sorted(votes, key=lambda name: (-votes[name], name))}


def elect(shares: Mapping[str, float], threshold: float) -> frozenset[str]:
    """Return the findings whose share reaches the threshold."""
    return frozenset(name for name, share in shares.items() if share >= threshold)


def best_supported(samples: Sequence[SampledReport], threshold: float) -> int:
    """Return which sample is written.

    It is the one whose findings agree most with the elected ones; among equals the one whose words agree most with
    the other samples' on average, then the most probable one, then the first.
    """
    wanted = elect(vote_shares(samples), threshold)
    agreement = [set_f1(sample.findings, wanted) for sample in samples]
    leading = [place for place, value in enumerate(agreement) if value == max(agreement)]
    heard = _support([sample.words for sample in samples], leading)
    return max(leading, key=lambda place: (heard[place], samples[place].log_prob, -place))


def _support(reports: Sequence[tuple[int, ...]], asked: Sequence[int]) -> dict[int, float]:
    """Return the mean agreement in words of each report asked for with all others; 0 where there is no other."""
    copies = Counter(reports)
    counts = {words: _grams(words) for words in copies}
    mean = {}
    for words in {reports[place] for place in asked}:
        # Each other report as often as it was drawn, this one once less; an exact sum knows no order.
        parts = [word_f1(counts[words], counts[other]) * (copies[other] - (other == words)) for other in copies]
        mean[words] = fsum(parts) / max(len(reports) - 1, 1)
    return {place: mean[reports[place]] for place in asked}


def _grams(words: Sequence[int]) -> Counter[tuple[int, ...]]:
    """Return how often each word and each pair of neighbours comes."""
    return Counter([*((word,) for word in words), *pairwise(words)])


def set_f1(said: Collection[str], wanted: Collection[str]) -> float:
    """Return the F1 of two sets; two empty ones agree fully."""
    total = len(said) + len(wanted)
    return 2 * len(set(said) & set(wanted)) / total if total else 1.0


def word_f1(one: Counter[tuple[int, ...]], other: Counter[tuple[int, ...]]) -> float:
    """Return the F1 of the words and pairs of words of two reports, as they were counted; symmetric."""
    total = one.total() + other.total()
    less, more = (one, other) if len(one) <= len(other) else (other, one)
    shared = sum(min(count, more[gram]) for gram, count in less.items() if gram in more)
    return 2 * shared / total if total else 1.0
