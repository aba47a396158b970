"""The rows that are compared with one another, and what is recorded of them: study tables, signatures, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from contrastcxr.metrics.folds import joined
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.plan import PLAIN, Row, Which
from contrastcxr.reproduce.record import read_record
from contrastcxr.reproduce.task import Task

if TYPE_CHECKING:
    from contrastcxr.reproduce.places import Places

Key = tuple[str, str, int]
"""System, contrast and seed."""


@dataclass(frozen=True)
class Pair:
    """A row, and the row that it is compared with: the same system without contrast, or another system."""

    plain: Which
    other: Which

    @property
    def against(self) -> Which | None:
        """What is compared with, where it is not the same system without contrast."""
        return None if self.plain == (self.other[0], PLAIN) else self.plain


def contrast_pairs(task: Task) -> list[Pair]:
    """Return each row with contrast, beside the same system without where the table has that."""
    every = task.which
    return [Pair((system, PLAIN), (system, c)) for system, c in every if c != PLAIN and (system, PLAIN) in every]


def system_pairs(task: Task) -> list[Pair]:
    """Return the rows that the plan compares with another one, which is of another system."""
    return [Pair(other, one) for one, other in task.compared]


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
    drawn: Mapping[str, Any]
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


def recorded_rows(task: Task, places: Places, seeds: Sequence[int], *, drawn: Mapping[str, Any]) -> RecordedRows:
    """Return what is recorded of the rows; without probabilities where no table needs them."""
    tables, signatures = {}, {}
    ranked = _ranks_probabilities(task)
    for which, number in product(task.which, seeds):
        key = (*which, number)
        path = places.found(task, Row(*key))
        if path is not None:
            table = StudyTable.load(path.with_suffix(".npz"))
            tables[key] = table if ranked else replace(table, probabilities=None)
            signatures[key] = read_record(path).signature
    return RecordedRows(tables, signatures, drawn, folds=bool(task.of_data.folds))


def _ranks_probabilities(task: Task) -> bool:
    """Return whether a table has an AUC of probabilities, which costs most to compute: most tables have none."""
    parts = task.plan.published
    named = [name for part in parts for names in part.scores.values() for name in names]
    named += [part.score or "" for part in parts] + (list(task.plan.judging.compared) if task.compared else [])
    return any(name.startswith(("auc", "calibration", "brier")) for name in named)
