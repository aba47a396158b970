"""Raw text becomes sentences and their words, each with the characters it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"\d+(?:\.\d+)?|\b(?:vs|approx|dr)\.|[^\W_]+(?:'[^\W_]+)?|_{2,}|[,;&/]")
# One set of characters comes first, which is what the search runs fast on.
_BORDER = re.compile(
    r"""
    [.?!\n](?:
        (?<=\n)(?: [ \t]*\n                                        # an empty line
                 | (?=[ \t]*(?:[-*\u2022]|\d{1,2}[.)])\s)           # the next entry of a list
                 | (?=[ \t]*[A-Z][a-z]) )                          # a line that begins like a sentence
      | (?<!\n)(?<!\bvs\.)(?<!\b[Dd]r\.)(?<!\bapprox\.)
        [.?!]*(?=\s|$|[A-Z])                                       # a full stop, even with no space behind it
    )\s*
    """,
    re.VERBOSE,
)
_LONGEST = 2000  # characters; what is longer is no sentence, and would take time that grows with its square


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, str]]:
    """Yield the sentences of `text[start:end]`, each with the place of its first character in `text`.

    A decimal point ends nothing. A line break ends a sentence before an empty line, a list entry or a
    capital and a small letter. What is longer than any sentence is cut at a space.
    """
    end = len(text) if end is None else end
    at = start
    for border in _BORDER.finditer(text, start, end):
        yield from _pieces(text, at, border.start())
        at = border.end()
    yield from _pieces(text, at, end)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    while end - start > _LONGEST:
        cut = text.rfind(" ", start + 1, start + _LONGEST)
        cut = cut if cut > 0 else start + _LONGEST
        yield start, text[start:cut]
        start = cut
    if start < end:
        yield start, text[start:end]


def words(sentence: str) -> tuple[list[str], list[int], list[int]]:
    """Return lower-case words and marks of a sentence, where each starts and where it ends; hyphens part words."""
    found = list(_WORD.finditer(sentence.lower()))
    return [m.group() for m in found], [m.start() for m in found], [m.end() for m in found]
