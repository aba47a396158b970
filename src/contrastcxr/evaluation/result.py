"""The result of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contrastcxr.form import Reading
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.exchange import foreseen_words
from contrastcxr.metrics.lengths import length_distribution
from contrastcxr.metrics.scores import Score, Scores, counted_how, differences
from contrastcxr.metrics.sheet import HEADLINE, TRIVIAL
from contrastcxr.metrics.table import StudyTable

SCHEMA = "contrastcxr.evaluation/1"

Differences = Mapping[str, Mapping[str, Interval]]
"""System minus baseline, by baseline and by score."""


@dataclass(frozen=True, eq=False)
class SystemScores:
    """One system's scores and the study table they are sums of."""

    description: str
    table: StudyTable
    scores: Scores


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a system and of the baselines beside it, on one split under one protocol.

    Attributes:
        data: data name, without paths of this machine.
        signature: what two figures must share to be compared.
        systems: `system` first, then the baselines.
        readings: of the system.
        failures: studies that could not be read, a line each.
        notes: what a reader of the figures must know.
    """

    data: str
    split: str
    protocol: str
    signature: str
    systems: Mapping[str, SystemScores]
    readings: tuple[Reading, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def scores(self) -> Scores:
        """The system's own scores."""
        return self.systems["system"].scores

    def to_dict(self) -> dict[str, Any]:
        """Return what `scores.json` holds."""
        systems = {
            name: {
                "description": s.description,
                "scores": {n: self._score(score, s.table) for n, score in s.scores.items()},
            }
            for name, s in self.systems.items()
        }
        lengths = length_distribution({name: s.table.lengths for name, s in self.systems.items()})
        return {
            "schema": SCHEMA,
            "signature": self.signature,
            **{key: getattr(self, key) for key in ("data", "split", "protocol")},
            "facts": dict(self.facts),
            "systems": systems,
            **({"lengths": lengths} if lengths else {}),
            "failures": list(self.failures),
            "notes": list(self.notes),
        }

    def _score(self, score: Score, table: StudyTable) -> dict[str, Any]:
        learned = (table.notes or {}).get(score.name.partition("/")[0], "")
        how = learned if score.name in table.learned_names else counted_how(score.name)
        parts = (self.signature, how, foreseen_words(table, score.name))
        return {**score.to_dict(), "signature": "|".join(part for part in parts if part)}


def paired_differences(
    systems: Mapping[str, SystemScores], *, replicates: int, seed: int, minimum: int
) -> Differences:
    """Return system minus each trivial baseline, with paired 95% bootstrap intervals over patients.

    Args:
        systems: `system` and the baselines beside it.
        replicates: of the bootstrap.
        seed: of its draws.
        minimum: positives and negatives that a finding needs to enter the mean AUC.
    """
    drawn = {"replicates": replicates, "seed": seed, "minimum": minimum}
    own, beside = [systems["system"].table], [name for name in TRIVIAL if name in systems]
    return {name: differences(own, [systems[name].table], HEADLINE, **drawn) for name in beside}
