"""The script that looks at the COVID-19 collection: lungs, notes, and the page of cases."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_covid import write_covid, write_masks
from mini_data import boxed_study, mini_config, use_studies
from PIL import Image
from published_files import needs_package, save_picture

from browser import Browser, find_axe
from contrastcxr.data.readers.covid import FINDINGS, NOTES, Covid
from contrastcxr.data.readers.lung_masks import LungMasks
from contrastcxr.form import Attribute, Author, Box, Finding, Reading, Report, Study, View
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.training import run
from contrastcxr.vocab.attribute_words import attribute_list
from load_script import load_script

PNEUMONIA = attribute_list("pneumonia")
MODEL = Author(kind="model", name="hand-made")
LEFT, RIGHT = (0.0, 0.0, 40.0, 60.0), (40.0, 0.0, 80.0, 60.0)
WIDE, TALL = 80, 60


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("covid_cases")


def study(name: str, *, patient: str, notes: str = "", position: str = "PA", **row: str) -> Study:
    """A study of one picture that is not there, 80×60, and what the row of the collection says of it."""
    image = {"file": f"{name}.png", "license": "CC BY 4.0", "url": f"https://example.org/{name}", **row}
    readings = [Reading(study_id=name, author=FINDINGS, provenance={"images": [image]})]
    if notes:
        readings.append(Reading(study_id=name, author=NOTES, report=Report(findings=notes)))
    view = View(view_id=name, locator=f"images/{name}.png", position=position, width=WIDE, height=TALL)  # type: ignore[arg-type]
    return Study(study_id=name, patient_id=patient, views=(view,), readings=tuple(readings))


def finding(*boxes: tuple[float, ...], **words: float) -> Finding:
    marked = tuple(Box(xyxy=box, score=0.8 / n) for n, box in enumerate(boxes, start=1))  # type: ignore[arg-type]
    said = tuple(Attribute(name=name, probability=words.get(name, 0.0)) for name in PNEUMONIA.attributes)
    return Finding(
        name="Lung Opacity",
        status="absent",
        probability=0.25,
        region=marked,
        attributes=said if words else (),
    )


def case(script: Any, name: str, *boxes: tuple[float, ...], patient: str = "", **words: float) -> Any:
    return script.Case(study(name, patient=patient or name), 0, finding(*boxes, **words))


def left_lungs(script: Any) -> np.ndarray:
    lungs = np.zeros((script.SIDE, script.SIDE), dtype=bool)
    lungs[:, : script.SIDE // 2] = True
    return lungs


def test_an_overlap_counts_once_and_the_middle_box_is_of_equal_area(script: Any) -> None:
    marked = case(script, "a", LEFT, (20.0, 0.0, 60.0, 60.0))  # three quarters, of which two thirds are lungs
    shares = script.lung_shares([(marked, left_lungs(script))])
    assert shares["marked"][0] == pytest.approx(2 / 3, abs=1e-6)
    assert shares["picture"][0] == pytest.approx(1 / 2)
    assert shares["central"][0] == pytest.approx(1 / 2, abs=1e-6)
    assert np.isnan(shares["elsewhere"][0])  # nobody else is there
    x1, y1, x2, y2 = script.central(0.09)
    assert ((x2 - x1) * (y2 - y1), x1 + x2, y1 + y2) == pytest.approx((0.09, 1.0, 1.0))


def test_boxes_of_other_patients_are_laid_on_a_picture_and_its_own_patients_are_not(script: Any) -> None:
    lungs = left_lungs(script)
    found = [
        (case(script, "a", LEFT, patient="p"), lungs),
        (case(script, "b", RIGHT, patient="p"), lungs),
        (case(script, "c", RIGHT, patient="q"), lungs),
        (case(script, "d", LEFT, patient="r"), ~lungs),
    ]
    shares = script.lung_shares(found)
    assert shares["marked"].tolist() == [1, 0, 0, 0]
    assert shares["elsewhere"].tolist() == pytest.approx([0.5, 0.5, 2 / 3, 2 / 3])


def test_a_box_smaller_than_a_cell_is_marked_where_it_lies(script: Any) -> None:
    tiny = case(script, "a", (39.6, 10.0, 39.7, 10.1))
    assert script.drawn(tiny.shares).sum() == 1
    assert script.lung_shares([(tiny, left_lungs(script))])["marked"].tolist() == [1]
    whole = case(script, "b", (0.0, 0.0, 80.0, 60.0))
    assert script.drawn(whole.shares).all()


def test_the_table_has_intervals_over_patients_and_paired_differences(script: Any) -> None:
    lungs = left_lungs(script)
    found = [(case(script, f"{n}", RIGHT if n % 4 == 0 else LEFT), lungs) for n in range(16)]
    lines = script.lung_table(found)
    assert lines[2].startswith("| the marked boxes | .750 (.562–.938)")
    assert lines[2].endswith(" |  |")
    assert lines[3].startswith("| the whole picture | .500 (.500–.500) | +.250 (+.062 to +.438) |")
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(script.MARKS.values())
    alone = script.lung_table(found[:1])
    assert alone[2] == "| the marked boxes | .000 |  |"  # the first is right of the lungs, of one patient
    assert alone[5].endswith("| – | – |")


def test_what_cannot_be_measured_is_counted(script: Any, tmp_path: Path) -> None:
    source = Covid(write_covid(tmp_path), masks=write_masks(tmp_path / "masks.zip"))
    studies = source.studies()
    readings = [
        Reading(study_id=each.study_id, author=MODEL, findings=(finding((0.0, 0.0, 20.0, 20.0)),))
        for each in studies
        if each.study_id != "b"
    ]
    cases, out = script.cases_of(studies, readings, PNEUMONIA)
    assert [each.study.study_id for each in cases] == ["a", "c"]
    assert out == {"with a picture that cannot be read": 1, "without a frontal picture": 1}
    assert cases[0].stated == ("left", "infiltrate")
    assert source.masks is not None
    found, without = script.with_lungs(cases, source.masks)
    assert [each.file for each, _ in found] == ["a.jpeg"]
    assert without == {"without a lung mask": 1}
    assert script.lung_shares(found)["marked"].tolist() == [1]
    said = script.markdown("tiny", cases, source.masks, PNEUMONIA, out)
    assert "2 studies of 2 patients." in said
    assert "- left out: 1 without a lung mask\n" in said
    assert "- left out: 1 with a picture that cannot be read\n" in said
    assert "No words: the model gives none" in said


def test_empty_masks_and_pictures_with_nothing_marked_are_left_out(script: Any, tmp_path: Path) -> None:
    for name, value in (("a_mask.png", 0), ("b_mask.png", 255)):
        Image.fromarray(np.full((TALL, WIDE), value, np.uint8)).save(tmp_path / name)
    cases = [case(script, "a", LEFT), case(script, "b")]
    found, without = script.with_lungs(cases, LungMasks(tmp_path))
    assert found == []
    assert without == {"whose lung mask is empty": 1, "with nothing marked on the frontal picture": 1}


def test_boxes_on_the_lateral_are_none_of_the_frontal_picture(script: Any) -> None:
    of_both = finding(LEFT).model_copy(update={"region": (Box(view=1, xyxy=RIGHT), Box(view=0, xyxy=LEFT))})
    assert [box.view for box in script.Case(study("a", patient="a"), 0, of_both).boxes] == [0]


def test_twelve_are_chosen_by_patient_and_id_whatever_the_model_says(script: Any) -> None:
    noted = "Opacity in the left lung."
    studies = [study(f"s{n:02}", patient=f"p{n // 2}", notes=noted if n % 8 else "Fever.") for n in range(40)]
    readings = [
        Reading(study_id=each.study_id, author=MODEL, findings=(finding(LEFT, hazy=n / 40),))
        for n, each in enumerate(studies)
    ]
    cases, _ = script.cases_of(reversed(studies), readings, PNEUMONIA)
    chosen = [each.study.study_id for each in script.twelve(cases)]
    assert chosen == ["s01", "s02", "s04", "s06", "s09", "s10", "s12", "s14", "s17", "s18", "s20", "s22"]


def test_notes_are_shown_where_they_state_an_attribute_and_denied_words_are_not_marked(script: Any) -> None:
    notes = (
        "Fever. Patchy opacity in the left lung. No consolidation. He was ventilated. Right basal opacity. Died."
    )
    parts = script.snippet(notes, AttributeReader(PNEUMONIA))
    assert "".join(text for text, _ in parts) == (" … Patchy opacity in the left lung. … Right basal opacity. …")
    assert [part for part in parts if part[1]] == [
        ("Patchy", "patchy"),
        ("opacity", "opacity"),
        ("left", "left"),
        ("Right", "right"),
        ("basal", "basilar"),
        ("opacity", "opacity"),
    ]
    assert script.snippet("Left opacity", AttributeReader(PNEUMONIA))[0] == ("Left", "left")
    assert script.snippet("No opacity.", AttributeReader(PNEUMONIA)) == [(" …", "")]


def test_words_stand_beside_their_mean_and_the_box(script: Any) -> None:
    cases = [case(script, "a", RIGHT, left=0.9, hazy=0.2), case(script, "b", LEFT, left=0.5, hazy=0.4)]
    other = case(script, "c", LEFT, left=0.1, hazy=0.3)
    told = script.told_by(cases, PNEUMONIA, every=[*cases, other])
    assert told["model"][0]["left"] == 0.9
    assert [said["left"] for said in told["habit"]] == [pytest.approx(0.5)] * 2  # of all three
    assert [(said["left"], said["right"], said["hazy"]) for said in told["box"]] == [
        (1.0, 0.0, pytest.approx(0.3)),
        (0.0, 1.0, pytest.approx(0.3)),
    ]


def test_words_are_scored_against_the_notes(script: Any) -> None:
    cases = []
    for n in range(24):
        stated, other = ("left", "right") if n % 2 else ("right", "left")
        made = script.Case(
            study(f"{n}", patient=f"{n}"), 0, finding(LEFT, **{stated: 0.9, other: 0.1}), stated=(stated,)
        )
        cases.append(made)
    rows = {label: cells for label, *cells in map(cells_of, script.word_table(cases, PNEUMONIA, every=cases))}
    assert rows["AUC of attributes, mean over words"][0] == "1.000 (1.000–1.000)"
    side = rows["the one side that is stated told from the other"]
    assert [cell.split(" (")[0] for cell in side] == [
        "1.000",
        ".500",
        ".500",
    ]  # the box is always on the same side


def cells_of(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_without_masks_and_without_stated_words_there_is_nothing_to_score(script: Any, tmp_path: Path) -> None:
    said = script.markdown("tiny", [case(script, "a", LEFT, left=0.9)], LungMasks(tmp_path), PNEUMONIA, {})
    assert "0 studies of 0 patients. Their notes state an attribute." in said
    assert "No words: " in said
    assert "marked boxes" not in said
    assert script.page("tiny", [], PNEUMONIA).count("<article>") == 0


def test_the_page_has_picture_words_notes_and_terms_of_each_case(script: Any, tmp_path: Path) -> None:
    text = page_of(script, tmp_path)
    assert text.count("<article>") == 2
    assert text.count("<rect ") == 3
    assert '<rect x="40.0" y="0.0" width="40.0" height="60.0" class="later"/>' in text
    assert re.findall(r"<li.*?</li>", text) == [
        '<li class="agreed">✓ left 0.90</li>',
        "<li>hazy 0.70</li>",
    ]
    assert "no word above 0.5" in text
    assert '<mark title="left">left</mark>' in text
    assert "licence: CC BY 4.0" in text
    assert "licence: not stated" in text
    assert 'href="https://example.org/a"' in text
    assert "javascript:" not in text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "not passed on" in text
    assert script.RULE in text
    assert "default-src &#39;none&#39;" in text


def page_of(script: Any, folder: Path) -> str:
    """Write the page of two cases, the second of which says little."""
    notes = "<script>alert(1)</script> Opacity in the left lung. Fever."
    first, second = (
        study("a", patient="p", notes=notes),
        study("b", patient="q", notes="Consolidation.", url="javascript:alert(1)"),
    )
    images = second.readings[0].provenance["images"]
    images[0].pop("license")
    cases = []
    for each, found in ((first, finding(LEFT, RIGHT, left=0.9, hazy=0.7)), (second, finding(LEFT, left=0.1))):
        place = folder / f"{each.study_id}.png"
        save_picture(place, height=TALL, width=WIDE)
        view = each.views[0].model_copy(update={"locator": str(place)})
        stated = AttributeReader(PNEUMONIA).stated(each.readings[1].report)
        cases.append(script.Case(each.model_copy(update={"views": (view,)}), 0, found, stated))
    text: str = script.page("tiny", cases, PNEUMONIA)
    return text


def test_the_page_passes_axe_and_asks_the_network_for_nothing(
    script: Any, browser: Browser, tmp_path: Path
) -> None:
    axe = find_axe()
    if axe is None:
        pytest.skip("no axe-core on this machine")
    page = tmp_path / "cases.html"
    page.write_text(page_of(script, tmp_path), encoding="utf-8")
    browser.open(page, width=1280, height=800)
    browser.run(f"{axe.read_text(encoding='utf-8')}; undefined")
    for shown in ({}, {"scheme": "dark"}, {"width": 390, "height": 844}):
        browser.show_as(**shown)  # type: ignore[arg-type]
        assert browser.violations() == []
    assert all(url.startswith(("file:", "data:")) for url in browser.requests())


ALONE: dict[str, Any] = {"decoder": None, "finding_head": None, "contrast": None, "projection": {"kind": "none"}}
ENCODER = {"name": "test_efficientnet", "weights": "random", "stage": 4}
DETECTOR = {
    "kind": "retinanet",
    "attributes": "phantom-effusion",
    "pyramid": 8,
    "count": 10,
    "smallest_anchor": 8,
}
WORDS = {"kind": "cross_attention", "attributes": "phantom-effusion", "embedding": 8, "count": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny detector's regions with words of effusions."""
    folder = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        use_studies(patch, lambda split: [boxed_study(i, split=split) for i in range(6)])
        detector = mini_config(**ALONE, encoder=ENCODER, localizer=DETECTOR)
        run(detector, out=folder / "detector", cache=folder / "cache", quality=False)
        regions = {"regions": {"weights": str(folder / "detector")}}
        words = mini_config(**ALONE, encoder=regions, localizer=WORDS)
        run(words, out=folder / "words", cache=folder / "cache", quality=False)
    return folder / "words"


def test_the_command_reads_the_collection_and_writes_both_files(
    script: Any, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes = "Small left pleural effusion. Fever."
    root = write_covid(tmp_path)
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("Infiltrate in the left lung. Fever.", notes))
    masks, out = write_masks(tmp_path / "masks.zip"), tmp_path / "cases"
    asked = [str(trained), f"covid:{root},masks={masks}", "--attributes", "phantom-effusion", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["covid_cases.py", *asked, "--cache", str(tmp_path / "cache")])
    script.main()
    page, text = (out / "cases.html").read_text(), (out / "covid.md").read_text()
    assert page.count("<article>") == 1
    assert '<mark title="small">Small</mark>' in page
    assert 1 <= page.count("<rect ") <= 3
    assert "3 studies of 2 patients." in text  # one has no frontal picture
    assert "| the marked boxes | " in text
    assert "| AUC of attributes, over all studies and words | " in text


def test_what_is_no_copy_of_the_collection_is_refused(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["covid_cases.py", "phantom", "phantom:smoke"])
    with pytest.raises(SystemExit, match="phantom:smoke: expected the COVID-19 image collection"):
        script.main()


@pytest.mark.data
@needs_package
def test_twelve_real_cases_have_twelve_patients_marked_words_and_terms(script: Any, shared_data: Path) -> None:
    source = script.opened(f"covid:{shared_data / 'covid_chestxray'}")
    studies = source.studies()
    readings = [
        Reading(study_id=each.study_id, author=MODEL, findings=(finding((10.0, 10.0, 90.0, 90.0)),))
        for each in studies
    ]
    cases, _ = script.cases_of(studies, readings, PNEUMONIA)
    chosen = script.twelve(cases)
    assert len({each.patient for each in chosen}) == script.CASES
    assert all(script.origin(each)["licence"] != "not stated" for each in chosen)
    reader = AttributeReader(PNEUMONIA)
    for each in chosen:
        marked = {name for _, names in script.snippet(each.notes, reader) for name in names.split(", ") if name}
        assert marked == set(each.stated)
    found, _ = script.with_lungs(cases, source.masks)
    assert len(found) > 100
    assert 0.1 < np.mean([lungs.mean() for _, lungs in found]) < 0.5
