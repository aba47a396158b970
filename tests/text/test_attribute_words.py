"""Attributes in reports: whose they are, what is denied, and the truth of phantoms."""

from __future__ import annotations

import pytest

from contrastcxr.form import Finding, Report
from contrastcxr.phantom import draw_studies
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.vocab.attribute_words import AttributeList, attribute_list

STUDIES = 120
WORDS_OF_ZONES = {"base": {"basilar"}, "apex": {"apical"}, "hilar": {"perihilar"}}
SIZES = {"minimal": "small", "mild": "small", "moderate": "moderate", "severe": "large"}
PNEUMONIA = AttributeReader(attribute_list("pneumonia"))


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("No focal consolidation.", ()),
        ("Hazy opacity at the left base.", ("left", "basilar", "opacity", "hazy")),
        (
            "Small left effusion and patchy right lower lobe opacity.",
            ("right", "lower", "lobe", "opacity", "patchy"),
        ),
        ("Opacity in the left lower lobe, no effusion.", ("left", "lower", "lobe", "opacity")),
        ("Left lower lobe opacity without effusion or consolidation.", ("left", "lower", "lobe", "opacity")),
        ("Bibasilar opacities may reflect pneumonia.", ("bilateral", "basilar", "opacity")),
        ("The right heart border is obscured by an opacity.", ("opacity",)),
        ("No pneumonia. Multifocal airspace disease.", ("airspace", "multifocal")),
        ("Lingular infiltrate.", ("left", "lingula", "infiltrate")),
        ("Right upper lobe consolidation has resolved.", ()),
        ("The lungs are clear bilaterally.", ()),
        ("A middle-aged man with pneumonia of the middle lobe.", ("middle", "lobe")),
        ("A middle-aged man with pneumonia.", ()),
        ("Left lateral chest x-ray with areas of consolidation.", ("consolidation",)),
        ("INDICATION: right lower lobe pneumonia. FINDINGS: The lungs are clear.", ()),
        ("", ()),
    ],
)
def test_an_attribute_counts_where_it_describes_a_finding_that_is_there(
    text: str, attributes: tuple[str, ...]
) -> None:
    assert PNEUMONIA.stated(Report(findings=text)) == attributes


def test_words_are_found_where_they_stand() -> None:
    text = "FINDINGS: No focal opacity. Middle-aged.\nBibasilar air-space opacities.  Clear apices."
    found = PNEUMONIA.stated_words(text)
    assert [(text[word.start : word.end], word.attributes) for word in found] == [
        ("Bibasilar", ("bilateral", "basilar")),
        ("air-space", ("airspace",)),
        ("opacities", ("opacity",)),
    ]


def test_both_sections_count_once_and_in_the_order_of_the_list() -> None:
    report = Report(findings="Patchy opacity in the right lung.", impression="Right lower lobe pneumonia.")
    assert PNEUMONIA.stated(report) == ("right", "lower", "lobe", "opacity", "patchy")


def test_what_is_written_may_be_denied() -> None:
    report = Report(findings="No focal consolidation.")
    assert PNEUMONIA.written(report) == {"focal", "consolidation"}


def test_phrases_about_something_else_are_not_written_either_and_stay_words() -> None:
    assert PNEUMONIA.written(Report(findings="A middle-aged man.")) == frozenset()
    assert PNEUMONIA.words("A middle-aged man.") == [["a", "middle", "aged", "man"]]


def test_words_have_one_name_for_all_forms() -> None:
    assert PNEUMONIA.words("Bibasilar opacities. Clear apices!") == [
        ["bilateral", "basilar", "opacity"],
        ["clear", "apical"],
    ]


@pytest.mark.parametrize("name", ["phantom-opacity", "phantom-effusion"])
def test_attributes_of_phantoms_are_those_of_what_was_drawn(name: str) -> None:
    attributes = attribute_list(name)
    reader, wrong, total = AttributeReader(attributes), 0, 0
    for study in draw_studies(limit=STUDIES):
        reading = study.readings[0]
        drawn = {word for finding in reading.findings for word in _words(finding, attributes)}
        found = set(reader.stated(reading.report))
        wrong, total = wrong + len(drawn - found), total + len(drawn)
    assert total > 10
    assert wrong == 0  # what is stated beyond that is said as "may be", or of a haze that is perihilar


def _words(finding: Finding, attributes: AttributeList) -> set[str]:
    if finding.status != "present" or finding.name not in attributes.boxed:
        return set()
    side = {finding.side} if finding.side else set()
    if attributes.name == "phantom-effusion":
        return side | ({SIZES[finding.severity]} if finding.severity else set())
    zone = finding.zone or ""
    return side | {finding.name.lower()} | WORDS_OF_ZONES.get(zone, set(zone.split()))
