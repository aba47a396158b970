"""The figures that the labeler's page prints are those that were recorded, and the ones this code gets."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.form import Report
from contrastcxr.text.labeler import Labeler
from load_script import load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "results" / "labeler.json").read_text(encoding="utf-8"))
    return found


def test_the_page_prints_what_was_recorded(recorded: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "labeler.md").read_text(encoding="utf-8")
    assert load_script("labeler_page").written(page, recorded) == page


@pytest.mark.data
def test_the_labeler_gets_the_recorded_figures_on_iu_reports(shared_data: Path, recorded: dict[str, Any]) -> None:
    measure = load_script("labeler_iu")
    labeler = Labeler()
    rows: dict[str, Any] = {}
    indexed: list[tuple[str, Any]] = []
    with (shared_data / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            problems = frozenset(term.strip() for term in line["Problems"].split(";"))
            report = Report(findings=line["findings"], impression=line["impression"])
            rows[line["uid"]] = (problems, labeler.label_report(report))
            indexed.append((line["MeSH"], rows[line["uid"]][1]))
    assert len(rows) == 3851
    assert measure.attributes(indexed) == recorded["attributes"]["whole"]
    _, apart = measure.split(rows)
    for part, numbers in {"other half": apart, "whole": rows.keys()}.items():
        for policy, statuses in measure.POLICIES.items():
            got = measure.table([rows[number] for number in numbers], statuses)
            assert got == recorded["iu_xray"][part][policy]


def test_attributes_are_read_from_qualifiers_and_joined() -> None:
    of = load_script("labeler_iu").indexed_attributes
    mesh = "Pleural Effusion/left/small;Pleural Effusion/right/large;Opacity/lung/left"
    assert of(mesh, "Pleural Effusion") == ("bilateral", "severe")
    assert of(mesh, "Lung Opacity") == ("left", None)
    assert of(mesh, "Edema") == (None, None)
