"""Wordings with slots: which of them say all that is known of a finding, and how they read once filled.

A wording is data (`wordings.yaml`).  `{slot}` needs a value; `[a segment]` is left out when a slot in it has none.
A wording *fits* a finding when every slot it needs has a value and the filled slots say every known attribute.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from contrastcxr.form import Finding
from contrastcxr.vocab.attributes import SAYABLE, THIRDS

_PIECE = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_SLOT = re.compile(r"{(\w+)}")
_ARTICLE = re.compile(r"\b([Aa])n? (?=(\w))(?=([\d.]+|\w+))")
_SAYS = {
    "severity": {"severity"},
    "severely": {"severity"},
    "side": {"side"},
    "bilateral": {"side"},
    "onside": {"side"},
    "where": {"side", "zone"},
    "site": {"side", "zone"},
    "zone": {"side", "zone"},
    "zonal": {"side", "zone"},
    "third": {"zone"},
    "size": {"size"},
}
STEEPNESS = {"finding": 2.2, "normal": 1.35}
"""How fast wordings get rarer down a list: the weight of rank r is `(r + 1) ** -steepness`."""


@cache
def wordings() -> dict[str, Any]:
    """Return the data of `wordings.yaml`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = files("contrastcxr.text.grammar").joinpath("wordings.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=loader))


@dataclass(frozen=True)
class Wording:
    """One sentence with slots, its weight before a reporter's habits, and whether it lacks a verb."""

    text: str
    weight: float
    terse: bool = False

    def fits(self, facts: frozenset[str], slots: frozenset[str]) -> bool:
        """Return whether it can be filled from `slots` and then says every attribute in `facts`."""
        used = self.used(slots)
        return used is not None and facts <= {fact for slot in used for fact in _SAYS.get(slot, ())}

    def used(self, slots: frozenset[str]) -> frozenset[str] | None:
        """Return the slots it fills when `slots` have values, or None when it needs another one."""
        used: set[str] = set()
        for optional, fixed in _PIECE.findall(self.text):
            wanted = set(_SLOT.findall(optional or fixed))
            if wanted <= slots:
                used |= wanted
            elif fixed:
                return None
        return frozenset(used)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the sentence, with articles and capital put right."""
        parts = []
        for optional, fixed in _PIECE.findall(self.text):
            if fixed or set(_SLOT.findall(optional)) <= values.keys():
                parts.append(_SLOT.sub(lambda match: values[match[1]], optional or fixed))
        return finish("".join(parts))


def finish(sentence: str) -> str:
    """Return the sentence with `a`/`an` as its next word wants and a capital first letter."""
    said = _ARTICLE.sub(lambda match: match[1] + ("n " if _vowel(match[3]) else " "), sentence)
    return said[0].upper() + said[1:]


def _vowel(word: str) -> bool:
    return word[0].lower() in "aeiou" or word.split(".")[0] in {"8", "11", "18"} or word[:2] in {"80", "85"}


def plural(noun: str) -> tuple[str, bool]:
    """Return the noun phrase without its plural mark `~`, and whether it had one."""
    return (noun[1:], True) if noun.startswith("~") else (noun, False)


def ranked(texts: Iterable[str], *, kind: str = "finding") -> list[Wording]:
    """Return wordings of a list in which earlier is commoner; `*` marks a terse one."""
    weights = [(text, (rank + 1) ** -STEEPNESS[kind]) for rank, text in enumerate(texts)]
    return [Wording(text.removeprefix("*"), weight, text.startswith("*")) for text, weight in weights]


@cache
def sentences_for(key: str, status: str) -> tuple[Wording, ...]:
    """Return every wording of a finding (`Nodule`, `Support Devices/stomach`) with a status.

    These are its nouns in the frames of the status, and then the finding's own wordings.
    """
    entry = wordings()["findings"][key]
    framed = [
        Wording(_framed(frame.text, noun.text), noun.weight * frame.weight, frame.terse)
        for noun in ranked(entry["nouns"])
        for frame in ranked(wordings()["frames"][status])
    ]
    return (*framed, *ranked(entry.get(status, ())))


@cache
def impressions_for(key: str, status: str) -> tuple[Wording, ...]:
    """Return the short forms of a finding for the impression."""
    entry = wordings()["findings"][key]
    return tuple(
        Wording(_framed(frame.text, noun.text), noun.weight * frame.weight)
        for noun in ranked(entry["impression"])
        for frame in ranked(wordings()["impression"][status])
    )


def _framed(frame: str, noun: str) -> str:
    phrase, many = plural(noun)
    bare = re.sub(r"^an? ", "", phrase)
    return frame.replace("{np}", phrase).replace("{bare}", bare).replace("{is}", "are" if many else "is")


def wording_key(finding: Finding) -> str:
    """Return where a finding's wordings stand: a device with a known tip has its own."""
    key = f"{finding.name}/{finding.zone}"
    return key if key in wordings()["findings"] else finding.name


def facts_of(finding: Finding) -> frozenset[str]:
    """Return the attributes that a wording of this finding must say."""
    known = {"severity": finding.severity, "side": finding.side, "size": finding.size_mm, "zone": finding.zone}
    facts = {fact for fact, value in known.items() if value is not None}
    return frozenset(facts - ({"zone"} if "/" in wording_key(finding) else set()))


def pick(options: Sequence[Wording], weights: np.ndarray, rng: np.random.Generator) -> Wording:
    """Return one of the wordings, by cumulative `weights` `[n]`."""
    return options[int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))]


def choose(texts: Iterable[str], *, style: int, terseness: float, rng: np.random.Generator) -> str:
    """Return one of a ranked list of normal sentences or nouns, by a reporter's habits."""
    options, weights = _habitual(tuple(texts), style, terseness)
    return pick(options, weights, rng).text


@cache
def _habitual(texts: tuple[str, ...], style: int, terseness: float) -> tuple[tuple[Wording, ...], np.ndarray]:
    options = tuple(ranked(texts, kind="normal"))
    return options, cumulative(options, style=style, terseness=terseness)


def cumulative(options: Iterable[Wording], *, style: int, terseness: float) -> np.ndarray:
    """Return cumulative weights `[n]` of the wordings for a reporter."""
    return np.cumsum([w.weight * habit(style, w.text) * (terseness if w.terse else 1.0) for w in options])


def habit(style: int, text: str) -> float:
    """Return how fond a reporter is of a wording: 2, 1 or 1/2, fixed by the pair and by nothing else."""
    return (2.0, 1.0, 1.0, 0.5)[zlib.crc32(f"{style}|{text}".encode()) % 4]


def slots_of(finding: Finding) -> frozenset[str]:
    """Return the slots that a finding has values for."""
    one_sided = finding.side in ("left", "right")
    sayable = SAYABLE[finding.name]
    has = {
        "severity": finding.severity is not None,
        "severely": finding.severity is not None,
        "side": one_sided,
        "bilateral": finding.side == "bilateral",
        "onside": finding.side is not None,
        "where": finding.side is not None or finding.zone is not None,
        "site": finding.side is not None or finding.zone is not None,
        "zone": finding.zone is not None,
        "zonal": finding.zone is not None,
        "third": finding.zone in THIRDS,
        "size": finding.size_mm is not None and sayable.size,
    }
    return frozenset(slot for slot, there in has.items() if there)


def values_of(finding: Finding, rng: np.random.Generator, *, millimetres_below: float) -> dict[str, str]:
    """Return words for every slot of the finding; sizes under `millimetres_below` in mm, others in cm."""
    values: dict[str, str] = {}
    if finding.severity is not None:
        kind = wordings()["findings"][finding.name].get("severity", "degree")
        values["severity"] = _choose(wordings()["severity"][kind][finding.severity], rng)
        values["severely"] = _choose(wordings()["adverb"][finding.severity], rng)
    if finding.side is not None:
        values["bilateral" if finding.side == "bilateral" else "side"] = finding.side
        values["onside"] = "on both sides" if finding.side == "bilateral" else f"on the {finding.side}"
    if finding.size_mm is not None:
        values["size"] = _size(finding.size_mm, millimetres_below)
    return values | _places(finding, rng)


def _places(finding: Finding, rng: np.random.Generator) -> dict[str, str]:
    both, side, zone = finding.side == "bilateral", finding.side, finding.zone
    if zone is None:
        return {} if side is None else {"where": "both lungs" if both else f"the {side} lung", "site": side}
    if zone not in wordings()["zones"]:
        return {}
    names = wordings()["zones"][zone]
    if zone == "lingula":
        side = None  # there is no other lingula
    where = _choose(names["both" if both else "where"], rng)
    site = _choose(names["bisite" if both else "site"], rng)
    if not both:
        where, site = (f"the {side} {where}", f"{side} {site}") if side else (f"the {where}", site)
    else:
        where = f"both {where}"
    third = {"third": "mid" if zone == "middle" else zone} if zone in THIRDS else {}
    return {"where": where, "site": site, "zone": where, "zonal": site, **third}


def _choose(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[min(int(rng.geometric(0.65)) - 1, len(options) - 1)]


def _size(size_mm: float, millimetres_below: float) -> str:
    return f"{round(size_mm)} mm" if size_mm < millimetres_below else f"{round(size_mm) / 10:.1f} cm"


def said_size(size_mm: float) -> float:
    """Return the size a reporter would give: whole millimetres up to 30, then the nearest 5."""
    whole = round(size_mm) if size_mm <= 30 else 5 * round(size_mm / 5)
    return float(max(1, whole))
