"""Report texts from files: JSON or a table with `study_id` and `text`, or plain text, one report a file.

Files are read as they are labelled, so that any number of reports needs little memory.  Of each study id seen a
number of 8 bytes is kept, to find the ones that come twice.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Literal

from contrastcxr.data.tables.records import JsonRecord, id_text, read_records, shown
from contrastcxr.data.tables.rows import SEPARATORS, known_names, name_key, plain_id, read_rows
from contrastcxr.data.tables.text import NO_TEXT, decoded, ending, not_utf8, open_table
from contrastcxr.errors import DatasetError, InputError, RequestError, listed
from contrastcxr.form import Status
from contrastcxr.text.given_labels import finding_columns, status_of
from contrastcxr.vocab.labels import CHEXPERT

Form = Literal["jsonl", "csv", "text"]
FORMS: tuple[Form, ...] = ("jsonl", "csv", "text")
_BY_ENDING: dict[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}
_ID, _TEXT = "study_id", "text"
_LABELERS_OWN = ("Reports", "Report Impression")
"""What the CheXpert labeler and CheXbert call the column of texts; their tables have no ids."""
_OPENS_JSON = re.compile(r"\s*(\{|\[\s*(\{|$))")
"""A brace, or a bracket with a brace or nothing behind it; reports open with brackets too (`[**2180-1-1**]`)."""
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
        remedy: what to do where they are not there.
    """

    study_id: str | None = None
    text: tuple[str, ...] = ()
    labels: bool = False
    remedy: str = "rename them, or say --id-column and --text-column"

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """The name of the id, then those of the texts."""
        return (self.study_id or _ID, *(self.text or (_TEXT,)))


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
                with open_table(path) as stream:
                    yield from self.stream(stream, name=str(path), study_id=path.stem)
            except DatasetError as error:
                self.on_failure(error)

    def stream(self, stream: IO[bytes], *, name: str, study_id: str) -> Iterator[ReportText]:
        """Yield the reports of an open file; `study_id` names the report where the file is plain text."""
        try:
            with decoded(stream, errors="surrogateescape") as lines:
                first = next(lines, "")
                form = self.form or form_of(name, first)
                read = {"jsonl": self._json, "csv": self._table, "text": self._plain}[form]
                for where, one in read(chain([first], lines), name, study_id):
                    if self.as_given or self._usable(one, where):
                        yield one
        except DatasetError as error:
            self.on_failure(error)
        except UnicodeError:
            self.on_failure(DatasetError(f"{name}: {NO_TEXT}"))

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

    def _json(self, lines: Iterable[str], name: str, _id: str) -> Iterator[tuple[str, ReportText]]:
        for record in read_records(lines, name):
            try:
                yield record.where, report_of(record, self.columns)
            except DatasetError as error:
                self.on_failure(error)

    def _table(self, lines: Iterable[str], name: str, _id: str) -> Iterator[tuple[str, ReportText]]:
        # Bytes that are no UTF-8 are lone surrogates here, so that one bad row does not end the table.
        try:
            table = read_rows(lines, name, (*self.columns.wanted, *_LABELERS_OWN))
            if problem := not_utf8(table.separator.join(table.header)):
                raise DatasetError(f"{name} header: {problem}")
            places = _places(table.header, name, self.columns)
            for number, (line, row) in enumerate(table, start=1):
                where = f"{name} row {line}"
                try:
                    if misfit := table.misfit(row, short=True, id_at=places.study_id):
                        raise DatasetError(f"{where}: {misfit}")
                    yield where, _row(row, places, where, number)
                except DatasetError as error:
                    self.on_failure(error)
        except csv.Error as error:
            raise DatasetError(f"{name}: is not a table of text ({error}); export the table again") from error

    def _plain(self, lines: Iterable[str], name: str, study_id: str) -> Iterator[tuple[str, ReportText]]:
        text = "".join(lines)
        if problem := not_utf8(text):
            raise DatasetError(f"{name}: {problem}")
        yield name, ReportText(study_id, text, alone=True)


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


def form_of(name: str, first: str) -> Form:
    """Return the form that the name of a file tells, or else its first line.

    A brace or a bracket before one opens JSON, a header names the columns of a table (`.txt` too, as spreadsheets
    call it in Unicode).
    """
    known = _BY_ENDING.get(ending(name))
    if known is not None:
        return known
    if _OPENS_JSON.match(first):
        return "jsonl"
    if first.lower().strip(' "\r\n').startswith("sep="):
        return "csv"
    headers = ({name_key(name.strip(' "\r\n')) for name in first.split(s)} for s in SEPARATORS)
    return "csv" if any({name_key(_ID), name_key(_TEXT)} <= header for header in headers) else "text"


def report_of(record: JsonRecord, columns: Columns = Columns()) -> ReportText:
    """Return the report that an object states.

    Raises:
        DatasetError: a key is not there, or holds something else.
    """
    name, *texts = columns.wanted
    document = record.fields(columns.wanted)
    missing = [key for key in columns.wanted if key not in document]
    if missing:
        found = listed(document, none="nothing")
        raise DatasetError(
            f"{record.where}: lacks {' and '.join(missing)} (found {found}); "
            f"expected {' and '.join(columns.wanted)}"
        )
    for key in texts:
        if not isinstance(document[key], str):
            raise DatasetError(f"{record.where}: {key} is {shown(document[key])}; expected a text; correct it")
    study_id = id_text(document[name], name, record.where)
    return _sound(ReportText(study_id, _joined([document[key] for key in texts])), record.where)


def _joined(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else "\n\n".join(text.strip() for text in texts if text.strip())


def _places(header: Sequence[str], name: str, columns: Columns) -> _Places:
    try:
        names = known_names(header, (*columns.wanted, *_LABELERS_OWN, *(CHEXPERT if columns.labels else ())))
    except DatasetError as error:
        raise DatasetError(f"{name} header: {error}") from error
    own = next((alias for alias in _LABELERS_OWN if alias in names), None)
    texts = columns.text or ((own,) if own and _TEXT not in names else (_TEXT,))
    numbered = columns.study_id is None and _ID not in names and texts != (_TEXT,)
    wanted = texts if numbered else (columns.study_id or _ID, *texts)
    missing = [column for column in wanted if column not in names]
    if missing:
        found = listed(names, none="nothing")
        raise DatasetError(f"{name}: has no column {' and no '.join(missing)} (found {found}); {columns.remedy}")
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
    study_id = f"row {number}" if places.study_id is None else plain_id(row[places.study_id])
    text = _joined([row[place] for place in places.text])
    if problem := not_utf8(study_id + text):
        raise DatasetError(f"{where}: {problem}")
    return _sound(ReportText(study_id, text, labels=labels), where)


def _sound(one: ReportText, where: str) -> ReportText:
    if not one.study_id:
        raise DatasetError(f"{where}: has no study_id; each report needs one")
    try:
        (one.study_id + one.text).encode("utf-8")
    except UnicodeEncodeError:
        raise DatasetError(f"{where}: holds bytes that are not UTF-8 text; save it as UTF-8") from None
    return one
