"""One order for the sentences of a report, whoever wrote it: what is there, what is not, then the rest (ours).

A reporter's habits decide which region comes first, and a decoder that learns from several has to guess whose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from contrastcxr.form import Finding
from contrastcxr.text.clean import clean, split_sentences
from contrastcxr.vocab.labels import CANONICAL, NO_FINDING

SentenceOrder = Literal["as_written", "canonical"]
FindingsIn = Callable[[str], Sequence[Finding]]
"""Reads the findings out of a text: the grammar's `parse`, or a labeler."""

_REFERS_BACK = re.compile(
    r"""(?: it | its | they | their | this | these | those | that | such | which
          | otherwise | elsewhere | remainder | remaining | others?
          | also | additionally | (?:in\ addition) | furthermore | moreover | however | likewise | similarly
          | the\ (?: rest | remainder | remaining | others? | latter | former | same | findings? | appearances?
                  | tips?(?!\ of) )
          | (?: unchanged | stable | no\ (?:(?:significant|interval|further|appreciable)\ )*changes? )(?=\W*$|\ (?:compared|from|since|when))
        )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Beginnings of a sentence that is read with the one before it."""

_PLACE = {name: place for place, name in enumerate(CANONICAL) if name != NO_FINDING}
_THERE, _NOT_THERE, _REST = range(3)
_ENDS = (".", "?", "!")


def has_sentences(text: str) -> bool:
    """Return whether a mark ends a sentence in the text."""
    return any(sentence.endswith(_ENDS) for sentence in split_sentences(text))


def in_canonical_order(text: str, findings_in: FindingsIn) -> str:
    """Return a section of a report with the same sentences in canonical order (ours).

    First those that name a finding as present or uncertain, then those that only deny, both in the order of
    `CANONICAL` (CheXpert's, then NIH's; of several findings the first in that order counts), then the rest. What
    is equal keeps the written order. A sentence that begins by referring back ("It is unchanged", "Otherwise …")
    stays behind the one it follows, and a last sentence without its mark stays last.

    Args:
        text: the section.
        findings_in: reads the findings out of a sentence.
    """
    sentences = split_sentences(clean(text))
    groups = _groups(sentences)
    ordered = sorted(groups, key=lambda group: _rank(group, findings_in))
    joined = " ".join(sentence for group in ordered for sentence in group)
    # Cleaning takes "1." for the number of a list where a capital follows: such a text is left as it is.
    return joined if clean(joined) == joined else text


def _groups(sentences: Sequence[str]) -> list[list[str]]:
    """Return each sentence with those behind it that refer back."""
    groups: list[list[str]] = []
    for sentence in sentences:
        if groups and _REFERS_BACK.match(sentence):
            groups[-1].append(sentence)
        else:
            groups.append([sentence])
    return groups


def _rank(group: Sequence[str], findings_in: FindingsIn) -> tuple[bool, int, int]:
    return (not group[-1].endswith(_ENDS), *_subject(group[0], findings_in))


@lru_cache(maxsize=1 << 15)  # sentences repeat across reports, and a report is written several times
def _subject(sentence: str, findings_in: FindingsIn) -> tuple[int, int]:
    """Return what a sentence says and the place of the first finding that it says it of."""
    found = [finding for finding in findings_in(sentence) if finding.name in _PLACE]
    for kind, statuses in ((_THERE, ("present", "uncertain")), (_NOT_THERE, ("absent",))):
        places = [_PLACE[finding.name] for finding in found if finding.status in statuses]
        if places:
            return kind, min(places)
    return _REST, 0
