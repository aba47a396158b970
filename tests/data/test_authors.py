"""Whose reading is learnt, and which of its sections."""

from __future__ import annotations

import pytest
from mini_data import mini_study

from contrastcxr.data.authors import reading_of, report_text
from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Reading, Report


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
