"""A published table beside the measured rows: what the paper prints, what was measured, and what contrast changed.

The paper's data are mostly not ours, so levels are not compared; what can be looked at side by side is what
contrast changes: the paper's difference, and ours with its paired 95% bootstrap interval and the p-value of
approximate randomisation, corrected by Holm over all tests of the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from contrastcxr.errors import UnknownNameError
from contrastcxr.metrics.bootstrap import REPLICATES, Interval
from contrastcxr.metrics.scores import Score, differences, seed_means, statistics
from contrastcxr.metrics.significance import SHUFFLES, holm, randomisation_over_seeds
from contrastcxr.metrics.table import StudyTable
from contrastcxr.published import PublishedRow, PublishedTable, published_table
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import PLAIN, PublishedPart, Row, Task
from contrastcxr.reproduce.record import read_record

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
    """What contrast changed: the difference to the plain row on the same seeds and patients, and its p-values."""

    difference: Interval
    seeds: tuple[int, ...]
    p: float
    p_holm: float


@dataclass(frozen=True)
class SystemLine:
    """One metric of one system with one contrast, beside the same system without.

    Attributes:
        system: our name.
        contrast: of the row that is compared with the plain one.
        metric: as the paper calls it.
        score: as we call it; None where no row has it.
        published: what the paper prints of the plain row and of the other; None where it prints nothing.
        measured: likewise; None where nothing is recorded.
        change: None unless both rows are recorded on a shared seed, scored alike.
    """

    system: str
    contrast: str
    metric: str
    score: str | None
    published: tuple[float | None, float | None]
    measured: tuple[RowScore | None, RowScore | None]
    change: Change | None

    @property
    def published_change(self) -> float | None:
        """The paper's difference; None where a figure is missing."""
        plain, other = self.published
        return None if plain is None or other is None else other - plain


@dataclass(frozen=True)
class SideBySide:
    """A published table, on one of its data sets, beside the rows measured on ours.

    Attributes:
        title: of the published table.
        published: `paper table, data set`.
        data: ours.
        percent: the paper prints percent, where ours are fractions.
        lines: system by system, contrast by contrast.
        signatures: of the rows that stand in it.
        notes: what a reader must know.
    """

    title: str
    published: str
    data: str
    percent: bool
    lines: tuple[SystemLine, ...]
    signatures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def tests(self) -> int:
        """How many p-values Holm's correction is over."""
        return sum(line.change is not None and math.isfinite(line.change.p) for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{name: getattr(self, name) for name in ("title", "published", "data", "percent", "tests")},
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
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> list[SideBySide]:
    """Return every published table of the plan beside what is recorded of it.

    Args:
        task: the experiment on one source of data.
        places: where records and study tables are.
        seeds: training seeds that count; by default those of the plan.
        replicates: of the paired bootstrap.
        shuffles: of the approximate randomisation.
        seed: of both.

    Raises:
        DatasetError: a record or a study table is not of this version.
        UnknownNameError: the plan names a published table, column or score that is not there.
    """
    drawn = {"replicates": replicates, "seed": seed}
    rows = _Rows(*_recorded(task, places, seeds or task.plan.seeds), drawn, shuffles)
    return [_part(task, part, rows) for part in task.plan.published]


Key = tuple[str, str, int]
"""System, contrast and seed."""


def _recorded(task: Task, places: Places, seeds: Sequence[int]) -> tuple[dict[Key, StudyTable], dict[Key, str]]:
    """Return the study tables and signatures of the recorded rows."""
    tables, signatures = {}, {}
    for key in product(task.systems, task.contrasts, seeds):
        path = places.found(task, Row(*key))
        if path is not None:
            # No published table of a plan has an AUC of probabilities, which costs most to compute.
            tables[key] = replace(StudyTable.load(path.with_suffix(".npz")), probabilities=None)
            signatures[key] = read_record(path).signature
    return tables, signatures


@dataclass(frozen=True)
class _Rows:
    """Study tables and signatures of the recorded rows, and how much is drawn for intervals and tests of them."""

    tables: Mapping[Key, StudyTable]
    signatures: Mapping[Key, str]
    drawn: Mapping[str, int]
    shuffles: int

    def seeds(self, system: str, contrast: str) -> tuple[int, ...]:
        return tuple(number for s, c, number in self.tables if (s, c) == (system, contrast))

    def of(self, system: str, contrast: str, seeds: Iterable[int]) -> list[StudyTable]:
        return [self.tables[system, contrast, number] for number in seeds]

    def alike(self, system: str, one: str, other: str) -> tuple[int, ...]:
        """Return the seeds on which both rows are recorded and were scored alike."""
        signed = self.signatures
        return tuple(
            number
            for number in self.seeds(system, one)
            if signed[system, one, number] == signed.get((system, other, number))
        )


def _part(task: Task, part: PublishedPart, rows: _Rows) -> SideBySide:
    printed = published_table(task.plan.paper, part.table)
    lines: list[SystemLine] = []
    others = [contrast for contrast in task.contrasts if contrast != PLAIN]
    for system in _printed_systems(task, part, printed):
        for contrast in others:
            found = _lines(system, contrast, printed, part, rows)
            lines += [line for line in found if _says_something(line, alone=contrast == others[0])]
    return SideBySide(
        title=printed.title,
        published=f"{printed.paper} {printed.name}, {part.data}",
        data=task.data,
        percent=printed.percent,
        lines=tuple(_corrected(lines)),
        signatures=tuple(sorted(set(rows.signatures.values()))),
        notes=(*_variants(task), _levels(part.data, task.data), *_encoder(task), *printed.notes),
    )


def _printed_systems(task: Task, part: PublishedPart, printed: PublishedTable) -> list[str]:
    """Return the systems of which the table prints a row on that data set, with or without contrast."""
    return [
        system
        for system in task.systems
        if any(_printed(printed, part, system, contrast) is not None for contrast in task.contrasts)
    ]


def _says_something(line: SystemLine, *, alone: bool) -> bool:
    """Return True where the row with contrast has a figure.

    True also where the plain row has one and stands in no other line.
    """
    plain, other = zip(line.published, line.measured, strict=True)
    return any(figure is not None for figure in (*other, *(plain if alone else ())))


def _lines(
    system: str, contrast: str, printed: PublishedTable, part: PublishedPart, rows: _Rows
) -> list[SystemLine]:
    """Return one line per metric of the table."""
    pair = [rows.of(system, name, rows.seeds(system, name)) for name in (PLAIN, contrast)]
    known = [set(statistics(table)) for tables in pair for table in tables]
    scores = {metric: _score_of(metric, part, known) for metric in printed.metrics}
    wanted = [score for score in scores.values() if score is not None]
    means = [seed_means(tables, wanted, **rows.drawn) if tables else {} for tables in pair]
    changes = _changes(rows, system, contrast, wanted)
    figures = [_printed(printed, part, system, name) for name in (PLAIN, contrast)]
    return [
        SystemLine(
            system=system,
            contrast=contrast,
            metric=metric,
            score=score,
            published=_both(None if row is None else row.value(metric) for row in figures),
            measured=_both(
                RowScore(found[score], rows.seeds(system, name)) if score in found else None
                for name, found in zip((PLAIN, contrast), means, strict=True)
            ),
            change=changes.get(score or ""),
        )
        for metric, score in scores.items()
    ]


def _both(values: Iterable[Any]) -> tuple[Any, Any]:
    first, second = values
    return first, second


def _changes(rows: _Rows, system: str, contrast: str, names: Sequence[str]) -> dict[str, Change]:
    """Return what contrast changed in each score.

    Nothing where no seed has both rows.  Holm's correction comes later.
    """
    seeds = rows.alike(system, PLAIN, contrast)
    if not seeds:
        return {}
    other, plain = (rows.of(system, name, seeds) for name in (contrast, PLAIN))
    intervals = differences(other, plain, names, **rows.drawn)
    p = randomisation_over_seeds(other, plain, names, shuffles=rows.shuffles, seed=rows.drawn["seed"])
    return {name: Change(found, seeds, p[name], math.nan) for name, found in intervals.items() if name in p}


def _corrected(lines: Sequence[SystemLine]) -> list[SystemLine]:
    """Return the lines with Holm's correction over every test of the table."""
    tested = {str(k): line.change.p for k, line in enumerate(lines) if line.change is not None}
    adjusted = holm(tested)
    return [
        line if line.change is None else replace(line, change=replace(line.change, p_holm=adjusted[str(k)]))
        for k, line in enumerate(lines)
    ]


def _score_of(metric: str, part: PublishedPart, known: Sequence[set[str]]) -> str | None:
    """Return our score for a published metric: the first of its candidates that every row has."""
    candidates = part.scores.get(metric) or SCORES.get(metric)
    if candidates is None:
        raise UnknownNameError("published metric with a score of ours", metric, SCORES)
    return next((name for name in candidates if known and all(name in found for found in known)), None)


def _printed(printed: PublishedTable, part: PublishedPart, system: str, contrast: str) -> PublishedRow | None:
    if contrast not in part.contrasts:
        return None
    keys = {"data": part.data, **part.systems.get(system, {"system": system}), **part.contrasts[contrast]}
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


def _levels(published: str, ours: str) -> str:
    return (
        f"Published on {published}, measured on {ours}: other pictures, reports and sizes, so the levels are not "
        "comparable; the differences that contrast makes are what to look at."
    )


def _plain(line: SystemLine) -> dict[str, Any]:
    change = line.change
    return {
        **{name: getattr(line, name) for name in ("system", "contrast", "metric", "score")},
        "published": list(line.published),
        "measured": [None if m is None else {**m.score.to_dict(), "seeds": list(m.seeds)} for m in line.measured],
        "published_change": line.published_change,
        "change": None
        if change is None
        else {
            **{k: v if isinstance(v, int) else _finite(v) for k, v in vars(change.difference).items()},
            "seeds": list(change.seeds),
            "p": _finite(change.p),
            "p_holm": _finite(change.p_holm),
        },
    }


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
