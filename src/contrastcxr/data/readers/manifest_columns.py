"""The simple columns of a manifest, and the study that a row of them stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from contrastcxr.data.tables.files import number
from contrastcxr.data.tables.records import shown
from contrastcxr.errors import DatasetError, suggestion
from contrastcxr.form import Report
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.sections import split_sections
from contrastcxr.vocab.labels import CHEXPERT, FURTHER, NIH14, PHANTOM

COLUMNS: Mapping[str, str] = {
    "study_id": "names the study; required, and different in every row",
    "patient_id": "whose study it is; splits keep a patient on one side",
    "image": "path of the only image",
    "images": "paths of several images",
    "position": "PA, AP or LATERAL of the only image",
    "positions": "the same for several images, in their order",
    "spacing": "mm per pixel: of rows and columns, or one number for both; the same for every image",
    "report": "the whole report; its headings are recognised",
    "findings": "the findings section, where sections are apart",
    "impression": "the impression section",
    "indication": "the indication section",
    "comparison": "the comparison section",
    "labels": "findings with their status; without one, present; JSON also takes side, zone, severity, size_mm",
    "boxes": 'JSON list of {"finding", "xyxy", "view"}; xyxy in pixels of the image, view from 0',
    "author": "who said so; without one, manifest",
    "readings": "JSON list of what others said, each a whole reading with its author",
    "split": "train, validation, test, or a name of your own",
    "age": "in years",
    "sex": "F or M",
    "acquired": "date of the study, as 2024-01-31",
    "prior": "study_id of the patient's previous study",
}

AUTHOR = "manifest"

_KNOWN_FINDINGS = tuple(dict.fromkeys((*CHEXPERT, *NIH14, *PHANTOM, *FURTHER)))
_STATUSES = ("present", "absent", "uncertain", "unmentioned")
_DETAILS = ("status", "side", "zone", "severity", "size_mm", "probability")
_PLAIN = ("study_id", "patient_id", "split", "age", "sex", "acquired", "prior")


def study_fields(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `Study` that a row of simple columns stands for.

    Raises:
        DatasetError: no study id or image, an unknown finding or status, or columns that exclude each other.
    """
    study_id = "" if row.get("study_id") is None else str(row["study_id"])
    if not study_id:
        raise DatasetError(f"{where}: no study_id; every study needs an id of its own; add one")
    fields: dict[str, Any] = {name: row[name] for name in _PLAIN if name in row}
    fields["views"] = _views(row, study_id, where)
    fields["indication"] = str(row.get("indication", ""))
    reading = _reading(row, study_id, where)
    readings = [*([reading] if reading else []), *_readings(row.get("readings"), study_id, where)]
    return fields | ({"readings": readings} if readings else {})


def _views(row: Mapping[str, Any], study_id: str, where: str) -> list[dict[str, Any]]:
    images = _list(_either(row, "image", "images", where))
    positions = _list(_either(row, "position", "positions", where))
    if not images:
        raise DatasetError(f"{where}: no image; expected a path under 'image' or 'images'; add one")
    if positions and len(positions) != len(images):
        raise DatasetError(f"{where}: {len(positions)} positions of {len(images)} images; give one for each image")
    named = [p.upper() if p.upper() in ("PA", "AP", "LATERAL") else p for p in positions]
    spacing = _spacing(row.get("spacing"), where)
    return [
        {"view_id": f"{study_id}-{n}", "locator": path, "position": position, "spacing_mm": spacing}
        for n, (path, position) in enumerate(zip(images, named or ["unknown"] * len(images), strict=True), start=1)
    ]


def _either(row: Mapping[str, Any], one: str, several: str, where: str) -> Any:
    if one in row and several in row:
        raise DatasetError(f"{where}: both '{one}' and '{several}'; expected one of them; remove the other")
    return row.get(one, row.get(several))


def _list(value: Any) -> list[str]:
    """Return the parts of a JSON list, or of text separated by semicolons."""
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split(";")
    return [str(part).strip() for part in parts if str(part).strip()]


def _reading(row: Mapping[str, Any], study_id: str, where: str) -> dict[str, Any] | None:
    report = _report(row, where)
    findings = _findings(row, where)
    if report is None and not findings:
        return None
    return {
        "study_id": study_id,
        "author": {"kind": "human", "name": str(row.get("author") or AUTHOR)},
        "report": (report or Report()).model_dump(),
        "findings": list(findings.values()),
    }


def _report(row: Mapping[str, Any], where: str) -> Report | None:
    sections = {name: row[name] for name in ("findings", "impression", "comparison") if name in row}
    if "report" in row and sections:
        raise DatasetError(
            f"{where}: both 'report' and '{next(iter(sections))}'; expected the whole report or sections"
        )
    for name, text in ({"report": row["report"]} if "report" in row else sections).items():
        if not isinstance(text, str):
            raise DatasetError(f"{where}: {name} is {shown(text)}; expected a text; correct it")
    if "report" in row:
        return split_sections(row["report"])
    if not sections:
        return None
    report = Report(**sections, indication=str(row.get("indication", "")))
    return report.model_copy(
        update={"sentences": (*split_sentences(report.findings), *split_sentences(report.impression))}
    )


def _findings(row: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return findings by name, from the labels and then the boxes; a boxed finding without a label is present."""
    found: dict[str, dict[str, Any]] = {}
    for name, said in _labels(row.get("labels"), where):
        canonical = _finding_name(name, where)
        found[canonical] = {"name": canonical, **said, "source": "manifest", "boxes": []}
    for box in _boxes(row.get("boxes"), where):
        name = _finding_name(str(box.pop("finding", "")), where)
        entry = {"name": name, "status": "present", "source": "manifest", "boxes": []}
        found.setdefault(name, entry)["boxes"].append(box)
    return found


def _labels(value: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Return findings with what is said of each: its status, and in JSON whatever else of `_DETAILS`."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _json(value, "labels", where)
    if isinstance(value, dict):
        said = (
            (str(name), detail if isinstance(detail, dict) else {"status": detail})
            for name, detail in value.items()
        )
        pairs = [(name, {"status": "present", **detail}) for name, detail in said]
    else:
        split = (part.partition("=") for part in _list(value))
        pairs = [(name.strip(), {"status": status.strip() or "present"}) for name, _, status in split]
    for name, detail in pairs:
        if detail["status"] not in _STATUSES:
            raise DatasetError(
                f"{where}: status '{detail['status']}' of {name}; expected one of {', '.join(_STATUSES)}"
            )
        for key in detail:
            if key not in _DETAILS:
                raise DatasetError(f"{where}: '{key}' of {name}; expected some of {', '.join(_DETAILS)}")
    return pairs


def _readings(value: Any, study_id: str, where: str) -> list[dict[str, Any]]:
    """Return what others said, each reading with the id of the study it stands in."""
    readings = _json(value, "readings", where) if isinstance(value, str) else value or []
    if not isinstance(readings, list) or not all(isinstance(r, dict) and "author" in r for r in readings):
        raise DatasetError(f"{where}: readings; expected {COLUMNS['readings']}; correct the cell")
    return [{"study_id": study_id, **reading} for reading in readings]


def _json(text: str, column: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{where}: {column} is not JSON; expected {COLUMNS[column]}; correct the cell"
        ) from error


def _spacing(value: Any, where: str) -> tuple[float, float] | None:
    parts = [value] if isinstance(value, int | float) else _list(value)
    numbers = [number(str(part)) for part in parts]
    if not numbers:
        return None
    row, column = numbers[0], numbers[-1]
    if len(numbers) > 2 or row is None or column is None or min(row, column) <= 0:
        raise DatasetError(f"{where}: spacing '{value}'; expected {COLUMNS['spacing']}, above 0; correct the cell")
    return row, column


def _boxes(value: Any, where: str) -> list[dict[str, Any]]:
    try:
        boxes = json.loads(value) if isinstance(value, str) else value or []
    except (ValueError, RecursionError):
        boxes = None
    if not isinstance(boxes, list) or not all(
        isinstance(b, dict) and {"finding", "xyxy"} <= set(b) for b in boxes
    ):
        raise DatasetError(f"{where}: boxes; expected {COLUMNS['boxes']}; correct the cell")
    return [dict(box) for box in boxes]


def _finding_name(name: str, where: str) -> str:
    spaced = {"Effusion": "Pleural Effusion", "Infiltrate": "Infiltration"}.get(name, name.replace("_", " "))
    if spaced not in _KNOWN_FINDINGS:
        if len(parts := re.split(r"[|,]", name)) > 1 and any(
            part.strip(" '\"[]") in _KNOWN_FINDINGS for part in parts
        ):
            raise DatasetError(f"{where}: labels '{name}'; expected ';' between findings, or a JSON list of them")
        raise DatasetError(f"{where}: unknown finding '{name}'; {suggestion(spaced, _KNOWN_FINDINGS)}")
    return spaced
