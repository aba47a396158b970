"""Report texts from files: JSON lines or a table with `study_id` and `text`, or plain text, one report a file.

Files are read as they are labelled, so that any number of reports needs little memory.  Of each study id seen a
number of 8 bytes is kept, to find the ones that come twice.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from contrastcxr.errors import DatasetError, InputError, RequestError
from contrastcxr.form import Status
from contrastcxr.text.given_labels import finding_columns, status_of

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
_ID, _TEXT = "study_id", "text"
_LABELERS_OWN = ("Reports", "Report Impression")
"""What the CheXpert labeler and CheXbert call the column of texts; their tables have no ids."""
_LONGEST_CELL = 1 << 24
_BOM = b"\xef\xbb\xbf"
OnFailure = Callable[[InputError], None]


@dataclass(frozen=True)
class ReportText:
    """One report as it was written, whose it is, whether it is alone in its file, and labels beside it."""

    study_id: str
    text: str
    alone: bool = False
    labels: Mapping[str, Status] | None = None


@dataclass(frozen=True)
class Columns:
    """What the columns of a table, or the keys of a document, are called.

    Attributes:
        study_id: None for `study_id`, or the number of the row where texts alone are named.
        text: none for `text`; several are joined, an empty line between them.
        labels: every other column of a table is a finding, and its cells are statuses.
    """

    study_id: str | None = None
    text: tuple[str, ...] = ()
    labels: bool = False


@dataclass(frozen=True)
class _Places:
    """The columns of one table by number; no id where rows are numbered."""

    study_id: int | None
    text: tuple[int, ...]
    labels: tuple[tuple[int, str], ...]

    @property
    def width(self) -> int:
        """Cells that a row needs."""
        return 1 + max(self.study_id or 0, *self.text, *(place for place, _ in self.labels))


@dataclass
class ReportTexts:
    """Reads files of reports one by one; what cannot be used goes to `on_failure`, and the rest goes on.

    Attributes:
        on_failure: takes what is wrong.
        form: of all files; None leaves it to each.
        columns: what tables and documents call id and text.
        as_given: pass on empty and repeated reports too.
    """

    on_failure: OnFailure
    form: Form | None = None
    columns: Columns = Columns()
    as_given: bool = False
    _seen: set[int] = field(default_factory=set)

    def files(self, paths: Sequence[Path]) -> Iterator[ReportText]:
        """Yield the reports of these files, in order."""
        for path in paths:
            try:
                with path.open("rb") as stream:
                    yield from self.stream(stream, name=str(path), study_id=path.stem)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                self.on_failure(DatasetError(f"{path}: cannot be read ({reason}); check the path and permissions"))

    def stream(self, stream: IO[bytes], *, name: str, study_id: str) -> Iterator[ReportText]:
        """Yield the reports of an open file; `study_id` names the report where the file is plain text."""
        first = stream.readline().removeprefix(_BOM)
        form = self.form or _BY_ENDING.get(Path(name).suffix.lower()) or _sniff(first)
        read = {"jsonl": self._json_lines, "csv": self._table, "text": self._plain}[form]
        try:
            for where, one in read(chain([first], stream), name, study_id):
                if self.as_given or self._usable(one, where):
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
                    yield where, _document(text, where, self.columns)
            except DatasetError as error:
                self.on_failure(error)

    def _table(self, lines: Iterable[bytes], name: str, _id: str) -> Iterator[tuple[str, ReportText]]:
        # Bytes that are no UTF-8 become lone surrogates, so that one bad row does not end the table.
        text = (line.decode("utf-8", errors="surrogateescape") for line in lines)
        before = csv.field_size_limit(_LONGEST_CELL)
        try:
            rows = csv.reader(text, delimiter="\t" if name.lower().endswith(".tsv") else ",")
            places = _places(next(rows, []), name, self.columns)
            for number, row in enumerate(rows, start=1):
                where = f"{name} row {rows.line_num}"
                try:
                    if any(cell.strip() for cell in row):
                        yield where, _row(row, places, where, number)
                except DatasetError as error:
                    self.on_failure(error)
        except csv.Error as error:
            raise DatasetError(f"{name}: is not comma-separated text ({error}); export the table again") from error
        finally:
            csv.field_size_limit(before)

    def _plain(self, lines: Iterable[bytes], name: str, study_id: str) -> Iterator[tuple[str, ReportText]]:
        yield name, ReportText(study_id, _decoded(b"".join(lines), name), alone=True)


def check_form(name: str | None) -> Form | None:
    """Return the form of this name; None leaves it to each file.

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
    """Return the form that the first line shows.

    A brace opens JSON lines, a header names the columns of a table.
    """
    if first.lstrip().startswith(b"{"):
        return "jsonl"
    header = {name.strip(' "\r\n') for name in first.decode("utf-8", errors="replace").split(",")}
    return "csv" if {_ID, _TEXT} <= header else "text"


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{where}: is not UTF-8 text (byte {raw[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from None


def _document(line: str, where: str, columns: Columns) -> ReportText:
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: not JSON ({error}); expected one document a line") from None
    if not isinstance(document, dict):
        raise DatasetError(f'{where}: expected {{"study_id": …, "text": …}}, found {type(document).__name__}')
    name, texts = columns.study_id or _ID, columns.text or (_TEXT,)
    missing = [key for key in (name, *texts) if key not in document]
    if missing:
        raise DatasetError(f"{where}: lacks {' and '.join(missing)}; expected {' and '.join((name, *texts))}")
    study_id, said = document[name], [document[key] for key in texts]
    if isinstance(study_id, bool) or not isinstance(study_id, str | int) or not _all_text(said):
        raise DatasetError(f"{where}: {name} must be a text or a number, and {' and '.join(texts)} a text")
    return _sound(ReportText(str(study_id), _joined(said)), where)


def _all_text(said: Sequence[Any]) -> bool:
    return all(isinstance(text, str) for text in said)


def _joined(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else "\n\n".join(text.strip() for text in texts if text.strip())


def _places(header: Sequence[str], name: str, columns: Columns) -> _Places:
    names = [cell.strip() for cell in header]
    own = next((alias for alias in _LABELERS_OWN if alias in names), None)
    texts = columns.text or ((own,) if own and _TEXT not in names else (_TEXT,))
    numbered = columns.study_id is None and _ID not in names and texts != (_TEXT,)
    wanted = texts if numbered else (columns.study_id or _ID, *texts)
    missing = [column for column in wanted if column not in names]
    if missing:
        found = ", ".join(_readable(cell) for cell in names[:8]) or "nothing"
        raise DatasetError(
            f"{name}: has no column {' and no '.join(missing)} (found {found}); "
            "rename them, or say --id-column and --text-column"
        )
    study_id = None if numbered else names.index(columns.study_id or _ID)
    places = tuple(names.index(column) for column in texts)
    taken = (*places, *(() if study_id is None else (study_id,)))
    return _Places(study_id, places, finding_columns(names, taken, name) if columns.labels else ())


def _row(row: Sequence[str], places: _Places, where: str, number: int) -> ReportText:
    if len(row) < places.width:
        raise DatasetError(f"{where}: has {len(row)} cells; the columns asked for need {places.width}")
    labels = {
        finding: status_of(row[place], finding=finding, where=where) for place, finding in places.labels
    } or None
    study_id = f"row {number}" if places.study_id is None else row[places.study_id].strip()
    return _sound(ReportText(study_id, _joined([row[place] for place in places.text]), labels=labels), where)


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
