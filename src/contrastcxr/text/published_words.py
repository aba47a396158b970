"""Report words as published report-generation code counts them, flaws and all: for protocol `as-published` only.

R2Gen (Chen et al. 2020) and the projects after it score strings that went through their own cleaning: full stops
are words, `1.2 cm` has become `12 cm`, list numbers vanish also where they belong to a sentence, words that the
training reports have too rarely are `<unk>` in the references as well, and a reference ends where the longest
report that the system writes would end.  Every one of these raises a score.  `text.clean` does none of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Style = Literal["iu_xray", "mimic_cxr"]
UNKNOWN = "<unk>"

_DROPPED = re.compile(r"""[.,?;*!%^&_+():<=>@\[\]{}"/\\']""")
_FIRST = "1. "
_NUMBERS = ("2", "3", "4", "5")


def published_words(text: str, *, style: Style = "iu_xray") -> list[str]:
    """Return the words of a report as R2Gen's cleaning leaves them: lower case, ` . ` after every sentence.

    Args:
        text: a report section.
        style: whose cleaning; that for MIMIC-CXR also joins lines and runs of blanks and underscores.

    >>> " ".join(published_words("Nodule of 1.2 cm. No effusion."))
    'nodule of 12 cm . no effusion .'
    """
    if style == "mimic_cxr":
        text = re.sub(" {2,}", " ", re.sub("_{2,}", "_", text.replace("\n", " ")))
    text = re.sub(r"\.{2,}", ".", text).replace(_FIRST, "")
    for number in _NUMBERS:
        text = text.replace(f". {number}. ", ". ")
    for number in _NUMBERS:
        text = text.replace(f" {number}. ", ". ")
    sentences = [_DROPPED.sub("", sentence.strip()).strip() for sentence in text.strip().lower().split(". ")]
    return f"{' . '.join(sentences)} .".split()


@dataclass(frozen=True)
class PublishedReferences:
    """How references are prepared in published scores: rare words unknown, the end cut off.

    Attributes:
        known: words of the training reports that occur often enough.
        limit: words kept; R2Gen keeps one less than its maximum length, whose first place is the start token.
        style: whose cleaning.
    """

    known: frozenset[str]
    limit: int
    style: Style = "iu_xray"

    @classmethod
    def fit(
        cls, training: Iterable[str], *, min_count: int, max_length: int, style: Style = "iu_xray"
    ) -> PublishedReferences:
        """Count words in the training reports.

        Args:
            training: reports of the training split.
            min_count: words seen less often are unknown: 3 on IU X-ray, 10 on MIMIC-CXR.
            max_length: 60 on IU X-ray, 100 on MIMIC-CXR.
            style: whose cleaning.
        """
        counts = Counter(word for text in training for word in published_words(text, style=style))
        return cls(frozenset(w for w, n in counts.items() if n >= min_count), max_length - 1, style)

    def words(self, text: str) -> list[str]:
        """Return the words that a reference is scored with."""
        words = published_words(text, style=self.style)[: self.limit]
        return [word if word in self.known else UNKNOWN for word in words]
