"""One order for the sentences of a report, whoever wrote it: what is there, what is not, then the rest (ours).

A reporter's habits decide which region comes first, and a decoder that learns from several has to guess whose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from contrastcxr.form import Finding
from contrastcxr.text.clean import clean, split_sentences, split_words
from contrastcxr.vocab.labels import CANONICAL, NO_FINDING

SentenceOrder = Literal["as_written", "canonical"]
FindingsIn = Callable[[str], Sequence[Finding]]
"""Reads the findings out of a text: the grammar's `parse`, or a labeler."""

_REFERS_BACK = re.compile(
    r"""(?: it | its | they | their | this | these | those | that | such | which
          | none | (?:both|neither|one|all)\ (?:is|are|was|were|has|have|appear|of\ (?:these|them|which))
          | another | an?\ second | (?:the\ )?same\ (?:on|in|at|is|applies|as) | and | but | or | nor | yet
          | otherwise | elsewhere | remainder | remaining | others?
          | also | additionally | (?:in\ addition) | furthermore | moreover | however | likewise | similarly
          | the\ (?: rest | remainder | remaining | others? | latter | former | same | findings? | appearances?
                  | tips?(?!\ of) )
          | (?: unchanged | stable | no\ (?:(?:significant|interval|further|appreciable)\ )*changes? )
            (?=\W*$|\ (?:compared|from|since|when))
        )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Beginnings of a sentence that is read with the one before it."""

_PLACE = {name: place for place, name in enumerate(CANONICAL) if name != NO_FINDING}
_THERE, _NOT_THERE, _REST = range(3)
_ENDS = frozenset(".?!")


def has_sentences(text: str) -> bool:
    """Return whether a mark ends a sentence in the text."""
    return not _ENDS.isdisjoint(split_words(text))


def in_canonical_order(text: str, findings_in: FindingsIn) -> str:
    """Return a section of a report with the same sentences in canonical order (ours).

    First those that name a finding as present or uncertain, then those that only deny, both in the order of
    `CANONICAL` (CheXpert's, then NIH's; of several findings the first in that order counts), then the rest. What
    is equal keeps the written order. A sentence that begins by referring back ("It is unchanged", "Otherwise …")
    stays behind the one it follows, or first where it follows none; a last one without its mark stays last.

    Args:
        text: the section.
        findings_in: reads the findings out of a sentence.
    """
    sentences = split_sentences(clean(text))
    groups = _groups(sentences)
    first = 1 if groups and _REFERS_BACK.match(groups[0][0]) else 0
    last = len(groups) if groups and split_words(sentences[-1])[-1] in _ENDS else max(first, len(groups) - 1)
    between = sorted(groups[first:last], key=lambda group: _subject(group[0], findings_in))
    ordered = [sentence for group in (*groups[:first], *between, *groups[last:]) for sentence in group]
    joined = " ".join(ordered)
    # "1." before a capital is cleaned away as the number of a list, and such: then the text is left as it is.
    return joined if list(split_sentences(clean(joined))) == ordered else text


def _groups(sentences: Sequence[str]) -> list[list[str]]:
    """Return each sentence with those behind it that refer back."""
    groups: list[list[str]] = []
    for sentence in sentences:
        if groups and _REFERS_BACK.match(sentence):
            groups[-1].append(sentence)
        else:
            groups.append([sentence])
    return groups


@lru_cache(maxsize=1 << 15)  # sentences repeat across reports, and a report is written several times
def _subject(sentence: str, findings_in: FindingsIn) -> tuple[int, int]:
    """Return what a sentence says and the place of the first finding that it says it of."""
    found = [finding for finding in findings_in(sentence) if finding.name in _PLACE]
    for kind, statuses in ((_THERE, ("present", "uncertain")), (_NOT_THERE, ("absent",))):
        places = [_PLACE[finding.name] for finding in found if finding.status in statuses]
        if places:
            return kind, min(places)
    return _REST, 0
