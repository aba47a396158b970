"""Tables of hundreds of thousands of rows, read once, row by row, and only the columns that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.named import columns_of
from contrastcxr.data.tables.rows import open_rows
from contrastcxr.errors import DatasetError


class TableLine(NamedTuple):
    """The cells that were asked for, stripped, and where they stand."""

    file: Path
    number: int
    cells: tuple[str, ...]

    def error(self, message: str) -> DatasetError:
        """Return an error that names the file, the row and what the row is about."""
        return TableRow(self.file, self.number, self.cells).error(message)


def stream_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[TableLine]:
    """Yield the rows of a table, `.gz` and `.zip` included: required columns, then optional ones.

    An optional column that is not there gives empty cells.

    Raises:
        DatasetError: the file cannot be read, is cut off, is no text, lacks a column, or has a row of another
            length.
    """
    with open_rows(path, (*required, *optional)) as table:
        columns = columns_of(table.header, required, optional, f"{path} header")
        width = len(table.header)
        # An optional column that is not there takes the empty cell that is put behind each row.
        where = [columns.get(name, width) for name in (*required, *optional)]
        wanted = itemgetter(*where, width)
        for number, cells in table:
            if len(cells) != width or table.end:
                raise TableRow(path, number, tuple(cells)).error(table.misfit(cells) or "")
            cells.append("")
            yield TableLine(path, number, tuple(map(str.strip, wanted(cells)[:-1])))
