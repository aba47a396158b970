"""Files of readings that someone else made, in every form, and ids that are one only as numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.errors import ContrastCXRError, RequestError
from contrastcxr.evaluation.matching import matched
from contrastcxr.evaluation.references import References
from contrastcxr.evaluation.submitted import load_readings
from contrastcxr.form import SCHEMA, Author, Reading, Report, Study, View

DOCUMENTS: list[dict[str, Any]] = [
    {"study_id": 50414267, "text": "Clear."},
    {"study_id": "004", "text": "Edema, mild."},
]
WHOLE = [
    {
        "schema": SCHEMA,
        "study_id": one["study_id"],
        "author": {"kind": "model", "name": "m"},
        "report": {"findings": one["text"]},
    }
    for one in DOCUMENTS
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", "\n".join(map(json.dumps, DOCUMENTS))),
        ("r.json", json.dumps(DOCUMENTS, indent=2)),
        ("r.json", json.dumps(DOCUMENTS)),
        ("r.ndjson", "\n".join(json.dumps(one, indent=2) for one in DOCUMENTS)),
        ("r.jsonl", "\n".join(map(json.dumps, WHOLE))),
        ("r.json", json.dumps(WHOLE, indent=2)),
        ("r.csv", "study_id;text\n50414267;Clear.\n004;Edema, mild.\n"),
        ("r.tsv", "Study ID\tText\n50414267\tClear.\n004\tEdema, mild.\n"),
        ("r.csv", 'sep=,\nstudy_id,text\n50414267,Clear.\n="004","Edema, mild."\n'),
    ],
)
def test_readings_are_read_whatever_wrote_them(tmp_path: Path, name: str, content: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / name).write_bytes(content.encode(encoding))
        found = [(r.study_id, r.report.findings) for r in load_readings(tmp_path / name)]
        assert found == [("50414267", "Clear."), ("004", "Edema, mild.")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"study_id": true, "text": "x"}', "line 1: study_id is true; expected a text or a whole number"),
        ('{"study_id": 4.0, "text": "x"}', "line 1: study_id is 4.0; expected a text or a whole number"),
        ('{"study_id": 4, "text": ["x"]}', 'line 1: text is ["x"]; expected a text'),
        ('[\n{"study_id": 4, "text": "x"},\n{"study_id": "", "text": "x"}\n]', "line 3: has no study_id"),
        ('{"schema": "contrastcxr.reading/1", "study_id": 4.5}', "line 1: study_id is 4.5; expected a text"),
    ],
)
def test_a_form_that_was_given_is_never_what_is_expected(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ContrastCXRError) as refused:
        load_readings(tmp_path / "r.json")
    assert f"r.json {said}" in str(refused.value)
    assert 'expected {"study_id"' not in str(refused.value)


def reading(study_id: str) -> Reading:
    return Reading(study_id=study_id, author=Author(kind="model", name="m"), report=Report(findings="Clear."))


@pytest.mark.parametrize(
    ("given", "known", "alike"),
    [
        ("4", "004", True),
        ("004", "4", True),
        ("50414267.0", "50414267", True),
        ("s4", "004", False),
        ("5", "004", False),
        ("nan", "inf", False),
    ],
)
def test_ids_that_are_one_only_as_numbers_are_said(given: str, known: str, alike: bool) -> None:
    study = Study(study_id=known, views=(View(view_id="v", locator="a.png"),))
    references = References((study,), (reading(known),), ("Edema",))
    with pytest.raises(RequestError) as refused:
        matched(references, [reading(given)], (), allow_partial=False)
    said = f"and '{given}' is '{known}' as a number, but ids are compared as texts"
    assert (said in str(refused.value)) == alike


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_may_be_called_a_text_as_a_spreadsheet_calls_it(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    rows = (("study_id", "text"), ("004", '"Edema, mild."'))
    (tmp_path / "r.txt").write_bytes("\n".join(map(separator.join, rows)).encode(encoding))
    assert [(r.study_id, r.report.findings) for r in load_readings(tmp_path / "r.txt")] == [
        ("004", "Edema, mild.")
    ]


def test_no_option_is_named_that_evaluate_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,prediction\n1,Clear.\n")
    with pytest.raises(ContrastCXRError, match=r"no study_id and no text|no column study_id") as refused:
        load_readings(tmp_path / "r.csv")
    assert str(refused.value).endswith("(found id, prediction); rename them")


def test_labels_without_a_word_are_readings(tmp_path: Path) -> None:
    document = {
        "schema": SCHEMA,
        "study_id": 7,
        "author": {"kind": "model", "name": "m"},
        "findings": [{"name": "Edema", "status": "present", "source": "m"}],
    }
    (tmp_path / "r.jsonl").write_text(json.dumps(document))
    (found,) = load_readings(tmp_path / "r.jsonl")
    assert (found.study_id, found.present()) == ("7", {"Edema"})


@pytest.mark.parametrize("content", [b"\0{", b"s\0t", b"\xff\xfe{", b"\0"])
@pytest.mark.parametrize("name", ["r.jsonl", "r.txt", "r.csv"])
def test_what_is_no_whole_utf_16_is_refused_as_that(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContrastCXRError, match=f"{name}") as refused:
        load_readings(tmp_path / name)
    assert "\n" not in str(refused.value)
