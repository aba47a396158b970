"""Tables whose columns are found by name, plain, gzipped or zipped, as data sets are published."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, cast

from contrastcxr.data.tables.files import TableRow, read_errors
from contrastcxr.errors import DatasetError, MissingExtraError, listed, nearest

COMPRESSED = ("", ".gz", ".zip")
"""What may follow the name of a table."""

PACKAGE = "torchxrayvision"
"""A root of this name stands for the copy of a table that travels in this package, which is never imported."""

_BROKEN = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What a damaged archive raises."""


@dataclass(frozen=True)
class Table:
    """The rows of one file and where each column stands."""

    file: Path
    columns: Mapping[str, int]
    rows: tuple[TableRow, ...]

    def cell(self, row: TableRow, column: str) -> str:
        """Return the stripped text under a column; empty where the table has no such column."""
        index = self.columns.get(column)
        return "" if index is None else row.cell(index)

    def number(self, row: TableRow, column: str) -> float:
        """Return the finite number under a column.

        Raises:
            DatasetError: the cell is empty or no number.
        """
        return row.number_at(self.columns[column], column)


def read_table(path: Path, required: Sequence[str], *, comment: str | None = None) -> Table:
    """Return a comma-separated file, `.gz` and `.zip` included, whose header has the required columns.

    Args:
        path: the file; a zip archive holds exactly one `.csv`.
        required: columns that must be there, in any order.
        comment: lines that begin so are passed over, before and after the header.

    Raises:
        DatasetError: the file cannot be read, is cut off, is not UTF-8 text, has no header, lacks a column, names
            one twice, or has a row of another length.
    """
    lines = _lines(path, comment)
    header = next(lines, None)
    if header is None:
        raise DatasetError(f"{path}: is empty; a header row was expected; export the table again")
    columns = _columns(path, header[1], required)
    rows = tuple(TableRow(path, number, cells) for number, cells in lines if any(cells))
    for row in rows:
        if len(row.cells) != len(header[1]):
            raise row.error(
                f"{len(row.cells)} cells under {len(header[1])} columns; expected one for each; correct the row"
            )
    return Table(path, columns, rows)


def find_table(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """Return the first of the tables, compressed or not, that one of the folders holds."""
    for folder in folders:
        for name in names:
            for suffix in COMPRESSED:
                if (folder / f"{name}{suffix}").is_file():
                    return folder / f"{name}{suffix}"
    return None


def packaged_file(name: str, purpose: str) -> Path:
    """Return the path of one of the package's data files.

    Raises:
        MissingExtraError: the package is not installed.
        DatasetError: it is, but without this file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError(PACKAGE, "xrv", purpose)
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DatasetError(f"{path}: is not in this version of {PACKAGE}; install 1.4 or name your own copy")
    return path


def by_first_cell(table: Table) -> dict[str, list[TableRow]]:
    """Return rows grouped by the text of their first cell, in the order of the table."""
    grouped: dict[str, list[TableRow]] = {}
    for row in table.rows:
        grouped.setdefault(row.cell(0), []).append(row)
    return grouped


def _lines(path: Path, comment: str | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    # newline="" inside StringIO keeps line breaks within quoted cells as they are.
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        for cells in reader:
            if not (comment and cells and cells[0].startswith(comment)):
                yield reader.line_num, tuple(cells)
    except csv.Error as error:
        raise DatasetError(f"{path}: is not comma-separated UTF-8 text; export the table again") from error


def _text(path: Path) -> str:
    try:
        with open_table(path) as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: byte {error.start} is not UTF-8; comma-separated UTF-8 text was expected; export it again"
        ) from error


@contextmanager
def open_table(path: Path) -> Iterator[IO[bytes]]:
    """Open a table for reading, plain, `.gz`, or the one `.csv` in a `.zip`.

    Raises:
        DatasetError: it cannot be read, or is cut off, when it is opened or later.
    """
    with read_errors(path):
        try:
            with _opened(path) as file:
                yield file
        except _BROKEN as error:
            raise DatasetError(
                f"{path}: the archive is damaged or cut off; a whole compressed table was expected; "
                "download it again"
            ) from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if path.suffix != ".zip":
        return path.open("rb")
    archive = zipfile.ZipFile(path)  # closed with the table, which holds it
    tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    if len(tables) != 1:
        raise DatasetError(f"{path}: holds {len(tables)} .csv files; expected one; unpack the right one")
    return archive.open(tables[0])


def _columns(path: Path, header: Sequence[str], required: Sequence[str]) -> dict[str, int]:
    names = [name.strip() for name in header]
    columns = {name: index for index, name in enumerate(names) if name}
    for name in columns:
        if names.count(name) > 1:
            raise DatasetError(f"{path} header: column '{name}' appears twice; expected once; remove one")
    for name in required:
        if name not in columns:
            near = nearest(name, columns)
            found = f"the nearest is '{near}'" if near else f"found {listed(columns, near=name, none='nothing')}"
            raise DatasetError(f"{path} header: no column '{name}'; {found}; export the table again")
    return columns
