"""Anatomy in a state: "heart size and mediastinal contours are normal", "no enlargement of the heart".

A state belongs to the structures named since the last state; else to those that follow it; else, at the end of
the sentence, to the ones named last ("the heart is not normal in size; it is enlarged").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contrastcxr.text.labeling.automaton import Sign
from contrastcxr.text.labeling.mentions import Said, TermMention, Words

if TYPE_CHECKING:
    from contrastcxr.text.labeling.rules import Says

NORMAL = frozenset({"normal", "clear"})
Reach = tuple[Said, Words]


@dataclass(slots=True)
class Structures:
    """Structures and states of one sentence, paired as they come."""

    says: Says
    waiting: list[Sign] = field(default_factory=list)
    named: list[Sign] = field(default_factory=list)
    state: Sign | None = None
    reach: Reach | None = None
    used: bool = True

    def structure(self, sign: Sign) -> Iterator[TermMention]:
        """Note that a structure is named; yield the mentions of a state that stood before it."""
        if not self.waiting:
            self.named = []
        self.named.append(sign)
        if self.state is None:
            self.waiting.append(sign)
        else:
            self.used = True
            yield from self._say(sign, self.state, self.reach)

    def enter(self, sign: Sign, reach: Reach | None) -> Iterator[TermMention]:
        """Note that a state is named within the reach of a cue; yield the mentions of the structures before it."""
        yield from self.finish()
        if self.waiting:
            for structure in self.waiting:
                yield from self._say(structure, sign, reach)
            self.waiting, self.state, self.used = [], None, True
        else:
            self.state, self.reach, self.used = sign, reach, False

    def interrupt(self) -> None:
        """Note that something else was named: a state to come belongs to none of the structures before it."""
        self.waiting = []
        if self.used:
            self.state = None

    def separate(self, *, always: bool = False) -> None:
        """Note a comma: in "enlarged heart, hilar contours" the state ends, in "normal heart, lungs" not."""
        if self.state is not None and self.used and (always or self.state.value not in NORMAL):
            self.state = None

    def finish(self) -> Iterator[TermMention]:
        """Yield the mentions of a state that no structure followed: it tells of those named last."""
        if self.state is not None and not self.used:
            for structure in self.named:
                yield from self._say(structure, self.state, self.reach)
            self.used = True

    def _say(self, structure: Sign, state: Sign, reach: Reach | None) -> Iterator[TermMention]:
        stated = self.says.get((structure.value, state.value), ())
        cue = _cue(state, reach)
        if cue is not None and state.value in NORMAL:
            return  # "not normal" does not say what is wrong
        for name, said in stated:
            mention = TermMention((name,), said, state.first, state.last, [(structure.first, structure.last)])
            if cue is not None:
                mention.decide(*cue)
            yield mention


def _cue(state: Sign, reach: Reach | None) -> Reach | None:
    """Return the cue that holds for a state.

    A normal one is denied only by the word before it, and never doubted.
    """
    if reach is None or state.value not in NORMAL:
        return reach
    said, words = reach
    return reach if said == "absent" and words[1] == state.first else None
