"""One mention of a finding in a sentence, while the sentence is being read and when it has been."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from contrastcxr.form import Severity, Side

Said = Literal["present", "absent", "uncertain", "ignored"]
Words = tuple[int, int]
"""Words `[first, last)` of a sentence."""


@dataclass(slots=True)
class TermMention:
    """A finding at its words, with what was decided of it so far and the words that decided it."""

    names: tuple[str, ...]
    said: Said
    first: int
    last: int
    decided_by: list[Words] = field(default_factory=list)
    side: Side | None = None
    severity: Severity | None = None
    side_before: bool = True
    partner: TermMention | None = None

    def decide(self, said: Said, words: Words) -> None:
        """Say something else of it, for these words."""
        if self.said != "ignored":
            self.said = said
            self.decided_by.append(words)


class TermStatement(NamedTuple):
    """What a sentence says of one name, and the characters of the sentence that say so."""

    name: str
    said: Said
    side: Side | None
    severity: Severity | None
    characters: tuple[tuple[int, int], ...]
