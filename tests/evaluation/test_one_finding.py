"""Findings of a list of attributes as one, on both sides, in the baselines and in the signature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from published_files import save_picture

from contrastcxr.data.authors import reading_of
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError
from contrastcxr.evaluation import evaluate
from contrastcxr.evaluation.attribute_baselines import geometry
from contrastcxr.evaluation.one_finding import heard_as_one
from contrastcxr.evaluation.references import attributes_said
from contrastcxr.form import Attribute, Author, Box, Finding, Reading, Report, Status, Study, View
from contrastcxr.vocab.attribute_words import attribute_list

OPACITY = attribute_list("phantom-opacity")
FIRST, SECOND = Box(xyxy=(0.0, 0.0, 10.0, 10.0)), Box(xyxy=(20.0, 0.0, 40.0, 30.0))


def reading(*findings: Finding) -> Reading:
    return Reading(study_id="s", author=Author(kind="rule", name="phantom truth"), findings=findings)


def finding(name: str, status: Status = "present", boxes: Sequence[Box] = (), **more: object) -> Finding:
    return Finding(name=name, status=status, boxes=tuple(boxes), **more)  # type: ignore[arg-type]


def test_a_system_that_knows_the_finding_is_heard_as_it_is() -> None:
    own = [reading(finding("Lung Opacity", region=(FIRST,)), finding("Mass", region=(SECOND,)))]
    assert heard_as_one(own, OPACITY) == own


def test_another_one_is_heard_by_the_maximum_over_the_parts_that_it_knows() -> None:
    mass = finding("Mass", "absent", probability=0.2, region=(FIRST,))
    edema = finding("Edema", "present", probability=0.7, region=(SECOND,))
    (heard,) = heard_as_one([reading(mass, edema)], OPACITY)
    one = heard.finding("Lung Opacity")
    assert one is not None
    assert (one.status, one.probability, set(one.region)) == ("present", 0.7, {FIRST, SECOND})


def test_a_system_that_knows_none_of_them_is_refused() -> None:
    with pytest.raises(RequestError, match="the system says nothing of Lung Opacity, nor of Consolidation"):
        heard_as_one([reading(finding("Hernia"))], OPACITY)


def worded(name: str, report: str, *findings: Finding) -> Reading:
    author = Author(kind="model" if name == "m" else "rule", name=name)
    return Reading(study_id="s", author=author, report=Report(findings=report), findings=findings)


def test_a_reference_states_attributes_and_a_localizer_gives_them_probabilities() -> None:
    words = (Attribute(name="left", probability=0.8), Attribute(name="upper", probability=0.1))
    own = [reading(finding("Lung Opacity", attributes=words))]
    assert attributes_said(own, OPACITY) == [{"left": 0.8, "upper": 0.1}]


def test_a_system_that_writes_is_heard_by_what_its_reports_state() -> None:
    said = [
        worded("m", "There is a mass in the left upper zone."),
        worded("m", "The lungs are clear."),
    ]
    (first, second) = attributes_said(said, OPACITY)
    assert first is not None
    assert second is not None
    assert {name for name, value in first.items() if value == 1.0} == {"left", "upper", "mass"}
    assert set(second.values()) == {0.0}


def test_a_finding_that_one_report_names_is_not_what_a_localizer_looks_for() -> None:
    named = reading(finding("Mass", probability=0.9, region=(FIRST,)), finding("Lung Opacity"))
    other = reading(finding("Mass", probability=0.8, region=(SECOND,)))
    ones = [each.finding("Lung Opacity") for each in heard_as_one([named, other], OPACITY)]
    assert [one.probability for one in ones if one is not None] == [0.9, 0.8]


def test_a_system_without_words_and_attributes_says_none() -> None:
    silent = [reading(finding("Mass", region=(FIRST,)))]
    assert attributes_said(silent, OPACITY) == [None]


def test_the_geometry_of_the_first_frontal_box_is_words_and_the_rest_is_the_prior() -> None:
    sizes = {"width": 100, "height": 100}
    frontal = View(view_id="v", locator="v.png", position="PA", **sizes)
    lateral = View(view_id="w", locator="w.png", position="LATERAL", **sizes)
    study = Study(study_id="s", views=(frontal, lateral))
    shares = {"left": 0.3, "right": 0.4, "upper": 0.2, "multifocal": 0.25, "mass": 0.15}
    first, second = Box(xyxy=(60.0, 10.0, 90.0, 30.0)), Box(xyxy=(5.0, 70.0, 20.0, 90.0))
    behind = Box(view=1, xyxy=(5.0, 70.0, 20.0, 90.0))
    marks = [
        finding("Lung Opacity", "absent", region=(behind, first, second)),
        finding("Lung Opacity", "absent", region=(behind,)),
        None,
    ]
    found = geometry([study] * 3, marks, shares)
    assert found[0].attributes == {"left": 1.0, "right": 0.0, "upper": 1.0, "multifocal": 0.25, "mass": 0.15}
    neither = {**shares, "left": pytest.approx(0.35), "right": pytest.approx(0.35)}
    assert found[1].attributes == found[2].attributes == neither


def test_a_box_on_a_picture_whose_size_nobody_states_is_measured_in_its_file(tmp_path: Path) -> None:
    save_picture(tmp_path / "v.png", width=80, height=60)
    view = View(view_id="v", locator=str(tmp_path / "v.png"))
    studies = [Study(study_id="s", views=(view,)), Study(study_id="t", views=(view,))]
    boxes = Box(xyxy=(2.0, 2.0, 20.0, 10.0)), Box(xyxy=(60.0, 40.0, 78.0, 58.0))
    marks = [finding("Lung Opacity", "absent", region=(box,)) for box in boxes]
    found = geometry(studies, marks, {"left": 0.3, "right": 0.4, "upper": 0.2, "lower": 0.2})
    assert [answer.attributes for answer in found] == [
        {"left": 0.0, "right": 1.0, "upper": 1.0, "lower": 0.0},
        {"left": 1.0, "right": 0.0, "upper": 0.0, "lower": 1.0},
    ]


def test_an_evaluation_by_a_list_scores_its_attributes_beside_prior_and_neighbour(tmp_path: Path) -> None:
    data = parse_data("phantom:smoke?limit=80")
    truth = [reading_of(study, author=None) for study in data.open().studies("test")[:40]]
    own = [r.model_copy(update={"author": Author(kind="model", name="m")}) for r in truth]
    found = evaluate(own, data=data, attributes="phantom-opacity", limit=40, cache=tmp_path, with_meteor=False)
    scores = {name: system.scores for name, system in found.systems.items()}
    auc = {name: of["attribute_auc"].value for name, of in scores.items() if "attribute_auc" in of}
    assert auc["system"] == 1.0
    assert scores["system"]["positive_f1"].value == 1.0
    assert "ceiling" not in scores
    assert 0.5 < (auc["constant"] or 0) < 1.0
    assert "attributes:phantom-opacity" in found.signature
