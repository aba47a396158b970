"""R2Gen's cleaning, against its replacements written out one by one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.text.published_words import UNKNOWN, PublishedReferences, Style, published_words

PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "Heart",
                "lungs clear",
                "1.2 cm",
                ". ",
                ".",
                "..",
                "1. ",
                "2. ",
                " 3. ",
                "T12",
                "(AP)",
                ", ",
                "XXXX",
            ),
            *("___", " ", "\n", "/", "it's", '"', "-", "left-sided", "5. ", ":", "?", "<", "&", "A", "4", "10. "),
        ]
    ),
    max_size=14,
).map("".join)


def step_by_step(text: str, style: Style) -> list[str]:
    """Replacement after replacement, in the published order."""
    if style == "mimic_cxr":
        text = text.replace("\n", " ")
        for pair, times in (("__", 7), ("  ", 7)):
            for _ in range(times):
                text = text.replace(pair, pair[0])
    for _ in range(3):
        text = text.replace("..", ".")
    text = text.replace("1. ", "")
    for before in (". {}. ", " {}. "):
        for number in range(2, 6):
            text = text.replace(before.format(number), ". ")
    said = []
    for sentence in text.strip().lower().split(". "):
        for mark in ('"', "/", "\\", "'"):
            sentence = sentence.replace(mark, "")
        said.append(re.sub(r"[.,?;*!%^&_+():-\[\]{}]", "", sentence.strip().lower()))
    return (" . ".join(said) + " .").split()


@given(PIECES)
@pytest.mark.parametrize("style", ["iu_xray", "mimic_cxr"])
def test_words_are_those_of_the_replacements_one_by_one(style: Style, text: str) -> None:
    assert published_words(text, style=style) == step_by_step(text, style)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The heart is normal. No effusion.", "the heart is normal . no effusion ."),
        ("A 1.2 cm nodule.", "a 12 cm nodule ."),
        ("1. Clear. 2. No change.", "clear . no change ."),
        ("Left-sided XXXX, T12.", "left-sided xxxx t12 ."),
        ("", "."),
    ],
)
def test_what_the_cleaning_does_to_a_report(text: str, words: str) -> None:
    assert " ".join(published_words(text)) == words


def test_a_report_already_cleaned_stays() -> None:
    words = published_words("The heart is normal. No effusion.")
    assert published_words(" ".join(words)) == words


def test_rare_words_are_unknown_and_the_end_is_cut() -> None:
    made = PublishedReferences.fit(["Clear lungs."] * 3 + ["Rare lungs."], min_count=3, max_length=5)
    assert made.words("Rare clear lungs. Clear lungs.") == [UNKNOWN, "clear", "lungs", "."]
