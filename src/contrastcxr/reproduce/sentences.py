"""What follows from pooled rows, in plain sentences: whether contrast helped, which system is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contrastcxr.metrics.sheet import LOWER_IS_BETTER, TRIVIAL
from contrastcxr.reproduce.effects import ONE_SEED, Outcome, SystemEffect
from contrastcxr.reproduce.plan import CONTRAST
from contrastcxr.reproduce.pooled import Pooled

_MEANS: Mapping[Outcome, str] = {
    "helped": "was above the plain system and above both control pools",
    "as a control": "was above the plain system, but not above both control pools",
    "above plain": "was above the plain system, where no control has two seeds",
    "no difference": "showed no difference to the plain system",
    "harmed": "was below the plain system",
}
_ABOVE = ("helped", "as a control", "above plain")
_Setting = tuple[Pooled, str, Outcome]
"""Rows on one source of data, a system and what is said of it."""


def sentence(pools: Sequence[Pooled]) -> str:
    """Return whether contrast helped, a sentence or two for each score that decides.

    It follows from the two-level intervals.
    """
    primaries = pools[0].judging.primaries
    return " ".join(_verdict(pools, score, label) for score, label in primaries.items())


def _verdict(pools: Sequence[Pooled], score: str, label: str) -> str:
    every = [(p, c.system, c.outcome(score)) for p in pools for c in p.comparisons]
    decided = [setting for setting in every if setting[2] in _MEANS]
    single = [setting for setting in every if setting[2] == "one seed"]
    if not decided and not single:
        return f"No setting has rows without and with contrast yet, so whether it helps ({label}) is not known."
    alone = [f"{ONE_SEED[0].upper()}{ONE_SEED[1:]}, with {_places(single)}."] if single else []
    if not decided:
        return f"Whether contrast helps ({label}) is not known. {alone[0]}"
    helped = sum(outcome == "helped" for *_, outcome in decided)
    lead = (
        "Contrast helped" if helped == len(decided) else f"Contrast helped in {helped} of {len(decided)} settings"
    )
    lead = lead if helped else "Contrast is not shown to help"
    of = {outcome: [setting for setting in decided if setting[2] == outcome] for outcome in _MEANS}
    parts = "; it ".join(f"{_MEANS[outcome]} with {_places(found)}" for outcome, found in of.items() if found)
    beaten = [line for setting in decided for line in _no_better(*setting, score)]
    unit = "folds" if pools[0].folds else "seeds"
    return " ".join([f"{lead} ({label}, over {unit} and patients): it {parts}.", *alone, *beaten])


def _places(settings: Sequence[_Setting]) -> str:
    return ", ".join(f"{system} on {pooled.data}" for pooled, system, _ in settings)


def _no_better(pooled: Pooled, system: str, outcome: Outcome, score: str) -> list[str]:
    """Return which readers that cannot see a gain of contrast does not lift above."""
    if outcome not in _ABOVE:
        return []
    found = _beaten_by(pooled, f"{system}-{CONTRAST}", score)
    return [f"With {system} on {pooled.data}, {line}" for line in found]


def conclusions(pooled: Pooled) -> list[str]:
    """Return a plain sentence on each system that is compared with another, for each score that decides."""
    return [
        _conclusion(pooled, effect, score, label)
        for effect in pooled.effects
        for score, label in pooled.judging.primaries.items()
        if effect.outcome(score) != "unknown"
    ]


def _conclusion(pooled: Pooled, effect: SystemEffect, score: str, label: str) -> str:
    found, verdict = effect.over[score], effect.outcome(score)
    said = "shows no difference to" if verdict == "no difference" else f"is {verdict} than"
    unit = "folds" if pooled.folds else "seeds"
    low, high, over = found.low, found.high, f"over {len(effect.seeds)} {unit} and patients"
    if verdict == "one seed":
        said, over = "is compared with", f"over patients; {ONE_SEED}"
        low, high = found.patients.low, found.patients.high
    lead = f"{effect.row} {said} {effect.against}"
    change = f"{label}: {found.value:+.3f}, {low:+.3f} to {high:+.3f}, paired {over}"
    return " ".join([f"{lead} ({change}).", *_beaten_by(pooled, effect.row, score)])


def _beaten_by(pooled: Pooled, row: str, score: str) -> list[str]:
    """Return which readers that cannot see a row does not beat."""
    own = pooled.means.get(row, {}).get(score)
    if own is None:
        return []
    sign, more = (-1, "more") if score in LOWER_IS_BETTER else (1, "less")
    others = {name: pooled.means.get(name, {}).get(score) for name in TRIVIAL}
    return [
        f"{name} scores {other.mean:.3f}, no {more} than its {own.mean:.3f}."
        for name, other in others.items()
        if other is not None and sign * other.mean >= sign * own.mean
    ]
