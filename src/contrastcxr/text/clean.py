"""Report text becomes canonical text: one spacing, no list numbers, every measurement as the writer gave it.

Canonical text is what `join(split_words(text))` gives back unchanged, so a tokenizer that keeps the words keeps
the text.  A de-identification mask is one word, spelled as its source spells it: `XXXX` (IU X-ray), `___`
(MIMIC-CXR, however many underscores).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(
    r"""
      <unk>                                                  # a word that a vocabulary did not know
    | (?:[A-Za-z]\.){2,}                                     # i.e. a.m. e.g.
    | \b(?:Dr|Mr|Mrs|Ms|vs|approx|cf)\.(?!\w)                # one-dot abbreviations
    | (?<![\w.])\.\d+                                        # .5
    | (?:_{2,}|[^\W_]+)(?:(?:[-']|(?<=\d)[.,:](?=\d))(?:_{2,}|[^\W_]+))*   # 1.2 T12 10:30 left-sided it's ___
    | [^\s\w]                                                # any mark on its own
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TIGHT_BEFORE = frozenset(".,;:?!)]}%/")
_TIGHT_AFTER = frozenset("([{/")
_ENDS = frozenset(".?!")
_TAG = re.compile(r"</?(?:br|p|div|span)\s*/?>", re.IGNORECASE)
_QUOTES = str.maketrans('\u2018\u2019\u201c\u201d"`\u00a0', "''     ")
_DASHES = re.compile(r"[\u2010-\u2015]")
_LONE_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")
_MASK = re.compile(r"_{2,}")
_LIST_NUMBER = re.compile(
    r"(?:^\s*|(?<=[.?!:;])\s+|(?<=[A-Za-z][:;])|(?<=\n)[ \t]*)\(?(\d{1,2})(?:\.|\))\s*(?=[A-Z_(])"
)
_DOTS = re.compile(r"\.(?:\s*\.)+")


def clean(text: str) -> str:
    """Return the canonical form of a section: one line, canonical spacing, list numbers removed, case kept.

    Numbers are never altered: `1.2 cm`, `2.5 x 3 cm`, `T12`, `.5`, `10:30` and a sentence that ends in `1.` stay.
    They are removed only as the markers of a list that starts at 1 and counts up, each before a capital letter.

    >>> clean("1. Nodule of 1.2 cm ,unchanged.  2. No effusion .")
    'Nodule of 1.2 cm, unchanged. No effusion.'
    """
    plain = _TAG.sub(" ", html.unescape(text)).translate(_QUOTES)
    plain = _LONE_APOSTROPHE.sub(" ", _DASHES.sub("-", plain))
    plain = _without_list_numbers(plain)
    plain = _DOTS.sub(".", _MASK.sub("___", plain))
    return join(split_words(plain))


def split_words(text: str) -> list[str]:
    """Return the words and marks of a text, in order and in their case; whitespace and lone underscores vanish."""
    return _WORD.findall(text)


def join(words: Iterable[str]) -> str:
    """Return words and marks as running text: no space before `. , .

    : ? ! ) ] %`, none after `(`, none around `/`.
    """
    parts: list[str] = []
    tight = True
    for word in words:
        if not tight and word not in _TIGHT_BEFORE:
            parts.append(" ")
        parts.append(word)
        tight = word in _TIGHT_AFTER
    return "".join(parts)


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text in canonical form; a decimal point or an abbreviation ends none.

    >>> split_sentences("A nodule of 1.2 cm, i.e. small. No effusion")
    ('A nodule of 1.2 cm, i.e. small.', 'No effusion')
    """
    return tuple(join(words) for words in sentence_words(split_words(text)))


def sentence_words(words: Sequence[str]) -> list[list[str]]:
    """Return words grouped into sentences, each closed by its mark.

    A group of marks alone joins the one before it.
    """
    sentences: list[list[str]] = []
    start = 0
    for index, word in enumerate(words):
        if word in _ENDS:
            _append(sentences, words[start : index + 1])
            start = index + 1
    if start < len(words):
        _append(sentences, words[start:])
    return sentences


def _append(sentences: list[list[str]], words: Sequence[str]) -> None:
    if sentences and not any(_has_letter(word) for word in words):
        sentences[-1].extend(words)
    else:
        sentences.append(list(words))


def _has_letter(word: str) -> bool:
    return any(character.isalnum() or character == "_" for character in word)


def _without_list_numbers(text: str) -> str:
    kept: list[str] = []
    end = last = 0
    for match in _LIST_NUMBER.finditer(text):
        number = int(match.group(1))
        if number not in (1, last + 1):
            continue
        last = number
        kept += [text[end : match.start()], " "]
        end = match.end()
    return "".join(kept) + text[end:]
