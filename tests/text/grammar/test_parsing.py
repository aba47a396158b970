from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_plans import random_finding, random_truth, said

from contrastcxr.form import Finding, Side
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.grammar.wording import (
    Wording,
    facts_of,
    impressions_for,
    sentences_for,
    slots_of,
    values_of,
    wording_key,
    wordings,
)
from contrastcxr.text.grammar.writing import as_said, write_report
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.attributes import SAYABLE, SEVERITIES, SIDES, sayable_side


def find(text: str) -> set[tuple[object, ...]]:
    return said(parse(text))


def fill(wording: Wording, finding: Finding, rng: np.random.Generator) -> str:
    return wording.fill(values_of(finding, rng, millimetres_below=float(rng.choice([10, 30]))))


@pytest.mark.parametrize("status", ["present", "uncertain"])
@pytest.mark.parametrize("name", sorted(SAYABLE))
def test_every_wording_is_inverted_with_every_kind_of_attributes(name: str, status: str) -> None:
    rng = np.random.default_rng(0)
    tried = set()
    for _ in range(60):
        finding = as_said(random_finding(name, rng).model_copy(update={"status": status}))
        slots, facts = slots_of(finding), facts_of(finding)
        fitting = [w for w in sentences_for(wording_key(finding), status) if w.fits(facts, slots)]
        for wording in rng.choice(np.array(fitting, dtype=object), size=min(12, len(fitting)), replace=False):
            tried.add(wording.text)
            sentence = fill(wording, finding, rng)
            assert find(sentence) == said([finding]), sentence
    assert len(tried) >= 12


@pytest.mark.parametrize("status", ["present", "uncertain"])
@pytest.mark.parametrize("key", sorted(wordings()["findings"]))
def test_no_wording_of_a_finding_is_dead(key: str, status: str) -> None:
    name, _, tip = key.partition("/")
    rng = np.random.default_rng(3)
    fitted: set[str] = set()
    for _ in range(600):
        finding = as_said(random_finding(name, rng).model_copy(update={"status": status, "zone": tip or None}))
        if not tip:
            finding = as_said(random_finding(name, rng).model_copy(update={"status": status}))
        if wording_key(finding) == key:
            slots, facts = slots_of(finding), facts_of(finding)
            fitted |= {w.text for w in sentences_for(key, status) if w.fits(facts, slots)}
    assert fitted == {w.text for w in sentences_for(key, status)}


@pytest.mark.parametrize("name", sorted(SAYABLE))
def test_an_impression_says_nothing_but_its_finding(name: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        finding = as_said(random_finding(name, rng))
        for wording in impressions_for(wording_key(finding), finding.status):
            if wording.used(slots_of(finding)) is not None:
                (found,) = parse(fill(wording, finding, rng))
                assert said([finding, found]) == said([finding])


def normal_sentences() -> list[tuple[str, set[str]]]:
    negatives = wordings()["negatives"]
    single = [(text, {name}) for name, texts in negatives["single"].items() for text in texts]
    bundles = [
        (text, set(bundle["names"]))
        for bundle in negatives["bundles"].values()
        for text in (*bundle["texts"], *bundle.get("otherwise", ()))
    ]
    fillers = [(text, set[str]()) for texts in wordings()["fillers"].values() for text in texts]
    spared = [(text.format(other="left"), set[str]()) for text in negatives["spared"]]
    closing = [(text, set[str]()) for text in wordings()["impression"]["normal"]]
    return [(text.removeprefix("*"), names) for text, names in [*single, *bundles, *fillers, *spared, *closing]]


@pytest.mark.parametrize(("text", "names"), normal_sentences())
def test_a_normal_sentence_denies_exactly_what_the_grammar_says_it_denies(text: str, names: set[str]) -> None:
    assert find(text) == {(name, "absent", None, None, None, None) for name in names}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_written_report_parses_to_what_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(5):
        written = write_report(random_truth(rng), rng=rng)
        findings, whole = written.report.findings, f"{written.report.findings} {written.report.impression}"
        assert find(findings) == said(written.findings)
        assert find(whole) == said(written.findings)
        assert find(whole.lower()) == find(whole.upper()) == find(whole)


def test_parsing_survives_the_tokenizer() -> None:
    rng = np.random.default_rng(5)
    texts = [write_report(random_truth(rng), rng=rng).report.findings for _ in range(800)]
    tokenizer = Tokenizer.train(texts, min_count=1)
    for text in texts:
        assert parse(tokenizer.decode(tokenizer.encode(text))) == parse(text)


def test_parsed_findings_point_at_sentences() -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        report = write_report(random_truth(rng), rng=rng).report
        text = f"{report.findings} {report.impression}"
        assert split_sentences(text) == report.sentences
        for finding in parse(text):
            assert finding.sentences
            for index in finding.sentences:
                assert finding.name in {f.name for f in parse(report.sentences[index])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("small left effusion without edema", {("Pleural Effusion", "present", "left", None, "mild", None)}),
        ("large <unk> right pleural effusion", {("Pleural Effusion", "present", "right", None, "severe", None)}),
        ("no pneumothorax but a possible nodule", {("Nodule", "uncertain", None, None, None, None)}),
        ("the heart is normal . heart is enlarged .", {("Cardiomegaly", "present", None, None, None, None)}),
        ("nodule nodule in the left the lingula 8 mm", {("Nodule", "present", "left", "lingula", None, 8.0)}),
        (
            "left upper lobe mass and small right effusion",
            {
                ("Mass", "present", "left", "upper lobe", None, None),
                ("Pleural Effusion", "present", "right", None, "mild", None),
            },
        ),
        ("the right lung is clear", set()),
        ("pleural effusion is not seen", set()),
        ("lungs are not clear", set()),
        ("xyzzy the of and , . .", set()),
        ("", set()),
        ("pacemaker, right ventricle", {("Support Devices", "present", None, "right ventricle", None, None)}),
    ],
)
def test_text_outside_the_grammar_is_read_as_far_as_it_is_understood(
    text: str, expected: set[tuple[object, ...]]
) -> None:
    assert {one for one in find(text) if one[1] != "absent"} == expected


@pytest.mark.parametrize(
    "text",
    [
        "no pleural effusion , pneumothorax , or edema",
        "without edema pneumothorax effusion",
        "the lungs are free of edema ; pneumothorax and pleural effusion are not seen",
        "negative for effusion edema or pneumothorax",
    ],
)
def test_denials_reach_over_a_list(text: str) -> None:
    names = {one[0] for one in find(text) if one[1] == "absent"}
    assert names == {"Pleural Effusion", "Pneumothorax", "Edema"}


@pytest.mark.data
def test_hardly_any_real_normal_report_is_read_as_ill(shared_data: Path) -> None:
    with (shared_data / "iu_xray" / "indiana_reports.csv").open(newline="", encoding="utf-8") as file:
        normal = [row["findings"] for row in csv.DictReader(file) if row["Problems"] == "normal"]
    invented = [text for text in normal if any(f.status == "present" for f in parse(text))]
    assert len(normal) > 1000
    assert len(invented) / len(normal) < 0.01


def attributes(text: str) -> tuple[object, ...]:
    (found,) = parse(text)
    return (found.name, found.status, found.side, found.zone, found.severity, found.size_mm)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("zone", sorted(wordings()["zones"]))
def test_each_way_to_name_a_zone_is_read_with_its_side(zone: str, side: Side) -> None:
    names = wordings()["zones"][zone]
    expected = ("Consolidation", "present", sayable_side("Consolidation", zone, side), zone, None, None)
    if side != "bilateral":
        for site in names["site"]:
            assert attributes(f"{side} {site} consolidation.") == expected
        for where in names["where"]:
            assert attributes(f"There is consolidation in the {side} {where}.") == expected
        return
    for site in names.get("bisite", ()):
        assert attributes(f"There is {site} consolidation.") == expected
    for where in names.get("both", ()):
        assert attributes(f"Consolidation is seen in both {where}.") == expected


@pytest.mark.parametrize("severity", SEVERITIES)
def test_each_word_for_a_severity_is_read(severity: str) -> None:
    expected = ("Edema", "present", None, None, severity, None)
    for kind in ("amount", "degree"):
        for word in wordings()["severity"][kind][severity]:
            assert attributes(f"There is {word} edema.") == expected
    for word in wordings()["adverb"][severity]:
        heart = attributes(f"The heart is {word} enlarged.")
        assert heart == ("Cardiomegaly", "present", None, None, severity, None)


@given(
    size=st.integers(1, 300),
    unit=st.sampled_from(["mm", "millimeters", "cm", "centimeters"]),
    tenths=st.integers(0, 9),
)
def test_a_number_before_a_unit_is_a_size_in_millimetres(size: int, unit: str, tenths: int) -> None:
    factor = 10 if unit in ("cm", "centimeters") else 1
    found = attributes(f"There is a {size}.{tenths} {unit} nodule.")
    assert found[:2] == ("Nodule", "present")
    assert found[5] == pytest.approx((size + tenths / 10) * factor)


@pytest.mark.parametrize("text", ["A nodule of mm.", "Nodule 12.", "Nodule of some cm.", "A 12 kg nodule."])
def test_a_unit_without_a_number_and_a_number_without_a_unit_are_no_size(text: str) -> None:
    assert attributes(text)[5] is None


@given(st.integers(0, 9999))
def test_sentences_of_unknown_words_change_nothing_but_where_the_others_stand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = write_report(random_truth(rng), rng=rng).report.findings
    assert parse(f"{text} Xyzzy plugh frobs.") == parse(text)
    shifted = [f.model_copy(update={"sentences": tuple(i + 1 for i in f.sentences)}) for f in parse(text)]
    assert list(parse(f"Xyzzy plugh frobs. {text}")) == shifted


@given(st.text(max_size=200))
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    for finding in parse(text):
        assert finding.status in ("present", "absent", "uncertain")
        assert max(finding.sentences) < len(split_sentences(text.lower()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Edema and effusion.", {"Edema": None, "Pleural Effusion": None}),
        ("Mild edema and large effusion.", {"Edema": "mild", "Pleural Effusion": "severe"}),
        ("Edema, large effusion.", {"Edema": None, "Pleural Effusion": "severe"}),
        ("Edema is mild with effusion.", {"Edema": "mild", "Pleural Effusion": None}),
    ],
)
def test_an_attribute_belongs_to_the_finding_it_stands_by(text: str, expected: dict[str, str | None]) -> None:
    assert {f.name: f.severity for f in parse(text)} == expected


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Pneumothorax.", "present"),
        ("No pneumothorax.", "absent"),
        ("Pneumothorax is not seen.", "absent"),
        ("Pneumothorax has resolved.", "absent"),
        ("Possible pneumothorax.", "uncertain"),
        ("Pneumothorax cannot be excluded.", "uncertain"),
        ("No edema but pneumothorax.", "present"),
        ("Pneumothorax without edema.", "present"),
    ],
)
def test_denial_and_doubt_reach_as_far_as_their_clause(text: str, status: str) -> None:
    assert {f.status for f in parse(text) if f.name == "Pneumothorax"} == {status}
