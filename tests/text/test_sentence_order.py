"""The sentences of a report in one order: none is changed, and what belongs together stays together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantom_plans import random_truth

from contrastcxr.text.clean import clean, split_sentences
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.grammar.writing import STYLES, write_again, write_report
from contrastcxr.text.labeler import label
from contrastcxr.text.sentence_order import FindingsIn, has_sentences, in_canonical_order
from contrastcxr.vocab.labels import CANONICAL

READERS = {"grammar": parse, "labeler": label}
either = pytest.mark.parametrize("findings_in", READERS.values(), ids=READERS)

HEART, EFFUSION = "There is mild cardiomegaly.", "There is a small left pleural effusion."
NO_HEART, NO_AIR = "Heart size is normal.", "There is no pneumothorax."
SOFT = "Soft tissues are normal."


@either
@pytest.mark.parametrize(
    ("written", "ordered"),
    [
        ([], []),
        ([SOFT], [SOFT]),
        ([NO_AIR, EFFUSION], [EFFUSION, NO_AIR]),
        ([EFFUSION, HEART], [HEART, EFFUSION]),
        ([NO_AIR, NO_HEART], [NO_HEART, NO_AIR]),
        ([SOFT, NO_AIR, EFFUSION, NO_HEART, HEART], [HEART, EFFUSION, NO_HEART, NO_AIR, SOFT]),
        ([NO_HEART, "Possible pneumothorax."], ["Possible pneumothorax.", NO_HEART]),
        (
            ["There is a pneumothorax.", "There is cardiomegaly and a pleural effusion."],
            ["There is cardiomegaly and a pleural effusion.", "There is a pneumothorax."],
        ),
        (
            ["There is no pneumothorax.", "There is a pleural effusion but no pneumothorax."],
            ["There is a pleural effusion but no pneumothorax.", "There is no pneumothorax."],
        ),
        ([SOFT, "Upper abdomen is normal."], [SOFT, "Upper abdomen is normal."]),
        ([NO_AIR, "A left effusion measures 1.2 cm."], ["A left effusion measures 1.2 cm.", NO_AIR]),
        (
            [NO_AIR, "There is a pleural effusion, approx. 2.5 x 3 cm, i.e. small."],
            ["There is a pleural effusion, approx. 2.5 x 3 cm, i.e. small.", NO_AIR],
        ),
    ],
)
def test_what_is_there_comes_first_then_what_is_not_then_the_rest(
    findings_in: FindingsIn, written: list[str], ordered: list[str]
) -> None:
    assert in_canonical_order(" ".join(written), findings_in) == " ".join(ordered)


@either
@pytest.mark.parametrize(
    "following",
    [
        "It is unchanged.",
        "Otherwise the lungs are clear.",
        "Otherwise, no acute abnormality.",
        "The remainder of the lungs is clear.",
        "Remaining lungs are clear.",
        "These may represent scars.",
        "This is stable.",
        "The findings suggest edema.",
        "The tip is in the right atrium.",
        "However, no consolidation is seen.",
        "No significant interval change.",
        "Unchanged from the prior examination.",
        "Stable.",
        "None on the left.",
        "Same on the left.",
        "Both are small.",
        "Another is in the left lower lobe.",
        "A second one is in the left lower lobe.",
        "But the bones are intact.",
    ],
)
def test_a_sentence_that_refers_back_stays_behind_the_one_it_follows(
    findings_in: FindingsIn, following: str
) -> None:
    written = f"{NO_AIR} {EFFUSION} {following} {HEART}"
    assert in_canonical_order(written, findings_in) == f"{HEART} {EFFUSION} {following} {NO_AIR}"
    twice = f"{NO_AIR} {following} It is unchanged. {HEART}"
    assert in_canonical_order(twice, findings_in) == f"{HEART} {NO_AIR} {following} It is unchanged."


@pytest.mark.parametrize(
    "following",
    [
        "Its border is blurred.",
        "That is not well seen.",
        "The other lung is not well seen.",
    ],
)
def test_a_reference_holds_across_a_row_of_sentences(following: str) -> None:
    written = f"{NO_AIR} {following} {HEART}"
    assert in_canonical_order(written, label) == f"{HEART} {NO_AIR} {following}"


@pytest.mark.parametrize(
    "free",
    [
        "Italic marks are seen.",
        "No emphysematous change.",
        "Stable chest.",
        "Both lungs are clear.",
        "One view is obtained.",
        "The tip of a catheter is in the stomach.",
        "Findings of emphysema are seen.",
        "The lungs are otherwise clear.",
    ],
)
def test_a_sentence_that_says_what_it_is_about_follows_nobody(free: str) -> None:
    """`otherwise` within a sentence is no bond: whatever it excepts, being there, comes first."""
    ordered = split_sentences(in_canonical_order(f"{EFFUSION} {NO_AIR} {free} {HEART}", parse))
    alone = split_sentences(in_canonical_order(f"{EFFUSION} {free} {NO_AIR} {HEART}", parse))
    assert ordered == alone


def test_a_first_sentence_that_refers_back_stays_first() -> None:
    assert in_canonical_order(f"It is unchanged. {NO_AIR} {HEART}", label) == f"It is unchanged. {HEART} {NO_AIR}"


def test_a_last_sentence_without_its_mark_stays_last() -> None:
    assert in_canonical_order(f"{NO_AIR} There is cardiomegaly", label) == f"{NO_AIR} There is cardiomegaly"
    behind = f"{EFFUSION} It is large"
    assert in_canonical_order(f"{behind}", label) == behind
    assert in_canonical_order(f"{NO_AIR} {behind}", label) == f"{NO_AIR} {behind}"


def test_a_text_whose_cleaning_would_change_in_another_order_is_left() -> None:
    written = f"{NO_AIR} Grade of the effusion: 1."
    assert in_canonical_order(written, label) == written


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("", False),
        ("No effusion", False),
        ("of 1.2 cm", False),
        ("No effusion.", True),
        ("Effusion? Yes", True),
        ("vs. Dr.", False),
    ],
)
def test_a_text_has_sentences_where_a_mark_ends_one(text: str, there: bool) -> None:
    assert has_sentences(text) is there


PIECES = st.lists(
    st.sampled_from(
        [
            *(HEART, EFFUSION, NO_HEART, NO_AIR, SOFT, "It is unchanged.", "Otherwise normal."),
            *(
                "1.",
                "2. No effusion.",
                "1) Clear.",
                "1.2 cm",
                ".5 cm",
                "i.e.",
                "Dr.",
                "Grade: 1.",
                "XXXX",
                "___",
                "...",
            ),
            *("(", ")", "?", "!", "Nodule", "No edema", "\n", "a/b", "it's", "T12", "10:30.", "'s", "[", ":"),
        ]
    ),
    max_size=9,
)


@given(PIECES, st.sampled_from(list(READERS.values())))
def test_no_sentence_is_changed_lost_or_said_twice(pieces: list[str], findings_in: FindingsIn) -> None:
    written = " ".join(pieces)
    ordered = in_canonical_order(written, findings_in)
    assert Counter(split_sentences(clean(ordered))) == Counter(split_sentences(clean(written)))
    assert in_canonical_order(ordered, findings_in) == ordered


@pytest.mark.parametrize("style", range(len(STYLES)))
def test_every_reporter_says_findings_in_one_order(style: int) -> None:
    """Recomputed in a plain loop: statuses fall, and names of one status rise, save behind "Otherwise"."""
    rng = np.random.default_rng(style)
    for _ in range(40):
        written = write_report(random_truth(rng), rng=rng, style=style).report.findings
        ordered = in_canonical_order(written, parse)
        assert Counter(split_sentences(ordered)) == Counter(split_sentences(written))
        ranks = []
        for sentence in split_sentences(ordered):
            found = parse(sentence)
            there = [CANONICAL.index(f.name) for f in found if f.status != "absent"]
            denied = [CANONICAL.index(f.name) for f in found if f.status == "absent"]
            if not sentence.startswith("Otherwise"):
                ranks.append((0, min(there)) if there else (1, min(denied)) if denied else (2, 0))
        assert ranks == sorted(ranks)


def test_two_reporters_name_what_they_see_in_the_same_order() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        one = write_report(random_truth(rng, normal=0), rng=rng, style=0)
        other = write_again(one, rng=rng, style=4)
        orders = []
        for written in (one, other):
            said = [parse(s) for s in split_sentences(in_canonical_order(written.report.findings, parse))]
            first = [[f.name for f in found if f.status != "absent"] for found in said]
            orders.append([min(names, key=CANONICAL.index) for names in first if names])
        assert orders[0] == orders[1]
