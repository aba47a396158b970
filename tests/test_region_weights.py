"""The script that measures what paper D's localizer weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contrastcxr.form import Author, Box, Finding, Reading, Study, View
from contrastcxr.reading.regions import RegionWords, StudyRegions
from contrastcxr.vocab.attribute_words import attribute_list
from load_script import load_script

EFFUSION = attribute_list("phantom-effusion")


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("region_weights")


def regions(*weights: float, words: RegionWords | None = None) -> StudyRegions:
    n = len(weights)
    return StudyRegions(np.zeros((n, 4)), np.array(weights), np.zeros(n, dtype=int), words)


def test_equal_weights_have_as_much_on_boxes_as_there_are_regions_on_them(script: Any) -> None:
    found = script.measured(regions(0.25, 0.25, 0.25, 0.25), np.array([0.0, 0.7, 0.3, 0.05]), ["left"])
    assert found == {
        "weigh": pytest.approx(4.0),
        "on": 0.25,
        "regions_on": 0.25,
        "off": 0.5,
        "first_on": 0.0,
    }


def test_a_region_without_weight_weighs_nothing_and_the_heaviest_is_first(script: Any) -> None:
    found = script.measured(regions(0.0, 1.0), np.array([0.0, 0.5]), ["left"])
    assert (found["weigh"], found["on"], found["first_on"]) == (1.0, 1.0, 1.0)


def test_stated_words_alone_are_looked_for_on_boxes(script: Any) -> None:
    attention = np.array([[0.9, 0.2], [0.1, 0.8]])
    words = RegionWords(("left", "right"), np.zeros(2), attention)
    overlap = np.array([0.6, 0.0])
    assert script.measured(regions(0.5, 0.5, words=words), overlap, ["left"])["word_on"] == 0.9
    assert script.measured(regions(0.5, 0.5, words=words), overlap, ["left", "right"])["word_on"] == (
        pytest.approx(0.55)
    )


def test_boxes_are_those_of_the_findings_of_the_list_in_the_view(script: Any) -> None:
    def boxed(name: str, view: int) -> Finding:
        return Finding(name=name, status="present", boxes=(Box(view=view, xyxy=(1, 2, 3, 4)),))

    said = (boxed("Pleural Effusion", 0), boxed("Pleural Effusion", 1), boxed("Mass", 0))
    reading = Reading(study_id="a", author=Author(kind="human", name="someone"), findings=said)
    views = tuple(View(view_id=name, locator=f"{name}.png", width=8, height=8) for name in "ab")
    study = Study(study_id="a", views=views, readings=(reading,))
    assert script.boxes_of(study, EFFUSION, view=0).tolist() == [[1, 2, 3, 4]]
