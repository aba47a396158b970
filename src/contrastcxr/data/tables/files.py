"""Tables as text: rows with their line numbers, and values checked with the file, the row and the remedy named."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from contrastcxr.errors import DatasetError


@dataclass(frozen=True)
class TableRow:
    """One row of a table; `number` is its line as a spreadsheet counts, the header being line 1."""

    file: Path
    number: int
    cells: tuple[str, ...]

    def error(self, message: str) -> DatasetError:
        """Return an error that names the file, the row and what the row is about."""
        about = f" ({self.cells[0]})" if self.cells and self.cells[0] else ""
        return DatasetError(f"{self.file} row {self.number}{about}: {message}")

    def cell(self, index: int) -> str:
        """Return the stripped text of a cell; empty where the row is shorter."""
        return self.cells[index].strip() if index < len(self.cells) else ""

    def number_at(self, index: int, name: str) -> float:
        """Return the finite number in a cell.

        Raises:
            DatasetError: the cell is empty or no number.
        """
        text = self.cell(index)
        value = number(text)
        if value is None:
            raise self.error(f"{name} '{text}'; expected a number; correct the cell")
        return value


def number(text: str) -> float | None:
    """Return the finite number that a text is, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_csv(path: Path) -> tuple[list[str], list[TableRow]]:
    """Return the header and the rows of a comma-separated file, empty rows left out.

    Raises:
        DatasetError: the file cannot be read, is not UTF-8 text, or has no header.
    """
    try:
        with read_errors(path), path.open(encoding="utf-8-sig", newline="") as file:
            lines = [(i, tuple(cells)) for i, cells in enumerate(csv.reader(file), start=1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is not comma-separated UTF-8 text; export the table again") from error
    if not lines:
        raise DatasetError(f"{path}: is empty; a header row was expected; export the table again")
    rows = [TableRow(path, i, cells) for i, cells in lines[1:] if any(c.strip() for c in cells)]
    return [name.strip() for name in lines[0][1]], rows


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the non-empty lines of a text file, stripped, with their numbers from 1.

    Raises:
        DatasetError: the file cannot be read or is not UTF-8 text.
    """
    return list(each_line(path))


def each_line(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what `read_lines` returns while the file is read.

    Raises:
        DatasetError: the file cannot be read or is not UTF-8 text.
    """
    try:
        with read_errors(path), path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if stripped := line.strip():
                    yield number, stripped
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text, as was expected; export it again") from error


def read_json(path: Path, expected: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        DatasetError: the file cannot be read or is not JSON; says what was expected.
    """
    try:
        with read_errors(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON; expected {expected}; download it again") from error


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Raise what the disk refuses as a `DatasetError` that names the file."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and permissions"
        ) from error


def first_existing(folder: Path, names: Sequence[str], remedy: str) -> Path:
    """Return the first of the named files that the folder holds.

    Raises:
        DatasetError: the folder holds none of them.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"{folder}: holds no {' or '.join(names)}; {remedy}")


@lru_cache(maxsize=1_000)
def age_in_years(text: str) -> float | None:
    """Return the age that `058Y`, `018M`, `003W`, `010D` or plain `58` states; None beyond 0 to 130 years."""
    match = re.fullmatch(r"(\d{1,4})(?:\.0*)?([YMWD]?)", text.strip().upper())
    if match is None:
        return None
    years = int(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]]
    return years if years <= 130 else None


def sex(text: str) -> Literal["F", "M"] | None:
    """Return the sex that a cell or header states, or None."""
    letters: dict[str, Literal["F", "M"]] = {"F": "F", "M": "M"}
    return letters.get(text.strip().upper())
