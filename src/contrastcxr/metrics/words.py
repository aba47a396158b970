"""How texts become the words that scores count, by name: part of what makes two figures comparable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contrastcxr.metrics.text import TOKENISER, tokenise
from contrastcxr.text.published_words import PublishedReferences, Style, published_words

AsWords = Callable[[str], str]
"""From text to words joined by single spaces."""


@dataclass(frozen=True)
class ScoredWords:
    """References and candidates may be prepared differently, as published code does.

    Attributes:
        name: of the tokenizer, as in signatures.
        cut: words that a reference keeps; None keeps all.
        reference: what is scored against.
        candidate: what a system said.
    """

    name: str
    cut: int | None
    reference: AsWords
    candidate: AsWords


PLAIN = ScoredWords(TOKENISER, None, tokenise, tokenise)
"""Full references and the declared Java-free tokenizer on both sides: protocol `corrected`."""

PUBLISHED_LENGTH = {"iu_xray": 60, "mimic_cxr": 100}
"""Longest report in tokens, the start token included, in the settings of papers A and C."""
PUBLISHED_COUNT = {"iu_xray": 3, "mimic_cxr": 10}
"""Training occurrences below which a word is unknown."""


def as_published(training: Iterable[str], *, style: Style) -> ScoredWords:
    """Return references cleaned as by R2Gen, cut, with rare words unknown: protocol `as-published`.

    Args:
        training: reports of the training split, in which words are counted.
        style: whose cleaning, length and count.
    """
    count, length = PUBLISHED_COUNT[style], PUBLISHED_LENGTH[style]
    made = PublishedReferences.fit(training, min_count=count, max_length=length, style=style)
    return ScoredWords(
        f"r2gen-words-1/{style}/{count}",
        made.limit,
        reference=lambda text: " ".join(made.words(text)),
        candidate=lambda text: " ".join(published_words(text, style=style)),
    )
