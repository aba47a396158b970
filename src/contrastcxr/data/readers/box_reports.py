"""Reports of boxes: where they lie, in the words that radiologists use for it, and nothing else (ours).

Whoever drew boxes on NIH's pictures wrote no word. A study with boxes gets a first reading whose sentences say
what is boxed, on which side, in which zone, whether on both sides and whether at several places; so paper D's
attributes are to be had of real pictures. What is boxed is named by its finding, and RSNA's Pneumonia is an
opacity, as its readers were asked for one. Of several authors the first that drew a box is heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View
from contrastcxr.vocab.box_words import words_of_boxes

BOX_REPORTS = Author(kind="rule", name="words of boxes")
_NAMES: Mapping[str, str] = {
    "Pneumonia": "opacity",
    "Consolidation": "consolidation",
    "Infiltration": "infiltrate",
    "Lung Opacity": "opacity",
    "Pleural Effusion": "pleural effusion",
    "Atelectasis": "atelectasis",
    "Mass": "mass",
    "Nodule": "nodule",
    "Fibrosis": "fibrosis",
}
_SIDES, _ZONES = ("right", "left"), ("upper", "middle", "lower")
_ZONELESS = ("Pleural Effusion",)
"""Findings whose zone says nothing."""


def with_box_reports(studies: Iterable[Study], authors: Sequence[str]) -> list[Study]:
    """Return the studies, those that one of the authors boxed with a reading in words in front of their own.

    Args:
        studies: of any source.
        authors: of boxes, the one that is heard first in front.
    """
    return [_with_report(study, authors) for study in studies]


def _with_report(study: Study, authors: Sequence[str]) -> Study:
    readings = (study.reading_by(name) for name in authors)
    boxed = next((r for r in readings if r is not None and any(f.boxes for f in r.findings)), None)
    if boxed is None:
        return study
    sentences = [
        sentence_of(_NAMES[finding.name], finding, study.views)
        for finding in boxed.findings
        if finding.boxes and finding.name in _NAMES
    ]
    if not sentences:
        return study
    said = Report(findings=" ".join(sentences), sentences=tuple(sentences))
    reading = Reading(study_id=study.study_id, author=BOX_REPORTS, report=said, findings=boxed.findings)
    return study.model_copy(update={"readings": (reading, *study.readings)})


def sentence_of(name: str, finding: Finding, views: Sequence[View]) -> str:
    """Return what is boxed and where, such as "There is opacity in the left lower zone."

    Args:
        name: of the finding, as it stands in the sentence.
        finding: with its boxes.
        views: of the study.
    """
    whole = words_of_boxes(finding.boxes, views)
    kinds = " ".join(word for word in ("multifocal", "bilateral") if word in whole)
    what = " ".join(filter(None, (kinds, name)))
    spots = list(dict.fromkeys(spot for box in finding.boxes if (spot := _spot(box, finding, views))))
    if not spots:
        return f"There is {what}."
    if finding.name in _ZONELESS:
        return f"There is {what} on the {' and '.join(spots)} side."
    return f"There is {what} in the {' and '.join(spots)} zone{'s' * (len(spots) > 1)}."


def _spot(box: Box, finding: Finding, views: Sequence[View]) -> str:
    """Return the side and the zone of one box; nothing of one that lies across the middle."""
    words = words_of_boxes([box], views)
    zones = () if finding.name in _ZONELESS else _ZONES
    return " ".join(word for word in (*_SIDES, *zones) if word in words)
