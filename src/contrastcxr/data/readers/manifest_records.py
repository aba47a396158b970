"""The rows of a manifest in each of its formats, before they are checked: JSON, CSV and Parquet.

A row with `views` is a whole `Study` under the names of its fields; in CSV, and in Parquet where a column is text,
`views` and `readings` are JSON. Any other row has the simple columns of `COLUMNS`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from contrastcxr.data.readers.manifest_columns import COLUMNS
from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.records import RECORD_ENDINGS, JsonRecord, read_records, with_ids
from contrastcxr.data.tables.rows import Rows, known_names, open_rows, plain_id
from contrastcxr.data.tables.text import decoded, ending, open_table
from contrastcxr.errors import DatasetError, MissingExtraError, suggestion
from contrastcxr.form import Study

SUFFIXES = (".jsonl", ".csv", ".parquet", ".json", ".ndjson", ".tsv")
WRITTEN = SUFFIXES[:3]
"""Those that are written too."""

WHOLE = tuple(Study.model_fields)
"""Columns of a row that is a whole study."""
NESTED = ("views", "readings")
"""Those of them that are JSON where a cell is text."""
IDS = ("study_id", "patient_id", "prior")
"""Columns whose numbers are text."""
_KNOWN = tuple(dict.fromkeys((*COLUMNS, *WHOLE)))
_NUMBERS = ("age", "spacing")
"""Simple columns of numbers, in which a comma is a point where cells are separated by something else."""

_BATCH = 1_000
"""Parquet rows held at a time."""


@dataclass(frozen=True)
class ManifestRecord:
    """One row of a manifest before it is checked."""

    where: str
    read: Callable[[], Mapping[str, Any]]


def records(path: Path) -> Iterator[ManifestRecord]:
    """Yield the rows of a manifest; what is wrong with one is raised by its `read`.

    Raises:
        DatasetError: the file cannot be read at all, or its header has an unknown column.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = ending(path)
    if suffix in (".csv", ".tsv"):
        return _csv_records(path)
    if suffix in RECORD_ENDINGS:
        return _json_records(path)
    if suffix == ".parquet":
        return _parquet_records(path)
    raise DatasetError(f"{path}: expected a manifest that ends in {' or '.join(SUFFIXES)}; rename or convert it")


def is_whole(fields: Mapping[str, Any] | Sequence[str]) -> bool:
    """Return True for the row or header of whole studies, False for simple columns."""
    return "views" in fields


def _csv_records(path: Path) -> Iterator[ManifestRecord]:
    with open_rows(path, _KNOWN) as table:
        header = _header(table.header, path)
        for number, cells in table:
            row = TableRow(path, number, tuple(cells), table.decimal_comma)
            yield ManifestRecord(f"{path} row {number}", partial(_csv_fields, header, row, table))


def _header(names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return the columns as they are known; one without a name is passed over, as a written index."""
    try:
        header = known_names(names, _KNOWN)
    except DatasetError as error:
        raise DatasetError(f"{path} header: {error}") from error
    _check_columns([name for name in header if name], f"{path} header")
    return header


def _csv_fields(header: Sequence[str], row: TableRow, table: Rows) -> Mapping[str, Any]:
    id_at = header.index("study_id") if "study_id" in header else None
    if misfit := table.misfit(row.cells, short=True, id_at=id_at):
        raise row.error(misfit)
    if is_whole(header):  # texts as they are, so that a study comes back as it was written
        return _parsed(dict(zip(header, row.cells, strict=False)), f"{row.file} row {row.number}")
    fields = {name: text for i, name in enumerate(header) if name and (text := row.cell(i))}
    fields |= {name: plain_id(fields[name]) for name in IDS if name in fields}
    if row.decimal_comma:
        fields |= {name: fields[name].replace(",", ".") for name in _NUMBERS if name in fields}
    return fields


def _json_records(path: Path) -> Iterator[ManifestRecord]:
    with open_table(path) as file, decoded(file, errors="surrogateescape") as text:
        for record in read_records(text, str(path)):
            yield ManifestRecord(record.where, partial(_json_fields, record))


def _json_fields(record: JsonRecord) -> Mapping[str, Any]:
    fields = record.fields(_KNOWN)
    if not is_whole(fields):
        _check_columns(fields, record.where)
    # What is none of this, NaN, is how Python writes an empty cell of a table.
    held = {name: value for name, value in fields.items() if value is not None and value == value}
    return with_ids(held, IDS, record.where)


def _parquet_records(path: Path) -> Iterator[ManifestRecord]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", f"the manifest {path.name}") from error
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, f"{path} schema")
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    where = f"{path} row {number}"
                    yield ManifestRecord(where, partial(_parquet_fields, fields, where))
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path}: is no whole Parquet file ({type(error).__name__}); expected studies; write it again"
        ) from error


def _parquet_fields(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    plain = {name: _plain(value) for name, value in fields.items()}
    held = {name: value for name, value in plain.items() if value is not None and value != ""}
    held = with_ids(held, IDS, where)
    return _parsed(held, where) if is_whole(fields) else held


def _plain(value: Any) -> Any:
    """Return the value as JSON has it: dates as text, and no field that is empty."""
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _parsed(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the fields of a whole study, nested ones out of their JSON, empty ones left out."""
    return {
        name: _nested(value, name, where) if name in NESTED else value
        for name, value in fields.items()
        if value is not None and value != ""
    }


def _nested(value: Any, name: str, where: str) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: {name} is not JSON; expected a list of {name}; correct the cell") from error


def _check_columns(names: Iterable[str], where: str) -> None:
    names = list(names)
    known = WHOLE if is_whole(names) else tuple(COLUMNS)
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DatasetError(f"{where}: column '{' '.join(name.split()):.80}' appears twice; remove one")
        seen.add(name)
        if name not in known:
            hint = suggestion(name, known)
            raise DatasetError(f"{where}: unknown column '{' '.join(name.split()):.80}'; {hint}")
