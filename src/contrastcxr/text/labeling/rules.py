"""The rules of the labeler as data: phrases in YAML, written out and put into one automaton."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import yaml

from contrastcxr.errors import ConfigError, listed
from contrastcxr.text.labeling.automaton import Automaton
from contrastcxr.text.labeling.mentions import Said
from contrastcxr.text.labeling.sentences import words
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING

Says = Mapping[tuple[str, str], tuple[tuple[str, Said], ...]]
ELSEWHERE = "elsewhere"
GENERAL = "general"
NORMALITY = "normality"
FILES = ("findings", "anatomy", "cues", "attributes")
_CUES = (
    "negative",
    "negative_either",
    "negative_after",
    "doubt",
    "doubt_either",
    "doubt_after",
    "either",
    "ignored",
    "harmless",
    "stop",
    "except",
    "starters",
    "verbs",
    "back",
)
_GROUP = re.compile(r"\(([^()]*)\)")
_Phrase = tuple[tuple[str, ...], str, Any]


@dataclass(frozen=True, eq=False)
class Rules:
    """What the labeler goes by.

    `says` is `(structure, state) -> ((name, status), …)`; `begins` are the severities that begin a statement after
    a comma; `without_severity` are the findings whose size word is no severity.
    """

    automaton: Automaton
    says: Says
    begins: frozenset[str]
    without_severity: frozenset[str]


@cache
def default_rules() -> Rules:
    """Return the rules that the package ships."""
    folder = files("contrastcxr.text.labeling").joinpath("rules")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = {name: folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in FILES}
    return make_rules({name: yaml.load(text, Loader=loader) for name, text in texts.items()})


def make_rules(data: Mapping[str, Mapping[str, Any]]) -> Rules:
    """Return rules from their four parts, `findings`, `anatomy`, `cues` and `attributes`.

    Raises:
        ConfigError: a phrase with two meanings, or a name that is not one of CheXpert's.
    """
    attributes = data["attributes"]
    says = {
        (structure, state): tuple(stated.items())
        for structure, states in data["anatomy"]["says"].items()
        for state, stated in states.items()
    }
    _check_names(name for stated in says.values() for name, _ in stated)
    return Rules(
        Automaton(_unambiguous(_phrases(data))),
        says,
        frozenset(attributes["begins"]),
        frozenset(attributes["without_severity"]),
    )


def expand(pattern: str) -> Iterator[str]:
    """Yield the phrases that a pattern stands for: `(a|b|)` is each of its parts, the empty one too.

    >>> sorted(expand("rib (fracture|fractures)"))
    ['rib fracture', 'rib fractures']
    """
    parts = _GROUP.split(str(pattern))
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    return ("".join(chosen) for chosen in product(*choices))


def _phrases(data: Mapping[str, Mapping[str, Any]]) -> Iterator[_Phrase]:
    for kind, value, patterns in (*_findings(data), *_anatomy(data), *_cues(data), *_attributes(data)):
        for pattern in patterns:
            for phrase in expand(pattern):
                yield tuple(words(phrase)[0]), kind, value


_Group = tuple[str, Any, Iterable[str]]


def _findings(data: Mapping[str, Mapping[str, Any]]) -> Iterator[_Group]:
    found = data["findings"]
    _check_names(found["findings"])
    _check_names(name for names in found["both"].values() for name in names)
    for name, patterns in found["findings"].items():
        yield "finding", (name,), patterns
    for pattern, names in found["both"].items():
        yield "finding", tuple(names), [pattern]
    for name in (ELSEWHERE, GENERAL):
        yield "finding", (name,), found[name]
    yield "nothing", None, found["not_findings"]


def _anatomy(data: Mapping[str, Mapping[str, Any]]) -> Iterator[_Group]:
    anatomy = data["anatomy"]
    for kind, section in (("structure", "structures"), ("state", "states")):
        for name, patterns in anatomy[section].items():
            yield kind, name, patterns
    yield "nothing", None, anatomy["not_structures"]


def _cues(data: Mapping[str, Mapping[str, Any]]) -> Iterator[_Group]:
    cues = data["cues"]
    for kind in _CUES:
        yield kind, None, cues[kind]
    for name, patterns in cues["separators"].items():
        yield "separator", name, patterns


def _attributes(data: Mapping[str, Mapping[str, Any]]) -> Iterator[_Group]:
    attributes = data["attributes"]
    for kind, section in (("side", "sides"), ("severity", "severities")):
        for name, patterns in attributes[section].items():
            yield kind, name, patterns
    yield "nothing", None, attributes["not_sides"]


def _unambiguous(phrases: Iterable[_Phrase]) -> list[_Phrase]:
    meanings: dict[tuple[str, ...], _Phrase] = {}
    for phrase in phrases:
        before = meanings.setdefault(phrase[0], phrase)
        if before[1:] != phrase[1:]:
            raise ConfigError(
                f"rules: '{' '.join(phrase[0])}' is both {before[1]} {before[2] or ''} and {phrase[1]} "
                f"{phrase[2] or ''}; leave it in one place"
            )
    meanings.pop((), None)
    return list(meanings.values())


def _check_names(names: Iterable[str]) -> None:
    known = {*CHEXPERT, ELSEWHERE, NORMALITY} - {NO_FINDING}
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise ConfigError(f"rules: '{wrong}' is not a finding; known are {listed(sorted(known), near=wrong)}")
