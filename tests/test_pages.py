"""Every kind of page passes axe-core as people meet it: light, dark, narrow, pointed at, on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import page_gallery
from browser import Browser, find_axe

SHOWN: dict[str, dict[str, object]] = {
    "light": {},
    "dark": {"scheme": "dark"},
    "narrow": {"width": 390, "height": 844},
    "paper": {"media": "print"},
}
POINTED_AT = ("li[data-sentence] button", "li[data-finding] button")


@pytest.fixture(scope="module")
def axe() -> str:
    path = find_axe()
    if path is None:
        pytest.skip("no axe-core on this machine")
    return path.read_text(encoding="utf-8")


def opened(browser: Browser, axe: str, page: Path) -> None:
    """Open a page with all that it folds or hides laid open, and axe-core in it."""
    browser.show_as()
    browser.open(page, width=1280, height=800)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.run("document.querySelectorAll('[data-layer]:not(:checked)').forEach((each) => each.click())")
    browser.run(f"{axe}; undefined")


def complaints(browser: Browser, name: str) -> list[str]:
    found = []
    for how, shown in SHOWN.items():
        browser.show_as(**shown)  # type: ignore[arg-type]
        found += [f"{name}, {how}: {line}" for line in browser.violations()]
    return found


@pytest.mark.parametrize(
    "written",
    [page_gallery.read_by_command, page_gallery.readings, page_gallery.evaluations, page_gallery.audits],
    ids=lambda written: written.__name__,
)
def test_no_page_breaks_a_rule(
    browser: Browser, axe: str, written: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    found = []
    for page in written(tmp_path):
        opened(browser, axe, page)
        found += complaints(browser, page.relative_to(tmp_path).as_posix())
    assert found == []


def test_no_rule_is_broken_by_what_is_pointed_at_or_by_another_view(
    browser: Browser, axe: str, tmp_path: Path
) -> None:
    found = []
    for page in page_gallery.readings(tmp_path):
        if page.stem not in ("localized", "flagged"):
            continue
        opened(browser, axe, page)
        browser.run("document.querySelectorAll('[role=tab]')[1].click()")
        for selector in POINTED_AT:
            button = f"document.querySelector('{selector}')"
            browser.run(f"{button}.click(); {button}.focus()")
            assert set(browser.run(f"{button}.closest('li').className").split()) >= {"on", "pinned"}
            for scheme in ("light", "dark"):
                browser.show_as(scheme=scheme)
                found += [f"{page.stem}, {selector}, {scheme}: {line}" for line in browser.violations()]
    assert found == []


@pytest.mark.parametrize(
    ("inside", "rule"),
    [
        ("<main><h1>T</h1><p style='color:#999;background:#fff'>pale</p></main>", "color-contrast"),
        ("<main><h1>T</h1><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='></main>", "image-alt"),
        ("<h1>T</h1>", "landmark-one-main"),
        ("<main><h1>T</h1><button></button></main>", "button-name"),
    ],
)
def test_a_broken_rule_is_seen(browser: Browser, axe: str, inside: str, rule: str, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text(f"<!doctype html><html lang='en'><title>T</title><body>{inside}</body></html>")
    opened(browser, axe, page)
    assert [line for line in browser.violations() if line.startswith(f"{rule}: ")]
