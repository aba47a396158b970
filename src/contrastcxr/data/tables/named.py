"""Tables whose columns are found by name, plain, gzipped or zipped, as data sets are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.rows import known_names, open_rows
from contrastcxr.data.tables.text import COMPRESSED
from contrastcxr.errors import DatasetError, MissingExtraError, listed, nearest

PACKAGE = "torchxrayvision"
"""A root of this name stands for the copy of a table that travels in this package, which is never imported."""


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


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, comment: str | None = None
) -> Table:
    """Return a table, `.gz` and `.zip` included, whose header has the required columns.

    Args:
        path: the file; a zip archive holds exactly one `.csv`.
        required: columns that must be there, in any order.
        optional: columns that are read under these names where they are there, however they are spelt.
        comment: lines that begin so are passed over, before and after the header.

    Raises:
        DatasetError: the file cannot be read, is cut off, is no text, has no header, lacks a column, names one
            twice, or has a row of another length.
    """
    with open_rows(path, (*required, *optional), comment=comment) as table:
        columns = columns_of(table.header, required, optional, f"{path} header")
        width, comma = len(table.header), table.decimal_comma
        rows = []
        for number, cells in table:
            row = TableRow(path, number, tuple(cells), comma)
            if len(cells) != width or table.end:
                raise row.error(table.misfit(cells) or "")
            rows.append(row)
    return Table(path, columns, tuple(rows))


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


def columns_of(
    header: Sequence[str], required: Sequence[str], optional: Sequence[str], where: str
) -> dict[str, int]:
    """Return where each named column stands; names that are known may differ in case, spaces and underscores.

    Raises:
        DatasetError: a column is named twice, or a required one is not there; names the nearest.
    """
    try:
        names = known_names(header, (*required, *optional))
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    columns = {name: index for index, name in enumerate(names) if name}
    if len(columns) < len(names):
        for name, times in Counter(filter(None, names)).items():
            if times > 1:
                raise DatasetError(f"{where}: column '{name:.80}' appears twice; expected once; remove one")
    for name in required:
        if name not in columns:
            near = nearest(name, columns)
            found = f"the nearest is '{near}'" if near else f"found {listed(columns, near=name, none='nothing')}"
            raise DatasetError(f"{where}: no column '{name}'; {found}; export the table again")
    return columns
