"""One IU X-ray report, whatever table it came from, and the readings that it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contrastcxr.form import Author, Finding, Position, Reading, Severity, Side
from contrastcxr.text.sections import report
from contrastcxr.vocab.attributes import LOBES
from contrastcxr.vocab.labels import NO_FINDING, SUPPORT_DEVICES

RADIOLOGIST = Author(kind="human", name="iu_xray radiologist")
MESH = Author(kind="human", name="iu_xray mesh")

NORMAL = "normal"
SECTIONS = ("findings", "impression", "indication", "comparison")

_NAMES: Mapping[str, str] = {
    "cardiomegaly": "Cardiomegaly",
    "pulmonary atelectasis": "Atelectasis",
    "pleural effusion": "Pleural Effusion",
    "airspace disease": "Lung Opacity",
    "infiltrate": "Infiltration",
    "consolidation": "Consolidation",
    "granuloma": "Granuloma",
    "calcified granuloma": "Granuloma",
    "emphysema": "Emphysema",
    "pulmonary emphysema": "Emphysema",
    "bullous emphysema": "Emphysema",
    "hernia, hiatal": "Hernia",
    "hernia, diaphragmatic": "Hernia",
    "pulmonary edema": "Edema",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    "hydropneumothorax": "Pneumothorax",
    "hemopneumothorax": "Pneumothorax",
    "pulmonary fibrosis": "Fibrosis",
    "fractures, bone": "Fracture",
    "catheters, indwelling": SUPPORT_DEVICES,
    "tube, inserted": SUPPORT_DEVICES,
    "implanted medical device": SUPPORT_DEVICES,
    "medical device": SUPPORT_DEVICES,
    NORMAL: NO_FINDING,
}
"""Heading (lower case) -> canonical name; a heading that is not here or in `_PLACED` is no finding of ours."""

_PLACED: Mapping[tuple[str, str], str] = {
    ("opacity", "lung"): "Lung Opacity",
    ("nodule", "lung"): "Nodule",
    ("mass", "lung"): "Mass",
    ("fibrosis", "lung"): "Fibrosis",
    ("thickening", "pleura"): "Pleural Thickening",
    ("cardiac shadow", "enlarged"): "Cardiomegaly",
    ("mediastinum", "enlarged"): "Enlarged Cardiomediastinum",
}
"""Heading and a qualifier that it needs to mean the finding (an `Opacity/breast` is none)."""

_SIDES: Mapping[str, Side] = {"left": "left", "right": "right", "bilateral": "bilateral"}
_SEVERITIES: Mapping[str, Severity] = {"mild": "mild", "moderate": "moderate", "severe": "severe"}
_ZONES: Mapping[str, str] = {**{zone: zone for zone in (*LOBES, "apex", "base", "retrocardiac")}, "hilum": "hilar"}


@dataclass(frozen=True, slots=True)
class IuPicture:
    """An image that a table names."""

    name: str
    position: Position = "unknown"


@dataclass(frozen=True, slots=True)
class IuReport:
    """One report as published; `mesh` is None where the table has no indexing."""

    study_id: str
    uid: str
    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    mesh: tuple[str, ...] | None = None
    pictures: tuple[IuPicture, ...] = ()
    split: str | None = None


def readings(iu: IuReport) -> tuple[Reading, ...]:
    """Return what the radiologist wrote, and what the indexers read out of it where that is known."""
    written = report(**{section: getattr(iu, section) for section in SECTIONS})
    radiologist = Reading(study_id=iu.study_id, author=RADIOLOGIST, report=written)
    return (radiologist, mesh_reading(iu.study_id, iu.mesh)) if iu.mesh is not None else (radiologist,)


def mesh_reading(study_id: str, terms: tuple[str, ...]) -> Reading:
    """Return the indexers' terms that are findings of ours, all present.

    Every term stands as written in `provenance`.

    Indexers wrote down what is there, so nothing is absent or uncertain; a normal study has the one term `normal`.
    """
    found = dict.fromkeys(finding for term in terms if (finding := mesh_finding(term)) is not None)
    return Reading(study_id=study_id, author=MESH, findings=tuple(found), provenance={"mesh": list(terms)})


def mesh_finding(term: str) -> Finding | None:
    """Return the finding that a term such as `Pulmonary Atelectasis/base/right/mild` names, or None.

    >>> mesh_finding("Pleural Effusion/left/small").side
    'left'
    """
    heading, *qualifiers = (" ".join(part.split()).lower() for part in term.split("/"))
    placed = (_PLACED.get((heading, qualifier)) for qualifier in qualifiers)
    name = _NAMES.get(heading) or next((n for n in placed if n), None)
    if name is None:
        return None
    return Finding(
        name=name,
        status="present",
        source=MESH.name,
        side=next((_SIDES[q] for q in qualifiers if q in _SIDES), None),
        zone=next((_ZONES[q] for q in qualifiers if q in _ZONES), None),
        severity=next((_SEVERITIES[q] for q in qualifiers if q in _SEVERITIES), None),
    )


def picture_key(name: str) -> str:
    """Return what an image is called in every edition: `CXR1_1_IM-0001-3001.png` is `1_IM-0001-3001.dcm.png`.

    R2Gen's own names, `CXR1_1_IM-0001/0.png`, keep their folder.
    """
    *folders, file = name.replace("\\", "/").split("/")
    stem = re.sub(r"(\.(?:png|jpe?g|dcm))+$", "", file, flags=re.IGNORECASE)
    if stem.isdigit() and len(stem) < 3 and folders:
        return f"{folders[-1]}/{stem}"
    return re.sub(r"^(\d+)_\1_", r"\1_", stem.removeprefix("CXR"))
