from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantom_plans import random_truth, said

from contrastcxr.errors import UnknownNameError
from contrastcxr.form import Box, Finding
from contrastcxr.text.clean import clean, split_sentences
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.grammar.wording import facts_of, sentences_for, slots_of, wording_key
from contrastcxr.text.grammar.writing import (
    SPOKEN,
    STYLES,
    as_said,
    write_again,
    write_from_labels,
    write_indication,
    write_report,
)
from contrastcxr.vocab.attributes import SAYABLE, SEVERITIES, SIDES, ZONES
from contrastcxr.vocab.labels import NIH14

NODULE = Finding(name="Nodule", status="present", side="left", zone="upper lobe", size_mm=12.3)


@pytest.mark.parametrize("status", ["present", "uncertain"])
@pytest.mark.parametrize("name", sorted(SAYABLE))
def test_every_finding_status_side_and_severity_has_at_least_six_wordings(name: str, status: str) -> None:
    sayable = SAYABLE[name]
    sides = (None, "left", "bilateral") if sayable.side else (None,)
    sizes = (None, 12.0) if sayable.size else (None,)
    for side, zone, severity, size in product(
        sides, (None, *sayable.zones), (None, *sayable.severities[:1]), sizes
    ):
        finding = as_said(
            Finding(name=name, status=status, side=side, zone=zone, severity=severity, size_mm=size)  # type: ignore[arg-type]
        )
        slots, facts = slots_of(finding), facts_of(finding)
        fitting = [w for w in sentences_for(wording_key(finding), status) if w.fits(facts, slots)]
        assert len({w.text for w in fitting}) >= 6, finding


def test_the_same_seed_writes_the_same_report() -> None:
    first, second = (write_report([NODULE], rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_each_asserted_finding_points_at_the_sentences_that_say_it() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        written = write_report(random_truth(rng, normal=0), rng=rng)
        for finding in written.findings:
            assert bool(finding.sentences) == (finding.status != "unmentioned")
            for index in finding.sentences:
                names = {found.name for found in parse(written.report.sentences[index])}
                assert finding.name in names


def test_a_sentence_that_no_finding_points_at_says_nothing_of_any() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        written = write_report(random_truth(rng), rng=rng)
        pointed = {index for finding in written.findings for index in finding.sentences}
        for index, sentence in enumerate(written.report.sentences):
            assert index in pointed or parse(sentence) == ()


def test_sentences_are_those_of_findings_then_impression() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        report = write_report(random_truth(rng), rng=rng).report
        assert report.sentences == (*split_sentences(report.findings), *split_sentences(report.impression))
        assert clean(report.findings) == report.findings


def test_every_spoken_name_is_asserted_denied_or_unmentioned() -> None:
    rng = np.random.default_rng(0)
    seen = {name: set[str]() for name in SPOKEN}
    for _ in range(1500):
        for finding in write_report(random_truth(rng), rng=rng).findings:
            seen[finding.name].add(finding.status)
    assert all(statuses == {"present", "uncertain", "absent", "unmentioned"} for statuses in seen.values())


def test_findings_keep_their_order_boxes_and_source() -> None:
    box = Box(view=0, xyxy=(1, 2, 3, 4))
    boxed = NODULE.model_copy(update={"boxes": (box,), "source": "phantom"})
    first = write_report([boxed, Finding(name="Mass", status="absent")], rng=np.random.default_rng(0)).findings[0]
    assert (first.name, first.boxes, first.source) == ("Nodule", (box,), "phantom")


def test_a_true_absence_may_stay_unmentioned() -> None:
    absent = [Finding(name=name, status="absent") for name in SPOKEN]
    statuses = {f.status for f in write_report(absent, rng=np.random.default_rng(0)).findings}
    assert statuses == {"absent", "unmentioned"}


def test_sizes_are_said_in_whole_millimetres_and_large_ones_to_five() -> None:
    assert as_said(NODULE).size_mm == 12
    assert as_said(Finding(name="Mass", status="present", size_mm=46.9)).size_mm == 45


def test_attributes_that_nobody_says_of_a_finding_are_dropped() -> None:
    strange = Finding(name="Cardiomegaly", status="present", side="left", zone="base", severity="mild", size_mm=9)
    assert as_said(strange) == Finding(name="Cardiomegaly", status="present", severity="mild")


def test_middle_lobe_is_right_and_lingula_left() -> None:
    zones = {"middle lobe": "right", "lingula": "left"}
    for zone, side in zones.items():
        assert as_said(Finding(name="Mass", status="present", zone=zone)).side == side


@pytest.mark.parametrize(
    "finding",
    [Finding(name="Nodul", status="present"), Finding(name="Nodule", status="present", zone="uper lobe")],
)
def test_a_misspelt_name_or_zone_is_refused_with_its_neighbour(finding: Finding) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        write_report([finding], rng=np.random.default_rng(0))


def test_writing_again_says_the_same_in_other_words() -> None:
    rng = np.random.default_rng(1)
    differing = 0
    for _ in range(100):
        first = write_report(random_truth(rng), rng=rng)
        second = write_again(first, rng=rng)
        assert said(second.findings) == said(first.findings)
        differing += first.report.findings != second.report.findings
    assert differing > 90


def test_denied_names_are_denied_and_no_others() -> None:
    for seed in range(50):
        written = write_report([NODULE], rng=np.random.default_rng(seed), denied=["Pneumothorax", "Edema"])
        assert {f.name for f in written.findings if f.status == "absent"} == {"Pneumothorax", "Edema"}
        assert said(parse(written.report.findings)) == said(written.findings)


def test_lungs_are_called_clear_only_where_nothing_in_them_is_asserted() -> None:
    for seed in range(300):
        report = write_report([NODULE], rng=np.random.default_rng(seed)).report
        for sentence in report.sentences:
            if "clear" in sentence.lower() and "lungs" in sentence.lower():
                assert "otherwise" in sentence.lower()


def test_style_does_not_depend_on_the_findings() -> None:
    for seed in range(50):
        normal, ill = (write_report(f, rng=np.random.default_rng(seed)).style for f in ([], [NODULE]))
        assert normal == ill
    assert {write_report([], rng=np.random.default_rng(s)).style for s in range(100)} == set(range(len(STYLES)))


def test_indication_is_drawn_without_findings_and_uses_age_and_sex() -> None:
    texts = {write_indication(np.random.default_rng(seed), age=61.4, sex="F") for seed in range(200)}
    assert len(texts) > 30
    assert any("61" in text and "female" in text.lower() for text in texts)


def test_plain_reports_say_every_label_and_nothing_the_labels_cannot_know() -> None:
    rng = np.random.default_rng(2)
    for _ in range(500):
        labels = [name for name in NIH14 if rng.random() < 0.12]
        written = write_from_labels(labels, rng=rng)
        found = parse(f"{written.report.findings} {written.report.impression}")
        assert said(found) == said(written.findings)
        assert {f.name for f in found if f.status == "present"} == set(labels)
        assert all(f.side is f.zone is f.severity is f.size_mm is None for f in found)
        assert {f.name for f in found} <= set(NIH14)
        assert written.report.findings


def test_plain_reports_refuse_a_label_that_nih_does_not_have() -> None:
    with pytest.raises(UnknownNameError, match="NIH finding 'Granuloma'"):
        write_from_labels(["Granuloma"], rng=np.random.default_rng(0))


def test_no_finding_is_no_label() -> None:
    written = write_from_labels(["No Finding"], rng=np.random.default_rng(0))
    assert all(finding.status in ("absent", "unmentioned") for finding in written.findings)


FINDINGS = st.builds(
    Finding,
    name=st.sampled_from(SPOKEN),
    status=st.sampled_from(["present", "uncertain"]),
    side=st.sampled_from((None, *SIDES)),
    zone=st.sampled_from((None, *ZONES)),
    severity=st.sampled_from((None, *SEVERITIES)),
    size_mm=st.none() | st.floats(0.5, 300),
)
"""Any finding at all, whether or not its name can carry the attributes."""
STYLE_NUMBERS = st.sampled_from(range(len(STYLES)))


@given(st.lists(FINDINGS, max_size=4), STYLE_NUMBERS, st.integers(0, 9999))
def test_whatever_the_grammar_can_say_is_read_back_from_the_report(
    findings: list[Finding], style: int, seed: int
) -> None:
    written = write_report(findings, rng=np.random.default_rng(seed), style=style)
    found = parse(written.report.findings)
    assert said(found) == said(written.findings)
    asserted = {one for one in said(found) if one[1] in ("present", "uncertain")}
    assert asserted == said(map(as_said, findings))
    assert written.style == style


@given(FINDINGS)
def test_what_is_said_of_a_finding_is_sayable_and_saying_it_again_changes_nothing(finding: Finding) -> None:
    once, sayable = as_said(finding), SAYABLE[finding.name]
    assert as_said(once) == once
    assert once.zone in (None, *sayable.zones)
    assert once.side is None or sayable.side
    assert once.severity in (None, *sayable.severities)
    assert once.size_mm is None or sayable.size
    assert (once.name, once.status) == (finding.name, finding.status)


@given(st.lists(FINDINGS, max_size=3), st.sets(st.sampled_from(SPOKEN)), STYLE_NUMBERS, st.integers(0, 9999))
def test_exactly_the_names_given_are_denied_in_any_style(
    findings: list[Finding], denied: set[str], style: int, seed: int
) -> None:
    written = write_report(findings, rng=np.random.default_rng(seed), style=style, denied=denied)
    absent = {f.name for f in parse(written.report.findings) if f.status == "absent"}
    assert absent == denied - {f.name for f in findings}


@given(st.sets(st.sampled_from(NIH14)), STYLE_NUMBERS, st.integers(0, 9999))
def test_any_labels_are_read_back_from_a_plain_report(labels: set[str], style: int, seed: int) -> None:
    written = write_from_labels(sorted(labels), rng=np.random.default_rng(seed), style=style)
    found = parse(written.report.findings)
    assert {f.name for f in found if f.status == "present"} == labels
    assert said(found) == said(written.findings)


@given(st.lists(FINDINGS, max_size=8), st.integers(0, 9999))
def test_an_impression_names_only_what_is_asserted_and_at_most_four_of_it(
    findings: list[Finding], seed: int
) -> None:
    report = write_report(findings, rng=np.random.default_rng(seed)).report
    found = parse(report.impression)
    assert {f.name for f in found if f.status != "absent"} <= {f.name for f in findings}
    assert 1 <= len(split_sentences(report.impression)) <= 4
    assert bool(findings) is any(f.status != "absent" for f in found)


def test_an_indication_is_kept_and_is_no_part_of_the_sentences() -> None:
    report = write_report([NODULE], rng=np.random.default_rng(0), indication="Cough.").report
    assert report.indication == "Cough."
    assert "Cough." not in report.sentences
    again = write_again(
        write_report([NODULE], rng=np.random.default_rng(0), indication="Cough."), rng=np.random.default_rng(1)
    )
    assert again.report.indication == "Cough."


def test_a_name_to_deny_that_no_report_speaks_of_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Edema'"):
        write_report([], rng=np.random.default_rng(0), denied=["Edemaa"])


def test_what_is_asserted_is_not_denied_though_asked_for() -> None:
    written = write_report([NODULE], rng=np.random.default_rng(0), denied=["Nodule", "Edema"])
    assert {f.name for f in written.findings if f.status == "absent"} == {"Edema"}


def test_a_reporter_speaks_of_abnormal_regions_first_where_that_is_the_habit() -> None:
    for style in (one for one in STYLES if one.abnormal_first):
        for seed in range(40):
            written = write_report([NODULE], rng=np.random.default_rng(seed), style=style.number)
            first = next(f for f in written.findings if f.name == "Nodule").sentences[0]
            earlier = written.report.sentences[:first]
            assert all(parse(sentence) == () for sentence in earlier)
            assert first <= 1


@pytest.mark.parametrize(("sex", "word"), [("F", "female"), ("M", "male"), (None, "patient")])
def test_an_indication_says_the_sex_that_is_known(sex: str | None, word: str) -> None:
    texts = [write_indication(np.random.default_rng(seed), age=50, sex=sex) for seed in range(60)]
    told = [text.lower() for text in texts if "50" in text]
    assert told
    assert all(set(re.findall(r"\b(female|male|patient)\b", text)) == {word} for text in told)
