"""Corpora of phantom studies in the one form: views by locator, and the truth as the first reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View
from contrastcxr.phantom.grid import FIELD_MM
from contrastcxr.phantom.locators import (
    SIZE,
    PhantomId,
    locator,
    patient_of,
    phantom_parameters,
    split_size,
    study_seed,
)
from contrastcxr.phantom.measure import lesion_boxes
from contrastcxr.phantom.truth import Lesion, PhantomParameters
from contrastcxr.phantom.twins import ROLES, spoken
from contrastcxr.text.grammar.writing import write_indication, write_report
from contrastcxr.vocab.attributes import SAYABLE, SEVERITIES
from contrastcxr.vocab.labels import PHANTOM, SUPPORT_DEVICES

AUTHOR = Author(kind="rule", name="phantom truth", version="1")
NAMES = (*PHANTOM, SUPPORT_DEVICES)


def draw_studies(
    level: str = "standard", *, split: str = "train", seed: int = 0, limit: int | None = None
) -> list[Study]:
    """Return the studies of one split, in order; the first `limit` of them.

    Each has a frontal view (some a lateral) and one reading by `phantom truth`: 14 findings and support devices
    with true status, side, zone, severity, size and boxes, and a report whose sentences they point at.

    Raises:
        UnknownNameError: no such level or split.
    """
    size = split_size(level, split)
    count = size if limit is None else min(limit, size)
    return [phantom_study(PhantomId(level, split, index, seed)) for index in range(count)]


def phantom_study(phantom: PhantomId) -> Study:
    """Return one study of a split."""
    parameters = phantom_parameters(phantom)
    return study_from(parameters, phantom)


def study_from(parameters: PhantomParameters, phantom: PhantomId) -> Study:
    """Return the study of known parameters, its views named by locators of `phantom`."""
    patient, order = patient_of(phantom)
    study_id = _study_id(phantom)
    rng = np.random.default_rng([study_seed(phantom, patient, 100 + order), 21])
    return Study(
        study_id=study_id,
        patient_id=f"{phantom.level}-{phantom.split}-{phantom.seed}-p{patient:05d}",
        views=tuple(_views(parameters, phantom, study_id)),
        age=float(parameters.patient.age),
        sex=parameters.patient.sex,
        indication=write_indication(rng, age=float(parameters.patient.age), sex=parameters.patient.sex),
        readings=(truth_reading(parameters, study_id, rng),),
        split=phantom.split,
    )


def _study_id(phantom: PhantomId) -> str:
    role = f"-{ROLES[phantom.index % 4]}" if phantom.split == "twins" else ""
    return f"{phantom.level}-{phantom.split}-{phantom.seed}-{phantom.index:06d}{role}"


def _views(parameters: PhantomParameters, phantom: PhantomId, study_id: str) -> Iterable[View]:
    spacing = (FIELD_MM / SIZE, FIELD_MM / SIZE)
    shared: dict[str, Any] = {"width": SIZE, "height": SIZE, "spacing_mm": spacing, "mirrored": False}
    yield View(
        view_id=f"{study_id}-frontal", locator=locator(phantom), position=parameters.pose.projection, **shared
    )
    if parameters.lateral:
        yield View(
            view_id=f"{study_id}-lateral", locator=locator(phantom, "lateral"), position="LATERAL", **shared
        )


def truth_reading(parameters: PhantomParameters, study_id: str, rng: np.random.Generator) -> Reading:
    """Return what is true of a study, and a report that says it."""
    findings = truth_findings(parameters)
    written = write_report(findings, rng=rng)
    report: Report = written.report
    places = {f.name: f.sentences for f in written.findings}
    mapped = tuple(f.model_copy(update={"sentences": places.get(f.name, ())}) for f in findings)
    return Reading(study_id=study_id, author=AUTHOR, report=report, findings=mapped)


def truth_findings(parameters: PhantomParameters) -> tuple[Finding, ...]:
    """Return all 14 findings and support devices with their true status.

    Lesions too faint to be seen are absent.
    """
    boxes = lesion_boxes(parameters, size=SIZE)
    seen: dict[str, list[tuple[Lesion, Box | None]]] = {}
    for index, lesion in enumerate(parameters.lesions):
        if lesion.status != "absent":
            box = Box(view=0, xyxy=boxes[index]) if index in boxes else None
            seen.setdefault(lesion.name, []).append((spoken(lesion, parameters.pose), box))
    return tuple(_finding(name, seen.get(name, [])) for name in NAMES)


def _finding(name: str, drawn: Sequence[tuple[Lesion, Box | None]]) -> Finding:
    if not drawn:
        return Finding(name=name, status="absent", source="phantom")
    lesions = [lesion for lesion, _ in drawn]
    sure = [lesion for lesion in lesions if lesion.status == "present"] or lesions
    sides = {lesion.side for lesion in sure}
    severities = [lesion.severity for lesion in sure if lesion.severity]
    size = sure[0].size_mm
    say = SAYABLE[name]
    return Finding(
        name=name,
        status="present" if sure[0].status == "present" else "uncertain",
        source="phantom",
        side="bilateral" if len(sides) == 2 else sure[0].side,
        zone=sure[0].zone if sure[0].zone in say.zones else None,
        severity=max(severities, key=SEVERITIES.index) if severities else None,
        size_mm=None if size is None else round(size),
        boxes=tuple(box for lesion, box in drawn if box is not None and lesion in sure),
    )
