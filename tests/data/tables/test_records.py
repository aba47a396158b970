"""Objects of JSON: every shape in which people keep a list of them, and the place that a message names."""

from __future__ import annotations

import codecs
import io
import json
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.data.tables.files import read_json, split_named
from contrastcxr.data.tables.records import JsonRecord, id_text, read_records, with_ids
from contrastcxr.data.tables.text import decoded
from contrastcxr.errors import DatasetError

ONE, TWO = {"study_id": 50414267, "text": "Öl"}, {"study_id": "004", "text": "x\u2028y"}


def records(content: bytes | str) -> list[JsonRecord]:
    data = content if isinstance(content, bytes) else content.encode()
    with decoded(io.BytesIO(data), errors="surrogateescape") as lines:
        return list(read_records(lines, "f.json"))


def line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


@pytest.mark.parametrize(
    "content",
    [
        f"{line(ONE)}\n{line(TWO)}\n",
        f"\n{line(ONE)}\r\n\r\n  {line(TWO)}",
        f"{line(ONE)}\r{line(TWO)}\r",
        line([ONE, TWO]),
        pretty([ONE, TWO]),
        f"[\n{line(ONE)},\n{line(TWO)}\n]\n",
        f"[{line(ONE)},\n{line(TWO)}]",
        f"{pretty(ONE)}\n{pretty(TWO)}",
        f"{pretty(ONE)}{line(TWO)}",
        f"{line(ONE)}{line(TWO)}\n",
        f"{line(ONE)}, {line(TWO)}\n",
        f"{line(ONE)},\n{line(TWO)},\n",
        f"[{line(ONE)}, {line(TWO)},]\n",
        f"[\n{line(ONE)},\n{line(TWO)},\n]\n",
        f"{pretty([ONE])}\n{pretty([TWO])}",
        codecs.BOM_UTF8 + pretty([ONE, TWO]).encode(),
        pretty([ONE, TWO]).encode("utf-16"),
        f"{line(ONE)}\n{line(TWO)}".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + line([ONE, TWO]).encode("utf-16-be"),
    ],
)
def test_every_shape_gives_the_same_objects(content: bytes | str) -> None:
    assert [record.fields() for record in records(content)] == [ONE, TWO]


@pytest.mark.parametrize("content", [pretty(ONE), line(ONE), line([ONE])])
def test_one_object_alone_is_read(content: str) -> None:
    assert [record.fields() for record in records(content)] == [ONE]


def test_an_object_of_a_list_has_the_line_at_which_it_begins() -> None:
    assert [record.where for record in records("\n" + pretty([ONE, TWO]))] == ["f.json line 3", "f.json line 7"]
    assert [record.where for record in records(f"{line(ONE)}\n\n{line(TWO)}")] == [
        "f.json line 1",
        "f.json line 3",
    ]


@pytest.mark.parametrize("content", ["", "\n \n", "[\n]\n", "\ufeff", "[]", " [ ]\n"])
def test_a_file_of_nothing_gives_nothing(content: str) -> None:
    assert records(content) == []


@pytest.mark.parametrize(
    ("content", "good", "problem"),
    [
        (f"{line(ONE)}\n{{bad\n{line(TWO)}\n", [ONE, TWO], "line 2: is not JSON; expected one object a line"),
        (f"{{bad\n{line(ONE)}\n", [ONE], "line 1: is not JSON; expected one object a line"),
        (f'{{"study_id": 1,\n{line(ONE)}\n', [ONE], "line 1: is not JSON; expected one object a line"),
        (pretty([ONE, TWO])[:-12], [ONE], "line 8: is not JSON; expected a list of objects"),
        (pretty([ONE])[:-1], [ONE], "line 5: is not JSON: the list does not end; expected a list of objects"),
        (
            f"{line(ONE)} x\n{line(TWO)}\n{line(ONE)}\n",
            [TWO, ONE],
            "line 1: is not JSON; expected one object a line",
        ),
        (f"{{'a': 1}}\n{line(TWO)}\n", [TWO], "line 1: is not JSON: its texts stand between ' instead of \""),
        ("[{'a': 1}]", [], "line 1: is not JSON: its texts stand between ' instead of \""),
        ("[\n", [], "line 1: is not JSON: the list does not end"),
        ("{\n'a': 1\n}", [], "line 2: is not JSON; expected a list of objects"),
        ("[" * 100_000, [], "line 1: is not JSON"),
        ("[1, 2]", [], "line 1: is a JSON list; expected one object a line"),
        ("7\n", [], "line 1: is a JSON int; expected one object a line"),
        (
            b'{"a": "\xe9"}\n{"a": 1}\n',
            [{"a": 1}],
            "line 1: is not UTF-8 text (byte 0xe9 at 7); it may be Windows-",
        ),
        (b'[\n{"a": "\xe9"}\n]', [], "line 2: is not UTF-8 text (byte 0xe9 at 7)"),
        ('{"a": "\\ud83e"}\n{"a": "\\ud83e\\udec1"}\n', [{"a": "\U0001fac1"}], "line 1: holds half a character"),
        ('[\n{"a": 1},\n{"b\\uDEC1": 2}\n]', [{"a": 1}], "line 3: holds half a character (one of two escapes"),
        ('{"a": "\\\\ud83e"}\n{"a": "\\ud83e\\u0041"}\n', [{"a": "\\ud83e"}], "line 2: holds half a character"),
        (line(ONE).encode("utf-16")[:-1], [], "is not UTF-8 text, and no whole UTF-16 either"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(content: bytes | str, good: list[Any], problem: str) -> None:
    read, failed = [], []
    for record in records(content):
        try:
            read.append(record.fields())
        except DatasetError as error:
            failed.append(str(error))
    assert read == good
    assert len([text for text in failed if problem in text]) == 1
    assert all(text.startswith("f.json") and "\n" not in text for text in failed)


def test_keys_are_known_by_other_spellings() -> None:
    record = JsonRecord("f.json line 1", {"Study ID": 1, "TEXT": "x", "more": 2})
    assert record.fields(("study_id", "text")) == {"study_id": 1, "text": "x", "more": 2}
    with pytest.raises(DatasetError, match=r"f.json line 2: the columns 'ID' and 'Id' are both read as 'id'"):
        JsonRecord("f.json line 2", {"ID": 1, "Id": 2}).fields(("id",))


@pytest.mark.parametrize(("value", "expected"), [(50414267, "50414267"), ("004", "004"), (10**30, "1" + "0" * 30)])
def test_an_id_is_the_text_of_its_digits(value: Any, expected: str) -> None:
    assert id_text(value, "study_id", "f") == expected


@pytest.mark.parametrize(
    ("value", "found"), [(4.0, "4.0"), (1e3, "1000.0"), (True, "true"), (None, "null"), ([1], "[1]")]
)
def test_an_id_that_is_neither_text_nor_whole_is_refused(value: Any, found: str) -> None:
    with pytest.raises(DatasetError) as refused:
        id_text(value, "study_id", "f line 1")
    assert str(refused.value) == f"f line 1: study_id is {found}; expected a text or a whole number; correct it"


def test_ids_that_are_not_there_stay_away() -> None:
    assert with_ids({"study_id": 7, "prior": None, "age": 5}, ("study_id", "prior", "patient_id"), "f") == {
        "study_id": "7",
        "prior": None,
        "age": 5,
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_whole_document_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(pretty({"train": [ONE]}).encode(encoding))
    assert read_json(path, "x") == {"train": [ONE]}


@pytest.mark.parametrize("content", ['["\\udec1"]', '{"\\ud83e": 1}', '"a\\ud83e\\ud83e\\udec1"'])
def test_a_whole_document_with_half_a_character_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"d.json: holds half a character \(one of two escapes"):
        read_json(path, "x")


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("Train", "train"),
        ("VAL", "validation"),
        (" dev ", "validation"),
        ("TEST", "test"),
        ("holdout", None),
        ("Training", "train"),
        ("testing", "test"),
        ("TRAIN_VAL", "train_val"),
    ],
)
def test_words_for_splits(word: str, split: str | None) -> None:
    assert split_named(word) == split
