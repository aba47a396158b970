"""What the head computes and what report says, side by side."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from contrastcxr.form import Box, Finding, Position, Side, Status, View
from contrastcxr.reading.findings import (
    HEAD,
    LOCALIZER,
    REPORT,
    disagreements,
    merge,
    not_assessed,
    side_conflicts,
    stated_findings,
)
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.vocab.attributes import SIDES

SENTENCES = ("There is a small left pleural effusion.", "No pneumothorax is seen.")


def effusion(status: Status) -> Finding:
    return Finding(name="Pleural Effusion", status=status, side="left", sentences=(2,), source=REPORT)


def test_a_finding_keeps_the_sentence_side_and_severity_that_the_report_gives_it() -> None:
    said = {f.name: f for f in stated_findings(SENTENCES, parse)}
    assert said["Pleural Effusion"].side == "left"
    assert said["Pleural Effusion"].sentences == (0,)
    assert said["Pneumothorax"].status == "absent"
    assert said["Pneumothorax"].sentences == (1,)


def test_without_a_parser_nothing_is_stated() -> None:
    assert stated_findings(SENTENCES, None) == ()


def test_without_a_report_no_finding_differs_from_one() -> None:
    probabilities = {"Mass": 0.9, "Nodule": 0.1}
    merged = merge((), probabilities, thresholds={}, source=LOCALIZER, written=False)
    assert [(f.status, f.stated, f.source) for f in merged] == [
        ("present", None, LOCALIZER),
        ("absent", None, LOCALIZER),
    ]
    assert disagreements(merged) == ()
    silent = merge((), probabilities, thresholds={}, source=LOCALIZER)
    assert [flag.message for flag in disagreements(silent)] == ["Mass: localizer 0.90, report silent"]


def test_agreement_has_both_as_source_and_no_flag() -> None:
    merged = merge([effusion("present")], {"Pleural Effusion": 0.8}, thresholds={})
    assert merged[0].source == f"{HEAD} and {REPORT}"
    assert (merged[0].probability, merged[0].side) == (0.8, "left")
    assert disagreements(merged) == ()


@pytest.mark.parametrize(
    ("said", "probability", "status"), [("absent", 0.8, "present"), ("present", 0.1, "absent")]
)
def test_conflict_keeps_the_head_and_raises_a_flag(said: Status, probability: float, status: Status) -> None:
    merged = merge([effusion(said)], {"Pleural Effusion": probability}, thresholds={})
    (flag,) = disagreements(merged)
    assert (merged[0].status, merged[0].source, merged[0].sentences) == (status, HEAD, (2,))
    assert merged[0].stated == said
    assert (flag.finding, flag.value) == ("Pleural Effusion", probability)
    assert f"report says {said}" in flag.message


def test_doubt_in_the_report_conflicts_with_nothing() -> None:
    merged = merge([effusion("uncertain")], {"Pleural Effusion": 0.2}, thresholds={})
    assert merged[0].status == "uncertain"
    assert disagreements(merged) == ()


def test_silence_conflicts_with_present_only() -> None:
    merged = merge([], {"Edema": 0.9, "Mass": 0.1}, thresholds={})
    flags = disagreements(merged)
    assert [f.finding for f in flags] == ["Edema"]
    assert "report silent" in flags[0].message


def test_a_threshold_of_the_checkpoint_replaces_one_half() -> None:
    (finding,) = merge([], {"Edema": 0.3}, thresholds={"Edema": 0.25})
    assert (finding.status, finding.threshold, finding.stated) == ("present", 0.25, "unmentioned")


def test_each_place_that_the_report_names_keeps_its_own_sentence_and_side() -> None:
    report = "There is a nodule in the right upper lobe. There is a nodule in the left lower lobe."
    said = stated_findings(report.replace(". ", ".|").split("|"), parse)
    merged = merge(said, {"Nodule": 0.1}, thresholds={})
    assert [(f.side, f.sentences, f.stated, f.status) for f in merged] == [
        ("right", (0,), "present", "absent"),
        ("left", (1,), "present", "absent"),
    ]
    assert len(disagreements(merged)) == 1


def test_what_only_the_report_says_comes_after_and_has_no_probability() -> None:
    merged = merge([effusion("present")], {"Edema": 0.1}, thresholds={})
    assert [f.name for f in merged] == ["Edema", "Pleural Effusion"]
    assert merged[1].probability is None
    assert merged[1].source == REPORT


def test_a_wider_name_is_assessed_through_a_narrower_one() -> None:
    missing = {f.finding for f in not_assessed(["Nodule"])}
    assert "Lung Lesion" not in missing
    assert {"Edema", "Mass"} <= missing


def _stated(*sentences: str) -> list[Finding]:
    return list(stated_findings(sentences, parse))


def test_sentences_that_name_different_severities_leave_the_finding_without_one() -> None:
    (finding,) = _stated(
        "There is moderate cardiomegaly.", "Minimal cardiomegaly is seen.", "There is cardiomegaly."
    )
    assert (finding.status, finding.severity, finding.sentences) == ("present", None, (0, 1, 2))
    assert [(m.sentence, m.severity) for m in finding.mentions] == [(0, "moderate"), (1, "minimal")]


def test_a_sentence_that_says_less_or_doubts_or_denies_keeps_its_own_words() -> None:
    (finding,) = _stated(
        "There is no pleural effusion.", "There is a mild left pleural effusion.", "Possible pleural effusion."
    )
    assert (finding.status, finding.side, finding.severity, finding.sentences) == (
        "present",
        "left",
        "mild",
        (1, 2),
    )
    assert [(m.sentence, m.status, m.side) for m in finding.mentions] == [
        (0, "absent", None),
        (2, "uncertain", None),
    ]


@pytest.mark.parametrize("clear", ["The lungs are otherwise clear.", "The remainder of the lungs is clear."])
def test_otherwise_clear_denies_only_what_the_report_does_not_assert(clear: str) -> None:
    said = {f.name: f for f in _stated("There is a 35 mm mass in the right mid lung zone.", clear)}
    assert (said["Mass"].sentences, said["Mass"].mentions) == ((0,), ())
    assert (said["Nodule"].status, said["Nodule"].sentences) == ("absent", (1,))


def test_no_remaining_effusion_still_contradicts_an_effusion() -> None:
    (finding,) = _stated("There is a mild left pleural effusion.", "No remaining pleural effusion.")
    assert [(m.sentence, m.status) for m in finding.mentions] == [(1, "absent")]


def test_a_finding_whose_sentences_say_the_same_has_no_mentions() -> None:
    said = _stated("There is a mild left pleural effusion.", "No pneumothorax is seen.")
    assert [finding.mentions for finding in said] == [(), ()]


def test_what_stands_behind_a_sentence_without_a_mark_keeps_its_number() -> None:
    said = {f.name: f for f in _stated("The heart is", "no pneumothorax.", "There is a left pleural effusion.")}
    assert said["Pneumothorax"].sentences == (1,)
    assert said["Pleural Effusion"].sentences == (2,)


def test_several_severities_raise_one_flag() -> None:
    said = _stated("There is moderate cardiomegaly.", "Severe cardiomegaly is seen.")
    merged = merge(said, {"Cardiomegaly": 0.1}, thresholds={})
    assert [f.status for f in merged] == ["absent"]
    assert len(disagreements(merged)) == 1


WIDE = 400


def _view(position: Position = "PA", *, mirrored: bool | None = False, width: int | None = WIDE) -> View:
    return View(view_id="v", locator="v.png", position=position, mirrored=mirrored, width=width)


def _marked(x1: float, x2: float, *, side: Side | None = "left", view: int = 0, **more: Any) -> Finding:
    box = Box(view=view, xyxy=(x1, 10, x2, 60))
    return Finding(**{"name": "Mass", "status": "present", "side": side, "region": (box,), "boxes": (box,)} | more)


def test_a_mass_stated_left_and_marked_on_the_right_is_a_flag() -> None:
    (flag,) = side_conflicts([_marked(20, 120)], [_view()])  # the picture's left is the patient's right
    assert (flag.kind, flag.finding, flag.value) == ("disagreement", "Mass", None)
    assert flag.message == "Mass: report says left, marked on the patient's right"


@pytest.mark.parametrize(
    ("mirrored", "stated", "x1"), list(itertools.product((False, True), SIDES[:2], (20, 260)))
)
def test_the_side_marked_follows_the_orientation(mirrored: bool, stated: Side, x1: float) -> None:
    marked = "left" if (x1 > WIDE / 2) is not mirrored else "right"
    flags = side_conflicts([_marked(x1, x1 + 90, side=stated)], [_view(mirrored=mirrored)])
    assert len(flags) == (marked != stated)


@pytest.mark.parametrize(
    "view",
    [_view("LATERAL"), _view("unknown"), _view(mirrored=None), _view("AP", mirrored=None), _view(width=None)],
)
def test_a_view_that_does_not_tell_left_from_right_gives_no_flag(view: View) -> None:
    assert side_conflicts([_marked(20, 120)], [view]) == ()


def test_the_frontal_view_decides_beside_a_lateral_one() -> None:
    boxes = (Box(view=0, xyxy=(300, 10, 390, 60)), Box(view=1, xyxy=(20, 10, 120, 60)))
    views = [_view("LATERAL"), _view("AP")]
    assert len(side_conflicts([_marked(1, 2, boxes=boxes)], views)) == 1
    assert side_conflicts([_marked(1, 2, boxes=boxes, side="right")], views) == ()


@pytest.mark.parametrize(("over", "flags"), [(0.0, 1), (0.3, 1), (0.35, 0), (0.5, 0), (0.65, 0), (0.7, 0)])
def test_a_box_more_than_a_third_over_the_midline_is_on_both_sides(over: float, flags: int) -> None:
    x1 = WIDE / 2 - 100 * (1 - over)
    assert len(side_conflicts([_marked(x1, x1 + 100)], [_view()])) == flags


def test_boxes_on_both_sides_are_bilateral_and_a_crumb_on_the_other_is_not() -> None:
    right, left, crumb = ((20, 10, 120, 60), (280, 10, 380, 60), (280, 10, 290, 20))
    both, mostly = (tuple(Box(xyxy=xyxy) for xyxy in each) for each in ((right, left), (right, crumb)))
    assert side_conflicts([_marked(1, 2, boxes=both)], [_view()]) == ()
    assert len(side_conflicts([_marked(1, 2, boxes=mostly)], [_view()])) == 1


def test_a_region_without_boxes_counts_and_a_finding_without_either_does_not() -> None:
    assert len(side_conflicts([_marked(20, 120, boxes=())], [_view()])) == 1
    assert side_conflicts([_marked(20, 120, boxes=(), region=())], [_view()]) == ()
    assert side_conflicts([_marked(20, 120, view=3)], [_view()]) == ()


@pytest.mark.parametrize(
    "said",
    [
        {"side": None},
        {"side": "bilateral"},
        {"status": "absent"},
        {"status": "present", "stated": "absent"},
        {"status": "present", "stated": "unmentioned"},
        {"status": "absent", "stated": "present"},
    ],
)
def test_only_an_asserted_side_can_conflict(said: dict[str, Any]) -> None:
    assert side_conflicts([_marked(20, 120, **said)], [_view()]) == ()


def test_a_finding_stated_on_both_sides_in_turn_has_no_flag_and_one_doubted_has() -> None:
    twice = [_marked(20, 120, side="left"), _marked(20, 120, side="right")]
    assert side_conflicts(twice, [_view()]) == ()
    assert len(side_conflicts([_marked(20, 120, status="uncertain", stated="uncertain")], [_view()])) == 1
    assert len(side_conflicts([_marked(20, 120), _marked(20, 120)], [_view()])) == 1
