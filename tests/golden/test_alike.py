"""The comparison itself: what passes as another processor's rounding, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from golden.alike import differences, same_text
from golden.readings import Page, without_words


@pytest.mark.parametrize(
    ("found", "wanted", "count"),
    [
        ({"p": 0.50004}, {"p": 0.5}, 0),
        ({"p": 0.51}, {"p": 0.5}, 1),
        ({"p": 0.5, "q": 1}, {"p": 0.5}, 1),
        ({}, {"p": 0.5}, 1),
        ([1, 2], [1, 2, 3], 1),
        ([1, 3], [1, 2], 1),
        ([True], [1], 1),
        ([None], [0.0], 1),
        (["Nodule 0.32"], ["Nodule 0.31"], 0),
        (["Mass 0.32"], ["Nodule 0.32"], 1),
    ],
)
def test_each_place_that_differs_is_said(found: Any, wanted: Any, count: int) -> None:
    assert len(list(differences(found, wanted, rel=1e-3))) == count


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("share 9.1%", "share 9.2%", True),
        ("share 9.9%", "share 10.0%", True),
        ("share 9.1%", "share 9.3%", False),
        ("view 1", "view 2", False),
        ("0.5", "0.50", False),
        ("0.6", "0.6001", True),
        ("0.6", "0.6002", False),
        ("0.6", "0.601", True),
        ("1", "0.9999", False),
        ("-0.01", "0.01", False),
    ],
)
def test_a_figure_in_a_text_may_be_off_by_one_unit_of_its_last_digit(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same


def test_a_page_is_its_texts_places_and_pictures() -> None:
    gif = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
    page = Page(
        "<style>p {}</style><p title='here'>Two\n words</p><script>let x</script>"
        f"<rect x='1' y='2'/><img alt='grey' src='data:image/gif;base64,{gif}'>"
    ).to_dict()
    assert page["texts"] == ["Two words"]
    assert page["said"] == ["here", "grey"]
    assert page["placed"] == ["rect x 1 y 2"]
    assert [picture["size"] for picture in page["pictures"]] == [[1, 1]]


def test_versions_are_taken_out_whole() -> None:
    assert without_words(["contrastcxr 0.1.0 · 0.1.05"], {"0.1.0"}) == ["contrastcxr  · 0.1.05"]
