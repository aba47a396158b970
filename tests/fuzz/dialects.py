"""Recipes of tables and JSON as the world writes them: separators, encodings, line ends, layouts, names."""

from __future__ import annotations

import codecs
import gzip
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

HEADERS = {
    "manifest": ("study_id", "image", "position", "age", "split", "report"),
    "reports": ("study_id", "text"),
    "readings": ("study_id", "text"),
}
ROWS = {
    "manifest": (
        ("004", "a b.png", "PA", "60", "Train", "Clear, large lungs."),
        ("s2", "Müller é.png", "", "", "", ""),
    ),
    "reports": (("004", "Small effusion; no edema."), ("50414267", "Müller\tsays: clear.\nNo effusion.")),
    "readings": (("004", "Small effusion; no edema."), ("50414267", "Clear.")),
}


@dataclass(frozen=True)
class Dialect:
    """The bytes of a table."""

    table: str
    separator: str = ","
    second: str = ""
    """Separator of the rows, where it is another one."""
    said: str = ""
    """A `sep=` line."""
    encoding: str = "utf-8"
    mark: bool = False
    newline: str = "\n"
    quoting: str = "needed"
    form: str = "NFC"
    case: str = "lower"
    trailing: int = 0
    backslashes: bool = False
    cells: tuple[tuple[int, int, str], ...] = ()
    ending: str = ".csv"
    packed: bool = False

    def write(self, folder: Path) -> Path:
        rows = [list(HEADERS[self.table]), *map(list, ROWS[self.table])]
        if self.case != "lower":
            rows[0] = [getattr(name, self.case)() for name in rows[0]]
        if self.backslashes and self.table == "manifest":
            rows[1:] = [[row[0], ".\\" + row[1], *row[2:]] for row in rows[1:]]
        for row, column, text in self.cells:
            line = rows[row % len(rows)]
            line[column % len(line)] = text
        separators = [self.separator, *[self.second or self.separator] * (len(rows) - 1)]
        lines = [self._line(row, by) for row, by in zip(rows, separators, strict=True)]
        text = self.newline.join([*([self.said] if self.said else []), *lines, ""])
        data = unicodedata.normalize(self.form, text).encode(self.encoding, "replace")
        if self.mark:
            data = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(
                self.encoding, codecs.BOM_UTF8
            ) + data
        path = folder / f"input{self.ending}{'.gz' if self.packed else ''}"
        path.write_bytes(gzip.compress(data, mtime=0) if self.packed else data)
        return path

    def _line(self, cells: list[str], separator: str) -> str:
        special = {separator, '"', "\n", "\r"}
        quoted = [
            '"' + cell.replace('"', '""') + '"'
            if self.quoting == "all" or (self.quoting == "needed" and special & set(cell))
            else cell
            for cell in cells
        ]
        return separator.join([*quoted, *[""] * self.trailing])


@dataclass(frozen=True)
class Layout:
    """The bytes of records as JSON: one a line, or one list over several lines, or records one after another."""

    table: str
    layout: str = "lines"
    encoding: str = "utf-8"
    mark: bool = False
    values: tuple[tuple[int, int, Any], ...] = ()
    ending: str = ".jsonl"
    wrapped: bool = False

    def write(self, folder: Path) -> Path:
        records: list[dict[str, Any]] = [
            dict(zip(HEADERS[self.table], row, strict=True)) for row in ROWS[self.table]
        ]
        for row, column, value in self.values:
            record = records[row % len(records)]
            record[list(record)[column % len(record)]] = value
        if self.layout == "lines":
            text = "\n".join(json.dumps(record) for record in records)
        elif self.layout == "list":
            text = json.dumps({"records": records} if self.wrapped else records, indent=1, ensure_ascii=False)
        else:
            text = "\n".join(json.dumps(record, indent=2) for record in records)
        data = text.encode(self.encoding, "replace")
        path = folder / f"input{self.ending}"
        path.write_bytes((codecs.BOM_UTF8 if self.mark else b"") + data)
        return path


_TABLES = st.sampled_from(sorted(HEADERS))
_ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
_CELL = st.one_of(
    st.sampled_from(["", '"', "'", "=1+1", "a;b", "a,b", "NA", "\u00a0", "12,5", "004", "\0", "1e400", "\u2028"]),
    st.text(max_size=8),
)
_VALUE = st.one_of(
    st.none(), st.integers(-3, 2**70), st.floats(), st.booleans(), st.text(max_size=6), st.just([]), st.just({})
)
DIALECTS = st.one_of(
    st.builds(
        Dialect,
        _TABLES,
        st.sampled_from([",", ";", "\t", "|", " ", ":"]),
        st.sampled_from(["", "", "", ";", ","]),
        st.sampled_from(["", "", "sep=;", "sep=,", "sep=\t", "sep=", "SEP=|"]),
        _ENCODINGS,
        st.booleans(),
        st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
        st.sampled_from(["needed", "all", "none"]),
        st.sampled_from(["NFC", "NFD"]),
        st.sampled_from(["lower", "upper", "title"]),
        st.integers(0, 2),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), _CELL), max_size=2).map(tuple),
        st.sampled_from([".csv", ".csv", ".tsv", ".txt", ""]),
        st.sampled_from([False, False, False, True]),
    ),
    st.builds(
        Layout,
        _TABLES,
        st.sampled_from(["lines", "list", "apart"]),
        _ENCODINGS,
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), _VALUE), max_size=2).map(tuple),
        st.sampled_from([".jsonl", ".json", ".ndjson"]),
        st.booleans(),
    ),
)
