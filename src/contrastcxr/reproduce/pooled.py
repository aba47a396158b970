"""Rows pooled over seeds: mean and deviation, paired differences to plain and to the controls, and what follows.

What is concluded is a rule over intervals, so that nobody's wish has a say: contrast *helped* on a score only
when it is above the plain system and above both controls, each with the whole 95% interval of the paired
difference.  Without controls no more is said than that it is *above plain*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from contrastcxr.metrics.bootstrap import REPLICATES, Interval
from contrastcxr.metrics.contrast_claim import Claim, compare_ratios, swap_share
from contrastcxr.metrics.scores import Score, differences, seed_means
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.plan import BASELINES, CONTRAST, PLAIN
from contrastcxr.reproduce.record import Record, read_record

PRIMARY = "positive_f1"
"""The score that decides, named before any row was run: findings of the report, which words alone cannot win."""
COMPARED = (PRIMARY, "auc_mean", "bleu_4", "cider", "rouge_l")
SHOWN = (*COMPARED, "meteor")
"""Scores whose intervals over patients stand in tables."""
CONTROLS = ("random", "zeros")

Tables = Mapping[tuple[str, int], StudyTable]
"""By row, whatever the seed, and seed."""
Outcome = Literal["helped", "as a control", "above plain", "no difference", "harmed", "unknown"]


@dataclass(frozen=True)
class Mean:
    """One score of one row over its seeds."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class ContrastEffect:
    """What contrast changed for one decoder: differences by score, to the plain system and to each control.

    Attributes:
        system: the decoder.
        seeds: contrast of the other row: the seeds that both rows have.
        over: contrast of the other row: score: paired difference over those seeds.
    """

    system: str
    seeds: Mapping[str, tuple[int, ...]]
    over: Mapping[str, Mapping[str, Interval]]

    def outcome(self, score: str = PRIMARY) -> Outcome:
        """Return what the intervals say of one score."""
        found = {other: changes[score] for other, changes in self.over.items() if score in changes}
        if PLAIN not in found:
            return "unknown"
        if found[PLAIN].high < 0:
            return "harmed"
        if not found[PLAIN].low > 0:
            return "no difference"
        if any(control not in found for control in CONTROLS):
            return "above plain"
        return "helped" if all(found[control].low > 0 for control in CONTROLS) else "as a control"


@dataclass(frozen=True)
class TwinRow:
    """The claim on twins for one row, over its seeds."""

    row: str
    claim: Claim | None
    swapped: Interval


@dataclass(frozen=True, eq=False)
class Pooled:
    """All rows of an experiment on one source of data."""

    data: str
    records: tuple[Record, ...]
    means: Mapping[str, Mapping[str, Mean]]
    comparisons: tuple[ContrastEffect, ...]
    twins: tuple[TwinRow, ...]
    intervals: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """Row: score: mean over seeds with its 95% interval over patients, of the trained rows."""

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


def pool(paths: Iterable[Path], *, replicates: int = REPLICATES, seed: int = 0) -> Pooled | None:
    """Pool records on the same data, each with its study table beside it; None where there are none.

    Raises:
        DatasetError: a file that is not of this version.
    """
    found = sorted(((read_record(path), path) for path in paths), key=lambda each: (each[0].row, each[0].seed))
    if not found:
        return None
    records = tuple(record for record, _ in found)
    tables = {
        (record.row, record.seed): StudyTable.load(path.with_suffix(".npz"))
        for record, path in found
        if record.row != BASELINES
    }
    systems = list(dict.fromkeys(row.partition("-")[0] for row, _ in tables))
    drawn = {"replicates": replicates, "seed": seed}
    return Pooled(
        data=records[0].data,
        records=records,
        means=_means(records),
        comparisons=tuple(_compared(name, tables, drawn) for name in systems),
        twins=tuple(_twins(records, drawn)),
        intervals=_intervals(tables, drawn),
    )


def _intervals(tables: Tables, drawn: Mapping[str, int]) -> dict[str, Mapping[str, Score]]:
    """Return the scores that tables show, of each trained row over its seeds."""
    rows: dict[str, list[StudyTable]] = {}
    for (row, _), table in tables.items():
        rows.setdefault(row, []).append(table)
    return {row: seed_means(found, SHOWN, **drawn) for row, found in rows.items()}


def sentence(pools: Sequence[Pooled]) -> str:
    """Return one plain sentence that says whether contrast helped.

    It follows from the intervals of the primary score.
    """
    found = [(p.data, c.system, c.outcome()) for p in pools for c in p.comparisons]
    known = [(data, system, outcome) for data, system, outcome in found if outcome != "unknown"]
    if not known:
        return "No setting has rows without and with contrast yet, so whether contrast helps is not known."
    parts = [f"{_MEANS[outcome]} with {_places(known, outcome)}" for outcome in _MEANS if _has(known, outcome)]
    helped = sum(outcome == "helped" for *_, outcome in known)
    lead = "Contrast helped" if helped == len(known) else f"Contrast helped in {helped} of {len(known)} settings"
    if helped == 0:
        open_ = any(outcome == "above plain" for *_, outcome in known)
        lead = "Contrast is not shown to help" if open_ else "Contrast did not help"
    said = f"{lead} (positive-finding F1, paired over seeds): it {'; it '.join(parts)}."
    doubts = [doubt for p in pools for c in p.comparisons for doubt in _doubts(p, c)]
    return " ".join([said, *doubts])


def _doubts(pooled: Pooled, comparison: ContrastEffect) -> list[str]:
    """Return what speaks against a help or harm that the intervals over patients show.

    It may be the spread over seeds, or a baseline.
    """
    outcome = comparison.outcome()
    if outcome not in ("helped", "above plain", "harmed"):
        return []
    place, change = f"{comparison.system} on {pooled.data}", comparison.over[PLAIN][PRIMARY].value
    rows = [pooled.means.get(f"{comparison.system}-{contrast}", {}).get(PRIMARY) for contrast in (CONTRAST, PLAIN)]
    spread = max((row.deviation for row in rows if row is not None and row.deviation is not None), default=0.0)
    neighbour = pooled.means.get("neighbour", {}).get(PRIMARY)
    doubts = []
    if len(comparison.seeds[PLAIN]) == 1:
        doubts.append(f"With {place} one seed was run: how much another would change is not known.")
    elif spread >= abs(change):
        moved = "loss" if outcome == "harmed" else "gain"
        doubts.append(
            f"With {place} the {moved} of {abs(change):.3f} is no larger than the deviation over seeds "
            f"({spread:.3f}): other seeds may not show it."
        )
    if outcome != "harmed" and rows[0] is not None and neighbour is not None and neighbour.mean >= rows[0].mean:
        doubts.append(
            f"With {place} the nearest neighbour scores {neighbour.mean:.3f}, no less than contrast's "
            f"{rows[0].mean:.3f}."
        )
    return doubts


_MEANS: Mapping[Outcome, str] = {
    "helped": "was above the plain system and above both control pools",
    "as a control": "was above the plain system, but not above both control pools",
    "above plain": "was above the plain system, where no control was run",
    "no difference": "showed no difference to the plain system",
    "harmed": "was below the plain system",
}


def _has(known: Sequence[tuple[str, str, Outcome]], outcome: Outcome) -> bool:
    return any(found == outcome for *_, found in known)


def _places(known: Sequence[tuple[str, str, Outcome]], outcome: Outcome) -> str:
    return ", ".join(f"{system} on {data}" for data, system, found in known if found == outcome)


def _means(records: Sequence[Record]) -> dict[str, dict[str, Mean]]:
    """Return the means over seeds by row; the baselines' systems are rows of their own."""
    rows: dict[str, list[Mapping[str, float]]] = {}
    for record in records:
        for system, scores in record.systems.items():
            name = record.row if system == "system" else system
            values = {key: score["value"] for key, score in scores.items() if score["value"] is not None}
            rows.setdefault(name, []).append(values)
    return {name: _mean_scores(seeds) for name, seeds in rows.items()}


def _mean_scores(seeds: Sequence[Mapping[str, float]]) -> dict[str, Mean]:
    shared = [key for key in seeds[0] if all(key in values for values in seeds)]
    return {key: _mean([values[key] for values in seeds]) for key in shared}


def _mean(values: Sequence[float]) -> Mean:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Mean(float(np.mean(values)), deviation, len(values))


def _compared(system: str, tables: Tables, drawn: Mapping[str, int]) -> ContrastEffect:
    def seeds_of(contrast: str) -> set[int]:
        return {number for row, number in tables if row == f"{system}-{contrast}"}

    def tables_of(contrast: str, seeds: Sequence[int]) -> list[StudyTable]:
        return [tables[f"{system}-{contrast}", number] for number in seeds]

    both = {name: tuple(sorted(seeds_of(name) & seeds_of(CONTRAST))) for name in (PLAIN, *CONTROLS)}
    shared = {name: seeds for name, seeds in both.items() if seeds}
    over = {
        name: differences(tables_of(CONTRAST, seeds), tables_of(name, seeds), COMPARED, **drawn)
        for name, seeds in shared.items()
    }
    return ContrastEffect(system, shared, over)


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
    if all("difference" in twins["ratios"] for twins in kept):
        parts = {name: [_numbers(twins["ratios"][name]) for twins in kept] for name in ("pooled", "difference")}
        claim = compare_ratios(parts["pooled"], parts["difference"], **drawn)
    return TwinRow(row, claim, swap_share(sides, **drawn))


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.asarray([np.nan if value is None else value for value in values], np.float64)
