"""Readings that someone else made: JSON lines of `study_id` and `text`, or of whole readings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.form import SCHEMA, Author, Reading, Report, problem_of
from contrastcxr.text.clean import split_sentences


def load_readings(path: Path) -> list[Reading]:
    """Read a file of readings, one JSON document a line.

    Raises:
        RequestError: the file cannot be opened, or holds no reading that says anything.
        DatasetError: a line that is neither `{"study_id", "text"}` nor a reading; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); check the path and permissions") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8") from None
    readings = [_reading(line, f"{path} line {k}", path.stem) for k, line in enumerate(lines, 1) if line.strip()]
    if not readings:
        raise RequestError(f"{path}: no readings; expected one JSON document a line with study_id and text")
    if not any(reading.report.findings.strip() or reading.report.impression.strip() for reading in readings):
        raise RequestError(
            f"{path}: the text of every reading is empty; expected reports; check how it was written"
        )
    return readings


def _reading(line: str, where: str, name: str) -> Reading:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise DatasetError(f"{where}: not JSON; expected one document a line; correct the line") from None
    if isinstance(document, dict) and "schema" in document:
        return _whole(document, where)
    if (
        isinstance(document, dict)
        and isinstance(document.get("study_id"), str)
        and isinstance(document.get("text"), str)
    ):
        text = document["text"]
        report = Report(findings=text, sentences=split_sentences(text))
        return Reading(study_id=document["study_id"], author=Author(kind="model", name=name), report=report)
    raise DatasetError(f'{where}: expected {{"study_id": …, "text": …}} or a reading of schema {SCHEMA}')


def _whole(document: dict[str, Any], where: str) -> Reading:
    try:
        return Reading.model_validate(document)
    except ValidationError as error:
        said = problem_of(error, whole="the reading")
        raise DatasetError(f"{where}: {said}; expected a reading of schema {SCHEMA}") from None
