"""A report becomes the findings it states: the inverse of the grammar, forgiving to what a model writes.

`parse` knows words, not wordings: findings, anatomy with its states, negation, doubt, sides, zones, severities
and sizes (`lexicon.yaml`).  Every wording of the grammar is inverted exactly, which the tests prove; words and
sentences outside the lexicon are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

from contrastcxr.form import Finding, Severity, Side, Status
from contrastcxr.text.clean import sentence_words, split_words
from contrastcxr.text.grammar.resolving import resolve
from contrastcxr.vocab.attributes import SAYABLE, sayable_side

_MILLIMETRES = {"mm": 1.0, "millimeters": 1.0, "cm": 10.0, "centimeters": 10.0}


@dataclass(frozen=True, slots=True)
class _Item:
    """A phrase that means something: its kind, its meaning, and the position of its first word."""

    kind: str
    value: Any
    at: int = 0


@dataclass(frozen=True, slots=True)
class _Mention:
    name: str
    status: Status
    at: int = 0
    side: Side | None = None
    zone: str | None = None
    severity: Severity | None = None
    size_mm: float | None = None


def parse(text: str) -> tuple[Finding, ...]:
    """Return the findings that a report states, as `resolve` settles them; what is unmentioned is not returned.

    Letter case, unknown words and ungrammatical sentences do not matter.  A denial carries no attributes.
    `sentences` are indices into `split_sentences(text)`.  The rules are in docs/reports.md.
    """
    mentions = [
        _finding(mention, index)
        for index, words in enumerate(sentence_words(split_words(text.lower())))
        for mention in _sentence(tuple(words))
    ]
    return resolve(mentions)


def _finding(mention: _Mention, sentence: int) -> Finding:
    return Finding(
        name=mention.name,
        status=mention.status,
        side=mention.side,
        zone=mention.zone,
        severity=mention.severity,
        size_mm=mention.size_mm,
        sentences=(sentence,),
    )


@lru_cache(maxsize=1 << 16)
def _sentence(words: tuple[str, ...]) -> tuple[_Mention, ...]:
    mentions: list[_Mention] = []
    for clause in _clauses(_items(words)):
        for mention in _read_clause(clause):
            _join_mention(mentions, mention)
    return tuple(mentions)


def _items(words: Sequence[str]) -> Iterator[_Item]:
    """Yield the longest known phrases from left to right; a number before a unit is a size."""
    lexicon = _lexicon()
    at = 0
    while at < len(words):
        phrase = next((p for p in lexicon.get(words[at], ()) if words[at : at + len(p[0])] == p[0]), None)
        if phrase is not None:
            yield from (replace(item, at=at) for item in phrase[1])
            at += len(phrase[0])
            continue
        if words[at] in _MILLIMETRES and at and (size := _number(words[at - 1])):
            yield _Item("size_mm", float(round(size * _MILLIMETRES[words[at]], 1)), at)
        at += 1


def _number(word: str) -> float | None:
    return float(word) if word.replace(".", "", 1).isdecimal() else None


def _clauses(items: Iterable[_Item]) -> list[list[_Item]]:
    """Return items up to a `but`, or to a negation that follows something already said."""
    clauses: list[list[_Item]] = [[]]
    for item in items:
        said = any(one.kind in ("finding", "state", "normality") for one in clauses[-1])
        if item.kind == "stop" or (item.kind == "negative" and said):
            clauses.append([])
        clauses[-1].append(item)
    return clauses


def _read_clause(clause: list[_Item]) -> list[_Mention]:
    doubt = any(item.kind == "uncertain" for item in clause)
    mentions = [*_named(clause, doubt), *_described(clause, doubt)]
    mentions.sort(key=lambda mention: mention.at)
    placed = _placed(mentions, clause)
    return [_sayable(mention) for mention in placed]


def _named(clause: Sequence[_Item], doubt: bool) -> Iterator[_Mention]:
    """Yield findings called by name, and abnormalities denied or normality stated in a fixed phrase."""
    for item in clause:
        if item.kind == "finding":
            name, zone = item.value
            yield _Mention(name, _status(clause, item.at, doubt), item.at, zone=zone)
        elif item.kind == "normality" or (item.kind == "abnormality" and _negated(clause, item.at)):
            yield from (_Mention(name, "absent", item.at) for name in item.value)


def _described(clause: Sequence[_Item], doubt: bool) -> Iterator[_Mention]:
    """Yield anatomy in a state: heart enlarged, angles sharp."""
    one_sided = len({item.value for item in clause if item.kind == "side"} - {"bilateral"}) == 1
    for anatomy, state in _pairs(clause):
        for name in _says().get((anatomy.value, state.value), ()):
            if state.value == "normal":
                if not one_sided:  # "the right lung is clear" says nothing of the left
                    yield _Mention(name, "absent", state.at)
            elif state.value == "borderline":
                yield _Mention(name, "uncertain", state.at)
            else:
                yield _Mention(name, _status(clause, state.at, doubt), state.at)


def _pairs(clause: Iterable[_Item]) -> Iterator[tuple[_Item, _Item]]:
    """Yield anatomy with its state.

    A state belongs to the anatomy named before it since the last state, else to the next one named.
    """
    waiting: list[_Item] = []
    state: _Item | None = None
    for item in clause:
        if item.kind == "anatomy":
            if state is not None:
                yield item, state
                state = None
            else:
                waiting.append(item)
        elif item.kind == "state":
            yield from ((anatomy, item) for anatomy in waiting)
            state = None if waiting else item
            waiting = []


def _status(clause: Sequence[_Item], at: int, doubt: bool) -> Status:
    if doubt:
        return "uncertain"
    return "absent" if _negated(clause, at) else "present"


def _negated(clause: Sequence[_Item], at: int) -> bool:
    return any(
        (item.kind == "negative" and item.at < at) or (item.kind == "negative_after" and item.at > at)
        for item in clause
    )


def _placed(mentions: Sequence[_Mention], clause: Sequence[_Item]) -> list[_Mention]:
    """Return the mentions with the sides, zones, severities and sizes of the clause.

    Each of these is given to the mention it stands by.
    """
    asserted = [mention for mention in mentions if mention.status != "absent"]
    if not asserted:
        return list(mentions)
    breaks = [item.at for item in clause if item.kind == "soft"]
    given: dict[int, list[_Item]] = {}
    for item in clause:
        if item.kind in ("side", "zone", "severity", "size_mm"):
            owner = _owner(asserted, item.at, breaks)
            given.setdefault(id(owner), []).append(item)
    return [_with(mention, given.get(id(mention), ())) for mention in mentions]


def _owner(mentions: Sequence[_Mention], at: int, breaks: Sequence[int]) -> _Mention:
    """Return the next mention if no `and` or comma stands between, else the one before, else the first."""
    if len({mention.name for mention in mentions}) == 1:
        return mentions[0]
    following = next((m for m in mentions if m.at > at and not any(at < b < m.at for b in breaks)), None)
    before = [mention for mention in mentions if mention.at <= at]
    return following or (before[-1] if before else mentions[0])


def _with(mention: _Mention, items: Iterable[_Item]) -> _Mention:
    sides: set[Side] = set()
    for item in items:
        if item.kind == "side":
            sides.add(item.value)
        elif item.kind == "zone":
            mention = replace(mention, zone=mention.zone or item.value)
        elif item.kind == "severity":
            mention = replace(mention, severity=mention.severity or item.value)
        else:
            mention = replace(mention, size_mm=mention.size_mm or item.value)
    if not sides:
        return mention
    return replace(mention, side="bilateral" if len(sides) > 1 or "bilateral" in sides else sides.pop())


def _sayable(mention: _Mention) -> _Mention:
    """Return the mention without what its name cannot carry."""
    sayable = SAYABLE[mention.name]
    if mention.status == "absent":
        return _Mention(mention.name, "absent")
    zone = mention.zone if mention.zone in sayable.zones else None
    side = sayable_side(mention.name, zone, mention.side)
    severity = mention.severity if mention.severity in sayable.severities else None
    size = mention.size_mm if sayable.size else None
    return _Mention(mention.name, mention.status, 0, side, zone, severity, size)


def _join_mention(mentions: list[_Mention], new: _Mention) -> None:
    """Add a mention, or complete the one of its name and status that the sentence already has."""
    for index, old in enumerate(mentions):
        if (old.name, old.status) != (new.name, new.status):
            continue
        pairs = [(getattr(old, f), getattr(new, f)) for f in ("side", "zone", "severity", "size_mm")]
        if all(a is None or b is None or a == b for a, b in pairs):
            side, zone, severity, size = (a if a is not None else b for a, b in pairs)
            mentions[index] = _Mention(old.name, old.status, 0, side, zone, severity, size)
            return
    mentions.append(new)


@cache
def _data() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = files("contrastcxr.text.grammar").joinpath("lexicon.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=loader))


@cache
def _says() -> dict[tuple[str, str], tuple[str, ...]]:
    says = _data()["says"]
    return {(anatomy, state): tuple(names) for anatomy, by in says.items() for state, names in by.items()}


@cache
def _lexicon() -> dict[str, list[tuple[tuple[str, ...], tuple[_Item, ...]]]]:
    """Map each first word to the phrases that begin with it, longest first, each with all that it means."""
    meanings: dict[tuple[str, ...], list[_Item]] = {}
    for phrase, item in _entries():
        meanings.setdefault(tuple(split_words(phrase)), []).append(item)
    lexicon: dict[str, list[tuple[tuple[str, ...], tuple[_Item, ...]]]] = {}
    for words in sorted(meanings, key=len, reverse=True):
        lexicon.setdefault(words[0], []).append((words, tuple(meanings[words])))
    return lexicon


def _entries() -> Iterator[tuple[str, _Item]]:
    data = _data()
    listed: list[tuple[str, Any, Iterable[str]]] = []
    listed += [("finding", (name, None), phrases) for name, phrases in data["findings"].items()]
    listed += [("finding", ("Support Devices", tip), phrases) for tip, phrases in data["devices"].items()]
    for kind, section in _SIMPLE.items():
        listed += [(kind, value, phrases) for value, phrases in data[section].items()]
    listed += [(cue, cue, phrases) for cue, phrases in data["cues"].items()]
    listed.append(("neutral", None, data["neutral"]))
    for kind in ("abnormality", "normality"):
        listed += [(kind, tuple(names), [phrase]) for phrase, names in data[kind].items()]
    for word, (side, zone) in data["pairs"].items():
        listed += [("side", side, [word]), ("zone", zone, [word])]
    return ((phrase, _Item(kind, value)) for kind, value, phrases in listed for phrase in phrases)


_SIMPLE = {"anatomy": "anatomy", "state": "states", "side": "sides", "zone": "zones", "severity": "severities"}
