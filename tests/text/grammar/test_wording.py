"""Wordings with slots: which fit, how they are filled, and how often a reporter takes which."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantom_plans import random_finding

from contrastcxr.form import Finding
from contrastcxr.text.grammar.wording import (
    STEEPNESS,
    Wording,
    choose,
    cumulative,
    facts_of,
    finish,
    habit,
    impressions_for,
    pick,
    plural,
    ranked,
    said_size,
    sentences_for,
    slots_of,
    values_of,
    wording_key,
    wordings,
)
from contrastcxr.text.grammar.writing import as_said
from contrastcxr.vocab.attributes import DEVICE_TIPS, LUNG_ZONES, SAYABLE, SEVERITIES, SIDES

NODULE = Finding(name="Nodule", status="present", side="left", zone="upper", size_mm=12.0)
STATUSES = ("present", "uncertain")


@pytest.mark.parametrize(
    ("sentence", "finished"),
    [
        ("there is a effusion.", "There is an effusion."),
        ("there is an mass.", "There is a mass."),
        ("an large effusion and a opacity.", "A large effusion and an opacity."),
        ("a 8 mm nodule", "An 8 mm nodule"),
        ("a 8.5 cm mass", "An 8.5 cm mass"),
        ("an 11 mm nodule", "An 11 mm nodule"),
        ("a 18 mm nodule", "An 18 mm nodule"),
        ("a 80 mm mass", "An 80 mm mass"),
        ("a 85 mm mass", "An 85 mm mass"),
        ("an 1.2 cm nodule", "A 1.2 cm nodule"),
        ("an 110 mm mass", "A 110 mm mass"),
        ("Already right.", "Already right."),
    ],
)
def test_articles_and_the_first_letter_are_put_right(sentence: str, finished: str) -> None:
    assert finish(sentence) == finished
    assert finish(finished) == finished


def test_a_plural_is_marked_and_the_mark_is_not_said() -> None:
    assert plural("~bilateral effusions") == ("bilateral effusions", True)
    assert plural("an effusion") == ("an effusion", False)


WORDING = Wording("a [{severity} ]nodule in {where}[, {size}].", 1.0)


@pytest.mark.parametrize(
    ("slots", "used"),
    [
        ({"where"}, {"where"}),
        ({"where", "size"}, {"where", "size"}),
        ({"where", "size", "severity", "side"}, {"where", "size", "severity"}),
        ({"size"}, None),
        (set(), None),
    ],
)
def test_a_wording_uses_the_slots_that_have_values_and_needs_those_outside_brackets(
    slots: set[str], used: set[str] | None
) -> None:
    assert WORDING.used(frozenset(slots)) == used


@pytest.mark.parametrize(
    ("facts", "slots", "fits"),
    [
        (set(), {"where"}, True),
        ({"side", "zone"}, {"where"}, True),
        ({"size"}, {"where"}, False),
        ({"size"}, {"where", "size"}, True),
        ({"severity", "side"}, {"where", "size"}, False),
        (set(), {"size"}, False),
    ],
)
def test_a_wording_fits_where_it_can_be_filled_and_says_all_that_is_known(
    facts: set[str], slots: set[str], fits: bool
) -> None:
    assert WORDING.fits(frozenset(facts), frozenset(slots)) is fits


def test_a_segment_whose_slot_has_no_value_is_left_out() -> None:
    assert WORDING.fill({"where": "the left lung"}) == "A nodule in the left lung."
    whole = {"where": "the lingula", "severity": "obvious", "size": "8 mm"}
    assert WORDING.fill(whole) == "An obvious nodule in the lingula, 8 mm."
    with pytest.raises(KeyError, match="where"):
        WORDING.fill({})


@pytest.mark.parametrize("kind", sorted(STEEPNESS))
def test_wordings_get_rarer_down_a_list_and_a_star_marks_a_terse_one(kind: str) -> None:
    found = ranked(["first", "*second", "third"], kind=kind)
    assert [(w.text, w.terse) for w in found] == [("first", False), ("second", True), ("third", False)]
    assert [w.weight for w in found] == [pytest.approx(1 / (rank + 1) ** STEEPNESS[kind]) for rank in range(3)]


@given(st.lists(st.sampled_from(["a", "*b", "c", "*d"]), min_size=1), st.integers(0, 5), st.floats(0.1, 5))
def test_cumulative_weights_are_a_plain_sum_over_rank_habit_and_terseness(
    texts: list[str], style: int, terseness: float
) -> None:
    options, total = ranked(texts), 0.0
    for wording, found in zip(options, cumulative(options, style=style, terseness=terseness), strict=True):
        total += wording.weight * habit(style, wording.text) * (terseness if wording.terse else 1)
        assert found == pytest.approx(total)


@given(st.integers(0, 9), st.text())
def test_a_habit_is_a_half_one_or_two(style: int, text: str) -> None:
    assert habit(style, text) in (0.5, 1.0, 2.0)


def test_habits_differ_between_reporters_and_are_even_on_the_whole() -> None:
    counts = Counter(habit(style, text) for style in range(6) for text in map(str, range(500)))
    assert counts[0.5] == pytest.approx(750, abs=100)
    assert counts[2.0] == pytest.approx(750, abs=100)
    assert len({tuple(habit(style, text) for text in map(str, range(20))) for style in range(6)}) == 6


def test_a_wording_is_picked_as_often_as_its_weight_says() -> None:
    options = [Wording(text, 1.0) for text in "abc"]
    rng = np.random.default_rng(0)
    counts = Counter(pick(options, np.cumsum([1.0, 0.0, 3.0]), rng).text for _ in range(4000))
    assert counts["b"] == 0
    assert counts["a"] == pytest.approx(1000, abs=100)


@given(st.lists(st.sampled_from(["*No.", "Normal.", "Clear."]), min_size=1), st.integers(0, 99))
def test_what_is_chosen_is_of_the_list_without_its_mark(texts: list[str], seed: int) -> None:
    found = choose(texts, style=seed % 6, terseness=1.0, rng=np.random.default_rng(seed))
    assert found in {text.removeprefix("*") for text in texts}


@given(st.floats(0.01, 500))
def test_a_size_is_said_in_whole_millimetres_and_above_thirty_in_steps_of_five(size: float) -> None:
    said = said_size(size)
    assert said >= 1
    assert said == round(said)
    assert abs(said - size) <= (0.5 if 1 <= size <= 30 else 2.5 if size > 30 else 1)
    assert size <= 30 or said % 5 == 0
    assert said_size(said) == said


@pytest.mark.parametrize(
    ("size", "below", "words"),
    [(9, 10, "9 mm"), (10, 10, "1.0 cm"), (12, 10, "1.2 cm"), (29, 30, "29 mm"), (30, 30, "3.0 cm")],
)
def test_sizes_below_a_reporters_limit_are_in_millimetres(size: float, below: float, words: str) -> None:
    values = values_of(
        NODULE.model_copy(update={"size_mm": size}), np.random.default_rng(0), millimetres_below=below
    )
    assert values["size"] == words


@st.composite
def lung_findings(draw: st.DrawFn) -> Finding:
    name = draw(st.sampled_from(sorted(set(SAYABLE) - {"Support Devices"})))
    return as_said(
        Finding(
            name=name,
            status="present",
            side=draw(st.sampled_from((None, *SIDES))),
            zone=draw(st.sampled_from((None, *LUNG_ZONES))),
            severity=draw(st.sampled_from((None, *SEVERITIES))),
            size_mm=draw(st.sampled_from((None, 7.0, 45.0))),
        )
    )


@given(lung_findings(), st.integers(0, 99))
def test_every_slot_that_a_finding_has_has_a_value(finding: Finding, seed: int) -> None:
    values = values_of(finding, np.random.default_rng(seed), millimetres_below=10)
    assert slots_of(finding) <= values.keys()
    assert all(values.values())


@given(lung_findings())
def test_the_facts_are_the_attributes_that_are_known(finding: Finding) -> None:
    known = {"side": finding.side, "zone": finding.zone, "severity": finding.severity, "size": finding.size_mm}
    assert facts_of(finding) == {name for name, value in known.items() if value is not None}


@pytest.mark.parametrize("tip", sorted(DEVICE_TIPS))
def test_a_device_with_a_known_tip_has_wordings_that_need_not_say_it(tip: str) -> None:
    device = Finding(name="Support Devices", status="present", zone=tip)
    assert wording_key(device) == f"Support Devices/{tip}"
    assert "zone" not in facts_of(device)
    assert wording_key(device.model_copy(update={"zone": None})) == "Support Devices"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("key", sorted(wordings()["findings"]))
def test_wordings_are_different_sentences_that_end_and_name_only_slots_there_are(key: str, status: str) -> None:
    name = key.partition("/")[0]
    rng = np.random.default_rng(0)
    known = set[str]().union(*(slots_of(as_said(random_finding(name, rng))) for _ in range(200)))
    found = (*sentences_for(key, status), *impressions_for(key, status))
    assert len({w.text for w in sentences_for(key, status)}) >= 6
    for wording in found:
        assert wording.text.endswith("."), wording
        assert wording.weight > 0
        assert set(re.findall(r"{(\w+)}", wording.text)) <= known, wording
        assert "~" not in wording.text
        assert not wording.text.startswith("*")
