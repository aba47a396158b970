"""Findings become a report, as one of six reporters would write it (PHANTOMS: plan, order, wordings).

The reporter never sees the picture: style, order, wordings and the choice of what to deny depend on `rng` and on
which findings there are, nothing else.  What is said is exact: `parse` gives it back.  docs/reports.md has it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from contrastcxr.errors import UnknownNameError
from contrastcxr.form import Finding, Report
from contrastcxr.text.grammar.denial import DENIAL_RATES, PLAIN_RATES, Denials, WrittenSentence, choose_absent
from contrastcxr.text.grammar.resolving import resolve
from contrastcxr.text.grammar.wording import (
    Wording,
    choose,
    cumulative,
    facts_of,
    finish,
    impressions_for,
    pick,
    said_size,
    sentences_for,
    slots_of,
    values_of,
    wording_key,
    wordings,
)
from contrastcxr.vocab.attributes import SAYABLE, ZONES, sayable_side
from contrastcxr.vocab.labels import NIH14, NO_FINDING, PHANTOM, SUPPORT_DEVICES

SPOKEN = (*PHANTOM, SUPPORT_DEVICES)
"""The names that a phantom report may assert or deny, in the order of its findings."""


@dataclass(frozen=True)
class Style:
    """A reporter's habits. Rates multiply the rates of `denial.py`; `order` names the regions in order."""

    number: int
    order: str
    abnormal_first: bool
    terseness: float
    thoroughness: float
    merging: float
    fillers: float
    millimetres_below: float


_HEART_FIRST = "devices heart mediastinum hila lungs pleura bones soft-tissues abdomen"
_LUNGS_FIRST = "lungs pleura heart mediastinum hila bones soft-tissues abdomen devices"
_HEART_LATE = "devices lungs pleura hila heart mediastinum abdomen bones soft-tissues"
_DEVICES_LAST = "heart mediastinum hila lungs pleura abdomen soft-tissues bones devices"

STYLES = (
    Style(0, _HEART_FIRST, False, 0.3, 1.0, 0.9, 0.5, 10),
    Style(1, _LUNGS_FIRST, False, 0.5, 1.0, 0.8, 0.4, 10),
    Style(2, _DEVICES_LAST, False, 0.2, 1.1, 0.6, 0.7, 30),
    Style(3, _HEART_LATE, True, 1.0, 0.9, 0.9, 0.3, 10),
    Style(4, _LUNGS_FIRST, True, 3.0, 0.8, 0.8, 0.2, 20),
    Style(5, _HEART_FIRST, False, 0.5, 1.1, 0.4, 0.6, 10),
)


_SHORTEST = 12
_LONGEST_IMPRESSION = 4
_FILLER_RATES = {"mediastinum": 0.8, "hila": 0.25, "abdomen": 0.2, "soft-tissues": 0.15, "view": 0.08}
"""How often a reporter speaks of a region that is normal in every phantom, before the reporter's own liking."""


@dataclass(frozen=True)
class WrittenReport:
    """A report and the findings it states: those given, in their order, then those denied and those unmentioned.

    Every finding carries what was said of it (attributes a report does not say are gone, sizes are rounded) and
    the indices of its sentences in `report.sentences`.
    """

    report: Report
    findings: tuple[Finding, ...]
    style: int


def write_report(
    findings: Sequence[Finding],
    *,
    rng: np.random.Generator,
    style: int | None = None,
    indication: str = "",
    denied: Iterable[str] | None = None,
) -> WrittenReport:
    """Return a report that asserts these findings, denies some others and leaves the rest unmentioned.

    Findings `present` or `uncertain` are asserted; one that says no more than another (see `resolve`) is said with
    it.  Of the other names of `SPOKEN`, given as `absent` or not at all, the reporter chooses which to deny,
    unless `denied` names them.  Raises `UnknownNameError` for a name or zone outside `vocab.attributes`.
    """
    habits = STYLES[int(rng.integers(len(STYLES))) if style is None else style]
    stated = tuple(as_said(finding) for finding in findings)
    absent = _absent(stated, SPOKEN, DENIAL_RATES, habits, rng) if denied is None else _denied(stated, denied)
    return _write(stated, SPOKEN, absent, habits, rng, indication)


def write_again(written: WrittenReport, *, rng: np.random.Generator, style: int | None = None) -> WrittenReport:
    """Return the same assertions and denials in other words: another reporter, or the same one on another day."""
    denied = [finding.name for finding in written.findings if finding.status == "absent"]
    return write_report(
        written.findings, rng=rng, style=style, indication=written.report.indication, denied=denied
    )


def write_from_labels(
    labels: Iterable[str], *, rng: np.random.Generator, style: int | None = None
) -> WrittenReport:
    """Return a plain report of an image known by its NIH labels alone.

    It states no side, zone, size, severity, device or prior.

    `labels` are canonical names of NIH14, or `No Finding`; every label is asserted, some of the others are denied.
    Nothing is said of anatomy that no label speaks of.  Raises `UnknownNameError` for any other name.
    """
    habits = STYLES[int(rng.integers(len(STYLES))) if style is None else style]
    names = [name for name in labels if name != NO_FINDING]
    unknown = next((name for name in names if name not in NIH14), None)
    if unknown is not None:
        raise UnknownNameError("NIH finding", unknown, (*NIH14, NO_FINDING))
    findings = tuple(Finding(name=name, status="present") for name in NIH14 if name in names)
    absent = _absent(findings, NIH14, PLAIN_RATES, habits, rng)
    if not findings and len(absent) < 2:
        absent |= {"Pleural Effusion", "Pneumothorax"}
    return _write(findings, NIH14, absent, habits, rng, "", fillers=("view",))


def as_said(finding: Finding) -> Finding:
    """Return the finding as a report can say it: attributes of no use to its name dropped, the size rounded."""
    sayable = SAYABLE.get(finding.name)
    if sayable is None:
        raise UnknownNameError("finding", finding.name, SAYABLE)
    if finding.zone is not None and finding.zone not in ZONES:
        raise UnknownNameError("zone", finding.zone, ZONES)
    zone = finding.zone if finding.zone in sayable.zones else None
    said = {
        "zone": zone,
        "side": sayable_side(finding.name, zone, finding.side),
        "severity": finding.severity if finding.severity in sayable.severities else None,
        "size_mm": said_size(finding.size_mm) if sayable.size and finding.size_mm else None,
    }
    return finding.model_copy(update=said)


def write_indication(rng: np.random.Generator, *, age: float | None = None, sex: str | None = None) -> str:
    """Return why the picture was asked for; drawn without knowing the findings, so it tells nothing of them."""
    data = wordings()["indication"]
    person = {"age": str(round(age)) if age is not None else str(int(rng.integers(20, 90)))}
    person["sex"] = {"F": "female", "M": "male"}.get(sex or "", "patient")
    who = _one(data["who"], rng).format(**person)
    return finish(_one(data["frame"], rng).format(who=who, why=_one(data["why"], rng)))


def _absent(
    findings: Sequence[Finding],
    names: Sequence[str],
    rates: Mapping[str, float],
    style: Style,
    rng: np.random.Generator,
) -> frozenset[str]:
    asserted = _asserted_names(findings)
    free = [name for name in names if name not in asserted]
    return frozenset(choose_absent(free, asserted, rates, style.thoroughness, rng))


def _denied(findings: Sequence[Finding], names: Iterable[str]) -> frozenset[str]:
    denied = frozenset(names)
    unknown = next((name for name in denied if name not in SPOKEN), None)
    if unknown is not None:
        raise UnknownNameError("finding", unknown, SPOKEN)
    return denied - _asserted_names(findings)


def _asserted_names(findings: Iterable[Finding]) -> set[str]:
    return {finding.name for finding in findings if finding.status in ("present", "uncertain")}


def _write(
    findings: tuple[Finding, ...],
    names: Sequence[str],
    absent: frozenset[str],
    style: Style,
    rng: np.random.Generator,
    indication: str,
    fillers: tuple[str, ...] = (*_FILLER_RATES,),
) -> WrittenReport:
    positive = _positive(findings)
    asserted = [_assert(finding, style, rng) for finding in positive]
    denials = Denials(style.number, style.terseness, style.merging, rng)
    denied = denials.statements(absent, positive)
    normal = _fillers(fillers, positive, [*asserted, *denied], style, rng)
    statements = _ordered([*asserted, *denied, *normal], style)
    closing = _impression(positive, style, rng)
    report = Report(
        findings=" ".join(s.text for s in statements),
        impression=" ".join(s.text for s in closing),
        indication=indication,
        sentences=tuple(s.text for s in (*statements, *closing)),
    )
    return WrittenReport(report, _located(findings, names, absent, (*statements, *closing)), style.number)


def _positive(findings: Sequence[Finding]) -> list[Finding]:
    """Return what is to be asserted, certain first.

    `sentences` holds the indices in `findings` that each one covers.
    """
    numbered = [
        f.model_copy(update={"sentences": (index,)})
        for index, f in enumerate(findings)
        if f.status in ("present", "uncertain")
    ]
    return sorted(resolve(numbered), key=lambda finding: finding.status == "uncertain")


def _assert(finding: Finding, style: Style, rng: np.random.Generator) -> WrittenSentence:
    text = _worded(finding, style, rng, brief=False)
    return WrittenSentence(text, _region(finding.name), abnormal=True, given=finding.sentences)


def _worded(finding: Finding, style: Style, rng: np.random.Generator, *, brief: bool) -> str:
    key, facts, slots = wording_key(finding), facts_of(finding), slots_of(finding)
    options, weights = _fitting(key, finding.status, facts, slots, style.number, brief)
    return pick(options, weights, rng).fill(values_of(finding, rng, millimetres_below=style.millimetres_below))


def _region(name: str) -> str:
    return str(wordings()["findings"][name]["region"])


@cache
def _fitting(
    key: str, status: str, facts: frozenset[str], slots: frozenset[str], style: int, brief: bool
) -> tuple[tuple[Wording, ...], np.ndarray]:
    """Return wordings that fit, and their cumulative weights for a reporter; a brief one may leave facts out."""
    if brief:
        options = tuple(w for w in impressions_for(key, status) if w.used(slots) is not None)
    else:
        options = tuple(w for w in sentences_for(key, status) if w.fits(facts, slots))
    return options, cumulative(options, style=style, terseness=STYLES[style].terseness)


def _fillers(
    regions: Iterable[str],
    positive: Sequence[Finding],
    said: Sequence[WrittenSentence],
    style: Style,
    rng: np.random.Generator,
) -> list[WrittenSentence]:
    """Return sentences about what is normal in every phantom; a region with a finding is passed over.

    A reporter adds them by habit, and more of them while the report is shorter than `_SHORTEST` words.
    """
    busy = {_region(f.name) for f in positive}
    busy |= {"hila" for f in positive if f.zone in ("hilar", "retrocardiac")}
    free = [region for region in regions if region not in busy]
    words = sum(len(statement.text.split()) for statement in said)
    chosen = []
    wanted = {region: rng.random() < style.fillers * _FILLER_RATES[region] for region in free}
    for region in sorted(free, key=lambda name: not wanted[name]):
        if wanted[region] or words < _SHORTEST:
            chosen.append(WrittenSentence(_one(wordings()["fillers"][region], rng, style), region))
            words += len(chosen[-1].text.split())
    return chosen


def _ordered(statements: list[WrittenSentence], style: Style) -> list[WrittenSentence]:
    def place(statement: WrittenSentence) -> tuple[bool, int, bool]:
        late = style.abnormal_first and not statement.abnormal and statement.region != "view"
        rank = -1 if statement.region == "view" else style.order.split().index(statement.region)
        return (late, rank, not statement.abnormal)

    return sorted(statements, key=place)


def _impression(positive: Sequence[Finding], style: Style, rng: np.random.Generator) -> list[WrittenSentence]:
    if not positive:
        return [WrittenSentence(_one(wordings()["impression"]["normal"], rng, style), "impression")]
    chosen: dict[str, tuple[int, ...]] = {}
    for finding in positive:
        text = _worded(finding, style, rng, brief=True)
        chosen[text] = (*chosen.get(text, ()), *finding.sentences)
    return [WrittenSentence(text, "impression", True, given) for text, given in chosen.items()][
        :_LONGEST_IMPRESSION
    ]


def _located(
    findings: Sequence[Finding],
    names: Sequence[str],
    absent: frozenset[str],
    statements: Sequence[WrittenSentence],
) -> tuple[Finding, ...]:
    """Return each asserted finding with the sentences that say it, then each other name, denied or unmentioned."""
    said = [
        f.model_copy(update={"sentences": tuple(i for i, s in enumerate(statements) if index in s.given)})
        for index, f in enumerate(findings)
        if f.status in ("present", "uncertain")
    ]
    spoken = {f.name for f in said}
    for name in names:
        if name in absent:
            where = tuple(i for i, s in enumerate(statements) if name in s.denied)
            said.append(Finding(name=name, status="absent", sentences=where))
        elif name not in spoken:
            said.append(Finding(name=name, status="unmentioned"))
    return tuple(said)


def _one(texts: Sequence[str], rng: np.random.Generator, style: Style | None = None) -> str:
    number, terseness = (style.number, style.terseness) if style else (-1, 1.0)
    return choose(texts, style=number, terseness=terseness, rng=rng)
