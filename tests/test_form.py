from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View, reading_schema

MASS = Finding(name="Mass", status="present", probability=0.7, side="left", boxes=(Box(xyxy=(1, 2, 3, 4)),))
READING = Reading(
    study_id="s", author=Author(kind="human", name="reader 1"), report=Report(findings="A mass."), findings=(MASS,)
)


def view(**changes: object) -> View:
    return View.model_validate({"view_id": "v", "locator": "v.png", **changes})


def test_a_reading_goes_to_json_and_back() -> None:
    assert Reading.model_validate_json(READING.model_dump_json()) == READING


def test_json_names_its_schema() -> None:
    assert json.loads(READING.model_dump_json())["schema"] == "contrastcxr.reading/1"


def test_a_reading_of_another_schema_is_refused() -> None:
    values = {**json.loads(READING.model_dump_json()), "schema": "contrastcxr.reading/2"}
    with pytest.raises(ValidationError, match=r"contrastcxr\.reading/1"):
        Reading.model_validate(values)


def test_the_schema_accepts_what_is_written_and_refuses_a_number_for_a_status() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    written = json.loads(READING.model_dump_json())
    jsonschema.validate(written, reading_schema())
    written["findings"][0]["status"] = -1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, reading_schema())


def test_findings_are_found_by_name() -> None:
    assert READING.finding("Mass") == MASS
    assert READING.finding("Edema") is None
    assert READING.present() == {"Mass"}


@pytest.mark.parametrize("xyxy", [(3, 2, 1, 4), (1, 4, 3, 2), (-1, 0, 1, 1), (1, 1, 1, 2)])
def test_a_box_without_area_or_outside_the_picture_is_refused(xyxy: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="0 <= x1 < x2"):
        Box.model_validate({"xyxy": xyxy})


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(probability: float) -> None:
    with pytest.raises(ValidationError):
        Finding(name="Mass", status="present", probability=probability)


def test_a_study_is_frozen_and_has_a_view() -> None:
    study = Study(study_id="s", views=(view(),))
    with pytest.raises(ValidationError):
        study.study_id = "t"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Study(study_id="s", views=())


def test_a_view_needs_pixels_or_a_place_to_read_them_from() -> None:
    with pytest.raises(ValidationError, match="neither pixels nor a locator"):
        view(locator=None)


def test_pixels_never_go_to_json() -> None:
    shown = view(locator=None, pixels=np.zeros((2, 2), dtype=np.float32))
    assert "pixels" not in json.loads(shown.model_dump_json())


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        view(colour="grey")


def test_a_reading_is_found_by_its_author() -> None:
    study = Study(study_id="s", views=(view(),), readings=(READING,))
    assert study.reading_by("reader 1") == READING
    assert study.reading_by("reader 2") is None
