"""Readings that someone else made: JSON of `study_id` and `text`, or of whole readings, or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastcxr.data.report_files import Columns, ReportTexts, form_of, report_of
from contrastcxr.data.tables.records import JsonRecord, read_records, with_ids
from contrastcxr.data.tables.text import decoded, open_table
from contrastcxr.errors import DatasetError, InputError, RequestError, UnknownNameError
from contrastcxr.evaluation.references import writes_reports
from contrastcxr.form import SCHEMA, Author, Reading, Report, problem_of
from contrastcxr.text.clean import split_sentences
from contrastcxr.vocab.labels import CANONICAL

_COLUMNS = Columns(remedy="rename them")


def load_readings(path: Path) -> list[Reading]:
    """Read a file of readings: JSON, or a table (.csv, .tsv), with study_id and text; or whole readings as JSON.

    Raises:
        RequestError: the file cannot be opened, or holds no reading that says anything.
        DatasetError: what is neither a report with study_id and text nor a reading; names the line.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); check the path and permissions") from None
    readings = _from_table(path) if _is_table(path) else _from_json(path)
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


def _is_table(path: Path) -> bool:
    with open_table(path) as file, decoded(file, errors="surrogateescape") as lines:
        try:
            first = next(lines, "")
        except UnicodeError:  # said where it is read
            first = ""
    return form_of(str(path), first) == "csv"


def _from_table(path: Path) -> list[Reading]:
    def refuse(error: InputError) -> None:
        raise error

    texts = ReportTexts(on_failure=refuse, form="csv", columns=_COLUMNS, as_given=True)
    return [_plain(one.study_id, one.text, path.stem) for one in texts.files([path])]


def _from_json(path: Path) -> list[Reading]:
    with open_table(path) as file, decoded(file, errors="surrogateescape") as text:
        return [_reading(record, path.stem) for record in read_records(text, str(path))]


def _reading(record: JsonRecord, name: str) -> Reading:
    document = record.fields(_COLUMNS.wanted)
    if "schema" in document:
        return _whole(with_ids(document, ("study_id",), record.where), record.where)
    if not document.keys() >= set(_COLUMNS.wanted):
        raise DatasetError(
            f'{record.where}: expected {{"study_id": …, "text": …}} or a reading of schema {SCHEMA}'
        )
    report = report_of(record, _COLUMNS)
    return _plain(report.study_id, report.text, name)


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
