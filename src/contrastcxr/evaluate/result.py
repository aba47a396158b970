"""The result of an evaluation, and the folder it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastcxr.files import atomic_write
from contrastcxr.form import Reading
from contrastcxr.metrics import sheet
from contrastcxr.metrics.scores import Score, Scores, counted_how
from contrastcxr.metrics.table import StudyTable

SCHEMA = "contrastcxr.evaluation/1"


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
        """What `scores.json` holds."""
        systems = {
            name: {
                "description": s.description,
                "scores": {n: self._score(score) for n, score in s.scores.items()},
            }
            for name, s in self.systems.items()
        }
        return {
            "schema": SCHEMA,
            "signature": self.signature,
            **{key: getattr(self, key) for key in ("data", "split", "protocol")},
            "facts": dict(self.facts),
            "systems": systems,
            "failures": list(self.failures),
            "notes": list(self.notes),
        }

    def _score(self, score: Score) -> dict[str, Any]:
        how = counted_how(score.name)
        return {**score.to_dict(), "signature": self.signature + (f"|{how}" if how else "")}

    def write(self, folder: Path) -> None:
        """Write `scores.json`, `readings.jsonl`, `studies.npz`, `report.md` and `report.html` into a folder."""
        columns = {name: s.scores for name, s in self.systems.items()}
        title, notes = f"Evaluation on {self.data}, {self.split}", (*self.notes, *self.failures)
        with atomic_write(folder / "readings.jsonl") as file:
            file.writelines(reading.model_dump_json(by_alias=True) + "\n" for reading in self.readings)
        self.systems["system"].table.save(folder / "studies.npz")
        with atomic_write(folder / "report.md") as file:
            file.write(sheet.markdown(title, self.facts, columns, notes))
        with atomic_write(folder / "report.html") as file:
            file.write(sheet.page(title, self.facts, columns, notes))
        with atomic_write(folder / "scores.json") as file:
            json.dump(self.to_dict(), file, indent=1, ensure_ascii=False)
            file.write("\n")
