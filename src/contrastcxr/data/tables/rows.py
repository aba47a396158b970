"""The rows of a table, whatever program wrote it: its separator, its header, and cells by the names of columns."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from contrastcxr.data.tables.text import decoded, not_text, open_table
from contrastcxr.errors import DatasetError

SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
"""What may stand between cells, and how a message calls it; a bar is one only where no other is in the header."""

LONGEST_CELL = 1 << 24
"""Characters that are read of one cell (ours)."""

_STATED = re.compile(r'"?sep=([,;\t|])"?\1*', re.IGNORECASE)
"""A first line by which a spreadsheet is told the separator."""
_UNCLOSED = (
    "a quote opens its last cell and is not closed, so that the rest of the file is in it; close it, or double a "
    "quote that is part of a text"
)
_INDEX = re.compile(r"Unnamed: \d+")
"""What pandas calls a column without a name when it reads one that it wrote."""
_ANY = re.compile(f"[{''.join(SEPARATORS)}]")
_TOLD = re.compile(r"""="([^"]*)"|'(\d+)""")
"""How a spreadsheet is told that digits are text."""


@dataclass(frozen=True)
class Rows:
    """A table of which the header has been read.

    Attributes:
        where: the file, for messages.
        header: names of the columns, without spaces around them and without the unnamed ones at the end.
        separator: what stands between cells.
        cells: the `csv.reader` of what follows.
        before: lines above the header.
        comment: how lines begin that are passed over.
        end: not empty once the last line is read; a row that comes then is one in which a quote is not closed.
    """

    where: str
    header: tuple[str, ...]
    separator: str
    cells: Any
    before: int = 0
    comment: str | None = None
    end: Sequence[bool] = ()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line at which each row ends, counted from 1, and its cells; rows of empty cells are left out.

        Empty cells behind the last column are taken away, as a spreadsheet leaves them.
        """
        width, comment = len(self.header), self.comment
        for cells in self.cells:
            if not any(cells) or (comment and cells[0].startswith(comment)):
                continue
            if not (cells[0].strip() or any(map(str.strip, cells))):
                continue
            if len(cells) > width and not any(map(str.strip, cells[width:])):
                del cells[width:]
            yield self.before + self.cells.line_num, cells

    @property
    def decimal_comma(self) -> bool:
        """True where `12,5` in a cell is a number: commas separate no cells."""
        return self.separator != ","

    def misfit(self, cells: Sequence[str], *, short: bool = False, id_at: int | None = None) -> str | None:
        """Return in words why a row does not fit under the header; None where it does.

        Args:
            cells: of the row.
            short: cells at the end may lack.
            id_at: where the id stands, which holds no separator; so a row that fits by chance alone is told.
        """
        width, found = len(self.header), len(cells)
        if self.end:
            return _UNCLOSED
        if found == width and (id_at is None or not _ANY.search(cells[id_at])):
            return None
        other = self._other_separator(cells, cells[0] if found != width or id_at is None else cells[id_at])
        if other is not None:
            return (
                f"its cells are separated by {SEPARATORS[other]}, those of the header by "
                f"{SEPARATORS[self.separator]}; expected one separator throughout; export the table again"
            )
        counted = f"{found} cells under {width} columns"
        if found > width:
            held = {",": "a comma", ";": "a semicolon"}.get(self.separator, SEPARATORS[self.separator])
            if any('\\"' in cell for cell in cells):
                return f'{counted}; double the quotes inside a cell: "" instead of \\"'
            with_what = " with \", not '" if any(cell.lstrip().startswith("'") for cell in cells) else ""
            return f"{counted}; quote cells that hold {held}{with_what}"
        return None if short or found == width else f"{counted}; expected one for each; correct the row"

    def _other_separator(self, cells: Sequence[str], cell: str) -> str | None:
        """Return what stands in one cell of a row and parts the row into as many cells as the header has."""
        others = (s for s in SEPARATORS if s in cell and s != self.separator)
        return next((s for s in others if sum(c.count(s) for c in cells) == len(self.header) - 1), None)


@contextmanager
def open_rows(path: Path, known: Iterable[str] = (), *, comment: str | None = None) -> Iterator[Rows]:
    """Open a table: plain, `.gz` or `.zip`; UTF-8 or UTF-16; cells between commas, semicolons, tabs or bars.

    Args:
        path: the file.
        known: names of columns that may be there; they tell which of two separators in the header is meant.
        comment: lines that begin so are passed over.

    Raises:
        DatasetError: the file cannot be read, is cut off, is no text, is empty, or mixes separators; when it is
            opened or while its rows are read.
    """
    try:
        with open_table(path) as file, decoded(file) as text:
            yield read_rows(text, str(path), known, comment=comment)
    except UnicodeError as error:
        raise not_text(path) from error
    except csv.Error as error:
        raise DatasetError(f"{path}: is not a table of text ({error}); export the table again") from error


def read_rows(lines: Iterable[str], where: str, known: Iterable[str] = (), *, comment: str | None = None) -> Rows:
    """Return the rows of a table that is open already, see `open_rows`.

    Raises:
        DatasetError: no line, or separators mixed in the header.
    """
    lines = iter(lines)
    separator, before = None, 0
    for first in lines:
        stated = _STATED.fullmatch(first.strip("\r\n"))
        if stated is not None and separator is None:
            separator = stated[1]
        elif first.strip(' \r\n"' + "".join(SEPARATORS)) and not (comment and first.startswith(comment)):
            break
        before += 1
    else:
        raise DatasetError(f"{where}: is empty; a header row was expected; export the table again")
    if "\0" in first:
        raise DatasetError(f"{where} header: holds zero bytes, which no text does; save it as UTF-8")
    if separator is None or separator not in first:
        found = separator_of(first, tuple(known), f"{where} header")
        if separator and found in first:
            raise DatasetError(
                f"{where}: its first line says {SEPARATORS[separator]}, and its names are separated by "
                f"{SEPARATORS[found]}; expected one separator; correct or remove the first line"
            )
        separator = separator or found
    csv.field_size_limit(LONGEST_CELL)
    end: list[bool] = []
    cells = csv.reader(chain([first], lines, _mark(end)), delimiter=separator)
    header = [clean_name(name) for name in next(cells)]
    if end:
        raise DatasetError(f"{where} header: {_UNCLOSED}")
    while header and not header[-1]:
        header.pop()
    return Rows(where, tuple(header), separator, cells, before, comment, end)


def _mark(end: list[bool]) -> Iterator[str]:
    """Yield no line, and mark that one was asked for."""
    end.append(True)
    yield from ()


def separator_of(line: str, known: Iterable[str], where: str) -> str:
    """Return what separates the names of a header: the one candidate, or the one that parts known names.

    Raises:
        DatasetError: known names stand between two separators.
    """
    bare = re.sub(r'"[^"]*"', "", line)
    counts = {separator: bare.count(separator) for separator in SEPARATORS if separator in bare}
    if len(counts) > 1:
        counts.pop("|", None)
    if len(counts) < 2:
        return next(iter(counts), ",")
    keys = {name_key(name) for name in known}
    named = {s: [name_key(cell) in keys for cell in _parts(line, s)].count(True) for s in counts}
    best = max(counts, key=lambda s: (named[s], counts[s]))
    for other in counts:
        parts = (part for cell in _parts(line, best) if other in cell for part in cell.split(other))
        if other != best and any(name_key(part) in keys for part in parts):
            raise DatasetError(
                f"{where}: its names are separated by {SEPARATORS[best]} and by {SEPARATORS[other]}; expected one "
                "separator; export the table again"
            )
    return best


def _parts(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def clean_name(name: str) -> str:
    """Return the name of a column without the spaces, no-break ones too, that surround and double it.

    A column that had no name when pandas read it has none.
    """
    name = " ".join(name.replace("\ufeff", " ").split())
    return "" if _INDEX.fullmatch(name) else name


@lru_cache(maxsize=10_000)
def name_key(name: str) -> str:
    """Return what names have in common that differ in case, spaces, underscores and hyphens alone."""
    return re.sub(r"[\s_\ufeff-]+", "", name).casefold()


def known_names(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the names with those that are meant spelt as they are known; the others stay as they are.

    A name that is spelt exactly so goes before one that is not.

    Raises:
        DatasetError: two names, neither of them exact, are meant alike; does not say where.
    """
    spelt = list(names)
    there, keyed = set(names), defaultdict[str, list[int]](list)
    for at, other in enumerate(names):
        if other:
            keyed[name_key(other)].append(at)
    for name in known:
        if name in there:
            continue
        alike = keyed.get(name_key(name), [])
        if len(alike) > 1 and len({names[at] for at in alike}) > 1:
            both = " and ".join(f"'{names[at]}'" for at in alike)
            raise DatasetError(f"the columns {both} are both read as '{name}'; expected one; rename one")
        for at in alike:
            if spelt[at] == names[at]:
                spelt[at] = name
    return tuple(spelt)


def plain_id(text: str) -> str:
    """Return an id without what tells a spreadsheet that it is text: `="004"` and `'004` are `004`.

    >>> plain_id('="004"')
    '004'
    """
    text = text.strip()
    told = _TOLD.fullmatch(text) if text.startswith(("=", "'")) else None
    return (told[1] or told[2]) if told else text
