"""The rows that are compared with one another, and what is recorded of them: study tables, signatures, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from contrastcxr.metrics.folds import joined
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.plan import PLAIN, Row, Task
from contrastcxr.reproduce.record import read_record

if TYPE_CHECKING:
    from contrastcxr.reproduce.places import Places

Which = tuple[str, str]
"""System and contrast."""
Key = tuple[str, str, int]
"""System, contrast and seed."""


@dataclass(frozen=True)
class Pair:
    """A row, and the row that it is compared with: the same system without contrast, or another system."""

    plain: Which
    other: Which

    @property
    def against(self) -> str | None:
        """The other system, where it is one."""
        return None if self.plain[0] == self.other[0] else self.plain[0]


def contrast_pairs(task: Task) -> list[Pair]:
    """Return each system with each contrast, beside the same system without."""
    others = [contrast for contrast in task.contrasts if contrast != PLAIN]
    return [Pair((system, PLAIN), (system, contrast)) for system in task.systems for contrast in others]


def system_pairs(task: Task) -> list[Pair]:
    """Return the systems that the plan compares with another one, contrast by contrast."""
    pairs = task.against.items()
    return [Pair((other, contrast), (one, contrast)) for one, other in pairs for contrast in task.contrasts]


@dataclass(frozen=True)
class RecordedRows:
    """Study tables and signatures of the recorded rows, and how much is drawn for intervals of them.

    Attributes:
        tables: by system, contrast and seed.
        signatures: likewise.
        drawn: replicates and seed of the bootstrap.
        folds: whether a row's tables are of folds, and are scored as one.
    """

    tables: Mapping[Key, StudyTable]
    signatures: Mapping[Key, str]
    drawn: Mapping[str, int]
    folds: bool = False

    def seeds(self, row: Which) -> tuple[int, ...]:
        """Return the seeds on which a row is recorded."""
        return tuple(number for *of, number in self.tables if tuple(of) == row)

    def of(self, row: Which, seeds: Iterable[int]) -> list[StudyTable]:
        """Return a row's tables on these seeds."""
        return [self.tables[*row, number] for number in seeds]

    def scored(self, row: Which) -> list[StudyTable]:
        """Return the tables that a row's figures are means over: one a seed, or one of all folds."""
        tables = self.of(row, self.seeds(row))
        return [joined(tables)] if self.folds and tables else tables

    def have(self, pair: Pair) -> bool:
        """Return whether both rows of a pair are recorded."""
        return bool(self.seeds(pair.plain) and self.seeds(pair.other))

    def alike(self, pair: Pair) -> tuple[int, ...]:
        """Return the seeds on which both rows are recorded and were scored alike."""
        signed = self.signatures
        one, other = pair.plain, pair.other
        return tuple(number for number in self.seeds(one) if signed[*one, number] == signed.get((*other, number)))


def recorded_rows(task: Task, places: Places, seeds: Sequence[int], *, drawn: Mapping[str, int]) -> RecordedRows:
    """Return what is recorded of the rows; without probabilities where no table needs them."""
    tables, signatures = {}, {}
    ranked = _ranks_probabilities(task)
    for key in product(task.systems, task.contrasts, seeds):
        path = places.found(task, Row(*key))
        if path is not None:
            table = StudyTable.load(path.with_suffix(".npz"))
            tables[key] = table if ranked else replace(table, probabilities=None)
            signatures[key] = read_record(path).signature
    return RecordedRows(tables, signatures, drawn, folds=bool(task.plan.folds))


def _ranks_probabilities(task: Task) -> bool:
    """Return whether a table has an AUC of probabilities, which costs most to compute: most tables have none."""
    parts = task.plan.published
    named = [name for part in parts for names in part.scores.values() for name in names]
    named += [part.score or "" for part in parts] + (list(task.plan.judging.compared) if task.against else [])
    return any(name.startswith(("auc", "calibration", "brier")) for name in named)
