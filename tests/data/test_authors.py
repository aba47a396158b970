"""Whose reading is learnt, and which of its sections."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from mini_data import mini_study

from contrastcxr.data.authors import as_one, knows_places, reading_of, report_text
from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Box, Finding, Reading, Report, Status, Study
from contrastcxr.vocab.attribute_words import attribute_list


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


OPACITY = attribute_list("phantom-opacity")
FIRST, SECOND = Box(xyxy=(0.0, 0.0, 10.0, 10.0)), Box(xyxy=(20.0, 0.0, 40.0, 30.0))


def told(*findings: Finding) -> Reading:
    return Reading(study_id="s", author=Author(kind="rule", name="phantom truth"), findings=findings)


def boxed(name: str, status: Status = "present", boxes: Sequence[Box] = ()) -> Finding:
    return Finding(name=name, status=status, boxes=tuple(boxes))


def test_as_one_findings_of_a_list_have_the_boxes_of_all() -> None:
    whole = told(
        boxed("Mass", boxes=[FIRST]),
        boxed("Edema", boxes=[SECOND, FIRST]),
        boxed("Pneumothorax", boxes=[Box(xyxy=(5.0, 5.0, 6.0, 6.0))]),
    )
    (one,) = as_one(whole, OPACITY).findings
    assert (one.name, one.status, one.boxes) == ("Lung Opacity", "present", (FIRST, SECOND))


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (("absent", "present"), "present"),
        (("absent", "uncertain"), "uncertain"),
        (("absent", "absent"), "absent"),
        (("unmentioned", "absent"), "absent"),
    ],
)
def test_the_one_finding_is_there_where_one_of_them_is(statuses: tuple[Status, Status], status: Status) -> None:
    parts = [boxed(name, each) for name, each in zip(("Mass", "Nodule"), statuses, strict=True)]
    (one,) = as_one(told(*parts), OPACITY).findings
    assert (one.status, one.boxes) == (status, ())


def test_a_reading_without_any_of_them_says_nothing() -> None:
    assert as_one(told(boxed("Hernia")), OPACITY).findings == ()
