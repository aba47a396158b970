"""Rows with their line numbers, and values checked with the file, the row and the remedy named."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.tables.text import HALF_CHARACTER, has_half_character, read_text
from contrastcxr.errors import DatasetError, one_line

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "train_val": "train_val",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of splits in circulation, in small letters -> ours."""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        file: the table.
        number: the line at which the row ends, counted from 1.
        cells: their texts.
        decimal_comma: `12,5` is a number, because commas separate no cells.
    """

    file: Path
    number: int
    cells: tuple[str, ...]
    decimal_comma: bool = False

    def error(self, message: str) -> DatasetError:
        """Return an error that names the file, the row and what the row is about; a long cell is shortened."""
        about = f" ({self.cells[0]:.80})" if self.cells and self.cells[0] else ""
        return DatasetError(f"{self.file} row {self.number}{about}: {one_line(message, beginning=500, end=300)}")

    def cell(self, index: int) -> str:
        """Return the stripped text of a cell; empty where the row is shorter."""
        return self.cells[index].strip() if index < len(self.cells) else ""

    def number_at(self, index: int, name: str) -> float:
        """Return the finite number in a cell.

        Raises:
            DatasetError: the cell is empty or no number.
        """
        text = self.cell(index)
        value = self.number_in(text)
        if value is None:
            dot = " with a dot" if "," in text else ""
            raise self.error(f"{name} '{text}'; expected a number{dot}; correct the cell")
        return value

    def number_in(self, text: str) -> float | None:
        """Return the finite number that the text of a cell is, or None."""
        return number(text, decimal_comma=self.decimal_comma)


def number(text: str, *, decimal_comma: bool = False) -> float | None:
    """Return the finite number that a text is, or None; `12,5` is one where a decimal comma is expected."""
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the non-empty lines of a text file, stripped, with their numbers from 1.

    Raises:
        DatasetError: the file cannot be read or is not UTF-8 text.
    """
    lines = (line.strip() for line in io.StringIO(read_text(path), newline=None))
    return [(number, line) for number, line in enumerate(lines, start=1) if line]


def read_json(path: Path, expected: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        DatasetError: the file cannot be read or is not JSON; says what was expected.
    """
    try:
        text = read_text(path)
        value = json.loads(text)
        half = has_half_character(text, value)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not JSON; expected {expected}; download it again") from error
    if half:
        raise DatasetError(f"{path}: {HALF_CHARACTER}")
    return value


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


def split_named(text: str) -> str | None:
    """Return the split that a word such as `Train`, `val` or `TEST` means, or None."""
    return SPLITS.get(text.strip().lower())
