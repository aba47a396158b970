"""The script that measures what paper D's localizer weighs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from contrastcxr.features.batch import Batch
from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View
from contrastcxr.models.heads.localizers.options import CrossAttentionOptions, RetinaNetOptions
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


def two_views(*, boxed: int) -> Study:
    """A study whose second view is the frontal one, with an effusion in one of them."""
    effusion = Finding(name="Pleural Effusion", status="present", boxes=(Box(view=boxed, xyxy=(20, 20, 40, 40)),))
    reading = Reading(
        study_id="a",
        author=Author(kind="human", name="someone"),
        report=Report(findings="There is a small left pleural effusion."),
        findings=(effusion,),
    )
    views = tuple(
        View(view_id=name, locator=f"{name}.png", width=80, height=80, position=position)
        for name, position in (("a", "LATERAL"), ("b", "PA"))
    )
    return Study(study_id="a", views=views, readings=(reading,))


def measures(script: Any, monkeypatch: pytest.MonkeyPatch, study: Study, found: StudyRegions) -> list[Any]:
    """The measures of a study whose frontal view enters first, twice as large as the model's picture."""
    affines = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    batch = Batch(
        study_ids=("a",),
        patient_ids=(None,),
        images=None,
        features=None,
        view_mask=torch.ones(1, 2, dtype=torch.bool),
        affines=affines[None],
        positions=(("PA", "LATERAL"),),
        view_index=((1, 0),),
    )
    monkeypatch.setattr(script, "encoded_for", lambda *_, **__: (None, []))
    monkeypatch.setattr(script, "cached_batches", lambda *_: [batch])
    reader = SimpleNamespace(regions=lambda _: [{EFFUSION.finding: found}])
    return [*script.of_studies(reader, EFFUSION, [study], Path("cache"))]


def test_only_regions_of_the_first_view_that_enters_are_compared_with_its_boxes(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.array([[10, 10, 20, 20], [30, 30, 39, 39], [20, 20, 40, 40], [0, 0, 0, 0]], dtype=float)
    names = ("left", "small", "right")
    attention = np.array([[0.3, 0.1, 0.0], [0.2, 0.2, 0.0], [0.5, 0.7, 0.0], [0.0, 0.0, 0.0]])
    found = StudyRegions(
        boxes, np.array([0.3, 0.1, 0.6, 0.0]), np.array([0, 0, 1, 0]), RegionWords(names, np.zeros(3), attention)
    )
    (measured,) = measures(script, monkeypatch, two_views(boxed=1), found)
    assert {name: measured[name] for name in ("on", "regions_on", "off", "first_on", "word_on")} == {
        "on": pytest.approx(0.75),
        "regions_on": 0.5,
        "off": pytest.approx(0.25),
        "first_on": 1.0,
        "word_on": pytest.approx((0.3 + 0.1) / 2),
    }
    assert measures(script, monkeypatch, two_views(boxed=0), found) == []


def test_a_view_without_a_region_is_left_out(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = StudyRegions(np.array([[10.0, 10.0, 20.0, 20.0]]), np.ones(1), np.ones(1, dtype=int))
    assert measures(script, monkeypatch, two_views(boxed=1), found) == []


@pytest.mark.parametrize("options", [None, RetinaNetOptions(attributes="pneumonia")])
def test_a_run_that_weighs_no_regions_ends_with_what_to_give(script: Any, options: Any) -> None:
    def run_of(localizer: Any) -> Any:
        return SimpleNamespace(system=SimpleNamespace(localizer=localizer))

    other = None if options is None else SimpleNamespace(options=options)
    with pytest.raises(SystemExit, match=r"^runs/a: no localizer that .* localizer\.kind: cross_attention$"):
        script.attributes_of(run_of(other), Path("runs/a"))
    weighs = SimpleNamespace(options=CrossAttentionOptions(attributes="phantom-effusion"))
    assert script.attributes_of(run_of(weighs), Path("runs/a")) is EFFUSION
