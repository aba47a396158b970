"""The rules as data: patterns, one meaning a phrase, names that exist."""

from __future__ import annotations

import copy
from importlib.resources import files
from typing import Any

import pytest
import yaml

from contrastcxr.errors import ConfigError
from contrastcxr.text.labeler import Labeler
from contrastcxr.text.labeling.automaton import Automaton
from contrastcxr.text.labeling.rules import FILES, expand, make_rules
from contrastcxr.vocab.labels import CHEXPERT

FOLDER = files("contrastcxr.text.labeling").joinpath("rules")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return {name: yaml.safe_load(FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8")) for name in FILES}


@pytest.fixture
def data(shipped: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(shipped)


def test_a_pattern_stands_for_each_of_its_parts() -> None:
    assert sorted(expand("(a|b|) c(d|e)")) == [" cd", " ce", "a cd", "a ce", "b cd", "b ce"]


def test_the_longest_phrase_wins_and_none_overlap() -> None:
    automaton = Automaton([(("no",), "x", 1), (("no", "change"), "x", 2), (("change", "in"), "x", 3)])
    signs = automaton.signs(["no", "change", "in", "no"])
    assert [(sign.value, sign.first, sign.last) for sign in signs] == [(2, 0, 2), (1, 3, 4)]


def test_a_phrase_that_begins_and_does_not_end_is_passed_over() -> None:
    assert Automaton([(("a", "b", "c"), "x", 1), (("b",), "x", 2)]).signs(["a", "b"])[0].value == 2


def test_every_finding_but_no_finding_has_phrases(shipped: dict[str, Any]) -> None:
    assert set(shipped["findings"]["findings"]) == set(CHEXPERT[1:])


def test_every_pair_of_structure_and_state_that_says_something_exists(shipped: dict[str, Any]) -> None:
    anatomy = shipped["anatomy"]
    assert set(anatomy["says"]) <= set(anatomy["structures"])
    assert {state for states in anatomy["says"].values() for state in states} <= set(anatomy["states"])


def test_a_phrase_with_two_meanings_is_refused_by_name(data: dict[str, Any]) -> None:
    data["cues"]["doubt"].append("effusion")
    with pytest.raises(ConfigError, match=r"'effusion' is both finding .* and doubt"):
        make_rules(data)


@pytest.mark.parametrize("place", ["findings", "both", "says"])
def test_a_name_that_is_no_finding_is_refused(data: dict[str, Any], place: str) -> None:
    if place == "says":
        data["anatomy"]["says"]["heart"]["normal"] = {"Cardiomegali": "absent"}
    else:
        data["findings"][place]["thing"] = ["Cardiomegali"]
        data["findings"][place] = (
            {"Cardiomegali": ["thing"]} if place == "findings" else {"thing": ["Cardiomegali"]}
        )
    with pytest.raises(ConfigError, match="'Cardiomegali' is not a finding"):
        make_rules(data)


def test_rules_of_ones_own_are_used(data: dict[str, Any]) -> None:
    data["findings"]["findings"]["Pleural Effusion"].append("water on the lung")
    labeler = Labeler(make_rules(data))
    named = {f.name: f.status for f in labeler.label("No water on the lung.")}
    assert named["Pleural Effusion"] == "absent"
