"""Side and severity go to the finding they stand beside."""

from __future__ import annotations

from collections.abc import Sequence

from contrastcxr.form import Side
from contrastcxr.text.labeling.automaton import Sign
from contrastcxr.text.labeling.mentions import TermMention

_BORDERS = frozenset({"separator", "stop", "except", "verbs", "negative_after", "doubt_after"})


def attach(mentions: Sequence[TermMention], signs: Sequence[Sign]) -> None:
    """Give each side and severity to the mention it describes.

    That is the next one, if no comma, `and` or verb stands between; else the one before, if no `but` stands
    between; else the next after all.  The second of two alternatives shares what was said before the first.
    """
    placed = sorted(mentions, key=lambda mention: mention.first)
    for sign in signs:
        if sign.kind in ("side", "severity"):
            owner = owner_of(sign.first, placed, signs)
            if owner is not None:
                _give(owner, sign)
    for mention in placed:
        partner = mention.partner
        if partner is not None and mention.side is None and partner.side_before:
            mention.side = partner.side


def owner_of(place: int, mentions: Sequence[TermMention], signs: Sequence[Sign]) -> TermMention | None:
    """Return the mention that the word at a place describes; mentions stand in the order of the sentence."""
    after = next((mention for mention in mentions if mention.last > place), None)
    before = next((mention for mention in reversed(mentions) if mention.last <= place), None)
    if after is not None and (after.first <= place or not _between(signs, place, after.first, _BORDERS)):
        return after
    if before is not None and not _between(signs, before.last - 1, place, frozenset({"stop"})):
        return before
    return after


def _between(signs: Sequence[Sign], first: int, last: int, kinds: frozenset[str]) -> bool:
    """Return whether a sign of these kinds begins behind one word and before another."""
    return any(first < sign.first < last and sign.kind in kinds for sign in signs)


def _give(mention: TermMention, sign: Sign) -> None:
    if sign.kind == "severity":
        mention.severity = mention.severity or sign.value
        return
    before = sign.first < mention.first
    if mention.side is None:
        mention.side, mention.side_before = sign.value, before
    elif before == mention.side_before and mention.side != sign.value:
        mention.side = _both(mention.side, sign.value)


def _both(one: Side, other: Side) -> Side:
    return one if one == other else "bilateral"
