"""Reports of boxes: what they say, that attributes are read out of them, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from contrastcxr.data.readers.box_reports import BOX_REPORTS, sentence_of, with_box_reports
from contrastcxr.data.sources import parse_data
from contrastcxr.form import XYXY, Author, Box, Finding, Reading, Study, View
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.vocab.attribute_words import attribute_list
from nih_folds import write_nih_folds

LEFT_LOWER, RIGHT_UPPER, RIGHT_LOWER = (
    (700.0, 700.0, 900.0, 800.0),
    (100.0, 100.0, 300.0, 300.0),
    (100.0, 700.0, 300.0, 900.0),
)
VIEW = View(view_id="v", locator="v.png", position="PA", width=1000, height=1000)


def finding(name: str, *boxes: XYXY) -> Finding:
    return Finding(name=name, status="present" if boxes else "absent", boxes=tuple(Box(xyxy=b) for b in boxes))


def study(*authors: tuple[str, Sequence[Finding]]) -> Study:
    readings = tuple(
        Reading(study_id="s", author=Author(kind="human", name=name), findings=tuple(found))
        for name, found in authors
    )
    return Study(study_id="s", views=(VIEW,), readings=readings)


@pytest.mark.parametrize(
    ("name", "boxes", "said", "attributes"),
    [
        ("Pneumonia", [LEFT_LOWER], "There is opacity in the left lower zone.", {"left", "lower", "opacity"}),
        (
            "Consolidation",
            [LEFT_LOWER, RIGHT_UPPER],
            "There is multifocal bilateral consolidation in the left lower and right upper zones.",
            {"left", "right", "bilateral", "lower", "upper", "multifocal", "consolidation"},
        ),
        (
            "Pneumonia",
            [RIGHT_UPPER, RIGHT_LOWER],
            "There is multifocal opacity in the right upper and right lower zones.",
            {"right", "upper", "lower", "multifocal", "opacity"},
        ),
    ],
)
def test_boxes_are_said_in_words_that_attributes_are_read_out_of(
    name: str, boxes: list[XYXY], said: str, attributes: set[str]
) -> None:
    assert (
        sentence_of("opacity" if name == "Pneumonia" else "consolidation", finding(name, *boxes), [VIEW]) == said
    )
    (written,) = with_box_reports([study(("rsna", [finding(name, *boxes)]))], ["rsna"])
    reading = written.readings[0]
    assert (reading.author, reading.report.findings) == (BOX_REPORTS, said)
    assert reading.findings == written.readings[1].findings
    assert set(AttributeReader(attribute_list("pneumonia")).stated(reading.report)) == attributes


def test_an_effusion_has_a_side_and_no_zone() -> None:
    assert sentence_of("pleural effusion", finding("Pleural Effusion", LEFT_LOWER), [VIEW]) == (
        "There is pleural effusion on the left side."
    )


def test_the_first_author_with_a_box_is_heard_and_a_study_without_boxes_stays() -> None:
    both = study(
        ("rsna", [finding("Pneumonia", LEFT_LOWER)]), ("chestx-det", [finding("Consolidation", RIGHT_UPPER)])
    )
    (written,) = with_box_reports([both], ["chestx-det", "rsna"])
    assert written.readings[0].report.findings == "There is consolidation in the right upper zone."
    none = study(("chestx-det", [finding("Consolidation")]), ("rsna", [finding("Pneumonia", LEFT_LOWER)]))
    assert (
        with_box_reports([none], ["chestx-det", "rsna"])[0]
        .readings[0]
        .report.findings.endswith("left lower zone.")
    )
    bare = study(("chestx-det", [finding("Consolidation")]))
    assert with_box_reports([bare], ["chestx-det", "rsna"]) == [bare]


def test_folds_of_nih_have_them_when_asked(tmp_path: Path) -> None:
    root = write_nih_folds(tmp_path)
    plain, written = (
        parse_data(f"nih14-cv:{root}?fold=0{more}").open().studies() for more in ("", "&report=boxes")
    )
    assert [s.study_id for s in plain] == [s.study_id for s in written]
    first = [s.readings[0] for s in written if s.readings[0].author == BOX_REPORTS]
    assert 0 < len(first) < len(written)
    assert all(reading.report.findings.startswith("There is ") for reading in first)
    by_rsna = parse_data(f"nih14-cv:{root}?fold=0&report=boxes&boxed_by=rsna").open().studies()
    told = [s for s in by_rsna if s.readings[0].author == BOX_REPORTS]
    assert told
    assert all("opacity" in s.readings[0].report.findings for s in told)


@pytest.mark.parametrize(
    ("more", "free"), [("", True), ("&report=boxes", False), ("&report=boxes&boxed_by=chestx-det", True)]
)
def test_words_of_rsnas_boxes_have_its_terms(tmp_path: Path, more: str, *, free: bool) -> None:
    root = write_nih_folds(tmp_path)
    assert parse_data(f"nih14-cv:{root}?fold=0{more}").open().licence.redistributable is free
