"""Tables of hundreds of thousands of rows, read once, row by row, and only the columns that are asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple

from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.named import open_table
from contrastcxr.errors import DatasetError, listed, nearest


class TableLine(NamedTuple):
    """The cells that were asked for, stripped, and where they stand."""

    file: Path
    number: int
    cells: tuple[str, ...]

    def error(self, message: str) -> DatasetError:
        """Return an error that names the file, the row and what the row is about."""
        return TableRow(self.file, self.number, self.cells).error(message)


def stream_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[TableLine]:
    """Yield the rows of a comma-separated file, `.gz` and `.zip` included: required columns, then optional ones.

    An optional column that is not there gives empty cells.

    Raises:
        DatasetError: the file cannot be read, is cut off, is not UTF-8 text, lacks a column, or has a row of
            another length.
    """
    try:
        with open_table(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            yield from _lines(path, text, required, optional)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is not comma-separated UTF-8 text; export the table again") from error


def _lines(path: Path, file: IO[str], required: Sequence[str], optional: Sequence[str]) -> Iterator[TableLine]:
    rows = csv.reader(file)
    header = [name.strip() for name in next(rows, [])]
    for name in required:
        if header.count(name) != 1:
            near = nearest(name, header)
            found = f"the nearest is '{near}'" if near else f"found {listed(header, near=name, none='nothing')}"
            times = f"{header.count(name)} columns" if name in header else "no column"
            raise DatasetError(f"{path} header: {times} '{name}'; {found}; export the table again")
    # An optional column that is not there takes the empty cell that is put behind each row.
    where = [header.index(name) if name in header else len(header) for name in (*required, *optional)]
    wanted = itemgetter(*where, len(header))
    for cells in rows:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise TableRow(path, rows.line_num, tuple(cells)).error(
                f"{len(cells)} cells under {len(header)} columns; expected one for each; correct the row"
            )
        cells.append("")
        yield TableLine(path, rows.line_num, tuple(map(str.strip, wanted(cells)[:-1])))
