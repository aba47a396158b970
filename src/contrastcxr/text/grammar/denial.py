"""What a reporter denies, and in which sentences: alone, in lists, or by calling anatomy normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from contrastcxr.form import Finding
from contrastcxr.text.grammar.wording import choose, finish, plural, wordings

DENIAL_RATES: dict[str, float] = {
    "Cardiomegaly": 0.80,
    "Pleural Effusion": 0.76,
    "Pneumothorax": 0.70,
    "Consolidation": 0.42,
    "Fracture": 0.36,
    "Edema": 0.22,
    "Nodule": 0.08,
    "Mass": 0.06,
    "Atelectasis": 0.04,
    "Support Devices": 0.04,
    "Pleural Thickening": 0.06,
    "Hernia": 0.03,
    "Emphysema": 0.05,
    "Fibrosis": 0.04,
    "Granuloma": 0.03,
}
"""How often a finding that is not there is denied, before a reporter's thoroughness."""

PLAIN_RATES: dict[str, float] = {**DENIAL_RATES, "Pneumonia": 0.08, "Infiltration": 0.06, "Support Devices": 0.0}
LUNG = frozenset(
    ("Nodule", "Mass", "Consolidation", "Atelectasis", "Edema", "Emphysema", "Fibrosis", "Granuloma")
) | frozenset(("Infiltration", "Pneumonia"))
_CLEAR_LUNGS = 0.55
_OTHERWISE_CLEAR = 0.3
_LISTED = ("Consolidation", "Pleural Effusion", "Pneumothorax", "Edema", "Atelectasis", "Nodule", "Mass")
_LISTED_LATE = ("Infiltration", "Pneumonia", "Pleural Thickening", "Emphysema", "Fibrosis", "Granuloma")
_ALONE = {"Cardiomegaly": 1.0, "Support Devices": 0.8, "Fracture": 0.85, "Edema": 0.4, "Pleural Effusion": 0.12}
_NOT_LISTED = ("Cardiomegaly", "Support Devices", "Hernia", "Fracture")


@dataclass(frozen=True)
class WrittenSentence:
    """One sentence, where it belongs, the indices of the findings it asserts and the names it denies."""

    text: str
    region: str
    abnormal: bool = False
    given: tuple[int, ...] = ()
    denied: frozenset[str] = frozenset()


def choose_absent(
    free: Sequence[str],
    asserted: set[str],
    rates: Mapping[str, float],
    thoroughness: float,
    rng: np.random.Generator,
) -> set[str]:
    """Return the names to deny, each drawn by its own rate.

    The names of clear lungs are denied together where the lungs may be called clear.
    """
    draws = dict(zip(free, rng.random(len(free)), strict=True))
    chosen = {name for name in free if draws[name] < min(0.95, rates.get(name, 0.0) * thoroughness)}
    clear = set(_bundle("lungs")["names"])
    rate = _OTHERWISE_CLEAR if asserted & LUNG else _CLEAR_LUNGS
    if rng.random() < rate and clear <= set(free) | asserted:
        chosen |= clear & set(free)
    if asserted & {"Pneumonia", "Infiltration"}:
        chosen.discard("Consolidation")  # an NIH label set may hold both words for one opacity
    return chosen


class Denials:
    """Turns the names to deny into sentences, with one reporter's habits."""

    def __init__(self, style: int, terseness: float, merging: float, rng: np.random.Generator) -> None:
        self.style, self.terseness, self.merging, self.rng = style, terseness, merging, rng

    def statements(self, absent: frozenset[str], positive: Sequence[Finding]) -> list[WrittenSentence]:
        """Return sentences that together deny exactly the names in `absent`."""
        said: list[WrittenSentence] = []
        left = set(absent)
        for bundle in (_bundle("lungs"), _bundle("surfaces"), _bundle("spaces")):
            statement = self._bundled(bundle, left, positive)
            if statement is not None:
                said.append(statement)
                left -= statement.denied - self._again(statement.denied)
        for name in [name for name in _ALONE if name in left]:
            if name in _NOT_LISTED or self.rng.random() < _ALONE[name]:
                said.append(self._alone(name))
                left.discard(name)
        said += self._lists(left)
        return said + self._spared(said, positive)

    def _bundled(
        self, bundle: Mapping[str, Any], left: set[str], positive: Sequence[Finding]
    ) -> WrittenSentence | None:
        """Return anatomy called normal.

        `otherwise` normal where some of what it denies is there, or the organ is ill.
        """
        ill = {finding.name for finding in positive}
        names = set(bundle["names"])
        organ = names | LUNG if bundle["region"] == "lungs" else names
        if not (names <= left | ill and names & left and self.rng.random() < bundle["rate"]):
            return None
        texts = bundle.get("otherwise", ()) if organ & ill else bundle["texts"]
        if not texts:
            return None
        return WrittenSentence(self._choose(texts), bundle["region"], denied=frozenset(names - ill))

    def _again(self, denied: frozenset[str]) -> set[str]:
        """Return `Lungs are clear. No focal consolidation, …`: a name that is denied a second time."""
        return {"Consolidation"} & denied if self.rng.random() < 0.3 else set()

    def _alone(self, name: str) -> WrittenSentence:
        texts = wordings()["negatives"]["single"].get(name)
        if texts is None or (name == "Fracture" and self.rng.random() < 1 - _ALONE[name]):
            return self._list([name])
        return WrittenSentence(self._choose(texts), _region(name), denied=frozenset({name}))

    def _lists(self, left: set[str]) -> list[WrittenSentence]:
        """Return the rest, in lists of up to four by the reporter's liking for lists."""
        names = [name for name in (*_LISTED, *_LISTED_LATE) if name in left]
        groups: list[list[str]] = []
        for name in names:
            if groups and len(groups[-1]) < 4 and self.rng.random() < self.merging:
                groups[-1].append(name)
            else:
                groups.append([name])
        said = [self._list(self._shuffled(group)) for group in groups]
        return said + [self._list([name]) for name in ("Hernia",) if name in left]

    def _shuffled(self, group: list[str]) -> list[str]:
        if self.rng.random() < 0.8:
            return group
        return [group[index] for index in self.rng.permutation(len(group))]

    def _list(self, names: Sequence[str]) -> WrittenSentence:
        nouns = [plural(self._choose(self._nouns(name, alone=len(names) == 1))) for name in names]
        listed = _joined([noun for noun, _ in nouns], comma=self.style % 2 == 0)
        frame = self._choose(wordings()["negatives"]["lists"])
        if nouns[-1][1] and "evidence" not in frame:
            frame = frame.replace(" is ", " are ")
        return WrittenSentence(finish(frame.format(list=listed)), _region(names[0]), denied=frozenset(names))

    def _nouns(self, name: str, *, alone: bool) -> list[str]:
        nouns: list[str] = wordings()["findings"][name]["absent"]
        return nouns if alone else [noun for noun in nouns if not noun.startswith("~")]

    def _spared(self, said: Sequence[WrittenSentence], positive: Sequence[Finding]) -> list[WrittenSentence]:
        """Return `The right lung is clear`, when everything is on the left and clear lungs were not spoken of."""
        sides = {finding.side for finding in positive if finding.name in LUNG}
        clear = frozenset(_bundle("lungs")["names"])
        if len(sides) != 1 or any(s.denied & clear for s in said) or self.rng.random() > 0.4:
            return []
        side = sides.pop()
        if side not in ("left", "right") or any(f.side != side for f in positive if f.name == "Pleural Effusion"):
            return []
        other = "right" if side == "left" else "left"
        text = finish(self._choose(wordings()["negatives"]["spared"]).format(other=other))
        return [WrittenSentence(text, "lungs")]

    def _choose(self, texts: Sequence[str]) -> str:
        return choose(texts, style=self.style, terseness=self.terseness, rng=self.rng)


@cache
def _bundle(key: str) -> dict[str, Any]:
    return dict(wordings()["negatives"]["bundles"][key])


def _region(name: str) -> str:
    return str(wordings()["findings"][name]["region"])


def _joined(nouns: Sequence[str], *, comma: bool) -> str:
    if len(nouns) < 3:
        return " or ".join(nouns)
    return ", ".join(nouns[:-1]) + (", or " if comma else " or ") + nouns[-1]
