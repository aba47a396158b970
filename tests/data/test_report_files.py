"""Report texts from files: each form, and every way in which one may be wrong."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from contrastcxr.data.report_files import Columns, Form, ReportTexts, check_form
from contrastcxr.errors import InputError, RequestError


def read(content: bytes, name: str = "standard input", form: Form | None = None) -> tuple[list[str], list[str]]:
    failures: list[InputError] = []
    texts = ReportTexts(on_failure=failures.append, form=form)
    found = [f"{one.study_id}={one.text}" for one in texts.stream(io.BytesIO(content), name=name, study_id="it")]
    return found, [str(failure) for failure in failures]


@pytest.mark.parametrize(
    "content",
    [
        b'{"study_id": "a", "text": "No effusion."}\n\n{"text": "Edema.", "study_id": 7, "more": 1}\n',
        b"study_id,text\na,No effusion.\n\n7,Edema.\n",
        b'\xef\xbb\xbfother,text,study_id\r\n-,"No effusion.",a\r\n-,Edema.,7\r\n',
        b'\xef\xbb\xbf{"study_id": "a", "text": "No effusion."}\n{"study_id": "7", "text": "Edema."}',
    ],
)
def test_the_form_shows_in_the_first_line(content: bytes) -> None:
    assert read(content) == (["a=No effusion.", "7=Edema."], [])


def test_anything_else_is_one_report() -> None:
    assert read(b"No effusion,\nno edema.\n") == (["it=No effusion,\nno edema.\n"], [])


def test_the_name_and_then_the_option_decide_before_the_content() -> None:
    content = b"study_id,text\na,b\n"
    assert read(content, name="x.txt", form="text")[0] == ["it=study_id,text\na,b\n"]
    assert read(content, name="x.json", form="csv")[0] == ["a=b"]
    assert read(b"study_id\ttext\na\tb, c\n", name="x.tsv")[0] == ["a=b, c"]


def test_a_cell_may_hold_line_breaks() -> None:
    assert read(b'study_id,text\na,"No effusion.\nNo edema."\n')[0] == ["a=No effusion.\nNo edema."]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{bad", "line 2: is not JSON"),
        (b"[1]", "line 2: is a JSON list; expected one object a line"),
        (b'{"study_id": "b"}', "line 2: lacks text"),
        (b'{"text": "Edema."}', "line 2: lacks study_id"),
        (b"{}", "line 2: lacks study_id and text"),
        (b'{"study_id": "b", "text": null}', "line 2: text is null; expected a text"),
        (b'{"study_id": true, "text": "Edema."}', "line 2: study_id is true; expected a text or a whole number"),
        (b'{"study_id": "", "text": "Edema."}', "line 2: has no study_id"),
        (b'{"study_id": "b", "text": " "}', "line 2: the report of study 'b' is empty"),
        (b'{"study_id": "a", "text": "Edema."}', "line 2: study 'a' comes a second time"),
        (b'{"study_id": "b", "text": "\xff"}', "line 2: is not UTF-8 text (byte 0xff at 27)"),
        (b'{"study_id": "b", "text": "\\ud800"}', "line 2: holds half a character"),
    ],
)
def test_a_bad_json_line_is_named_and_the_rest_is_read(line: bytes, said: str) -> None:
    before, after = b'{"study_id": "a", "text": "x"}\n', b'\n{"study_id": "c", "text": "y"}\n'
    found, failures = read(before + line + after, name="x.jsonl")
    assert found == ["a=x", "c=y"]
    assert len(failures) == 1
    assert f"x.jsonl {said}" in failures[0]
    assert "\n" not in failures[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"b", "row 3: has 1 cells"),
        (b"b,", "row 3: the report of study 'b' is empty"),
        (b",Edema.", "row 3: has no study_id"),
        (b"a,Edema.", "row 3: study 'a' comes a second time"),
        (b"b,\xff", "row 3: is not UTF-8 text (byte 0xff at 1)"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_read(row: bytes, said: str) -> None:
    found, failures = read(b"study_id,text\na,x\n" + row + b"\nc,y\n", name="x.csv")
    assert found == ["a=x", "c=y"]
    assert len(failures) == 1
    assert f"x.csv {said}" in failures[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x.csv: is empty; a header row was expected"),
        (b"study_id,report\na,x\n", "has no column text (found study_id, report)"),
        (b"id,text\na,x\n", "has no column study_id (found id, text)"),
    ],
)
def test_a_table_without_the_columns_fails_whole(content: bytes, said: str) -> None:
    found, failures = read(content, name="x.csv")
    assert found == []
    assert len(failures) == 1
    assert said in failures[0]


def test_plain_text_that_is_not_utf8_fails() -> None:
    assert read(b"caf\xe9") == (
        [],
        [
            "standard input: is not UTF-8 text (byte 0xe9 at 3); it may be Windows-1252, where that is 'é': save "
            "it as UTF-8"
        ],
    )


def test_a_file_that_is_not_there_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Edema.")
    failures: list[InputError] = []
    texts = ReportTexts(on_failure=failures.append)
    found = list(texts.files([tmp_path / "a.txt", tmp_path, tmp_path / "b.txt"]))
    assert [one.study_id for one in found] == ["b"]
    assert len(failures) == 2
    assert str(tmp_path / "a.txt") in str(failures[0])


def test_an_unknown_form_is_refused() -> None:
    assert check_form(None) is None
    assert check_form("csv") == "csv"
    with pytest.raises(RequestError, match="unknown input format 'xml'; expected one of jsonl, csv, text"):
        check_form("xml")


def table(content: str, columns: Columns | None = None) -> tuple[list[tuple[str, str]], list[str]]:
    failures: list[InputError] = []
    texts = ReportTexts(on_failure=failures.append, form="csv", columns=columns or Columns())
    stream = io.BytesIO(content.encode())
    found = [(one.study_id, one.text) for one in texts.stream(stream, name="t.csv", study_id="t")]
    return found, [str(failure) for failure in failures]


def test_columns_of_other_names_are_said() -> None:
    content = "uid,findings,impression\n7,No effusion.,Normal.\n8,,Edema.\n"
    said = Columns(study_id="uid", text=("findings", "impression"))
    assert table(content, said) == ([("7", "No effusion.\n\nNormal."), ("8", "Edema.")], [])
    assert table(content)[1] == [
        "t.csv: has no column study_id and no text (found uid, findings, impression); rename them, or say "
        "--id-column and --text-column"
    ]
    assert table(content, Columns(text=("finding",)))[1][0].startswith("t.csv: has no column finding (found uid")


def test_rows_without_an_id_are_numbered_where_texts_alone_are_named() -> None:
    assert table("Reports,Edema\nEdema.,1\nNo edema.,0\n")[0] == [("row 1", "Edema."), ("row 2", "No edema.")]
    assert table("said\nEdema.\n", Columns(text=("said",)))[0] == [("row 1", "Edema.")]


def test_keys_of_documents_are_said_likewise() -> None:
    texts = ReportTexts(on_failure=pytest.fail, columns=Columns(study_id="uid", text=("a", "b")))
    stream = io.BytesIO(b'{"uid": 3, "a": "One.", "b": "Two."}\n')
    (only,) = texts.stream(stream, name="-", study_id="-")
    assert (only.study_id, only.text) == ("3", "One.\n\nTwo.")


DOCUMENTS = [
    {"study_id": "004", "text": "Small effusion, no edema."},
    {"Study_ID": 50414267, "text": "Clear.", "more": None},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", b"study_id;text\n004;Small effusion, no edema.\n50414267;Clear.\n"),
        ("r.csv", b"sep=;\r\nStudy ID;TEXT;;\r\n004;Small effusion, no edema.;;\r\n50414267;Clear.;;\r\n;;;\r\n"),
        ("r.tsv", b'study_id,text\n="004","Small effusion, no edema."\n\'50414267,Clear.\n'),
        ("r.csv", "text\tstudy_id\nSmall effusion, no edema.\t004\nClear.\t50414267\n".encode("utf-16")),
        ("r.csv", b"study_id;text;in words, or not\r004;Small effusion, no edema.;\r50414267;Clear.;\r"),
        ("r.csv.gz", gzip.compress(b"study_id|text\n004|Small effusion, no edema.\n50414267|Clear.\n", mtime=0)),
        ("stdin", b"\xef\xbb\xbfstudy_id;text\n004;Small effusion, no edema.\n50414267;Clear.\n"),
        ("stdin", b"sep=\t\nSTUDY_ID\ttext\n004\tSmall effusion, no edema.\n50414267\tClear.\n"),
        ("r.json", json.dumps(DOCUMENTS, indent=2).encode()),
        ("r.ndjson", "\n".join(map(json.dumps, DOCUMENTS)).encode("utf-16")),
        ("stdin", json.dumps(DOCUMENTS, indent=2).encode()),
        ("stdin", json.dumps(DOCUMENTS).encode()),
        ("r.jsonl", "\n".join(json.dumps(one, indent=1) for one in DOCUMENTS).encode()),
    ],
)
def test_reports_are_read_whatever_wrote_them(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    texts = ReportTexts(on_failure=lambda error: pytest.fail(str(error)))
    found = [(one.study_id, one.text) for one in texts.files([path])]
    assert found == [("004", "Small effusion, no edema."), ("50414267", "Clear.")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"study_id,text;other\na,x;y\n", "header: its names are separated by ',' and by ';'"),
        (
            b"study_id,text\na;No effusion, no edema.\n",
            "row 2: its cells are separated by ';', those of the",
        ),
        (
            b"study_id,text\na,No effusion, no edema.\n",
            "row 2: 3 cells under 2 columns; quote cells that",
        ),
        ("study_id;text\na;Ödem\n".encode("cp1252"), "row 2: is not UTF-8 text (byte 0xd6 at 1); it may be Win"),
        (b"Study ID,study-id,text\n", "header: the columns 'Study ID' and 'study-id' are both read as 'study_id'"),
        ("study_id;text;Größe\na;x;1\n".encode("cp1252"), "header: is not UTF-8 text (byte 0xf6 at 16)"),
        (b"id;report\n", "has no column study_id and no text (found id, report)"),
    ],
)
def test_a_table_that_is_ambiguous_is_refused_with_its_cause(content: bytes, said: str) -> None:
    found, failures = read(content, name="t.csv")
    assert (found, len(failures)) == ([], 1)
    assert said in failures[0]


@pytest.mark.parametrize(
    ("value", "said"), [("4.0", "4.0"), ("1e3", "1000.0"), ("null", "null"), ("[4]", "[4]"), ("true", "true")]
)
def test_an_id_that_is_no_id_is_said_as_it_is(value: str, said: str) -> None:
    found, failures = read(f'{{"study_id": {value}, "text": "x"}}'.encode(), name="x.jsonl")
    assert found == []
    assert failures == [f"x.jsonl line 1: study_id is {said}; expected a text or a whole number; correct it"]


@pytest.mark.parametrize("text", ["[**2180-1-1**] Clear.", "[Edema]\n", "study_id and text", "Findings; text"])
def test_a_report_that_looks_like_something_else_is_a_report(text: str) -> None:
    assert read(text.encode()) == ([f"it={text}"], [])
