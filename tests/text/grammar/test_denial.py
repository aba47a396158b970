"""What is denied, and that the sentences deny exactly that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantom_plans import random_finding

from contrastcxr.form import Finding
from contrastcxr.text.grammar.denial import (
    DENIAL_RATES,
    LUNG,
    PLAIN_RATES,
    Denials,
    WrittenSentence,
    choose_absent,
)
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.grammar.writing import SPOKEN, STYLES
from contrastcxr.vocab.labels import NIH14

CLEAR = {"Consolidation", "Atelectasis", "Edema", "Nodule", "Mass"}
"""What clear lungs deny."""
NAMES = tuple(dict.fromkeys((*SPOKEN, *NIH14)))


def chosen(
    free: list[str], asserted: set[str], seed: int, *, thoroughness: float = 1.0, plain: bool = False
) -> set[str]:
    rates = PLAIN_RATES if plain else DENIAL_RATES
    return choose_absent(free, asserted, rates, thoroughness, np.random.default_rng(seed))


@st.composite
def split_names(draw: st.DrawFn) -> tuple[list[str], set[str]]:
    """Names that are free to be denied, and those that are asserted."""
    asserted = set(draw(st.lists(st.sampled_from(NAMES), max_size=4)))
    return [name for name in NAMES if name not in asserted], asserted


@given(split_names(), st.integers(0, 999), st.booleans())
def test_only_free_names_are_denied_and_the_seed_decides_which(
    names: tuple[list[str], set[str]], seed: int, plain: bool
) -> None:
    free, asserted = names
    found = chosen(free, asserted, seed, plain=plain)
    assert found <= set(free)
    assert found == chosen(free, asserted, seed, plain=plain)


@given(split_names(), st.integers(0, 999))
def test_a_reporter_without_thoroughness_denies_clear_lungs_together_or_nothing(
    names: tuple[list[str], set[str]], seed: int
) -> None:
    free, asserted = names
    possible = CLEAR & set(free)
    if asserted & {"Pneumonia", "Infiltration"}:
        possible.discard("Consolidation")
    assert chosen(free, asserted, seed, thoroughness=0.0) in (set(), possible)


@pytest.mark.parametrize(("asserted", "share"), [(set(), 0.55), ({"Fracture"}, 0.55), ({"Nodule"}, 0.3)])
def test_lungs_are_called_clear_less_often_where_something_in_them_is_ill(
    asserted: set[str], share: float
) -> None:
    free = [name for name in SPOKEN if name not in asserted]
    clear = [bool(chosen(free, asserted, seed, thoroughness=0.0)) for seed in range(1500)]
    assert np.mean(clear) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("name", ["Cardiomegaly", "Pneumothorax", "Fracture", "Hernia"])
def test_a_name_outside_clear_lungs_is_denied_at_its_rate(name: str) -> None:
    for thoroughness in (1.0, 0.5):
        denied = [name in chosen(list(SPOKEN), set(), seed, thoroughness=thoroughness) for seed in range(1500)]
        assert np.mean(denied) == pytest.approx(DENIAL_RATES[name] * thoroughness, abs=0.04)


def test_however_thorough_a_reporter_is_a_name_may_be_left_out() -> None:
    found = [len(chosen(list(SPOKEN), set(), seed, thoroughness=100.0)) for seed in range(100)]
    assert min(found) < len(SPOKEN)
    assert np.mean(found) > 0.9 * len(SPOKEN)


@pytest.mark.parametrize("word", ["Pneumonia", "Infiltration"])
def test_no_consolidation_is_denied_beside_another_word_for_the_opacity(word: str) -> None:
    free = [name for name in NIH14 if name != word]
    assert not any("Consolidation" in chosen(free, {word}, seed, thoroughness=9.0) for seed in range(100))
    assert any("Consolidation" in chosen(free, set(), seed, thoroughness=9.0) for seed in range(10))


def written(absent: set[str], positive: list[Finding], style: int, seed: int) -> list[WrittenSentence]:
    habits = STYLES[style]
    denials = Denials(habits.number, habits.terseness, habits.merging, np.random.default_rng(seed))
    return denials.statements(frozenset(absent), positive)


@st.composite
def truths(draw: st.DrawFn) -> tuple[set[str], list[Finding]]:
    """Names to deny, and findings under other names."""
    absent = set(draw(st.lists(st.sampled_from(SPOKEN))))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    names = draw(st.lists(st.sampled_from(SPOKEN), max_size=3))
    return absent, [random_finding(name, rng) for name in names if name not in absent]


@given(truths(), st.sampled_from(range(len(STYLES))), st.integers(0, 999))
def test_together_the_sentences_deny_exactly_what_they_should(
    truth: tuple[set[str], list[Finding]], style: int, seed: int
) -> None:
    absent, positive = truth
    said = written(absent, positive, style, seed)
    assert set().union(*(sentence.denied for sentence in said)) == absent
    assert not any(sentence.abnormal or sentence.given for sentence in said)


@given(truths(), st.sampled_from(range(len(STYLES))), st.integers(0, 999))
def test_each_sentence_is_read_as_denying_no_less_than_it_says_and_nothing_that_is_free(
    truth: tuple[set[str], list[Finding]], style: int, seed: int
) -> None:
    absent, positive = truth
    ill = {finding.name for finding in positive}
    for sentence in written(absent, positive, style, seed):
        found = parse(sentence.text)
        assert {finding.status for finding in found} <= {"absent"}
        names = {finding.name for finding in found}
        assert sentence.denied <= names <= sentence.denied | ill, sentence.text


@given(truths(), st.sampled_from(range(len(STYLES))), st.integers(0, 999))
def test_sentences_are_finished_and_stand_in_a_region_of_the_reporter(
    truth: tuple[set[str], list[Finding]], style: int, seed: int
) -> None:
    for sentence in written(*truth, style, seed):
        assert sentence.text.endswith(".")
        assert sentence.text[0] == sentence.text[0].upper()
        assert not set(sentence.text) & set("{}[]~*")
        assert sentence.region in STYLES[style].order.split()


def test_nothing_to_deny_is_no_sentence() -> None:
    assert all(written(set(), [], style, seed) == [] for style in range(6) for seed in range(20))


def test_a_lung_is_spared_only_where_all_that_is_ill_lies_in_the_other() -> None:
    left = Finding(name="Nodule", status="present", side="left")
    unsided, right = (left.model_copy(update={"side": side}) for side in (None, "right"))
    effusion = Finding(name="Pleural Effusion", status="present", side="right")

    def spared(*positive: Finding) -> set[str]:
        return {s.text for seed in range(60) for s in written(set(), list(positive), 0, seed)}

    assert spared(left)
    assert all("right" in text.lower() and not parse(text) for text in spared(left))
    assert all("left" in text.lower() for text in spared(right))
    for positive in ((unsided,), (left, right), (left, effusion), (effusion,)):
        assert not spared(*positive)


def test_a_list_holds_at_most_four_names() -> None:
    absent = {*LUNG, "Pleural Effusion", "Pneumothorax", "Pleural Thickening"} - {"Pneumonia", "Infiltration"}
    lists = [s for seed in range(60) for s in written(absent, [], 0, seed) if " or " in s.text]
    assert lists
    assert max(len(sentence.denied) for sentence in lists) == 4
