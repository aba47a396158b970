"""Whose reading is learnt, and which of its sections."""

from __future__ import annotations

import pytest
from mini_data import mini_study

from contrastcxr.data.authors import knows_places, reading_of, report_text
from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Box, Finding, Reading, Report, Status, Study


def test_the_named_author_is_learnt_and_an_unknown_one_refused_with_those_there() -> None:
    study = mini_study(1, split="train")
    other = Reading(study_id=study.study_id, author=Author(kind="human", name="radiologist"))
    study = study.model_copy(update={"readings": (*study.readings, other)})
    assert reading_of(study, author=None) is study.readings[0]
    assert reading_of(study, author="radiologist") is other
    with pytest.raises(DatasetError, match=r"found phantom truth, radiologist; set data\.author"):
        reading_of(study, author="nobody")


def test_the_text_is_the_sections_asked_for_in_order() -> None:
    report = Report(findings="Clear lungs. ", impression="Normal.")
    reading = Reading(study_id="s", author=Author(kind="human", name="r"), report=report)
    assert report_text(reading, sections=("findings", "impression")) == "Clear lungs. Normal."
    assert report_text(reading, sections=("impression",)) == "Normal."


def said_by(author: str, *findings: Finding) -> Study:
    study = mini_study(1, split="train")
    reading = Reading(study_id=study.study_id, author=Author(kind="rule", name=author), findings=findings)
    return study.model_copy(update={"readings": (reading,)})


def opacity(status: Status = "present", *, boxed: bool = False) -> Finding:
    boxes = (Box(view=0, xyxy=(1.0, 2.0, 3.0, 4.0)),) if boxed else ()
    return Finding(name="Consolidation", status=status, boxes=boxes)


@pytest.mark.parametrize(
    ("study", "known"),
    [
        (said_by("phantom truth", opacity(boxed=True)), True),
        (said_by("phantom truth", opacity()), False),
        (said_by("phantom truth", opacity("absent")), True),
        (said_by("phantom truth", Finding(name="Nodule", status="present")), True),
        (said_by("nih14 labels", Finding(name="Nodule", status="present")), True),
        (said_by("somebody", Finding(name="Nodule", status="present")), False),
        (said_by("somebody", Finding(name="No Finding", status="present")), True),
        (said_by("somebody"), False),
    ],
)
def test_places_are_known_where_they_are_boxed_or_there_are_none(study: Study, known: bool) -> None:
    assert knows_places(study, ("Consolidation", "Mass")) is known
