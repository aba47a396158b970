"""The findings of a reading: what the finding head computes and what the report says, side by side.

Neither overrules the other in silence: where they conflict the finding keeps the head's status and probability and
the reading carries a flag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from contrastcxr.form import Box, Finding, Flag, Mention, Side, Status, View
from contrastcxr.reading.regions import MarkedPlaces
from contrastcxr.reading.sentences import END_MARKS
from contrastcxr.vocab.labels import CHEXPERT, NIH14, NO_FINDING, to_chexpert
from contrastcxr.vocab.laterality import patient_side

HEAD = "finding head"
REPORT = "report"
LOCALIZER = "localizer"
DEFAULT_THRESHOLD = 0.5
_DIGITS = 4
"""Significant digits of a probability: a rare finding keeps its rank, and sums in another order do not show."""
_PLACE = ("side", "zone", "size_mm")
_SAID = ("status", "severity", *_PLACE)
_APART_FROM_THAT = re.compile(r"\b(otherwise|elsewhere|(remainder|rest) of|remaining lungs?)\b", re.IGNORECASE)

Parse = Callable[[str], tuple[Finding, ...]]
"""From a report's text to the findings it states, each once, with the indices of its sentences."""


def stated_findings(sentences: Sequence[str], parse: Parse | None) -> tuple[Finding, ...]:
    """Return what a report says, each finding once, with the indices of the sentences that say it.

    Where a sentence by itself says something else of the finding than the report as a whole, the finding has it
    among its `mentions`. It has no severity where sentences name different ones: which of them holds is not ours
    to pick.
    """
    if parse is None:
        return ()
    groups = _between_marks(sentences)
    found = [f for f in parse(" ".join(sentences)) if f.status != "unmentioned" and f.name != NO_FINDING]
    asserted = {f.name for f in found if f.status != "absent"}
    alone = [_of_itself(sentence, parse(sentence), asserted) for sentence in sentences]
    located = [f.model_copy(update={"source": REPORT, "sentences": _located(f, groups, alone)}) for f in found]
    return tuple(_with_mentions(finding, located, alone) for finding in located)


def _of_itself(sentence: str, said: Sequence[Finding], asserted: set[str]) -> Sequence[Finding]:
    """Return what a sentence says; "otherwise clear" denies nothing that the report asserts."""
    if not _APART_FROM_THAT.search(sentence):
        return said
    return [finding for finding in said if finding.status != "absent" or finding.name not in asserted]


def _between_marks(sentences: Sequence[str]) -> list[list[int]]:
    """Return the indices of the sentences that read as one in the report's text: up to the next end mark."""
    groups: list[list[int]] = [[]]
    for index, sentence in enumerate(sentences):
        groups[-1].append(index)
        if sentence.endswith(END_MARKS):
            groups.append([])
    return groups


def _located(
    finding: Finding, groups: Sequence[Sequence[int]], alone: Sequence[Sequence[Finding]]
) -> tuple[int, ...]:
    """Return the sentences that state a finding; of several that read as one, those that name it by themselves."""
    within: list[int] = []
    for group in (groups[place] for place in finding.sentences if place < len(groups)):
        naming = [i for i in group if any(said.name == finding.name for said in alone[i])]
        within += naming or group
    return tuple(within)


def _with_mentions(finding: Finding, located: Sequence[Finding], alone: Sequence[Sequence[Finding]]) -> Finding:
    same = [other for other in located if other.name == finding.name]
    heard = set(finding.sentences)
    if finding is same[0]:  # takes a denial that an assertion elsewhere overrules
        heard |= set(range(len(alone))) - {i for other in same for i in other.sentences}
    said = {i: own for i in sorted(heard) if (own := _own(finding, alone[i])) is not None}
    severities = {own.severity for i, own in said.items() if i in finding.sentences} - {None}
    if len(severities) > 1:
        finding = finding.model_copy(update={"severity": None})
    mentions = tuple(_mention(i, own) for i, own in said.items() if not _equal(own, finding, *_SAID))
    return finding.model_copy(update={"mentions": mentions})


def _own(finding: Finding, said: Sequence[Finding]) -> Finding | None:
    """Return what a sentence says of a finding; of several places the one that is the finding's."""
    named = [own for own in said if own.name == finding.name]
    exact = (own for own in named if _equal(own, finding, *_PLACE))
    near = (own for own in named if _agree(own, finding))
    return next(exact, None) or next(near, None)


def _equal(one: Finding, other: Finding, *fields: str) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def _agree(one: Finding, other: Finding) -> bool:
    return all(None in (getattr(one, f), getattr(other, f)) or _equal(one, other, f) for f in _PLACE)


def _mention(sentence: int, said: Finding) -> Mention:
    return Mention(sentence=sentence, **{field: getattr(said, field) for field in _SAID})


def rounded(probability: float) -> float:
    """Return a probability as a reading has it."""
    return float(f"{probability:.{_DIGITS}g}")


def merge(
    said: Sequence[Finding],
    probabilities: Mapping[str, float],
    *,
    thresholds: Mapping[str, float],
    source: str = HEAD,
    written: bool = True,
) -> tuple[Finding, ...]:
    """Return every finding the head or the report knows of, the head's in its own order first.

    A finding that the report states at several places stands once for each, with the same probability.

    Args:
        said: what the report states, each place of a finding once.
        probabilities: of the finding head, after temperature; empty without a head.
        thresholds: from which probability a finding counts as present; 0.5 where not given.
        source: what gave the probabilities: the finding head, or a localizer in its place.
        written: whether there is a report; where none is, no finding has what one states of it.
    """
    headed = [
        _headed(each, probability, thresholds.get(name, DEFAULT_THRESHOLD), source, written=written)
        for name, probability in probabilities.items()
        for each in _stated_of(name, said)
    ]
    return (*headed, *(finding for finding in said if finding.name not in probabilities))


def _stated_of(name: str, said: Sequence[Finding]) -> list[Finding]:
    found = [finding for finding in said if finding.name == name]
    return found or [Finding(name=name, status="unmentioned")]


def _headed(said: Finding, probability: float, threshold: float, source: str, *, written: bool) -> Finding:
    """Return what the report states, or its silence, with what the head makes of the image."""
    status: Status = "present" if probability >= threshold else "absent"
    agreed = said.status != "unmentioned" and not _conflict(status, said.status)
    return said.model_copy(
        update={
            "status": said.status if agreed else status,
            "probability": probability,
            "threshold": threshold,
            "stated": said.status if written else None,
            "source": f"{source} and {REPORT}" if agreed else source,
        }
    )


def _conflict(head: Status, said: Status) -> bool:
    return said != "uncertain" and head != said


def disagreements(merged: Sequence[Finding]) -> tuple[Flag, ...]:
    """Return a flag for each finding that head and report see differently; a report may differ by silence."""
    flags: dict[str, Flag] = {}
    for finding in merged:
        flag = _disagreement(finding)
        if flag is not None:
            flags.setdefault(finding.name, flag)
    return tuple(flags.values())


def _disagreement(finding: Finding) -> Flag | None:
    if finding.probability is None or finding.stated is None or finding.source not in (HEAD, LOCALIZER):
        return None
    silent = finding.stated == "unmentioned"
    if silent and finding.status != "present":
        return None
    words = "silent" if silent else f"says {finding.stated}"
    return Flag(
        kind="disagreement",
        finding=finding.name,
        value=finding.probability,
        message=f"{finding.name}: {finding.source} {finding.probability:.2f}, {REPORT} {words}",
    )


def with_places(findings: Sequence[Finding], marked: Mapping[str, MarkedPlaces]) -> tuple[Finding, ...]:
    """Return findings with what a localizer marks of each; of one that stands twice the first has it.

    Boxes, which are for people, are those of findings that are present; so is what weighs words by them. A box
    that has a share of the heaviest as its score gets that of the finding's probability (ours).
    """
    rest = dict(marked)
    return tuple(_with_places(each, rest.pop(each.name)) if each.name in rest else each for each in findings)


def _with_places(finding: Finding, marked: MarkedPlaces) -> Finding:
    marks = {"region": _scored(marked.region, finding), "peak": marked.peak}
    if finding.status == "present":
        boxes = _scored(marked.boxes, finding)
        return finding.model_copy(update={**marks, "boxes": boxes, "attributes": marked.attributes})
    words = tuple(each.model_copy(update={"weights": ()}) for each in marked.attributes)
    return finding.model_copy(update={**marks, "boxes": (), "attributes": words})


def _scored(boxes: Sequence[Box], finding: Finding) -> tuple[Box, ...]:
    """Return boxes with scores out of the finding's probability, which the heaviest has."""
    whole = 1.0 if finding.probability is None else finding.probability
    return tuple(
        box if box.score is None else box.model_copy(update={"score": rounded(whole * box.score)}) for box in boxes
    )


def side_conflicts(findings: Sequence[Finding], views: Sequence[View]) -> tuple[Flag, ...]:
    """Return a flag for each finding that the report asserts on one side and a localizer marks on the other.

    Left and right are those of the patient. A finding that is stated on both sides, marked on both, or marked only
    in views that do not tell left from right has no flag.

    Args:
        findings: of one reading; one that the report places twice stands twice.
        views: of its study.
    """
    flags = {each.name: flag for each in findings if (flag := _side_conflict(each.name, findings, views))}
    return tuple(flags.values())


def _side_conflict(name: str, findings: Sequence[Finding], views: Sequence[View]) -> Flag | None:
    shown = [f for f in findings if f.name == name and _asserted(f)]
    stated: set[Side] = {f.side for f in shown if f.side is not None}
    marked = next((side for f in shown if (side := patient_side(f.boxes or f.region, views))), None)
    if len(stated) != 1 or "bilateral" in stated or marked in {None, "bilateral", *stated}:
        return None
    message = f"{name}: {REPORT} says {stated.pop()}, marked on the patient's {marked}"
    return Flag(kind="disagreement", finding=name, message=message)


def _asserted(finding: Finding) -> bool:
    """Return whether the report speaks of a finding without denying it, and the reading does not overrule it."""
    said = finding.stated or finding.status
    return {said, finding.status} <= {"present", "uncertain"}


def not_assessed(assessed: Sequence[str]) -> tuple[Flag, ...]:
    """Return a flag for each CheXpert or NIH finding that none of the assessed findings covers."""
    covered = {*assessed, *(to_chexpert(name) for name in assessed)}
    known = dict.fromkeys((*CHEXPERT, *NIH14))
    missing = [name for name in known if name != NO_FINDING and name not in covered]
    return tuple(Flag(kind="not_assessed", finding=name, message=f"{name} was not assessed") for name in missing)
