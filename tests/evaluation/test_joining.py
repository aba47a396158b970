"""Findings that are heard as one: the maximum over their parts, on the system's side alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import boxed_corpus
from contrastcxr.cli.main import run
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate
from contrastcxr.evaluation.joining import parse_joined, with_joined
from contrastcxr.form import Author, Box, Finding, Point, Reading

DATA = parse_data("phantom:smoke")
JOINED = {"Consolidation": ("Consolidation", "Pneumonia", "Infiltration")}


def finding(name: str, probability: float, *boxes: tuple[float, float, float, float], cut: float = 0.5) -> Finding:
    region = tuple(Box(xyxy=box) for box in boxes)
    present = probability >= cut
    return Finding(
        name=name,
        status="present" if present else "absent",
        probability=probability,
        threshold=cut,
        region=region,
        boxes=region if present else (),
        peak=Point(xy=boxes[0][:2]) if boxes else None,
    )


def reading(*findings: Finding) -> Reading:
    return Reading(study_id="s", author=Author(kind="model", name="m"), findings=findings)


def test_the_maximum_has_the_union_the_highest_probability_and_the_peak_of_the_most_probable_part() -> None:
    given = reading(
        finding("Consolidation", 0.2, (0, 0, 10, 10)),
        finding("Mass", 0.9, (50, 50, 60, 60)),
        finding("Pneumonia", 0.7, (5, 0, 20, 10)),
        finding("Infiltration", 0.6, (40, 0, 50, 10), (5, 0, 20, 10)),
    )
    (found,) = with_joined([given], JOINED)
    one = found.finding("Consolidation")
    assert one is not None
    assert {box.xyxy for box in one.region} == {(0, 0, 10, 10), (5, 0, 20, 10), (40, 0, 50, 10)}
    assert {box.xyxy for box in one.boxes} == {(0, 0, 20, 10), (40, 0, 50, 10)}
    assert (one.probability, one.status) == (0.7, "present")
    assert one.peak == Point(xy=(5, 0))
    for name in ("Mass", "Pneumonia", "Infiltration"):
        assert found.finding(name) == given.finding(name)


def test_a_part_that_is_present_at_its_own_threshold_makes_the_whole_present() -> None:
    low = finding("Pneumonia", 0.3, (0, 0, 5, 5), cut=0.25)
    given = reading(finding("Consolidation", 0.4, (5, 5, 9, 9)), low, finding("Infiltration", 0.1))
    one = with_joined([given], JOINED)[0].finding("Consolidation")
    assert one is not None
    assert (one.status, one.probability) == ("present", 0.4)
    absent = reading(*(finding(name, 0.1, (0, 0, 5, 5)) for name in JOINED["Consolidation"]))
    none = with_joined([absent], JOINED)[0].finding("Consolidation")
    assert none is not None
    assert (none.status, none.boxes, len(none.region)) == ("absent", (), 1)


def test_a_part_that_the_system_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="joined of Infiltration, of which the system says nothing"):
        with_joined([reading(finding("Consolidation", 0.2), finding("Pneumonia", 0.1))], JOINED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Consolidation", "expected NAME=A,B"),
        ("Consolidation=Pneumonia", "expected two findings or more"),
        ("Consolidation=Pneumonia,Pneumonia", "each once"),
    ],
)
def test_what_joins_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        scored(joined=parse_joined([text]))


def test_an_unknown_finding_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Pneumonia'"):
        scored(joined=parse_joined(["Consolidation=Consolidation,Pneumonie"]))


def scored(**options: Any) -> Evaluation:
    readings = [boxed_corpus.localizer(study) for study in boxed_corpus.corpus(split="test")]
    given = {"data": DATA, "baselines": False, "bootstrap": Bootstrap(replicates=10, minimum=2), **options}
    return evaluate(readings, **given)


def test_only_the_named_finding_is_scored_otherwise_and_the_signature_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)
    plain, joined = scored(), scored(joined={"Nodule": ("Nodule", "Pleural Effusion")})
    assert "|joined:Nodule=Nodule+Pleural Effusion|" in joined.signature
    assert "joined" not in plain.signature
    assert joined.scores["tiou_0.7/Pleural Effusion"] == plain.scores["tiou_0.7/Pleural Effusion"]
    assert plain.scores["tiou_0.7/Nodule"].value == 1
    assert joined.scores["tiou_0.7/Nodule"].value == 0  # the middle of the picture is marked too
    assert joined.scores["auc/Nodule"].value < 1
    assert joined.readings == plain.readings


def test_the_command_joins_as_the_function_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "cache"))
    readings = [boxed_corpus.localizer(study) for study in boxed_corpus.corpus(split="test")]
    path = tmp_path / "readings.jsonl"
    path.write_text("".join(reading.model_dump_json(by_alias=True) + "\n" for reading in readings))
    asked = ["--readings", str(path), "--data", "phantom:smoke", "--out", str(tmp_path), "--no-baselines"]
    assert run(["evaluate", *asked, "--join", "Nodule=Nodule,Pleural Effusion"]) == 0
    said = json.loads((tmp_path / "scores.json").read_text())
    assert "|joined:Nodule=Nodule+Pleural Effusion|" in said["signature"]
