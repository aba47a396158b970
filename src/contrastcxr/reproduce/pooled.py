"""Rows pooled over seeds: mean and deviation, paired differences to plain, to controls and to other systems."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from contrastcxr.errors import RequestError
from contrastcxr.metrics.bootstrap import REPLICATES, Interval, plain_weights
from contrastcxr.metrics.contrast_claim import Claim, compare_ratios, pair_of, swap_share
from contrastcxr.metrics.folds import joined
from contrastcxr.metrics.lengths import Lengths
from contrastcxr.metrics.scores import Score, seed_means, statistics
from contrastcxr.metrics.seeds import SeedDifference, fold_differences, seed_differences
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.effects import CONTROLS, ContrastEffect, SystemEffect
from contrastcxr.reproduce.judging import WORDS, Judging
from contrastcxr.reproduce.places import baseline_table
from contrastcxr.reproduce.plan import BASELINES, CONTRAST, PLAIN, Crossed
from contrastcxr.reproduce.record import GEOMETRY, VOTES, Record, read_record, table_beside

Tables = Mapping[tuple[str, int], StudyTable]
"""By row, whatever the seed, and seed."""
Differ = Callable[..., dict[str, SeedDifference]]
"""How two rows are compared, score by score: over seeds, or over folds that are scored as one."""


def by_votes(row: str) -> str:
    """Return the name of a row's second line, whose reports are chosen by votes."""
    return f"{row} by votes"


def by_geometry(row: str) -> str:
    """Return the name of a row's second line, whose attributes are words of its first box by rule."""
    return f"{row} by geometry"


_BESIDE: Mapping[str, Callable[[str], str]] = {VOTES: by_votes, GEOMETRY: by_geometry}
"""Names of second lines, by system of a record."""


@dataclass(frozen=True)
class Mean:
    """One score of one row over its seeds."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class TwinRow:
    """The claim on twins for one row, over its seeds, and the two that it compares (`contrast_claim.PAIRS`)."""

    row: str
    claim: Claim | None
    swapped: Interval
    pair: tuple[str, str] | None


@dataclass(frozen=True, eq=False)
class Pooled:
    """All rows of an experiment on one source of data."""

    data: str
    records: tuple[Record, ...]
    means: Mapping[str, Mapping[str, Mean]]
    comparisons: tuple[ContrastEffect, ...]
    twins: tuple[TwinRow, ...]
    intervals: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """Row: score: mean over seeds with its 95% interval over patients, of rows whose study tables are kept."""
    effects: tuple[SystemEffect, ...] = ()
    """What systems changed against others, where the plan compares some."""
    votes: tuple[ContrastEffect, ...] = ()
    """What contrast changed in reports that are chosen by votes, of decoders whose rows have them."""
    judging: Judging = WORDS
    folds: bool = False
    """Whether rows are over folds: a figure is that of the studies of all of them together."""
    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    """Row: words of each reference and each report, one seed or fold behind another, of rows that write."""

    @property
    def recipe(self) -> str:
        """How all rows were trained."""
        return self.records[0].recipe

    @property
    def signatures(self) -> tuple[str, ...]:
        """What the rows' figures are comparable with, each once."""
        return tuple(dict.fromkeys(record.signature for record in self.records))

    @property
    def trained_signatures(self) -> tuple[str, ...]:
        """Likewise of the trained rows alone."""
        return tuple(dict.fromkeys(record.signature for record in self.records if record.row != BASELINES))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with at least one trained row."""
        return tuple(sorted({record.seed for record in self.records if record.row != BASELINES}))


def pool(
    paths: Iterable[Path],
    *,
    judging: Judging = WORDS,
    compared: Iterable[tuple[str, str]] = (),
    crossed: Iterable[Crossed] = (),
    folds: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Pooled | None:
    """Pool records on the same data, each with its study table beside it; None where there are none.

    Args:
        paths: of the records.
        judging: the scores that decide.
        compared: names of rows, and of the one that each is compared with.
        crossed: names of rows of two changes with and without each other.
        folds: whether the records of a row are of folds, which are scored as one, in comparisons too.
        replicates: of the bootstrap.
        seed: of its draws.

    Raises:
        DatasetError: a file that is not of this version.
        RequestError: the records are of two recipes.
    """
    found = sorted(((read_record(path), path) for path in paths), key=lambda each: (each[0].row, each[0].seed))
    if not found:
        return None
    records = tuple(record for record, _ in found)
    _check_recipes(found)
    tables = {
        (record.row, record.seed): StudyTable.load(path.with_suffix(".npz"))
        for record, path in found
        if record.row != BASELINES
    }
    beside = {system: _tables_beside(found, system) for system in _BESIDE}
    drawn = {"replicates": replicates, "seed": seed}
    differ = partial(fold_differences if folds else seed_differences, replicates=replicates, seed=seed)
    named = {
        (_BESIDE[system](row), number): table
        for system, of in beside.items()
        for (row, number), table in of.items()
    }
    every = _by_row({**_baseline_tables(found), **tables, **named}, folds=folds)
    return Pooled(
        data=records[0].data,
        records=records,
        means=_over_folds(every, tables) if folds else _means(records),
        comparisons=_compared(tables, judging, differ),
        twins=tuple(_twins(records, drawn)),
        intervals={row: seed_means(of, judging.shown, **drawn) for row, of in every.items()},
        effects=(
            *_effects(records, tables, compared, judging, differ),
            *_crossings(records, tables, crossed, judging, differ),
        ),
        votes=_compared(beside[VOTES], judging, differ),
        judging=judging,
        folds=folds,
        lengths=_lengths(every),
    )


def _check_recipes(found: Sequence[tuple[Record, Path]]) -> None:
    of = {record.recipe: path for record, path in found}
    if len(of) > 1:
        said = " and ".join(f"'{recipe}' ({path})" for recipe, path in sorted(of.items()))
        raise RequestError(
            f"records of several recipes, {said}, are not pooled; pool those of one recipe at a time"
        )


def _tables_beside(found: Iterable[tuple[Record, Path]], system: str) -> dict[tuple[str, int], StudyTable]:
    """Return the study tables of another system of rows, of those that have it."""
    return {
        (record.row, record.seed): StudyTable.load(table_beside(path, system))
        for record, path in found
        if record.row != BASELINES and system in record.systems
    }


def _baseline_tables(found: Iterable[tuple[Record, Path]]) -> dict[tuple[str, int], StudyTable]:
    """Return the study tables of the baselines, of experiments that keep them."""
    places = {
        (name, record.seed): baseline_table(path, name)
        for record, path in found
        if record.row == BASELINES
        for name in record.systems
    }
    return {key: StudyTable.load(path) for key, path in places.items() if path.is_file()}


def _by_row(tables: Tables, *, folds: bool) -> dict[str, list[StudyTable]]:
    """Return the tables of each row that its figures are means over: one a seed, or one of all folds."""
    rows: dict[str, list[StudyTable]] = {}
    for (row, _), table in tables.items():
        rows.setdefault(row, []).append(table)
    return {row: [joined(found)] if folds else found for row, found in rows.items()}


def _lengths(rows: Mapping[str, Sequence[StudyTable]]) -> dict[str, Lengths]:
    found = {row: [table.lengths for table in of if table.lengths is not None] for row, of in rows.items()}
    return {
        row: (np.concatenate([wanted for wanted, _ in of]), np.concatenate([written for _, written in of]))
        for row, of in found.items()
        if of
    }


def _over_folds(rows: Mapping[str, Sequence[StudyTable]], tables: Tables) -> dict[str, dict[str, Mean]]:
    """Return every score of each row on the studies of all its folds; it has no deviation."""
    found: dict[str, dict[str, Mean]] = {}
    for row, (table,) in rows.items():
        count = max(1, sum(name == row for name, _ in tables))
        values = {name: float(s(plain_weights(len(table)))[0]) for name, s in statistics(table).items()}
        found[row] = {name: Mean(value, None, count) for name, value in values.items() if math.isfinite(value)}
    return found


def _effects(
    records: Sequence[Record],
    tables: Tables,
    compared: Iterable[tuple[str, str]],
    judging: Judging,
    differ: Differ,
) -> list[SystemEffect]:
    """Return what rows changed against others, where both were scored alike."""
    found = []
    for row, other in compared:
        if seeds := _seeds_alike(records, (row, other)):
            one, two = ([tables[name, number] for number in seeds] for name in (row, other))
            over = differ(one, two, judging.compared)
            found.append(SystemEffect(row, other, seeds, over, judging))
    return found


def _crossings(
    records: Sequence[Record],
    tables: Tables,
    crossed: Iterable[Crossed],
    judging: Judging,
    differ: Differ,
) -> list[SystemEffect]:
    """Return what a change does beside another one against what it does alone, where all were scored alike."""
    found = []
    for rows in crossed:
        if seeds := _seeds_alike(records, rows):
            both, first, second, neither = ([tables[name, number] for number in seeds] for name in rows)
            over = differ(both, first, judging.compared, beyond=(second, neither))
            added = [f"{more} adds to {less}" for more, less in (rows[:2], rows[2:])]
            found.append(SystemEffect(f"what {added[0]}", f"what {added[1]}", seeds, over, judging))
    return found


def _seeds_alike(records: Sequence[Record], rows: Sequence[str]) -> tuple[int, ...]:
    """Return the seeds on which all rows were scored alike."""
    signed = {(record.row, record.seed): record.signature for record in records}
    of_first = sorted(number for name, number in signed if name == rows[0])
    return tuple(n for n in of_first if all(signed.get((row, n)) == signed[rows[0], n] for row in rows))


def _means(records: Sequence[Record]) -> dict[str, dict[str, Mean]]:
    """Return the means over seeds by row; the baselines' systems are rows of their own."""
    rows: dict[str, list[Mapping[str, float]]] = {}
    for record in records:
        for system, scores in record.systems.items():
            name = _name(record, system)
            values = {key: score["value"] for key, score in scores.items() if score["value"] is not None}
            rows.setdefault(name, []).append(values)
    return {name: _mean_scores(seeds) for name, seeds in rows.items()}


def _name(record: Record, system: str) -> str:
    """Return the name of the row that a system of a record stands in."""
    if record.row == BASELINES:
        return system
    return _BESIDE[system](record.row) if system in _BESIDE else record.row


def _mean_scores(seeds: Sequence[Mapping[str, float]]) -> dict[str, Mean]:
    shared = [key for key in seeds[0] if all(key in values for values in seeds)]
    return {key: _mean([values[key] for values in seeds]) for key in shared}


def _mean(values: Sequence[float]) -> Mean:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Mean(float(np.mean(values)), deviation, len(values))


def _compared(tables: Tables, judging: Judging, differ: Differ) -> tuple[ContrastEffect, ...]:
    systems = dict.fromkeys(row.partition("-")[0] for row, _ in tables)
    return tuple(_effect(system, tables, judging, differ) for system in systems)


def _effect(system: str, tables: Tables, judging: Judging, differ: Differ) -> ContrastEffect:
    def seeds_of(contrast: str) -> set[int]:
        return {number for row, number in tables if row == f"{system}-{contrast}"}

    def tables_of(contrast: str, seeds: Sequence[int]) -> list[StudyTable]:
        return [tables[f"{system}-{contrast}", number] for number in seeds]

    both = {name: tuple(sorted(seeds_of(name) & seeds_of(CONTRAST))) for name in (PLAIN, *CONTROLS)}
    shared = {name: seeds for name, seeds in both.items() if seeds}
    over = {
        name: differ(tables_of(CONTRAST, seeds), tables_of(name, seeds), judging.compared)
        for name, seeds in shared.items()
    }
    return ContrastEffect(system, shared, over, judging)


def _twins(records: Sequence[Record], drawn: Mapping[str, int]) -> list[TwinRow]:
    rows: dict[str, list[Record]] = {}
    for record in records:
        if record.twins is not None:
            rows.setdefault(record.row, []).append(record)
    return [_twin_row(name, found, drawn) for name, found in rows.items()]


def _twin_row(row: str, records: Sequence[Record], drawn: Mapping[str, int]) -> TwinRow:
    kept = [record.twins for record in records if record.twins is not None]
    sides = np.sum([np.asarray(twins["sides"], np.int64) for twins in kept], axis=0)
    claim = None
    if (pair := pair_of(kept[0]["ratios"])) is not None:
        before, after = ([_numbers(twins["ratios"][name]) for twins in kept] for name in pair)
        claim = compare_ratios(before, after, **drawn)
    return TwinRow(row, claim, swap_share(sides, **drawn), pair)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.asarray([np.nan if value is None else value for value in values], np.float64)
