"""The statements of a report become its 14 findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from contrastcxr.form import Finding, Severity, Side, Span, Status
from contrastcxr.text.labeling.mentions import TermStatement
from contrastcxr.text.sections import SaidSection
from contrastcxr.vocab.attributes import SEVERITIES
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING, SUPPORT_DEVICES

SOURCE = "labeler"
_UNMENTIONED = {name: Finding(name=name, status="unmentioned", source=SOURCE) for name in CHEXPERT}
_RANK: dict[str, int] = {"absent": 0, "uncertain": 1, "present": 2}
_STATUS: tuple[Status, ...] = ("absent", "uncertain", "present")


class PlacedStatement(NamedTuple):
    """A statement, and where its characters stand in a report section."""

    statement: TermStatement
    section: SaidSection
    offset: int


def account(placed: Sequence[PlacedStatement]) -> tuple[Finding, ...]:
    """Return the 14 findings in CheXpert's order; one that nothing was said of is `unmentioned`.

    Of several statements present outranks uncertain, and uncertain absent.  The spans are those of the statements
    that gave the status, cues included.
    """
    by_name: dict[str, list[PlacedStatement]] = {}
    for one in placed:
        if one.statement.said != "ignored":
            by_name.setdefault(one.statement.name, []).append(one)
    return tuple(
        _no_finding(by_name)
        if name == NO_FINDING
        else _finding(name, by_name[name])
        if name in by_name
        else _UNMENTIONED[name]
        for name in CHEXPERT
    )


def _finding(name: str, said: Sequence[PlacedStatement]) -> Finding:
    if len(said) == 1:
        return _alone(name, said[0])
    rank = max(_RANK[one.statement.said] for one in said)
    asserted = [one for one in said if rank and _RANK[one.statement.said]]
    deciding = [one for one in said if _RANK[one.statement.said] == rank]
    return Finding(
        name=name,
        status=_STATUS[rank],
        source=SOURCE,
        side=_side(deciding if rank else ()) or _side(asserted),
        severity=_severity(deciding if rank else ()) or _severity(asserted),
        spans=_spans(deciding),
    )


def _alone(name: str, one: PlacedStatement) -> Finding:
    statement = one.statement
    rank = _RANK[statement.said]
    return Finding(
        name=name,
        status=_STATUS[rank],
        source=SOURCE,
        side=statement.side if rank else None,
        severity=statement.severity if rank else None,
        spans=_spans((one,)),
    )


def _side(said: Iterable[PlacedStatement]) -> Side | None:
    sides: set[Side] = {one.statement.side for one in said if one.statement.side is not None}
    return None if not sides else sides.pop() if len(sides) == 1 else "bilateral"


def _severity(said: Iterable[PlacedStatement]) -> Severity | None:
    found = [one.statement.severity for one in said if one.statement.severity is not None]
    return max(found, key=SEVERITIES.index) if found else None


def _no_finding(by_name: dict[str, list[PlacedStatement]]) -> Finding:
    """Return No Finding: present when only devices are asserted or doubted and something is said to be normal."""
    normal: list[PlacedStatement] = []
    for name, said in by_name.items():
        if name == SUPPORT_DEVICES:
            continue
        if any(one.statement.said != "absent" for one in said):
            return _UNMENTIONED[NO_FINDING]
        normal += said
    if not normal:
        return _UNMENTIONED[NO_FINDING]
    return Finding(name=NO_FINDING, status="present", source=SOURCE, spans=_spans(normal))


def _spans(said: Iterable[PlacedStatement]) -> tuple[Span, ...]:
    places = {
        (one.section, one.offset + start, one.offset + end)
        for one in said
        for start, end in one.statement.characters
    }
    return tuple(_span(*place) for place in sorted(places))


@lru_cache(maxsize=1 << 14)  # the same places recur; a span never changes
def _span(section: SaidSection, start: int, end: int) -> Span:
    return Span(section=section, start=start, end=end)
