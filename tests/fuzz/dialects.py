"""Recipes of tables and JSON as the world writes them: separators, encodings, line ends, layouts, names."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from iu_files import write_kaggle
from mimic_files import write_mimic
from mini_chestx_det import write_chestx_det
from mini_chexpert import write_chexpert
from mini_covid import write_covid
from mini_nih import write_nih
from mini_rsna import write_rsna
from mini_vindr import write_vindr

from fuzz.recipes import replaced

HEADERS = {
    "manifest": ("study_id", "image", "position", "age", "split", "report"),
    "reports": ("study_id", "text"),
    "readings": ("study_id", "text"),
}
ROWS = {
    "manifest": (
        ("004", "./a b.png", "PA", "60", "Train", "Clear, large lungs."),
        ("s2", "Müller é.png", "", "", "", ""),
    ),
    "reports": (("004", "Small effusion; no edema."), ("50414267", "Müller\tsays: clear.\nNo effusion.")),
    "readings": (("004", "Small effusion; no edema."), ("50414267", "Clear.")),
}


_MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


@dataclass(frozen=True)
class Dialect:
    """How the rows of a table are written; at some places (row, column) other cells stand."""

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

    def encoded(self, table: Sequence[Sequence[str]]) -> bytes:
        """The bytes of a table, its header first."""
        rows = [list(row) for row in table]
        if self.case != "lower":
            rows[0] = [getattr(name, self.case)() for name in rows[0]]
        if self.backslashes:
            rows[1:] = [[cell.replace("/", "\\") for cell in row] for row in rows[1:]]
        for row, column, text in self.cells:
            line = rows[row % len(rows)]
            line[column % len(line)] = text
        separators = [self.separator, *[self.second or self.separator] * (len(rows) - 1)]
        lines = [self._line(row, by) for row, by in zip(rows, separators, strict=True)]
        text = self.newline.join([*([self.said] if self.said else []), *lines, ""])
        data = unicodedata.normalize(self.form, text).encode(self.encoding, "replace")
        return (_MARKS.get(self.encoding, b"") if self.mark else b"") + data

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
    """How records are written as JSON: one a line, in one list over several lines, or one after another.

    At some places, counted around, other values stand.
    """

    layout: str = "lines"
    encoding: str = "utf-8"
    mark: bool = False
    values: tuple[tuple[int, Any], ...] = ()
    wrapped: bool = False

    def encoded(self, document: Any) -> bytes:
        """The bytes of a document; of one that is a list, each record is a document."""
        for at, value in self.values:
            document = replaced(document, at, value)
        if self.layout == "list" or not isinstance(document, list):
            text = json.dumps({"records": document} if self.wrapped else document, indent=1, ensure_ascii=False)
        else:
            text = "\n".join(json.dumps(one, indent=2 if self.layout == "apart" else None) for one in document)
        return (_MARKS.get(self.encoding, b"") if self.mark else b"") + text.encode(self.encoding, "replace")


@dataclass(frozen=True)
class Table:
    """A table of ours in a dialect."""

    table: str
    dialect: Dialect
    ending: str = ".csv"
    packed: bool = False

    def write(self, folder: Path) -> Path:
        data = self.dialect.encoded([HEADERS[self.table], *ROWS[self.table]])
        path = folder / f"input{self.ending}{'.gz' if self.packed else ''}"
        path.write_bytes(gzip.compress(data, mtime=0) if self.packed else data)
        return path


@dataclass(frozen=True)
class Records:
    """The same table as JSON."""

    table: str
    layout: Layout
    ending: str = ".jsonl"

    def write(self, folder: Path) -> Path:
        path = folder / f"input{self.ending}"
        records = [dict(zip(HEADERS[self.table], row, strict=True)) for row in ROWS[self.table]]
        path.write_bytes(self.layout.encoded(records))
        return path


@dataclass(frozen=True)
class Published:
    """A miniature of a data set, one of its tables saved again; pictures are as they were."""

    source: str
    at: int
    dialect: Dialect
    layout: Layout

    def write(self, folder: Path) -> Path:
        root = folder / self.source
        files = _published(self.source)
        tables = sorted(name for name in files if re.search(r"\.(csv|csv\.gz|json)$", name))
        changed = tables[self.at % len(tables)]
        for name, data in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._saved(name, data) if name == changed else data)
        return root

    def _saved(self, name: str, data: bytes) -> bytes:
        if name.endswith(".json"):
            return self.layout.encoded(json.loads(data))
        packed = name.endswith(".gz")
        text = (gzip.decompress(data) if packed else data).decode()
        rows = [row for row in csv.reader(line for line in text.splitlines() if not line.startswith("#")) if row]
        table = self.dialect.encoded(rows)
        return gzip.compress(table, mtime=0) if packed else table


def _nih_marked(folder: Path) -> None:
    write_chestx_det(write_nih(folder))


SOURCES: dict[str, Callable[[Path], object]] = {
    "chexpert": write_chexpert,
    "covid": write_covid,
    "iu_xray": write_kaggle,
    "mimic_cxr": write_mimic,
    "nih14": _nih_marked,
    "rsna": write_rsna,
    "vindr": write_vindr,
}
"""What writes the miniature of each source."""
LARGEST = 100_000
"""Pictures that are larger are not there."""


@cache
def _published(source: str) -> dict[str, bytes]:
    """The files of a miniature by their paths below its root."""
    with TemporaryDirectory() as folder:
        written = SOURCES[source](Path(folder))
        root = written if isinstance(written, Path) else Path(folder)
        files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
        return {str(path.relative_to(root)): path.read_bytes() for path in files}


_TABLES = st.sampled_from(sorted(HEADERS))
_ENCODINGS = st.sampled_from([*["utf-8"] * 6, "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
_CELLS = st.sampled_from(
    [
        *(
            "",
            '"',
            "'",
            "=1+1",
            "a;b",
            "a,b",
            "NA",
            "\u00a0",
            "12,5",
            "004",
            "1e400",
            "\u2028",
            "a\nb",
            "x" * 5_000,
        ),
        *("\0", "a\0b", "\0\0", "-1", "1099511627776"),
    ]
)
_CELL = st.one_of(_CELLS, _CELLS.map(str.strip), st.text(max_size=8))
_VALUE = st.one_of(
    st.none(),
    st.integers(-3, 2**70),
    st.floats(),
    st.sampled_from(["\ud83e", "a\nb"]),
    st.booleans(),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
)
_DIALECTS = st.builds(
    Dialect,
    st.sampled_from([",", ",", ",", ";", ";", "\t", "\t", "|", " ", ":"]),
    st.sampled_from([*[""] * 9, ";", ","]),
    st.sampled_from([*[""] * 6, "sep=;", "sep=,", "sep=\t", "sep=", "SEP=|"]),
    _ENCODINGS,
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    st.sampled_from(["needed", "needed", "all", "none"]),
    st.sampled_from(["NFC", "NFD"]),
    st.sampled_from(["lower", "lower", "upper", "title"]),
    st.integers(0, 2),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20), _CELL), max_size=6).map(tuple),
)
_LAYOUTS = st.builds(
    Layout,
    st.sampled_from(["list", "lines", "apart"]),
    _ENCODINGS,
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 60), _VALUE), max_size=2).map(tuple),
    st.sampled_from([False, False, False, True]),
)
TABLES = st.one_of(
    st.builds(
        Table,
        _TABLES,
        _DIALECTS,
        st.sampled_from([".csv", ".csv", ".tsv", ".txt", ""]),
        st.sampled_from([False, False, False, True]),
    ),
    st.builds(Records, _TABLES, _LAYOUTS, st.sampled_from([".jsonl", ".json", ".ndjson"])),
)
PUBLISHED = st.builds(Published, st.sampled_from(sorted(SOURCES)), st.integers(0, 6), _DIALECTS, _LAYOUTS)
