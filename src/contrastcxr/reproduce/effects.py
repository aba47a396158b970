"""What contrast changed for a system, or one system beside another, and the verdict that follows.

A verdict is a rule over two-level intervals, of seeds and of patients (`metrics.seeds`), so that nobody's wish has
a say: contrast *helped* on a score only when it is above the plain system and above both controls, each with the
whole interval. Without controls on two seeds no more is said than that it is *above plain*. A system is *better*
than another one, or *worse*, where the whole interval says so. With one seed nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contrastcxr.metrics.seeds import SeedDifference
from contrastcxr.metrics.sheet import LOWER_IS_BETTER
from contrastcxr.reproduce.judging import WORDS, Judging
from contrastcxr.reproduce.plan import PLAIN

CONTROLS = ("random", "zeros")

Outcome = Literal["helped", "as a control", "above plain", "no difference", "harmed", "one seed", "unknown"]
Verdict = Literal["better", "no difference", "worse", "one seed", "unknown"]
ONE_SEED = "one seed: not known"


@dataclass(frozen=True)
class ContrastEffect:
    """What contrast changed for one decoder: differences by score, to the plain system and to each control.

    Attributes:
        system: the decoder.
        seeds: contrast of the other row: the seeds that both rows have.
        over: contrast of the other row: score: paired difference over those seeds.
        judging: the scores that decide.
    """

    system: str
    seeds: Mapping[str, tuple[int, ...]]
    over: Mapping[str, Mapping[str, SeedDifference]]
    judging: Judging = WORDS

    def outcome(self, score: str = "") -> Outcome:
        """Return what the intervals say of one score, by default of the one that decides first."""
        score = score or self.judging.primary
        found = {other: _gain(score, changes[score]) for other, changes in self.over.items() if score in changes}
        if PLAIN not in found:
            return "unknown"
        if not found[PLAIN].known:
            return "one seed"
        if found[PLAIN].high < 0:
            return "harmed"
        if not found[PLAIN].low > 0:
            return "no difference"
        if not all(control in found and found[control].known for control in CONTROLS):
            return "above plain"
        return "helped" if all(found[control].low > 0 for control in CONTROLS) else "as a control"


@dataclass(frozen=True)
class SystemEffect:
    """What a system changed against another one: differences by score.

    Attributes:
        row: of the system, whatever the seed.
        against: the row that it is compared with.
        seeds: that both rows have.
        over: score: paired difference over those seeds.
        judging: the scores that decide.
    """

    row: str
    against: str
    seeds: tuple[int, ...]
    over: Mapping[str, SeedDifference]
    judging: Judging

    def outcome(self, score: str = "") -> Verdict:
        """Return what the interval says of one score, by default of the one that decides first."""
        score = score or self.judging.primary
        if score not in self.over:
            return "unknown"
        found = _gain(score, self.over[score])
        if not found.known:
            return "one seed"
        return "better" if found.low > 0 else "worse" if found.high < 0 else "no difference"


def _gain(score: str, change: SeedDifference) -> SeedDifference:
    """Return a difference turned so that more is better."""
    return change.turned() if score in LOWER_IS_BETTER else change
