"""All phrases in one automaton over words: the longest phrase wins, from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_END = ""  # no word is empty


class Sign(NamedTuple):
    """A phrase that means something: its kind, its meaning, and its words `[first, last)`."""

    kind: str
    value: Any
    first: int
    last: int


class Automaton:
    """A tree of words in which every path that means something ends in its meaning."""

    def __init__(self, phrases: Iterable[tuple[Sequence[str], str, Any]]) -> None:
        self._root: dict[str, Any] = {}
        for words, kind, value in phrases:
            node = self._root
            for word in words:
                node = node.setdefault(word, {})
            node[_END] = (kind, value)

    def signs(self, words: Sequence[str]) -> list[Sign]:
        """Return the phrases in a row of words, none overlapping another."""
        found: list[Sign] = []
        root, count, at = self._root, len(words), 0
        while at < count:
            node = root.get(words[at])
            if node is None:
                at += 1
                continue
            meaning, last, place = node.get(_END), at + 1, at + 1
            while place < count and (node := node.get(words[place])) is not None:
                place += 1
                if _END in node:
                    meaning, last = node[_END], place
            if meaning is not None:
                found.append(Sign(meaning[0], meaning[1], at, last))
                at = last
            else:
                at += 1
        return found
