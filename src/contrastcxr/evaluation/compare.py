"""Two evaluations of the same studies against each other: differences with intervals, and tests over the table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from contrastcxr.errors import DatasetError, RequestError, UnknownNameError, listed
from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.bootstrap import REPLICATES, Interval
from contrastcxr.metrics.exchange import WORD_LOSSES, foreseen_words
from contrastcxr.metrics.scores import Score, Scores, differences, score_table, statistics
from contrastcxr.metrics.sheet import ROWS, reasons
from contrastcxr.metrics.significance import SHUFFLES, holm, randomisation_p_values
from contrastcxr.metrics.table import StudyTable

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class ScoreDifference:
    """One score of two systems.

    Attributes:
        name: of the score.
        first: of the first system, with its interval.
        second: of the second.
        difference: first minus second, with its paired 95% bootstrap interval over patients.
        p: two-sided, by approximate randomisation.
        p_holm: the same after Holm's correction over all scores compared.
    """

    name: str
    first: Score
    second: Score
    difference: Interval
    p: float
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "difference": {name: _finite(value) for name, value in vars(self.difference).items()},
            "p": _finite(self.p),
            "p_holm": _finite(self.p_holm),
        }


@dataclass(frozen=True)
class SystemComparison:
    """Two evaluation folders compared.

    Attributes:
        signatures: of the two; equal unless differences were allowed.
        scores: compared, in the order of the evaluation's own table.
        notes: what a reader must know.
    """

    signatures: tuple[str, str]
    scores: tuple[ScoreDifference, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what `comparison.json` holds."""
        return {
            "signatures": list(self.signatures),
            "scores": {score.name: score.to_dict() for score in self.scores},
            "notes": list(self.notes),
        }


def compare(
    first: Path,
    second: Path,
    *,
    scores: Sequence[str] = (),
    allow_different: bool = False,
    replicates: int = REPLICATES,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> SystemComparison:
    """Compare the systems of two evaluation folders on the same draws of patients.

    Args:
        first: folder that `contrastcxr evaluate` wrote.
        second: another.
        scores: names as in `scores.json`; by default those of the evaluation's table that both have.
        allow_different: compare although the signatures differ, on the studies that both have.
        replicates: of the paired bootstrap.
        shuffles: of the approximate randomisation.
        seed: of both.

    Raises:
        DatasetError: a folder is not an evaluation.
        RequestError: the signatures differ, or no study is shared.
        UnknownNameError: a score that one of the two lacks.
    """
    said = (_signature(first), _signature(second))
    tables = [StudyTable.load(folder / "studies.npz") for folder in (first, second)]
    notes = _differing(said, allowed=allow_different)
    one, other = _paired(tables[0], tables[1], strict=not allow_different)
    if len(one) < max(len(table) for table in tables):
        notes = (*notes, f"{len(one)} studies are in both; {len(tables[0])} and {len(tables[1])} were scored")
    one, other, left_out = _on_shared_findings(one, other)
    notes = (*notes, *left_out, *_other_words(one, other))
    values = [score_table(table, replicates=replicates, seed=seed) for table in (one, other)]
    names = _names(one, other, scores, values)
    defined = [name for name in names if all(found[name].value is not None for found in values)]
    changes = differences([one], [other], defined, replicates=replicates, seed=seed)
    p = randomisation_p_values(one, other, defined, shuffles=shuffles, seed=seed)
    corrected = holm(p)
    found = [
        ScoreDifference(
            name,
            values[0][name],
            values[1][name],
            changes.get(name, Interval(math.nan, math.nan, math.nan, len(one))),
            p.get(name, math.nan),
            corrected.get(name, math.nan),
        )
        for name in names
    ]
    return SystemComparison(said, tuple(found), (*notes, *_empty(values, scores), *_without_intervals(one)))


def _empty(values: Sequence[Scores], wanted: Sequence[str]) -> list[str]:
    """Return why scores, the wanted ones or those of the table, are empty on one side, each reason once."""
    asked = [{k: score for k, score in found.items() if not wanted or k in wanted} for found in values]
    return reasons(dict(zip(("A", "B"), asked, strict=True)))


def _without_intervals(table: StudyTable) -> list[str]:
    return ["all studies are of one patient: no difference has an interval"] if len(set(table.groups)) == 1 else []


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _signature(folder: Path) -> str:
    path = folder / "scores.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["signature"])
    except OSError as error:
        raise DatasetError(
            f"{path}: {error.strerror or error}; give a folder that 'contrastcxr evaluate' wrote"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise DatasetError(f"{path}: is not the scores of an evaluation; evaluate again") from None


def _differing(signatures: tuple[str, str], *, allowed: bool) -> tuple[str, ...]:
    one, other = (dict(part.partition(":")[::2] for part in text.split("|")) for text in signatures)
    parts = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if not parts:
        return ()
    said = "; ".join(f"{key} {one.get(key, 'none')} and {other.get(key, 'none')}" for key in parts)
    if not allowed:
        raise RequestError(
            f"the two evaluations are not comparable: {said}; evaluate both alike, or add --allow-different"
        )
    return (f"not the same evaluation: {said}",)


def _paired(one: StudyTable, other: StudyTable, *, strict: bool) -> tuple[StudyTable, StudyTable]:
    if one.studies == other.studies:
        return one, other
    place = {study: row for row, study in enumerate(other.studies)}
    shared = [(row, place[study]) for row, study in enumerate(one.studies) if study in place]
    if strict or not shared:
        raise RequestError(
            f"the evaluations share {len(shared)} of {len(one)} and {len(other)} studies; a paired comparison "
            "needs the same ones; evaluate both on the same data"
        )
    return _taken(one, [a for a, _ in shared]), _taken(other, [b for _, b in shared])


def _on_shared_findings(one: StudyTable, other: StudyTable) -> tuple[StudyTable, StudyTable, tuple[str, ...]]:
    """Return both tables on the findings that both were scored on, and a note on those left out."""
    first, second = alike(one, other)
    only = [name for name in (*one.names, *other.names) if name not in first.names]
    note = f"findings that only one of the two was scored on are left out: {listed(only)}"
    return first, second, (note,) if only else ()


def _taken(table: StudyTable, rows: Sequence[int]) -> StudyTable:
    """Return the table of some of its studies; CIDEr keeps the document frequencies of all."""
    kept: dict[str, Any] = {name: tuple(getattr(table, name)[i] for i in rows) for name in ("groups", "studies")}
    for field in fields(StudyTable):
        value = getattr(table, field.name)
        if isinstance(value, np.ndarray):
            kept[field.name] = value[list(rows)]
    return replace(table, **kept)


def _names(one: StudyTable, other: StudyTable, wanted: Sequence[str], values: Sequence[Scores]) -> list[str]:
    """Return the scores of the rows; one that is asked for has a row, be it empty."""
    both = [name for name in values[0] if name in values[1] and not _made_otherwise(name, one, other)]
    for name in wanted:
        if name not in both:
            raise UnknownNameError("score that both evaluations have", name, both)
    made = statistics(one).keys() & statistics(other).keys()
    return list(wanted) or [name for name in ROWS if name in both and name in made]


def _made_otherwise(name: str, one: StudyTable, other: StudyTable) -> bool:
    """Return True for a learned score that different weights made, and for losses of different words."""
    if foreseen_words(one, name) != foreseen_words(other, name):
        return True
    family = name.partition("/")[0]
    made = [(table.notes or {}).get(family) for table in (one, other)]
    return name in one.learned_names and made[0] != made[1]


def _other_words(one: StudyTable, other: StudyTable) -> list[str]:
    """Return a note where both have losses per word that are not of the same words."""
    said = [foreseen_words(table, WORD_LOSSES[-1]) for table in (one, other)]
    if said[0] == said[1] or one.word_losses is None or other.word_losses is None:
        return []
    a, b = (words.replace(":", " ").replace("|", ", ") or "unknown" for words in said)
    return [f"losses per word are not of the same words and not compared: {a}; {b}"]
