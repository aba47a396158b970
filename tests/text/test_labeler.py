"""The labeler: golden reports, sentences labelled by hand, spans, sections, No Finding, and any text at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contrastcxr
from contrastcxr.form import Finding, Report
from contrastcxr.text.labeler import Labeler, label
from contrastcxr.text.sections import report
from contrastcxr.vocab.labels import CHEXPERT

HERE = Path(__file__).parent
STATUS = {"1.0": "present", "0.0": "absent", "-1.0": "uncertain", "": "unmentioned"}
MISSED = {212: "an opacity that is probably a shadow of the nipple stays an opacity"}
ATTRIBUTES_MISSED = {
    120: "the side of a mass that an opacity is suspected to be is not given to the opacity",
    130: "'a tiny one' gives no severity to the effusion that 'one' stands for",
}


def sentences(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def marked(rows: list[dict[str, Any]], missed: dict[int, str]) -> list[Any]:
    return [
        pytest.param(
            row,
            id=str(row["id"]),
            marks=[pytest.mark.xfail(reason=missed[row["id"]], strict=True)] if row["id"] in missed else [],
        )
        for row in rows
    ]


ALL = [*sentences("sentences_200.jsonl"), *sentences("sentences_60.jsonl")]


def found(text: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in label(text)}


def statuses(text: str) -> dict[str, str]:
    return {name: f.status for name, f in found(text).items() if f.status != "unmentioned"}


def words(text: str, name: str) -> list[str]:
    return [text[span.start : span.end] for span in found(text)[name].spans]


def test_the_reports_that_the_chexpert_labeler_ships_get_its_labels(shared_data: Path) -> None:
    with (shared_data / "golden" / "chexpert_labeled_reports.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [
        (row["Reports"], f.name, STATUS[row[f.name]], f.status) for row in rows for f in label(row["Reports"])
    ]
    assert len(cells) == 56
    assert [cell for cell in cells if cell[2] != cell[3]] == []


def test_the_hand_made_sentences_are_260_and_cover_every_finding_in_every_status() -> None:
    assert len(ALL) == 260
    assert [row["id"] for row in ALL] == list(range(1, 261))
    covered = {(name, status) for row in ALL for name, status in row["statuses"].items()}
    wanted = {(n, s) for n in CHEXPERT[1:] for s in ("present", "absent", "uncertain")}
    assert wanted <= covered


@pytest.mark.parametrize("row", marked(ALL, MISSED))
def test_a_sentence_labelled_by_hand_gets_that_status(row: dict[str, Any]) -> None:
    assert statuses(row["text"]) == row["statuses"]


@pytest.mark.parametrize("row", marked([r for r in ALL if r["id"] not in MISSED], ATTRIBUTES_MISSED))
def test_a_sentence_labelled_by_hand_gets_that_side_and_severity(row: dict[str, Any]) -> None:
    findings = label(row["text"])
    assert {f.name: f.side for f in findings if f.side} == row["sides"]
    assert {f.name: f.severity for f in findings if f.severity} == row["severities"]


def test_the_findings_are_the_14_in_order_and_say_who_said_so() -> None:
    findings = label("Small left effusion.")
    assert tuple(f.name for f in findings) == CHEXPERT
    assert {f.source for f in findings} == {"labeler"}


@pytest.mark.parametrize(
    ("text", "name", "spans"),
    [
        ("No edema, effusion or pneumothorax.", "Pneumothorax", ["No", "pneumothorax"]),
        ("The effusion has resolved.", "Pleural Effusion", ["effusion", "has resolved"]),
        ("A pneumothorax cannot be excluded.", "Pneumothorax", ["pneumothorax", "cannot be excluded"]),
        ("Heart size and contours are normal.", "Cardiomegaly", ["Heart size", "normal"]),
        ("Small effusion. No pneumothorax. Large left effusion.", "Pleural Effusion", ["effusion", "effusion"]),
        ("No change in the 1.2 cm nodule.", "Lung Lesion", ["nodule"]),
        ("Consolidation.\n\nPossible edema\twith  effusion", "Edema", ["Possible", "edema"]),
    ],
)
def test_spans_are_the_characters_that_decided(text: str, name: str, spans: list[str]) -> None:
    assert words(text, name) == spans


def test_what_is_unmentioned_has_no_spans_and_only_the_deciding_statement_gives_them() -> None:
    text = "No left effusion. Right effusion."
    assert words(text, "Pleural Effusion") == ["effusion"]
    assert found(text)["Pleural Effusion"].spans[0].start == 24
    assert found(text)["Edema"].spans == ()


def test_present_outranks_uncertain_and_uncertain_outranks_absent() -> None:
    assert statuses("No effusion. Possible effusion.")["Pleural Effusion"] == "uncertain"
    assert statuses("Possible effusion. Effusion. No effusion.")["Pleural Effusion"] == "present"


def test_sides_of_several_mentions_join_and_the_greatest_severity_counts() -> None:
    finding = found("Small left effusion. Moderate right effusion.")["Pleural Effusion"]
    assert (finding.side, finding.severity) == ("bilateral", "moderate")


def test_a_denied_finding_has_no_attributes() -> None:
    finding = found("No large left effusion.")["Pleural Effusion"]
    assert (finding.status, finding.side, finding.severity) == ("absent", None, None)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("No acute disease.", "present"),
        ("Heart size normal. Left chest tube in place.", "present"),
        ("Left chest tube in place.", "unmentioned"),
        ("Clear lungs. Possible effusion.", "unmentioned"),
        ("Clear lungs. Small hiatal hernia.", "unmentioned"),
        ("Clear lungs. No hiatal hernia.", "present"),
        ("", "unmentioned"),
        ("XXXX.", "unmentioned"),
        ("Two views are available.", "unmentioned"),
    ],
)
def test_no_finding_needs_something_normal_and_nothing_abnormal(text: str, status: str) -> None:
    assert found(text)["No Finding"].status == status


def test_headings_part_what_is_seen_from_why_it_was_looked_for() -> None:
    text = (
        "INDICATION: Rule out pneumothorax, edema.\n\nCOMPARISON: film with effusion.\n\n"
        "FINDINGS: No consolidation.\n\nIMPRESSION: Possible fracture."
    )
    assert statuses(text) == {"Consolidation": "absent", "Fracture": "uncertain"}
    assert [span.section for span in found(text)["Fracture"].spans] == ["impression", "impression"]
    assert words(text, "Fracture") == ["Possible", "fracture"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INDICATION: pneumonia\n\nNo effusion.", {"Pleural Effusion": "absent"}),
        ("HISTORY: Cough.\nCHEST, TWO VIEWS: Cardiomegaly.", {"Cardiomegaly": "present"}),
        ("Edema.\nIMPRESSION:\nNo effusion.", {"Edema": "present", "Pleural Effusion": "absent"}),
        ("FINDINGS AND IMPRESSION: Edema.", {"Edema": "present"}),
        ("Heart: edema", {"Edema": "present"}),
        ("Reason for exam: edema", {}),
    ],
)
def test_free_text_and_every_descriptive_heading_are_read(text: str, expected: dict[str, str]) -> None:
    assert {n: s for n, s in statuses(text).items() if n != "No Finding"} == expected


def test_a_report_of_the_form_is_labelled_section_by_section() -> None:
    made = Report(findings="No effusion.", impression="Cardiomegaly.", indication="Pneumonia?")
    findings = {f.name: f for f in Labeler().label_report(made)}
    assert findings["Pneumonia"].status == "unmentioned"
    (span,) = findings["Cardiomegaly"].spans
    assert (span.section, span.start, span.end) == ("impression", 0, 12)
    assert findings["Pleural Effusion"].spans[0].section == "findings"


def test_the_sentences_of_a_finding_are_those_its_spans_stand_in() -> None:
    made = report(
        findings="Clear lungs. No effusion. No edema or effusion.", impression="No effusion. Cardiomegaly."
    )
    findings = {f.name: f for f in Labeler().label_report(made)}
    assert findings["Pleural Effusion"].sentences == (1, 2, 3)
    assert findings["Edema"].sentences == (2,)
    assert findings["Cardiomegaly"].sentences == (4,)
    assert findings["Fracture"].sentences == ()


def test_a_sentence_that_the_sections_do_not_hold_is_passed_over() -> None:
    made = Report(findings="No effusion. Edema.", sentences=("No effusion.", "Something else.", "Edema."))
    assert {f.name: f for f in Labeler().label_report(made)}["Edema"].sentences == (2,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. No effusion.2. Cardiomegaly.", {"Pleural Effusion": "absent", "Cardiomegaly": "present"}),
        ("- No effusion\n- Cardiomegaly", {"Pleural Effusion": "absent", "Cardiomegaly": "present"}),
        ("No effusion or\npneumothorax", {"Pleural Effusion": "absent", "Pneumothorax": "absent"}),
        ("Lungs: no consolidation\nPleura: effusion", {"Consolidation": "absent", "Pleural Effusion": "present"}),
        ("Atelectasis vs. pneumonia.", {"Atelectasis": "uncertain", "Pneumonia": "uncertain"}),
        ("AIR-SPACE DISEASE", {"Lung Opacity": "present"}),
        ("A 1.2 cm nodule", {"Lung Lesion": "present"}),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: dict[str, str]) -> None:
    assert {n: s for n, s in statuses(text).items() if n != "No Finding"} == expected


@pytest.mark.parametrize("row", ALL[::7], ids=lambda row: str(row["id"]))
def test_case_and_wrapping_do_not_matter(row: dict[str, Any]) -> None:
    assert statuses(row["text"].upper()) == statuses(row["text"])
    assert statuses(row["text"].replace(" ", "\n")) == statuses(row["text"])


def test_forgetting_sentences_changes_no_label() -> None:
    texts = [row["text"] for row in ALL] * 2
    forgetful, whole = Labeler(keep=3), Labeler()
    assert list(forgetful.label_all(texts)) == list(whole.label_all(texts))
    assert len(forgetful._known) <= 3


def test_a_text_without_any_end_of_sentence_is_read_in_pieces() -> None:
    text = "effusion with edema, " * 20_000
    assert words(text, "Pleural Effusion") == ["effusion"] * 20_000


VOCABULARY = sorted(
    {word for row in ALL for word in row["text"].split()} | {"XXXX", "___", ",", ";", "\n\n", "1."}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(VOCABULARY), max_size=40).map(" ".join) | st.text(max_size=200))
def test_any_text_gets_14_findings_with_spans_inside_it(text: str) -> None:
    findings = label(text)
    assert tuple(f.name for f in findings) == CHEXPERT
    for finding in findings:
        assert (finding.status == "unmentioned") == (not finding.spans)
        assert all(0 <= span.start < span.end <= len(text) for span in finding.spans)
        assert [text[span.start : span.end] for span in finding.spans] == [
            text[span.start : span.end].strip() for span in finding.spans
        ]


def test_the_package_labels_as_the_module_does() -> None:
    assert contrastcxr.label("No effusion.") == label("No effusion.")
    assert contrastcxr.Labeler is Labeler
