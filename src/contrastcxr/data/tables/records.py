"""Objects in a file of JSON: one a line, or one alone, one after another or in a list, over several lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from contrastcxr.data.tables.rows import known_names
from contrastcxr.data.tables.text import HALF_CHARACTER, NO_TEXT, has_half_character, not_utf8
from contrastcxr.errors import DatasetError

RECORD_ENDINGS = (".jsonl", ".ndjson", ".json")

_GAP = re.compile(r"[\s,]*")
_LAST_COMMA = re.compile(r",\s*\]\s*$")
"""A comma behind the last object of a list."""
_PYTHON = re.compile(r"\s*\[?\s*\{\s*'")
"""How Python prints what JSON writes with double quotes."""
_CUT = "expected a list of objects, or one object a line; the file may be cut off"


class JsonRecord(NamedTuple):
    """One value of a file, or what is wrong at its place.

    Attributes:
        where: the file and the line at which it begins.
        value: what is there.
        problem: in words, why nothing is.
    """

    where: str
    value: Any = None
    problem: str = ""

    def fields(self, known: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the object, its keys spelt as they are known where they differ in case, spaces or underscores.

        Raises:
            DatasetError: it is not JSON, or not an object.
        """
        if self.problem:
            raise DatasetError(f"{self.where}: {self.problem}")
        if not isinstance(self.value, dict):
            kind = type(self.value).__name__
            raise DatasetError(f"{self.where}: is a JSON {kind}; expected one object a line; correct it")
        if all(name in self.value for name in known):
            return self.value
        try:
            names = _spelt(tuple(self.value), known)
        except DatasetError as error:
            raise DatasetError(f"{self.where}: {error}") from error
        return dict(zip(names, self.value.values(), strict=True))


@lru_cache(maxsize=1_000)
def _spelt(names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    return known_names(names, known)


def read_records(lines: Iterable[str], where: str) -> Iterator[JsonRecord]:
    """Yield the values of a text of JSON as it is read; only one that spans lines is held as a whole.

    Args:
        lines: with their ends, decoded with `surrogateescape`.
        where: the file, for messages.
    """
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    try:
        for number, line in numbered:
            record = _record(line, f"{where} line {number}")
            if record.problem and _goes_on(line):
                yield from _over_lines([(number, line), *numbered], where)
            elif _is_list(record.value):
                yield from (JsonRecord(record.where, value) for value in record.value)
            else:
                yield record
            break
        yield from (_record(line, f"{where} line {number}") for number, line in numbered)
    except UnicodeError:
        yield JsonRecord(where, problem=NO_TEXT)


def _record(line: str, where: str) -> JsonRecord:
    if problem := not_utf8(line):
        return JsonRecord(where, problem=problem)
    try:
        value = json.loads(line)
        problem = HALF_CHARACTER if has_half_character(line, value) else ""
        return JsonRecord(where, None if problem else value, problem)
    except (ValueError, RecursionError):
        if _PYTHON.match(line):
            return JsonRecord(
                where, problem="is not JSON: its texts stand between ' instead of \"; write it as JSON"
            )
        return JsonRecord(where, problem="is not JSON; expected one object a line; correct the line")


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _goes_on(line: str) -> bool:
    """Return True where a line begins as JSON and ends before that does, or has more behind it or a last comma."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        cut, more = error.pos >= len(line.rstrip()), error.msg == "Extra data"
        return line.lstrip().startswith(("[", "{")) and (cut or more or _LAST_COMMA.search(line) is not None)
    except (ValueError, RecursionError):
        pass
    return False


def _over_lines(numbered: Sequence[tuple[int, str]], where: str) -> Iterator[JsonRecord]:
    """Yield the values of a text of which no line need be a whole one; what follows a mistake is not read.

    Where there is a mistake and as many lines are objects as there are before it, each line is read by itself.
    """
    for number, line in numbered:
        if problem := not_utf8(line):
            yield JsonRecord(f"{where} line {number}", problem=problem)
            return
    values = list(_values(numbered, where))
    if values and values[-1].problem and numbered[0][1].lstrip().startswith("{"):
        alone = [_record(line, f"{where} line {n}") for n, line in numbered]
        objects = sum(isinstance(one.value, dict) for one in alone)
        if objects and objects >= len(values) - 1:
            values = alone
    yield from values


def _values(numbered: Sequence[tuple[int, str]], where: str) -> Iterator[JsonRecord]:
    """Yield the values of a text one after another, the objects of a list one by one, and a mistake last."""
    decoder, text, at, inside = json.JSONDecoder(), "".join(line for _, line in numbered), 0, False
    starts = list(accumulate((len(line) for _, line in numbered), initial=0))

    def place(at: int) -> str:
        return f"{where} line {numbered[min(bisect_right(starts, at), len(numbered)) - 1][0]}"

    while (at := _GAP.match(text, at).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing too
        if text[at] == ("]" if inside else "["):
            at, inside = at + 1, not inside
            continue
        try:
            value, end = decoder.raw_decode(text, at)
            half = has_half_character(text[at:end], value)
        except (ValueError, RecursionError) as error:
            found = error.pos if isinstance(error, json.JSONDecodeError) else at
            yield JsonRecord(place(found), problem=f"is not JSON; {_CUT}")
            return
        yield JsonRecord(place(at), None if half else value, HALF_CHARACTER if half else "")
        at = end
    if inside:
        yield JsonRecord(place(at), problem=f"is not JSON: the list does not end; {_CUT}")


def id_text(value: Any, name: str, where: str) -> str:
    """Return the text of an id that is a text or a whole number, its digits as they are.

    Raises:
        DatasetError: it is neither.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DatasetError(f"{where}: {name} is {shown(value)}; expected a text or a whole number; correct it")


def with_ids(fields: Mapping[str, Any], names: Iterable[str], where: str) -> dict[str, Any]:
    """Return the fields with the ids among them as text.

    Raises:
        DatasetError: an id is neither a text nor a whole number.
    """
    ids = {name: id_text(fields[name], name, where) for name in names if fields.get(name) is not None}
    return {**fields, **ids}


def shown(value: Any) -> str:
    """Return the beginning of a value as JSON writes it."""
    return f"{json.dumps(value, default=str):.40}"
