"""A reading goes to JSON and back, and fits the schema that the package ships."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Finding, Reading, Report, Study
from contrastcxr.write import WRITERS, get_writer
from contrastcxr.write.as_json import from_json, schema, schema_text, shipped_schema, to_json


def test_writer_then_reader_is_identity(reading: Reading) -> None:
    assert from_json(to_json(reading)) == reading


@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    probability=st.none() | st.floats(0, 1),
    status=st.sampled_from(["present", "absent", "uncertain", "unmentioned"]),
)
def test_any_text_and_number_survive(text: str, probability: float | None, status: str) -> None:
    made = Reading(
        study_id=text,
        author=Author(kind="human", name=text),
        report=Report(findings=text, sentences=(text,)),
        findings=(Finding(name=text, status=status, probability=probability),),
        provenance={"note": text},
    )
    assert from_json(to_json(made)) == made


def test_the_written_file_is_the_reading_and_holds_the_keys_of_the_interface(
    reading: Reading, study: Study, tmp_path: Path
) -> None:
    path = get_writer("json").write(reading, study, tmp_path)
    assert path.name == f"{reading.study_id}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["schema"] == "contrastcxr.reading/1"
    assert {
        "name",
        "status",
        "probability",
        "source",
        "side",
        "zone",
        "severity",
        "boxes",
        "sentences",
        "spans",
    } <= set(document["findings"][0])
    assert set(document["findings"][0]["boxes"][0]) == {"view", "xyxy", "score"}


def test_the_shipped_schema_is_the_one_of_the_form() -> None:
    assert shipped_schema() == schema_text(), (
        "the form changed: write schema_text() to src/contrastcxr/write/reading.schema.json"
    )


def test_a_reading_fits_the_schema_and_a_wrong_one_does_not(reading: Reading) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    check = jsonschema.Draft202012Validator(json.loads(shipped_schema()))
    document = json.loads(to_json(reading))
    assert list(check.iter_errors(document)) == []
    document["findings"][0]["status"] = "maybe"
    del document["study_id"]
    assert len(list(check.iter_errors(document))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "schema is None"),
        ('{"schema": "contrastcxr.reading/2"}', "contrastcxr.reading/2"),
        ('{"schema": "contrastcxr.reading/1"}', "study_id"),
        (
            '{"schema": "contrastcxr.reading/1", "study_id": "a", "author": {"kind": "dog", "name": "x"}}',
            "author.kind",
        ),
    ],
)
def test_what_is_not_a_reading_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said) as caught:
        from_json(text, where="a.json")
    assert str(caught.value).startswith("a.json: ")
    assert "\n" not in str(caught.value)


def test_every_registered_writer_writes_a_file_under_its_name(
    reading: Reading, study: Study, tmp_path: Path
) -> None:
    for name in WRITERS:
        writer = get_writer(name)
        path = writer.write(reading, study, tmp_path / name)
        assert writer.name == name
        assert [p.name for p in (tmp_path / name).iterdir()] == [path.name]
