"""Report texts from files: JSON lines or a table with `study_id` and `text`, or plain text, one report a file.

Files are read as they are labelled, so that any number of reports needs little memory.  Of each study id seen a
number of 8 bytes is kept, to find the ones that come twice.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from contrastcxr.errors import DatasetError, InputError, RequestError

Form = Literal["jsonl", "csv", "text"]
FORMS: tuple[Form, ...] = ("jsonl", "csv", "text")
_BY_ENDING: dict[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
}
_COLUMNS = ("study_id", "text")
_LONGEST_CELL = 1 << 24
_BOM = b"\xef\xbb\xbf"
OnFailure = Callable[[InputError], None]


@dataclass(frozen=True)
class ReportText:
    """One report as it was written, whose it is, and whether it is alone in its file."""

    study_id: str
    text: str
    alone: bool = False


@dataclass
class ReportTexts:
    """Reads files of reports one by one; what cannot be used goes to `on_failure`, and the rest goes on."""

    on_failure: OnFailure
    form: Form | None = None
    _seen: set[int] = field(default_factory=set)

    def files(self, paths: Sequence[Path]) -> Iterator[ReportText]:
        """The reports of these files, in order."""
        for path in paths:
            try:
                with path.open("rb") as stream:
                    yield from self.stream(stream, name=str(path), study_id=path.stem)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                self.on_failure(DatasetError(f"{path}: cannot be read ({reason}); check the path and permissions"))

    def stream(self, stream: IO[bytes], *, name: str, study_id: str) -> Iterator[ReportText]:
        """The reports of an open file; `study_id` names the report where the file is plain text."""
        first = stream.readline().removeprefix(_BOM)
        form = self.form or _BY_ENDING.get(Path(name).suffix.lower()) or _sniff(first)
        read = {"jsonl": self._json_lines, "csv": self._table, "text": self._plain}[form]
        try:
            for where, one in read(chain([first], stream), name, study_id):
                if self._usable(one, where):
                    yield one
        except DatasetError as error:
            self.on_failure(error)

    def _usable(self, one: ReportText, where: str) -> bool:
        if not one.text.strip():
            self.on_failure(
                DatasetError(f"{where}: the report of study '{one.study_id}' is empty; nothing to label")
            )
            return False
        if (number := hash(one.study_id)) in self._seen:
            self.on_failure(
                DatasetError(f"{where}: study '{one.study_id}' comes a second time; the first report counts")
            )
            return False
        self._seen.add(number)
        return True

    def _json_lines(self, lines: Iterable[bytes], name: str, _id: str) -> Iterator[tuple[str, ReportText]]:
        for number, line in enumerate(lines, start=1):
            where = f"{name} line {number}"
            try:
                text = _decoded(line, where)
                if text.strip():
                    yield where, _document(text, where)
            except DatasetError as error:
                self.on_failure(error)

    def _table(self, lines: Iterable[bytes], name: str, _id: str) -> Iterator[tuple[str, ReportText]]:
        # Bytes that are no UTF-8 become lone surrogates, so that one bad row does not end the table.
        text = (line.decode("utf-8", errors="surrogateescape") for line in lines)
        before = csv.field_size_limit(_LONGEST_CELL)
        try:
            rows = csv.reader(text, delimiter="\t" if name.lower().endswith(".tsv") else ",")
            places = _places(next(rows, []), name)
            for row in rows:
                where = f"{name} row {rows.line_num}"
                try:
                    if any(cell.strip() for cell in row):
                        yield where, _row(row, places, where)
                except DatasetError as error:
                    self.on_failure(error)
        except csv.Error as error:
            raise DatasetError(f"{name}: is not comma-separated text ({error}); export the table again") from error
        finally:
            csv.field_size_limit(before)

    def _plain(self, lines: Iterable[bytes], name: str, study_id: str) -> Iterator[tuple[str, ReportText]]:
        yield name, ReportText(study_id, _decoded(b"".join(lines), name), alone=True)


def check_form(name: str | None) -> Form | None:
    """The form of this name; None leaves it to each file.

    Raises:
        RequestError: no such form.
    """
    if name is None:
        return None
    for form in FORMS:
        if form == name:
            return form
    raise RequestError(f"unknown input format '{name}'; expected one of {', '.join(FORMS)}")


def _sniff(first: bytes) -> Form:
    """The form that the first line shows: a brace opens JSON lines, a header names the columns of a table."""
    if first.lstrip().startswith(b"{"):
        return "jsonl"
    header = first.decode("utf-8", errors="replace").split(",")
    return "csv" if set(_COLUMNS) <= {name.strip(' "\r\n') for name in header} else "text"


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{where}: is not UTF-8 text (byte {raw[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from None


def _document(line: str, where: str) -> ReportText:
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: not JSON ({error}); expected one document a line") from None
    if not isinstance(document, dict):
        raise DatasetError(f'{where}: expected {{"study_id": …, "text": …}}, found {type(document).__name__}')
    missing = [name for name in _COLUMNS if name not in document]
    if missing:
        raise DatasetError(f"{where}: lacks {' and '.join(missing)}; expected study_id and text")
    study_id, text = document["study_id"], document["text"]
    if isinstance(study_id, bool) or not isinstance(study_id, str | int) or not isinstance(text, str):
        raise DatasetError(f"{where}: study_id must be a text or a number, and text a text")
    return _sound(ReportText(str(study_id), text), where)


def _places(header: Sequence[str], name: str) -> tuple[int, int]:
    names = [cell.strip() for cell in header]
    missing = [column for column in _COLUMNS if column not in names]
    if missing:
        found = ", ".join(_readable(cell) for cell in names[:8]) or "nothing"
        raise DatasetError(f"{name}: has no column {' and no '.join(missing)} (found {found}); rename them")
    return names.index(_COLUMNS[0]), names.index(_COLUMNS[1])


def _row(row: Sequence[str], places: tuple[int, int], where: str) -> ReportText:
    if len(row) <= max(places):
        raise DatasetError(f"{where}: has {len(row)} cells; study_id and text need {max(places) + 1}")
    return _sound(ReportText(row[places[0]].strip(), row[places[1]]), where)


def _sound(one: ReportText, where: str) -> ReportText:
    if not one.study_id:
        raise DatasetError(f"{where}: has no study_id; each report needs one")
    try:
        (one.study_id + one.text).encode("utf-8")
    except UnicodeEncodeError:
        raise DatasetError(f"{where}: holds bytes that are not UTF-8 text; save it as UTF-8") from None
    return one


def _readable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8")
