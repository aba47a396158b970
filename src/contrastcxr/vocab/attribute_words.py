"""Lists of the words that say where findings are and what they are like (paper D's "text attributes")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import yaml

from contrastcxr.errors import UnknownNameError

AttributeListName = Literal["pneumonia", "phantom-opacity", "phantom-effusion"]
KINDS = ("location", "character")


@dataclass(frozen=True, eq=False)
class AttributeList:
    """Attributes of findings, and the forms in which reports write them.

    Attributes:
        name: of the list.
        finding: what a region with attributes is called.
        mentioned: findings, as the labeler names them, whose words count.
        boxed: findings whose boxes they describe.
        unless: words of sentences that are about something else.
        forms: of each attribute, in the order of the list; a form may have several words.
        locations: the attributes that say where a finding is.
        other: phrases with a form in them that say something else.
    """

    name: str
    finding: str
    mentioned: frozenset[str]
    boxed: tuple[str, ...]
    unless: frozenset[str]
    forms: Mapping[str, tuple[str, ...]]
    locations: frozenset[str]
    other: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes, in order."""
        return tuple(self.forms)

    @property
    def by_form(self) -> dict[str, tuple[str, ...]]:
        """The attributes that each form gives."""
        found: dict[str, tuple[str, ...]] = {}
        for attribute, forms in self.forms.items():
            for form in forms:
                found[form] = (*found.get(form, ()), attribute)
        return found


@cache
def attribute_lists() -> Mapping[str, AttributeList]:
    """Return the lists that the package ships, by name."""
    text = files("contrastcxr.vocab").joinpath("attribute_words.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _made(name, data) for name, data in yaml.safe_load(text).items()})


def attribute_list(name: str) -> AttributeList:
    """Return a list by its name.

    Raises:
        UnknownNameError: there is none; the nearest is named.
    """
    lists = attribute_lists()
    if name not in lists:
        raise UnknownNameError("attribute list", name, lists)
    return lists[name]


def _made(name: str, data: Mapping[str, Any]) -> AttributeList:
    forms = {word: tuple(forms) for kind in KINDS for word, forms in data[kind].items()}
    return AttributeList(
        name,
        data["finding"],
        frozenset(data["mentioned"]),
        tuple(data["boxed"]),
        frozenset(data.get("unless", ())),
        MappingProxyType(forms),
        frozenset(data["location"]),
        tuple(data.get("other", ())),
    )
