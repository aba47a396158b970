"""Several mentions become one account: repetitions merge, contradictions follow one rule."""

from __future__ import annotations

from collections.abc import Iterable

from contrastcxr.form import Finding

_ATTRIBUTES = ("side", "zone", "severity", "size_mm")


def resolve(mentions: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that a row of mentions amounts to, in order of first mention.

    `unmentioned` ones are dropped.

    For each name: (1) an assertion outranks every denial; (2) a mention that says no more than another of its
    status merges with it; (3) doubt about what is asserted elsewhere without contradiction merges with the
    assertion; (4) of two that differ in severity alone, the first counts.  What is left are different places.
    """
    by_name: dict[str, list[Finding]] = {}
    for mention in mentions:
        if mention.status != "unmentioned":
            by_name.setdefault(mention.name, []).append(mention)
    return tuple(finding for group in by_name.values() for finding in _account(group))


def _account(mentions: list[Finding]) -> list[Finding]:
    kept: list[Finding] = []
    for mention in (m for m in mentions if m.status == "present"):
        _add(kept, mention)
    unsure: list[Finding] = []
    for mention in (m for m in mentions if m.status == "uncertain"):
        index = next((i for i, one in enumerate(kept) if _agree(one, mention)), None)
        if index is None:
            _add(unsure, mention)
        else:
            kept[index] = _merged(kept[index], mention)
    if kept or unsure:
        return kept + unsure
    return [_merged(mentions[0], *mentions[1:])]


def _add(kept: list[Finding], mention: Finding) -> None:
    for index, one in enumerate(kept):
        if _covers(one, mention) or _rivals(one, mention):
            kept[index] = _merged(one, mention)
            return
    covered = [one for one in kept if _covers(mention, one)]
    kept[:] = [one for one in kept if one not in covered]
    kept.append(_merged(mention, *covered))


def _covers(one: Finding, other: Finding) -> bool:
    """Return whether `one` says all that `other` says."""
    return all(
        getattr(other, field) is None or getattr(other, field) == getattr(one, field) for field in _ATTRIBUTES
    )


def _agree(one: Finding, other: Finding) -> bool:
    return all(
        None in (getattr(one, field), getattr(other, field)) or getattr(one, field) == getattr(other, field)
        for field in _ATTRIBUTES
    )


def _rivals(one: Finding, other: Finding) -> bool:
    """Return whether both give a severity, not the same, to one and the same place."""
    if one.severity is None or other.severity is None:
        return False
    return (one.side, one.zone, one.size_mm) == (other.side, other.zone, other.size_mm)


def _merged(finding: Finding, *others: Finding) -> Finding:
    if not others:
        return finding
    sentences = {index for one in (finding, *others) for index in one.sentences}
    return finding.model_copy(update={"sentences": tuple(sorted(sentences))})
