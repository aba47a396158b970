"""A page as a browser shows it: no scrolling at 1280×800, no sideways scrolling at 390, one A4, no request."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from browser import Browser
from contrastcxr.form import PlannedSentence, Reading, Study, TagShare
from contrastcxr.write.html import HtmlWriter, write_index
from hand_made import hand_made_reading, localized, worded


@pytest.fixture
def page(two_views: Study, tmp_path: Path) -> Path:
    return HtmlWriter().write(hand_made_reading(two_views), two_views, tmp_path)


def shown_maps(browser: Browser) -> list[str]:
    script = "[...document.querySelectorAll('.attention image:not([hidden])')].map(i => i.dataset.sentence)"
    return list(browser.run(script))


def press(browser: Browser, key: str) -> None:
    browser.run(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))"
    )


def test_a_screen_of_1280_by_800_holds_the_page_without_scrolling(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert browser.run(size) == [1280, 800]
    words = "(w => w.scrollHeight - w.clientHeight)(document.querySelector('.words'))"
    assert browser.run(words) == 0
    assert browser.run("document.querySelector('.film svg').getBoundingClientRect().width") > 500


def test_ten_sentences_fit_that_screen_too(browser: Browser, two_views: Study, tmp_path: Path) -> None:
    reading = hand_made_reading(two_views)
    more = tuple(f"Here is sentence number {n} of a long report." for n in range(6))
    report = reading.report.model_copy(update={"sentences": (*reading.report.sentences, *more)})
    page = HtmlWriter().write(reading.model_copy(update={"report": report}), two_views, tmp_path)
    browser.open(page, width=1280, height=800)
    assert browser.run("(w => w.scrollHeight - w.clientHeight)(document.querySelector('.words'))") == 0


def test_a_planned_report_of_six_sentences_fits_that_screen(
    browser: Browser, two_views: Study, tmp_path: Path
) -> None:
    reading = hand_made_reading(two_views)
    more = ("The lungs are clear.", "No fracture is seen.")
    tags = tuple(TagShare(name=name, share=0.3) for name in ("Pleural Effusion", "Cardiomegaly", "Edema"))
    plan = tuple(PlannedSentence(stop=0.1, abnormal=0.5, topic=0.9, tags=tags) for _ in range(6))
    report = reading.report.model_copy(update={"sentences": (*reading.report.sentences, *more)})
    evidence = reading.evidence.model_copy(update={"plan": plan})
    planned = reading.model_copy(update={"report": report, "evidence": evidence})
    page = HtmlWriter().write(planned, two_views, tmp_path)
    browser.open(page, width=1280, height=800)
    assert browser.run("(w => w.scrollHeight - w.clientHeight)(document.querySelector('.words'))") == 0
    browser.open(page, width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390


def test_the_page_asks_for_nothing_and_breaks_no_rule_of_its_own(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    assert [url for url in browser.requests() if not url.startswith("data:")] == [page.as_uri()]
    assert browser.complaints() == []


def test_a_telephone_stacks_the_page_without_sideways_scrolling(
    browser: Browser, page: Path, reading: Reading, tmp_path: Path
) -> None:
    browser.open(page, width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390
    stage, words = (
        browser.run(f"document.querySelector('{name}').getBoundingClientRect().toJSON()")
        for name in (".stage", ".words")
    )
    assert words["top"] >= stage["bottom"]
    index = write_index([reading], [page], tmp_path)
    browser.open(index, width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390


def test_the_attention_shown_is_that_of_the_sentence_in_focus(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    assert shown_maps(browser) == []
    browser.run("document.querySelectorAll('.sentence')[1].focus()")
    assert shown_maps(browser) == ["1", "1"]
    press(browser, "ArrowDown")
    assert shown_maps(browser) == ["2", "2"]
    browser.run("document.activeElement.blur()")
    assert shown_maps(browser) == []


def test_a_chosen_sentence_stays_until_escape(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    browser.run("document.querySelectorAll('.sentence')[0].click()")
    assert browser.run("document.querySelectorAll('.sentence')[0].getAttribute('aria-pressed')") == "true"
    assert shown_maps(browser) == ["0", "0"]
    press(browser, "Escape")
    assert shown_maps(browser) == []


def test_keys_switch_the_overlays(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    hidden = "document.querySelector('.layer.{}').hasAttribute('hidden')"
    before = [browser.run(hidden.format(name)) for name in ("boxes", "contrast")]
    for key in "bc":
        press(browser, key)
    assert [browser.run(hidden.format(name)) for name in ("boxes", "contrast")] == [not b for b in before]


def test_tabs_change_the_view_by_pointer_and_by_key(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    shown = (
        "[...document.querySelectorAll('.film')].filter(f => f.getBoundingClientRect().width > 0).map(f => f.id)"
    )
    assert browser.run(shown) == ["view-0"]
    browser.run("document.querySelector('#tab-1').click()")
    assert browser.run(shown) == ["view-1"]
    browser.run("document.querySelector('#tab-1').focus()")
    press(browser, "ArrowRight")
    assert browser.run(shown) == ["view-0"]


def test_it_prints_on_one_sheet(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280, height=800)
    content = base64.b64decode(browser.pdf())
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 1


@pytest.fixture(params=[False, True], ids=["report", "wordless"])
def localized_page(request: pytest.FixtureRequest, two_views: Study, tmp_path: Path) -> Path:
    return HtmlWriter().write(localized(hand_made_reading(two_views), wordless=request.param), two_views, tmp_path)


def test_a_localized_page_fits_the_screen_the_telephone_and_the_sheet(
    browser: Browser, localized_page: Path
) -> None:
    browser.open(localized_page, width=1280, height=800)
    assert browser.run("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
        1280,
        800,
    ]
    assert browser.run("(w => w.scrollHeight - w.clientHeight)(document.querySelector('.words'))") == 0
    assert browser.run("document.querySelector('.film svg').getBoundingClientRect().width") > 500
    assert len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(browser.pdf()))) == 1
    browser.open(localized_page, width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390
    assert browser.complaints() == []


MARKS_SHOWN = """
['.regions g', '.maps image', '.boxes g:not(.dim)'].map(marks => [...document.querySelectorAll(marks)]
  .filter(mark => !mark.hasAttribute('hidden')).map(mark => mark.dataset.finding))
"""


def test_what_is_marked_for_a_finding_shows_while_it_is_in_focus(browser: Browser, localized_page: Path) -> None:
    browser.open(localized_page, width=1280, height=800)
    assert browser.run(MARKS_SHOWN) == [[], [], ["0", "1"]]
    browser.run("document.querySelector('li[data-finding] button').focus()")
    assert browser.run(MARKS_SHOWN) == [["0"], ["0"], ["0"]]
    assert browser.run("document.querySelector('[data-said=map]').textContent") == "Cardiomegaly here 0.01 to 0.80"
    press(browser, "ArrowDown")
    assert browser.run(MARKS_SHOWN) == [["1"], ["1"], ["1"]]
    browser.run("document.activeElement.blur()")
    assert browser.run(MARKS_SHOWN) == [[], [], ["0", "1"]]


def test_a_chosen_finding_stays_until_another_or_escape(browser: Browser, localized_page: Path) -> None:
    browser.open(localized_page, width=1280, height=800)
    buttons = "document.querySelectorAll('li[data-finding] button')"
    browser.run(f"{buttons}[0].click()")
    browser.run(f"{buttons}[1].click()")
    assert browser.run(f"[...{buttons}].map(b => b.getAttribute('aria-pressed'))") == ["false", "true", "false"]
    assert browser.run(MARKS_SHOWN)[0] == ["1"]
    press(browser, "Escape")
    assert browser.run(MARKS_SHOWN)[0] == []


def test_pointing_at_a_finding_moves_nothing(browser: Browser, localized_page: Path) -> None:
    browser.open(localized_page, width=1280, height=800)
    place = "JSON.stringify(document.querySelector('.film svg').getBoundingClientRect())"
    before = browser.run(place)
    browser.run("document.querySelectorAll('li[data-finding] button')[2].focus()")
    assert browser.run(place) == before


def test_keys_switch_region_and_map(browser: Browser, localized_page: Path) -> None:
    browser.open(localized_page, width=1280, height=800)
    hidden = "['regions', 'maps'].map(name => document.querySelector(`.layer.${name}`).hasAttribute('hidden'))"
    assert browser.run(hidden) == [False, False]
    for key in "rm":
        press(browser, key)
    assert browser.run(hidden) == [True, True]


@pytest.fixture
def worded_page(two_views: Study, tmp_path: Path) -> Path:
    return HtmlWriter().write(worded(hand_made_reading(two_views)), two_views, tmp_path)


LIT = (
    "[...document.querySelectorAll('.lit')].map(e => [e.textContent.trim(), e.style.getPropertyValue('--share')])"
)


def point(browser: Browser, selector: str, place: int, event: str) -> None:
    browser.run(f"document.querySelectorAll('{selector}')[{place}].dispatchEvent(new PointerEvent('{event}'))")


def test_the_likely_words_of_what_is_present_are_said_the_likeliest_first(
    browser: Browser, worded_page: Path
) -> None:
    browser.open(worded_page, width=1280, height=800)
    words = "[...document.querySelectorAll('.attribute')].map(e => e.textContent)"
    assert browser.run(words) == ["right 0.90", "lower 0.70"]


def test_a_word_lights_the_boxes_that_it_stands_in_and_a_box_its_words(
    browser: Browser, worded_page: Path
) -> None:
    browser.open(worded_page, width=1280, height=800)
    assert browser.run(LIT) == []
    point(browser, ".attribute", 0, "pointerenter")
    found = browser.run(LIT)
    assert [text for text, _ in found] == ["Lung Opacity 0.61 (0.60)", "Lung Opacity 0.40 (0.05)"]
    assert [float(share) for _, share in found] == pytest.approx([1.0, 0.05 / 0.6])
    point(browser, ".attribute", 0, "pointerleave")
    assert browser.run(LIT) == []
    point(browser, ".boxes g", 0, "pointerenter")
    assert browser.run(LIT) == [["right 0.90", "1"], ["lower 0.70", "0.5"]]
    point(browser, ".boxes g", 0, "pointerleave")
    labels = "[...document.querySelectorAll('.boxes text')].map(e => e.textContent)"
    assert browser.run(labels) == ["Lung Opacity 0.61", "Lung Opacity 0.40"]


def test_a_page_with_words_fits_the_screen_and_the_telephone(browser: Browser, worded_page: Path) -> None:
    browser.open(worded_page, width=1280, height=800)
    assert browser.run("(w => w.scrollHeight - w.clientHeight)(document.querySelector('.words'))") == 0
    browser.open(worded_page, width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390
