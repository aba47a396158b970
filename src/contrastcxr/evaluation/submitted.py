"""Readings that someone else made: JSON lines of `study_id` and `text`, or of whole readings, or a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastcxr.errors import DatasetError, InputError, RequestError, UnknownNameError
from contrastcxr.evaluation.references import writes_reports
from contrastcxr.form import SCHEMA, Author, Reading, Report, problem_of
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.report_files import ReportTexts
from contrastcxr.vocab.labels import CANONICAL

TABLES = (".csv", ".tsv")


def load_readings(path: Path) -> list[Reading]:
    """Read a file of readings: one JSON document a line, or a table (.csv, .tsv) with study_id and text.

    Raises:
        RequestError: the file cannot be opened, or holds no reading that says anything.
        DatasetError: a line that is neither `{"study_id", "text"}` nor a reading; names the line.
    """
    readings = _from_table(path) if path.suffix.lower() in TABLES else _from_lines(path)
    if not readings:
        raise RequestError(
            f"{path}: no readings; expected one JSON document a line, or a table, with study_id and text"
        )
    written = any(reading.report.findings.strip() or reading.report.impression.strip() for reading in readings)
    if not written and writes_reports(readings):
        raise RequestError(
            f"{path}: the text of every reading is empty; expected reports; check how it was written"
        )
    return readings


def _from_table(path: Path) -> list[Reading]:
    def refuse(error: InputError) -> None:
        raise error

    texts = ReportTexts(on_failure=refuse, form="csv", as_given=True)
    return [_plain(one.study_id, one.text, path.stem) for one in texts.files([path])]


def _from_lines(path: Path) -> list[Reading]:
    try:
        # Not splitlines(): a JSON text may hold U+2028 and other characters at which that breaks a line.
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); check the path and permissions") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8") from None
    return [_reading(line, f"{path} line {k}", path.stem) for k, line in enumerate(lines, 1) if line.strip()]


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
        return _plain(document["study_id"], document["text"], name)
    raise DatasetError(f'{where}: expected {{"study_id": …, "text": …}} or a reading of schema {SCHEMA}')


def _plain(study_id: str, text: str, name: str) -> Reading:
    report = Report(findings=text, sentences=split_sentences(text))
    return Reading(study_id=study_id, author=Author(kind="model", name=name), report=report)


def _whole(document: dict[str, Any], where: str) -> Reading:
    try:
        reading = Reading.model_validate(document)
    except ValidationError as error:
        said = problem_of(error, whole="the reading")
        raise DatasetError(f"{where}: {said}; expected a reading of schema {SCHEMA}") from None
    for finding in reading.findings:
        if finding.name not in CANONICAL:
            raise DatasetError(f"{where}: {UnknownNameError('finding', finding.name, CANONICAL)}")
    return reading
