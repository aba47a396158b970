"""Numbers out of header values, also of those that were written as text in no form of the standard.

A decimal string has a point, no thousands separators and a backslash between values (DICOM PS3.5 6.2). Files hold
decimal commas, and lists as programming languages print them, which pydicom hands on as text. That is read here,
and nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import MutableSequence, Sequence

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_BETWEEN = re.compile(r"\s*\\\s*|\s*;\s*|\s*,\s+|\s+")
_AROUND = "[](){}<>'\" \t\r\n\0"


def numbers(value: object) -> list[float | None]:
    """Return the values of an attribute as finite numbers; None stands for one that is none.

    Brackets and quotes around are left out. A backslash, a semicolon, white space, or a comma before white space
    stands between values; a comma is a decimal comma (`1,234` is 1.234), unless each part has a point of its own.

    Returns:
        one entry a value; none where nothing is stated.
    """
    stated: Sequence[object] = list(value) if isinstance(value, MutableSequence) else [value]
    if len(stated) == 1 and isinstance(stated[0], str):
        stated = _parts(stated[0].strip(_AROUND))
    return [_finite(one) for one in stated if one not in (None, "")]


def number(value: object) -> float | None:
    """Return the one number that an attribute states, or None: two values are not one."""
    found = numbers(value)
    return found[0] if len(found) == 1 else None


def whole_number(value: object) -> int | None:
    """Return the one whole number that an attribute states, or None."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def _parts(text: str) -> list[str]:
    parts = _BETWEEN.split(text)
    points = text.split(",")
    return points if len(parts) == 1 and all("." in part for part in points) else parts


def _finite(value: object) -> float | None:
    text = str(value).strip(_AROUND)
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text.replace(",", "."))
    return found if math.isfinite(found) else None
