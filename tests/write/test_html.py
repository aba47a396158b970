"""A page is one file that asks for nothing, escapes everything and shows what the reading says."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.form import (
    Author,
    Evidence,
    Finding,
    Flag,
    Map,
    Negative,
    PlannedSentence,
    PoolMatch,
    Reading,
    Report,
    Study,
    Tag,
    TagShare,
    View,
)
from contrastcxr.reading.findings import merge, side_conflicts, stated_findings
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.write.html import to_html, write_index
from contrastcxr.write.names import file_stem
from contrastcxr.write.overlay import (
    ALIKE,
    APART,
    attention_uri,
    contrast_uri,
    difference_uri,
    finding_map_uri,
    picture_uri,
)
from contrastcxr.write.pictures import PictureLoader
from hand_made import SENTENCES, hand_made_reading, localized

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='x"


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def picture(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def visible(page: str) -> str:
    return " ".join(" ".join(Elements(page).words).split())


def test_nothing_on_the_page_points_outside(reading: Reading, study: Study) -> None:
    page = to_html(reading, study)
    found = [
        value
        for _, attributes in Elements(page).tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "xlink:href"} and value is not None
    ]
    assert found
    assert all(value.startswith(("data:image/", "#")) for value in found)
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_allows_our_script_by_its_hash_and_no_request(reading: Reading, study: Study) -> None:
    page = to_html(reading, study)
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (m["content"] for m in Elements(page).named("meta") if m.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"'sha256-{digest}'" in policy


def test_hostile_text_stays_text_wherever_it_stands(study: Study) -> None:
    reading = Reading(
        study_id=HOSTILE,
        author=Author(kind="model", name=HOSTILE, version=HOSTILE),
        report=Report(findings=HOSTILE, indication=HOSTILE, sentences=(HOSTILE,)),
        findings=(
            Finding(name=HOSTILE, status="present", probability=0.5, source=HOSTILE, zone=HOSTILE, sentences=(0,)),
        ),
        evidence=Evidence(closest=(PoolMatch(image_id=HOSTILE, weight=0.5, source=HOSTILE),)),
        flags=(
            Flag(kind="disagreement", message=HOSTILE, finding=HOSTILE),
            Flag(kind="quality", message=HOSTILE),
            Flag(kind="not_assessed", message=HOSTILE, finding=HOSTILE),
        ),
        provenance={HOSTILE: HOSTILE, "sources": [{"name": HOSTILE, "licence": HOSTILE}]},
    )
    elements = Elements(to_html(reading, study))
    assert len(elements.named("script")) == 1
    assert not elements.named("img")
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
    assert " ".join(elements.words).count("alert(1)") > 8


def test_each_sentence_stands_with_its_finding_probability_and_side(reading: Reading, study: Study) -> None:
    said = visible(to_html(reading, study))
    assert (
        "There is a small left pleural effusion. ● Pleural Effusion present · left · mild finding head 0.71"
        in said
    )
    assert "No pneumothorax is seen. ○ Pneumothorax absent finding head 0.04" in said
    assert "◐ Nodule uncertain · right · upper · 12 mm finding head 0.38" in said


def contradicting(reading: Reading) -> Reading:
    """The reading with an effusion that the report denies and the head sees."""
    findings = tuple(
        f.model_copy(update={"stated": "absent", "threshold": 0.4, "source": "finding head", "sentences": (2,)})
        if f.name == "Pleural Effusion"
        else f
        for f in reading.findings
    )
    return reading.model_copy(update={"findings": findings})


def test_a_sentence_stands_with_what_it_says_even_where_the_head_contradicts(
    reading: Reading, study: Study
) -> None:
    said = visible(to_html(contradicting(reading), study))
    assert (
        "No pneumothorax is seen. ○ Pleural Effusion absent · left · mild finding head contradicts ≠ 0.71" in said
    )
    assert "Pleural Effusion present 0.71 ≠ report says absent" in said


def test_an_agreeing_finding_is_not_marked_as_different(reading: Reading, study: Study) -> None:
    assert "≠" not in visible(to_html(reading.model_copy(update={"flags": ()}), study)).replace(
        "≠ contradicts", ""
    )


def test_a_threshold_is_a_tick_on_the_track(reading: Reading, study: Study) -> None:
    ticks = [s["style"] for s in Elements(to_html(contradicting(reading), study)).named("s")]
    assert ticks == ["left:40.0%"]
    assert not Elements(to_html(reading, study)).named("s")


def test_nearly_even_attention_is_called_that(reading: Reading, study: Study) -> None:
    rows = np.full((7, 7), 1 / 49)
    rows[3, 3] *= 1.4
    maps = (Map(rows=tuple(map(tuple, rows.tolist())), extent=(0, 0, 400, 300)),)
    flat = reading.evidence.model_copy(update={"attention": (maps,) * 4, "contrast": maps})
    page = to_html(reading.model_copy(update={"evidence": flat}), study)
    assert "nearly even in every sentence (at most 1.4×): points at no place" in visible(page)
    assert "nearly the same everywhere: shows no place" in visible(page)
    (first, *_) = (a for a in Elements(page).named("li") if a.get("data-sentence") == "0")
    assert first["data-attention"] == "this sentence 1.0× to 1.4×, nearly even: points at no place"
    assert "nearly" not in visible(to_html(reading, study))


def test_an_overlay_that_the_model_can_never_show_is_said_with_its_reason(reading: Reading, study: Study) -> None:
    reason = "the decoder nic has no attention over the picture"
    evidence = reading.evidence.model_copy(update={"attention": (), "unavailable": {"attention": reason}})
    assert f"Attention: {reason}" in visible(to_html(reading.model_copy(update={"evidence": evidence}), study))
    assert "has no attention" not in visible(to_html(reading, study))


def test_the_impression_has_its_own_heading(reading: Reading, study: Study) -> None:
    report = Report(findings=" ".join(SENTENCES[:2]), impression=" ".join(SENTENCES[2:]), sentences=SENTENCES)
    page = to_html(reading.model_copy(update={"report": report}), study)
    assert "0.71 Impression No pneumothorax is seen." in visible(page)
    assert "Impression" not in visible(to_html(reading, study))


def test_a_disagreement_names_what_gave_the_probability(reading: Reading, study: Study) -> None:
    said = tuple(
        f if f.source is None else f.model_copy(update={"source": f.source.replace("finding head", "localizer")})
        for f in reading.findings
    )
    page = visible(to_html(reading.model_copy(update={"findings": said}), study))
    assert "Image and text disagree Present by the localizer, not in the report: Consolidation 0.61" in page
    assert "probability by the localizer" in page
    assert "by the finding head" not in page


def test_flags_provenance_licences_and_the_notice_are_there(reading: Reading, study: Study) -> None:
    said = visible(to_html(reading, study))
    assert "Image and text disagree Present by the finding head, not in the report: Consolidation 0.61" in said
    assert "Not assessed Enlarged Cardiomediastinum, Lung Opacity, Pneumonia, Support Devices." in said
    assert "learnt from phantom:standard Apache-2.0" in said
    assert "Research use; not a medical device" in said


def test_overlays_lie_in_the_pixels_of_their_view(reading: Reading, study: Study) -> None:
    elements = Elements(to_html(reading, study))
    (svg,) = elements.named("svg")
    assert svg["viewbox"] == "0 0 400 300"
    (box,) = elements.named("rect")
    assert [float(box[k] or "nan") for k in ("x", "y", "width", "height")] == pytest.approx([120, 150, 180, 90])
    maps = [i for i in elements.named("image") if "data-sentence" in i]
    assert [i["data-sentence"] for i in maps] == ["0", "1", "2", "3"]
    assert all((i["width"], i["height"]) == ("400.0", "300.0") for i in maps)


def test_two_views_have_tabs_and_one_has_none(two_views: Study, reading: Reading, study: Study) -> None:
    both = Elements(to_html(hand_made_reading(two_views), two_views))
    assert [b["id"] for b in both.named("button") if b.get("role") == "tab"] == ["tab-0", "tab-1"]
    assert len(both.named("svg")) == 2
    assert not [b for b in Elements(to_html(reading, study)).named("button") if b.get("role") == "tab"]


def test_the_picture_is_kept_whole_and_reduced_to_1024() -> None:
    tall = np.linspace(0, 1, 2000, dtype=np.float32)[:, None].repeat(1500, axis=1)
    shown = picture(picture_uri(tall))
    assert shown.size == (768, 1024)
    assert np.asarray(shown)[0].mean() < 5 < 250 < np.asarray(shown)[-1].mean()


def test_a_normal_without_a_picture_that_may_be_shown_is_an_id(reading: Reading, study: Study) -> None:
    page = to_html(reading, study)
    assert not Elements(page).named("img")
    assert "s000123.frontal" in visible(page)
    assert "12.1 %" in visible(page)


def test_a_pool_root_shows_the_normals_it_has(reading: Reading, study: Study) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, axis=0)

    def find(image_id: str) -> View | None:
        return View(view_id=image_id, pixels=ramp) if image_id == "s000123.frontal" else None

    (shown,) = Elements(to_html(reading, study, PictureLoader((find,)))).named("img")
    assert picture(shown["src"]).size == (64, 64)


def test_a_phantom_normal_is_drawn_again_from_its_locator(reading: Reading, study: Study) -> None:
    match = PoolMatch(image_id="n", weight=0.3, locator="phantom:standard/train/000003?seed=0&view=frontal")
    evidence = reading.evidence.model_copy(update={"closest": (match,)})
    page = to_html(reading.model_copy(update={"evidence": evidence}), study)
    (shown,) = Elements(page).named("img")
    assert np.asarray(picture(shown["src"])).std() > 10


def test_a_reading_with_nothing_in_it_still_makes_a_page(study: Study) -> None:
    said = visible(to_html(Reading(study_id="x", author=Author(kind="human", name="Reader 1")), study))
    assert "The report is empty." in said
    assert "Author Reader 1" in said


def test_equal_readings_make_equal_pages(reading: Reading, study: Study) -> None:
    assert to_html(reading, study) == to_html(reading.model_copy(deep=True), study)


def test_the_index_links_every_page(reading: Reading, tmp_path: Path) -> None:
    other = reading.model_copy(update={"study_id": HOSTILE})
    index = write_index([reading, other], [tmp_path / "a.html", tmp_path / "b #1.html"], tmp_path)
    elements = Elements(index.read_text(encoding="utf-8"))
    assert [a["href"] for a in elements.named("a")] == ["a.html", "b%20%231.html"]
    assert len(elements.named("script")) == 0


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "", ".hidden", "a" * 300, "Ünï côde", "index", "con:x"]
)
def test_any_study_id_gives_a_plain_file_name(name: str) -> None:
    stem = file_stem(name)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,110}", stem)
    assert stem != "index"


def test_different_ids_never_share_a_file() -> None:
    assert len({file_stem(name) for name in ("a/b", "a_b", "a:b", "a b")}) == 4


def grid(values: np.ndarray) -> Map:
    return Map(rows=tuple(tuple(float(v) for v in row) for row in values), extent=(0, 0, 10, 10))


def test_attention_shows_only_what_is_above_an_even_share() -> None:
    values = np.full((4, 4), 1 / 16)
    values[1, 2] = 0.5
    cover = np.asarray(picture(attention_uri(grid(values), cells=16)).convert("RGBA"))[..., 3].reshape(
        4, 16, 4, 16
    )
    centres = cover[:, 7:9, :, 7:9].mean(axis=(1, 3))
    assert np.unravel_index(centres.argmax(), (4, 4)) == (1, 2)
    assert centres[3, 0] == 0


def test_weak_contrast_is_drawn_weakly() -> None:
    def cover(value: float) -> int:
        drawn = picture(contrast_uri(grid(np.full((4, 4), value)))).convert("RGBA")
        return int(np.asarray(drawn)[..., 3].max())

    assert cover(0.02) < 8 < 100 < cover(0.7)


def test_contrast_has_a_colour_for_each_sign() -> None:
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3] = 0.2, -0.4
    shown = np.asarray(picture(contrast_uri(grid(values))).convert("RGBA"))
    apart, alike = shown[2, 2], shown[-3, -3]
    assert tuple(apart[:3]) == APART
    assert tuple(alike[:3]) == ALIKE
    assert alike[3] > 1.5 * apart[3] > 0


def test_the_status_bar_tells_warnings_from_remarks_and_from_pictures_that_were_not_measured(
    reading: Reading, study: Study
) -> None:
    warning = Flag(kind="quality", message="view 1: too dark: mean grey value 0.20, limit 0.38", value=0.2)
    remark = Flag(kind="orientation", message="view 1: projection not stated (PA, AP or lateral)")
    unmeasured = Flag(kind="not_assessed", message="input quality")
    bars = {
        flags: visible(to_html(reading.model_copy(update={"flags": flags}), study))
        for flags in ((warning, remark, warning), (unmeasured,), (remark, unmeasured), ())
    }
    wanted = ("2 warnings, 1 remark", "not assessed", "1 remark", "no remarks")
    assert all(f"Quality {words} " in bar for words, bar in zip(wanted, bars.values(), strict=True))


def test_a_warning_stands_on_the_page_with_its_number_and_limit(reading: Reading, study: Study) -> None:
    warning = Flag(kind="quality", message="view 1: too dark: mean grey value 0.20, limit 0.38", value=0.2)
    page = visible(to_html(reading.model_copy(update={"flags": (warning,)}), study))
    assert "too dark: mean grey value 0.20, limit 0.38" in page


def test_what_each_repeat_found_is_folded_under_provenance(reading: Reading, study: Study) -> None:
    page = to_html(reading, study)
    folded = visible(page.partition('<details class="provenance">')[2].partition("</details>")[0])
    assert "comparison 1 of 2 closest s000120.frontal (20.0 %); farthest s009000.frontal (0.0 %)" in folded
    assert "comparison 2 of 2 closest s000121.frontal (30.0 %); farthest s009001.frontal (0.0 %)" in folded


def with_evidence(reading: Reading, **changes: object) -> Reading:
    return reading.model_copy(update={"evidence": reading.evidence.model_copy(update=changes)})


def test_votes_stand_in_one_line_beneath_the_report(reading: Reading, study: Study) -> None:
    search = {"search": {"method": "votes", "samples": 20, "threshold": 0.3}}
    voted = with_evidence(reading, votes={"Mass": 0.85, "Edema": 0.05})
    page = to_html(voted.model_copy(update={"provenance": search}), study)
    line = "Votes of 20 samples, said from 30% on: Mass (85%), Edema (5%)."
    assert line in visible(page)
    none = to_html(reading.model_copy(update={"provenance": search}), study)
    assert "Votes of 20 samples, said from 30% on: no finding." in visible(none)
    assert "Votes of" not in to_html(reading, study)


def test_what_was_planned_stands_in_one_line_beside_its_sentence(reading: Reading, study: Study) -> None:
    tags = tuple(TagShare(name=name, share=share) for name, share in (("Mass", 0.4), ("Edema", 0.25)))
    plan = (
        PlannedSentence(stop=0.02, abnormal=0.9),
        PlannedSentence(stop=0.125, topic=0.987, tags=tags),
        PlannedSentence(score=0.83, studies=("s1", "s2")),
        PlannedSentence(score=-0.1, studies=("s1", "s2", "s3", "s4", "s5")),
    )
    page = to_html(with_evidence(reading, plan=plan, tags=(Tag(name="Mass", probability=0.25),)), study)
    lines = re.findall(r'<small class="planned">(.*?)</small>', page)
    assert [visible(line).removeprefix("planned: ") for line in lines] == [
        "ends here 2% · abnormal 90%",
        "ends here 12% · topic +0.99 · tags Mass 40%, Edema 25%",
        "retrieved, score +0.83 · from s1, s2",
        "retrieved, score \N{MINUS SIGN}0.10 · from s1, s2, s3 and 2 more",
    ]
    folded = visible(page.partition('<details class="provenance plan">')[2].partition("</details>")[0])
    assert folded == "Plan of the report tags it looked at Mass (25.0%) sentence 4 comes from s1, s2, s3, s4, s5"
    plain = to_html(reading, study)
    assert "Plan of the report" not in plain
    assert 'class="planned"' not in plain


def test_a_chip_states_what_its_own_sentence_states(reading: Reading, study: Study) -> None:
    """Three severities of one finding, then a sentence that names none; a denial that the others overrule."""
    sentences = (
        "Moderate cardiomegaly.",
        "Minimal cardiomegaly is seen.",
        "Severe cardiomegaly.",
        "There is cardiomegaly.",
        "No cardiomegaly.",
    )
    said = stated_findings(sentences, parse)
    for probability, marked in ((0.9, "0.90"), (0.1, "contradicts ≠ 0.10")):
        findings = merge(said, {"Cardiomegaly": probability}, thresholds={})
        report = Report(findings=" ".join(sentences), sentences=sentences)
        page = to_html(reading.model_copy(update={"report": report, "findings": findings}), study)
        for sentence, chip in zip(sentences, ("moderate", "minimal", "severe", ""), strict=False):
            stated = f"● Cardiomegaly present{chip and f' · {chip}'} finding head {marked}"
            assert f"{sentence} {stated}" in visible(page)
        denied = "contradicts ≠ 0.90" if probability > 0.5 else "0.10"
        assert f"No cardiomegaly. ○ Cardiomegaly absent finding head {denied}" in visible(page)


@pytest.mark.parametrize(
    ("reads", "said"),
    [(True, "cough read by the model"), (False, "cough not read by the model"), (None, "cough There")],
)
def test_the_indication_is_marked_as_read_or_not(
    reads: bool | None, said: str, reading: Reading, study: Study
) -> None:
    report = reading.report.model_copy(
        update={"indication": "cough", "findings": SENTENCES[1], "sentences": SENTENCES[1:2]}
    )
    model = {} if reads is None else {"reads_indication": reads}
    page = to_html(reading.model_copy(update={"report": report, "provenance": {"model": model}}), study)
    assert f"Indication {said}" in visible(page)


def test_what_lacks_for_one_reason_is_said_in_one_line(reading: Reading, study: Study) -> None:
    why = dict.fromkeys(("contrast", "closest", "farthest", "repeats"), "it compares with nothing")
    shown = to_html(with_evidence(reading, unavailable={**why, "plan": "no plan", "tags": "no tags"}), study)
    seen = re.findall(r'<p class="legend unavailable">(.*?)</p>', shown)
    assert seen == ["Contrast map, normals: it compares with nothing"]
    folded = visible(shown.partition('<details class="provenance">')[2])
    assert "not shown Least like it in the pool, single comparisons: it compares with nothing not shown" in folded
    assert "not shown Plan: no plan not shown Tags: no tags" in folded


def test_an_empty_report_is_flagged_on_its_page(reading: Reading, study: Study) -> None:
    flag = Flag(kind="empty", message="the report is empty: the model wrote no word")
    empty = reading.model_copy(update={"report": Report(), "findings": (), "flags": (flag,)})
    assert "Caution the report is empty: the model wrote no word" in visible(to_html(empty, study))


def test_a_page_begins_with_its_doctype(reading: Reading, study: Study) -> None:
    assert to_html(reading, study).startswith("<!doctype html>")


def line_of(elements: Elements, name: str, page: str) -> dict[str, str | None]:
    """The line of a finding, by the number that the page gives it."""
    number = re.search(
        rf'data-finding="(\d+)"[^<]*?>\s*<b[^>]*>.</b><span class="name"><button[^>]*>{name}<', page
    )
    assert number is not None
    (line,) = (a for a in elements.named("li") if a.get("data-finding") == number[1])
    return line


def test_a_finding_with_a_region_can_be_pointed_at_and_ties_to_its_marks(reading: Reading, study: Study) -> None:
    page = to_html(localized(reading), study)
    elements = Elements(page)
    number = line_of(elements, "Pneumothorax", page)["data-finding"]  # absent, yet marked
    groups = [a for a in elements.named("g") if a.get("data-finding") == number]
    assert [("hidden" in a, "data-sentences" in a) for a in groups] == [(True, False)]  # its region, no box
    images = [a for a in elements.named("image") if a.get("data-finding") == number]
    assert [("hidden" in a, a["width"], a["height"]) for a in images] == [(True, "400.0", "300.0")]
    assert len([a for a in elements.named("li") if "data-finding" in a]) == 3


def test_present_findings_have_their_boxes_labelled_and_their_side_in_words(
    reading: Reading, study: Study
) -> None:
    page = to_html(localized(reading), study)
    assert len(Elements(page).named("rect")) == 2
    said = visible(page)
    assert "Cardiomegaly 0.70 Pleural Effusion" in said  # labels in the picture
    assert "Pleural Effusion present marked: left 0.71" in said
    assert "Cardiomegaly present marked: both 0.83" in said
    assert "Pneumothorax absent 0.04" in said


def test_the_scale_of_a_finding_map_and_what_each_reaches_are_said(reading: Reading, study: Study) -> None:
    page = to_html(localized(reading), study)
    assert "seen at a place 0 1 point at a finding; highest: Cardiomegaly 0.80" in visible(page)
    assert line_of(Elements(page), "Pneumothorax", page)["data-map"] == "Pneumothorax here 0.01 to 0.10"
    assert "region marked for the finding pointed at, whatever its status" in visible(page)


def test_a_reading_without_a_localizer_has_no_region_layer_and_says_why(reading: Reading, study: Study) -> None:
    why = {"finding_maps": "the model has no localizer"}
    evidence = reading.evidence.model_copy(update={"unavailable": why})
    page = to_html(reading.model_copy(update={"evidence": evidence}), study)
    layers = [a["data-layer"] for a in Elements(page).named("input")]
    assert layers == ["boxes", "maps", "attention", "contrast"]
    assert "Finding map: the model has no localizer" in visible(page)
    assert "seen at a place" not in visible(page)


def test_a_model_without_words_says_so_and_shows_no_empty_report(reading: Reading, study: Study) -> None:
    said = visible(to_html(localized(reading, wordless=True), study))
    assert "Report this model writes no report" in said
    assert "The report is empty" not in said
    assert "probability by the localizer" in said
    assert "Attention, contrast map: the model writes no report" in said


@pytest.mark.parametrize("decoder", [{}, {"decoder": "nic"}])
def test_an_empty_report_of_a_model_that_writes_is_called_empty(
    decoder: dict[str, str], reading: Reading, study: Study
) -> None:
    empty = reading.model_copy(update={"report": Report(), "provenance": {"model": {"name": "m", **decoder}}})
    said = visible(to_html(empty, study))
    assert "The report is empty." in said
    assert "writes no report" not in said


def test_the_index_says_which_model_writes_no_report(reading: Reading, tmp_path: Path) -> None:
    index = write_index([localized(reading, wordless=True)], [tmp_path / "a.html"], tmp_path)
    assert "(this model writes no report)" in visible(index.read_text(encoding="utf-8"))


def test_a_conflict_of_sides_stands_among_the_disagreements(reading: Reading, study: Study) -> None:
    flags = side_conflicts(localized(flipped(reading)).findings, study.views)
    page = to_html(localized(reading).model_copy(update={"flags": flags}), study)
    assert "Image and text disagree Pleural Effusion: report says right, marked on the patient's left" in visible(
        page
    )


def flipped(reading: Reading) -> Reading:
    other = {"left": "right", "right": "left"}
    findings = tuple(f.model_copy(update={"side": other.get(f.side or "", f.side)}) for f in reading.findings)
    return reading.model_copy(update={"findings": findings})


def test_a_finding_map_is_drawn_in_proportion_on_one_scale() -> None:
    def cover(value: float) -> int:
        drawn = picture(finding_map_uri(grid(np.full((4, 4), value)))).convert("RGBA")
        return int(np.asarray(drawn)[..., 3].max())

    assert cover(0.0) == cover(-3.0) == 0
    assert cover(1.0) == cover(7.0) == pytest.approx(2 * cover(0.5), abs=2)


def test_a_fine_map_is_not_blown_up() -> None:
    fine = picture(finding_map_uri(grid(np.eye(128))))
    assert fine.size == (512, 512)
    assert picture(finding_map_uri(grid(np.eye(7)))).size == (112, 112)


def compared(reading: Reading, *, note: str | None = None) -> Reading:
    """The reading with a difference over its first view, strong at one place, and the negative of that view."""
    values = np.full((4, 4), 0.8)
    values[1, 2] = 4.0
    first = reading.evidence.contrast[0]
    map_ = Map(view=0, rows=tuple(tuple(row) for row in values.tolist()), extent=first.extent)
    negative = Negative(view=0, image_id="n1/n1-0", similarity=0.98765, source="x", note=note)
    return with_evidence(reading, contrast=(), closest=(), difference=(map_,), negatives=(negative,))


def test_a_difference_is_an_overlay_that_can_be_switched_on(reading: Reading, study: Study) -> None:
    page = to_html(compared(reading), study)
    layers = [each.get("data-layer") for each in Elements(page).named("input")]
    assert "difference" in layers
    assert page.count('class="layer difference" hidden') == 1
    assert "average difference 1×" in visible(page)
    assert "here 0.8× to 4.0×" in visible(page)
    assert "difference" not in [e.get("data-layer") for e in Elements(to_html(reading, study)).named("input")]


@pytest.mark.parametrize("height", [1.0, 2.5, 4.0, 9.0])
def test_only_what_weighs_more_than_the_average_is_drawn(height: float) -> None:
    drawn = np.asarray(picture(difference_uri(grid(np.full((4, 4), height)))).convert("RGBA"))
    strength = min((height - 1) / 3, 1)
    assert int(drawn[..., 3].max()) == pytest.approx(round(strength * 127 / 128 * 0.62 * 255), abs=2)
    assert tuple(drawn[0, 0, :3]) == APART or strength == 0


def test_the_strip_shows_the_negative_with_its_picture_only_where_it_may(reading: Reading, study: Study) -> None:
    shown = to_html(compared(reading, note="of another view position"), study)
    assert "n1-0" in visible(shown)
    assert "0.988" in visible(shown)
    assert "of another view position" in visible(shown)
    assert "negative n1-0" not in shown
    assert "--pool-root" in visible(shown)
    pictures = PictureLoader((lambda name: study.views[0] if name == "n1/n1-0" else None,))
    assert "negative n1-0" in to_html(compared(reading), study, pictures)
