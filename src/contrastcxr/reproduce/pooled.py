"""Rows pooled over seeds: mean and deviation, paired differences to plain and to the controls, and what follows.

What is concluded is a rule over intervals, so that nobody's wish has a say: contrast *helped* on a score only
when it is above the plain system and above both controls, each with the whole 95% interval of the paired
difference.  Without controls no more is said than that it is *above plain*.  A system is *better* than another
one, or *worse*, where the whole interval says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from contrastcxr.metrics.bootstrap import REPLICATES, Interval
from contrastcxr.metrics.contrast_claim import Claim, compare_ratios, swap_share
from contrastcxr.metrics.scores import Score, differences, seed_means
from contrastcxr.metrics.sheet import LOWER_IS_BETTER, TRIVIAL
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.judging import WORDS, Judging
from contrastcxr.reproduce.places import baseline_table
from contrastcxr.reproduce.plan import BASELINES, CONTRAST, PLAIN
from contrastcxr.reproduce.record import Record, read_record

CONTROLS = ("random", "zeros")

Tables = Mapping[tuple[str, int], StudyTable]
"""By row, whatever the seed, and seed."""
Outcome = Literal["helped", "as a control", "above plain", "no difference", "harmed", "unknown"]
Verdict = Literal["better", "no difference", "worse", "unknown"]


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
        judging: the scores that decide.
    """

    system: str
    seeds: Mapping[str, tuple[int, ...]]
    over: Mapping[str, Mapping[str, Interval]]
    judging: Judging = WORDS

    def outcome(self, score: str = "") -> Outcome:
        """Return what the intervals say of one score, by default of the one that decides."""
        score = score or self.judging.primary
        found = {other: _gain(score, changes[score]) for other, changes in self.over.items() if score in changes}
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
    over: Mapping[str, Interval]
    judging: Judging

    def outcome(self, score: str = "") -> Verdict:
        """Return what the interval says of one score, by default of the one that decides."""
        score = score or self.judging.primary
        if score not in self.over:
            return "unknown"
        found = _gain(score, self.over[score])
        return "better" if found.low > 0 else "worse" if found.high < 0 else "no difference"


def _gain(score: str, change: Interval) -> Interval:
    """Return a difference turned so that more is better."""
    if score not in LOWER_IS_BETTER:
        return change
    return replace(change, value=-change.value, low=-change.high, high=-change.low)


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
    """Row: score: mean over seeds with its 95% interval over patients, of rows whose study tables are kept."""
    effects: tuple[SystemEffect, ...] = ()
    """What systems changed against others, where the plan compares some."""
    judging: Judging = WORDS

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
    against: Mapping[str, str] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Pooled | None:
    """Pool records on the same data, each with its study table beside it; None where there are none.

    Args:
        paths: of the records.
        judging: the scores that decide.
        against: systems, and the one that each is compared with.
        replicates: of the bootstrap.
        seed: of its draws.

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
    beside = _baseline_tables(found)
    return Pooled(
        data=records[0].data,
        records=records,
        means=_means(records),
        comparisons=tuple(_compared(name, tables, judging, drawn) for name in systems),
        twins=tuple(_twins(records, drawn)),
        intervals=_intervals({**beside, **tables}, judging, drawn),
        effects=tuple(_effects(records, tables, against or {}, judging, drawn)),
        judging=judging,
    )


def _baseline_tables(found: Iterable[tuple[Record, Path]]) -> dict[tuple[str, int], StudyTable]:
    """Return the study tables of the baselines, of experiments that keep them."""
    places = {
        (name, record.seed): baseline_table(path, name)
        for record, path in found
        if record.row == BASELINES
        for name in record.systems
    }
    return {key: StudyTable.load(path) for key, path in places.items() if path.is_file()}


def _intervals(tables: Tables, judging: Judging, drawn: Mapping[str, int]) -> dict[str, Mapping[str, Score]]:
    """Return the scores that tables show, of each row over its seeds."""
    rows: dict[str, list[StudyTable]] = {}
    for (row, _), table in tables.items():
        rows.setdefault(row, []).append(table)
    return {row: seed_means(found, judging.shown, **drawn) for row, found in rows.items()}


def _effects(
    records: Sequence[Record],
    tables: Tables,
    against: Mapping[str, str],
    judging: Judging,
    drawn: Mapping[str, int],
) -> list[SystemEffect]:
    """Return what systems changed against others, contrast by contrast, where both were scored alike."""
    signed = {(record.row, record.seed): record.signature for record in records}
    found = []
    for row in dict.fromkeys(row for row, _ in tables):
        system, _, contrast = row.partition("-")
        other = f"{against.get(system)}-{contrast}"
        alike = [n for name, n in tables if name == row and signed[row, n] == signed.get((other, n))]
        seeds = tuple(sorted(alike))
        if seeds:
            one, two = ([tables[name, number] for number in seeds] for name in (row, other))
            over = differences(one, two, judging.compared, **drawn)
            found.append(SystemEffect(row, other, seeds, over, judging))
    return found


def conclusions(pooled: Pooled) -> list[str]:
    """Return a plain sentence on each system that is compared with another: the interval of the deciding score."""
    return [_conclusion(pooled, effect) for effect in pooled.effects if effect.outcome() != "unknown"]


def _conclusion(pooled: Pooled, effect: SystemEffect) -> str:
    found, score = effect.over[pooled.judging.primary], pooled.judging.primary
    verdict = effect.outcome()
    said = "shows no difference to" if verdict == "no difference" else f"is {verdict} than"
    parts = [
        f"{effect.row} {said} {effect.against} ({pooled.judging.label}: {found.value:+.3f}, {found.low:+.3f} to "
        f"{found.high:+.3f}, paired over {_count(effect.seeds)})."
    ]
    rows = [pooled.means.get(name, {}).get(score) for name in (effect.row, effect.against)]
    spread = max((row.deviation for row in rows if row is not None and row.deviation is not None), default=0.0)
    if verdict != "no difference" and spread >= abs(found.value):
        parts.append(f"That is no larger than the deviation over seeds ({spread:.3f}): others may not show it.")
    return " ".join([*parts, *_beaten_by(pooled, effect.row)])


def _count(seeds: Sequence[int]) -> str:
    return "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _beaten_by(pooled: Pooled, row: str) -> list[str]:
    """Return which readers that cannot see a row does not beat."""
    score = pooled.judging.primary
    own = pooled.means.get(row, {}).get(score)
    others = {name: pooled.means.get(name, {}).get(score) for name in TRIVIAL}
    if own is None:
        return []
    return [
        f"{name} scores {other.mean:.3f}, no less than its {own.mean:.3f}."
        for name, other in others.items()
        if other is not None and other.mean >= own.mean
    ]


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
    said = f"{lead} ({pools[0].judging.label}, paired over seeds): it {'; it '.join(parts)}."
    doubts = [doubt for p in pools for c in p.comparisons for doubt in _doubts(p, c)]
    return " ".join([said, *doubts])


def _doubts(pooled: Pooled, comparison: ContrastEffect) -> list[str]:
    """Return what speaks against a help or harm that the intervals over patients show.

    It may be the spread over seeds, or a baseline.
    """
    outcome, score = comparison.outcome(), comparison.judging.primary
    if outcome not in ("helped", "above plain", "harmed"):
        return []
    place, change = f"{comparison.system} on {pooled.data}", comparison.over[PLAIN][score].value
    rows = [pooled.means.get(f"{comparison.system}-{contrast}", {}).get(score) for contrast in (CONTRAST, PLAIN)]
    spread = max((row.deviation for row in rows if row is not None and row.deviation is not None), default=0.0)
    neighbour = pooled.means.get("neighbour", {}).get(score)
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


def _compared(system: str, tables: Tables, judging: Judging, drawn: Mapping[str, int]) -> ContrastEffect:
    def seeds_of(contrast: str) -> set[int]:
        return {number for row, number in tables if row == f"{system}-{contrast}"}

    def tables_of(contrast: str, seeds: Sequence[int]) -> list[StudyTable]:
        return [tables[f"{system}-{contrast}", number] for number in seeds]

    both = {name: tuple(sorted(seeds_of(name) & seeds_of(CONTRAST))) for name in (PLAIN, *CONTROLS)}
    shared = {name: seeds for name, seeds in both.items() if seeds}
    over = {
        name: differences(tables_of(CONTRAST, seeds), tables_of(name, seeds), judging.compared, **drawn)
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
    if all("difference" in twins["ratios"] for twins in kept):
        parts = {name: [_numbers(twins["ratios"][name]) for twins in kept] for name in ("pooled", "difference")}
        claim = compare_ratios(parts["pooled"], parts["difference"], **drawn)
    return TwinRow(row, claim, swap_share(sides, **drawn))


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.asarray([np.nan if value is None else value for value in values], np.float64)
