"""A published table beside the measured rows: what the paper prints, what was measured, and what contrast changed.

The paper's data are mostly not ours, so levels are not compared; what can be looked at side by side is what
contrast changes: the paper's difference, and ours with its two-level 95% interval, of seeds and of patients, and
its p-value, corrected by Holm over all tests of the table (`metrics.seeds`).  On one seed there is no p-value.  A
plan may also compare systems with one another (`against`): then a table of our own comes first, in the scores that
its rows are judged by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contrastcxr.errors import UnknownNameError
from contrastcxr.metrics.bootstrap import REPLICATES
from contrastcxr.metrics.scores import Score, seed_means, statistics
from contrastcxr.metrics.seeds import SeedDifference, fold_differences, seed_differences
from contrastcxr.metrics.significance import holm
from contrastcxr.published import PublishedRow, PublishedTable, published_table
from contrastcxr.reproduce.pairs import Pair, RecordedRows, contrast_pairs, recorded_rows, system_pairs
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import PLAIN, PublishedPart, Row, Which
from contrastcxr.reproduce.task import Task
from contrastcxr.vocab.labels import from_nih

SCORES: Mapping[str, tuple[str, ...]] = {
    "bleu1": ("bleu_1",),
    "bleu2": ("bleu_2",),
    "bleu3": ("bleu_3",),
    "bleu4": ("bleu_4",),
    "meteor": ("meteor",),
    "rouge_l": ("rouge_l",),
    "precision": ("r2gen/precision", "positive_precision_macro"),
    "recall": ("r2gen/recall", "positive_recall_macro"),
    "f1": ("r2gen/f1", "positive_f1_macro"),
}
"""Published metric: our scores, of which the first that the rows have stands beside it."""


@dataclass(frozen=True)
class RowScore:
    """One score of one row: its mean over seeds with an interval over patients."""

    score: Score
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Change:
    """What contrast changed: the difference to the plain row on shared seeds and patients, and Holm's p-value."""

    difference: SeedDifference
    seeds: tuple[int, ...]
    p_holm: float


@dataclass(frozen=True)
class SystemLine:
    """One metric of one system with one contrast, beside the same system without, or beside another system.

    Attributes:
        system: our name.
        contrast: of the row that is compared with the plain one.
        metric: as the paper calls it.
        score: as we call it; None where no row has it.
        published: what the paper prints of the plain row and of the other; None where it prints nothing.
        measured: likewise; None where nothing is recorded.
        change: None unless both rows are recorded on a shared seed, scored alike.
        against: system and contrast in the place of the plain one; None where that is the same without contrast.
    """

    system: str
    contrast: str
    metric: str
    score: str | None
    published: tuple[float | None, float | None]
    measured: tuple[RowScore | None, RowScore | None]
    change: Change | None
    against: Which | None = None

    @property
    def rows(self) -> tuple[str, str]:
        """Names of the row that is compared with, and of the row itself, whatever the seed."""
        plain = self.against or (self.system, PLAIN)
        return Row(*plain, 0).name, Row(self.system, self.contrast, 0).name

    @property
    def published_change(self) -> float | None:
        """The paper's difference; None where a figure is missing."""
        plain, other = self.published
        return None if plain is None or other is None else other - plain


@dataclass(frozen=True)
class SideBySide:
    """A published table, on one of its data sets, beside the rows measured on ours.

    Attributes:
        title: of the published table; of our own, that of the plan.
        published: `paper table, data set`; empty of our own.
        data: ours.
        percent: the paper prints percent, where ours are fractions.
        lines: system by system, contrast by contrast.
        signatures: of the rows that stand in it.
        recipe: how these rows were trained.
        notes: what a reader must know.
        folds: whether the rows are over folds in place of seeds, which are scored as one.
    """

    title: str
    published: str
    data: str
    percent: bool
    lines: tuple[SystemLine, ...]
    signatures: tuple[str, ...]
    recipe: str
    notes: tuple[str, ...]
    folds: bool = False

    @property
    def tests(self) -> int:
        """How many p-values Holm's correction is over."""
        return sum(line.change is not None and math.isfinite(line.change.difference.p) for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{name: getattr(self, name) for name in ("title", "published", "data", "percent", "recipe", "tests")},
            "signatures": list(self.signatures),
            "notes": list(self.notes),
            "lines": [_plain(line) for line in self.lines],
        }


def side_by_side(
    task: Task,
    places: Places,
    *,
    seeds: Sequence[int] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[SideBySide]:
    """Return every published table of the plan beside what is recorded of it.

    Before them stands a table of our own where the plan compares systems and any of them is recorded.

    Args:
        task: the experiment on one source of data.
        places: where records and study tables are.
        seeds: training seeds that count; by default all that are recorded.
        replicates: draws of patients.
        seed: of the draws.

    Raises:
        DatasetError: a record or a study table is not of this version.
        UnknownNameError: the plan names a published table, column or score that is not there.
    """
    drawn = {"replicates": replicates, "seed": seed}
    rows = recorded_rows(task, places, seeds or places.seeds(task), drawn=drawn)
    own = [_own(task, rows)] if any(rows.have(pair) for pair in system_pairs(task)) else []
    return [*own, *(_part(task, part, rows) for part in task.plan.published)]


def _own(task: Task, rows: RecordedRows) -> SideBySide:
    """Return the systems that the plan compares, in the scores that its rows are judged by."""
    scores = {name: name for name in task.plan.judging.compared}
    pairs = [pair for pair in system_pairs(task) if rows.have(pair)]
    lines = [line for pair in pairs for line in _lines(pair, scores, (None, None), rows)]
    return SideBySide(
        title=task.plan.title,
        published="",
        data=task.data,
        percent=False,
        lines=tuple(_corrected([line for line in lines if line.change is not None])),
        signatures=tuple(sorted(set(rows.signatures.values()))),
        recipe=task.plan.recipe,
        notes=(*_variants(task), *_encoder(task)),
        folds=rows.folds,
    )


def _part(task: Task, part: PublishedPart, rows: RecordedRows) -> SideBySide:
    printed = published_table(task.plan.paper, part.table)
    lines: list[SystemLine] = []
    plain: set[Which] = set()
    systems = _printed_systems(task, part, printed)
    for pair in (*contrast_pairs(task), *system_pairs(task)):
        if pair.other[0] in systems or pair.plain[0] in systems:
            figures = [_printed(printed, part, *row) for row in (pair.plain, pair.other)]
            found = _lines(pair, _scores(pair, printed, part, rows), _both(figures), rows)
            lines += [line for line in found if _says_something(line, alone=pair.plain not in plain)]
            plain.add(pair.plain)
    return SideBySide(
        title=printed.title,
        published=f"{printed.paper} {printed.name}, {part.title}",
        data=task.data,
        percent=printed.percent,
        lines=tuple(_corrected(lines)),
        signatures=tuple(sorted(set(rows.signatures.values()))),
        recipe=task.plan.recipe,
        notes=(*_variants(task), _levels(task, part), *_encoder(task), *printed.notes),
        folds=rows.folds,
    )


def _printed_systems(task: Task, part: PublishedPart, printed: PublishedTable) -> list[str]:
    """Return the systems of which the table prints a row on that data set, with or without contrast."""
    return [
        system
        for system in task.systems
        if any(_printed(printed, part, *which) is not None for which in task.which if which[0] == system)
    ]


def _says_something(line: SystemLine, *, alone: bool) -> bool:
    """Return True where the row with contrast has a figure.

    True also where the plain row has one and stands in no other line.
    """
    plain, other = zip(line.published, line.measured, strict=True)
    return any(figure is not None for figure in (*other, *(plain if alone else ())))


def _scores(pair: Pair, printed: PublishedTable, part: PublishedPart, rows: RecordedRows) -> dict[str, str | None]:
    """Return our score for each metric of the table: the first candidate that every row of the pair has."""
    tables = [table for row in (pair.plain, pair.other) for table in rows.scored(row)]
    known = [set(statistics(table)) for table in tables]
    return {metric: _score_of(metric, part, known) for metric in printed.metrics}


def _lines(
    pair: Pair,
    scores: Mapping[str, str | None],
    printed: tuple[PublishedRow | None, PublishedRow | None],
    rows: RecordedRows,
) -> list[SystemLine]:
    """Return one line per metric, whose score of ours is in `scores`."""
    both = (pair.plain, pair.other)
    wanted = [score for score in scores.values() if score is not None]
    tables = [rows.scored(row) for row in both]
    means = [seed_means(found, wanted, **rows.drawn) if found else {} for found in tables]
    changes = _changes(rows, pair, wanted)
    return [
        SystemLine(
            system=pair.other[0],
            contrast=pair.other[1],
            metric=metric,
            score=score,
            published=_both(None if row is None else row.value(metric) for row in printed),
            measured=_both(
                RowScore(found[score], rows.seeds(row)) if score in found else None
                for row, found in zip(both, means, strict=True)
            ),
            change=changes.get(score or ""),
            against=pair.against,
        )
        for metric, score in scores.items()
    ]


def _both(values: Iterable[Any]) -> tuple[Any, Any]:
    first, second = values
    return first, second


def _changes(rows: RecordedRows, pair: Pair, names: Sequence[str]) -> dict[str, Change]:
    """Return what each score changed.

    Nothing where no seed has both rows.  Holm's correction comes later.
    """
    seeds = rows.alike(pair)
    if not seeds:
        return {}
    other, plain = (rows.of(row, seeds) for row in (pair.other, pair.plain))
    found = (fold_differences if rows.folds else seed_differences)(other, plain, names, **rows.drawn)
    return {name: Change(difference, seeds, math.nan) for name, difference in found.items()}


def _corrected(lines: Sequence[SystemLine]) -> list[SystemLine]:
    """Return the lines with Holm's correction over every test of the table."""
    tested = {str(k): line.change.difference.p for k, line in enumerate(lines) if line.change is not None}
    adjusted = holm(tested)
    return [
        line if line.change is None else replace(line, change=replace(line.change, p_holm=adjusted[str(k)]))
        for k, line in enumerate(lines)
    ]


def _score_of(metric: str, part: PublishedPart, known: Sequence[set[str]]) -> str | None:
    """Return our score for a published metric: the first of its candidates that every row has."""
    candidates = part.scores.get(metric) or _of_finding(metric, part.score) or SCORES.get(metric)
    if candidates is None:
        raise UnknownNameError("published metric with a score of ours", metric, SCORES)
    return next((name for name in candidates if known and all(name in found for found in known)), None)


def _of_finding(metric: str, score: str | None) -> tuple[str, ...]:
    """Return our score for a column of a table with one for each finding, named as NIH does, and their `mean`."""
    if score is None:
        return ()
    if metric == "mean":
        return ("auc_mean" if score == "auc" else score,)
    return (f"{score}/{from_nih(metric)}",)


def _printed(printed: PublishedTable, part: PublishedPart, system: str, contrast: str) -> PublishedRow | None:
    columns = printed.rows[0].keys
    if contrast not in part.contrasts or (system not in part.systems and "system" not in columns):
        return None
    of_data = {"data": part.data} if "data" in columns else {}
    keys = {**of_data, **part.keys, **part.systems.get(system, {"system": system}), **part.contrasts[contrast]}
    return printed.find(**keys)


def _variants(task: Task) -> list[str]:
    """Return what contrasts are that a name such as `n4` does not say."""
    said = [f"{name} is {', '.join(settings)}" for name, settings in task.variants().items()]
    return [f"In the column `with`, {'; '.join(said)}."] if said else []


def _encoder(task: Task) -> list[str]:
    """Return what the measured rows see with, where the plan says it."""
    weights = task.of_data.encoder
    if weights is None:
        return []
    return [f"The encoder of every measured row is {Path(weights).stem} ({Path(weights).parent.name}), frozen."]


def _levels(task: Task, part: PublishedPart) -> str:
    said = f"Published on {part.data}, measured on {task.data}: other pictures, "
    if task.plan.judging.places:
        return (
            f"{said}boxes and findings, so the levels are not comparable. The published mean is over the paper's "
            "findings, ours over those with boxes on enough of our images."
        )
    return (
        f"{said}reports and sizes, so the levels are not "
        "comparable; the differences that contrast makes are what to look at."
    )


def _plain(line: SystemLine) -> dict[str, Any]:
    change = line.change
    return {
        **{name: getattr(line, name) for name in ("system", "contrast", "metric", "score")},
        **({"against": line.rows[0]} if line.against is not None else {}),
        "published": list(line.published),
        "measured": [None if m is None else {**m.score.to_dict(), "seeds": list(m.seeds)} for m in line.measured],
        "published_change": line.published_change,
        "change": None if change is None else _plain_change(change),
    }


def _plain_change(change: Change) -> dict[str, Any]:
    found = change.difference
    ends = {name: _finite(getattr(found, name)) for name in ("value", "low", "high", "p")}
    patients = {name: _finite(getattr(found.patients, name)) for name in ("low", "high")}
    return {
        **ends,
        "p_holm": _finite(change.p_holm),
        "seeds": list(change.seeds),
        "by_seed": [_finite(value) for value in found.by_seed],
        "patients": {**patients, "n": found.patients.n},
    }


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
