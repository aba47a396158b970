"""Finding by finding: forest rows, the table behind them, what is missed and invented, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from contrastcxr.evaluation.report.charts import reliability_plot
from contrastcxr.evaluation.report.forest import Mark, row
from contrastcxr.evaluation.report.headline import NAMES, cell
from contrastcxr.metrics.calibration import reliability
from contrastcxr.metrics.clinical import STATUS_CODES, Codes, targets
from contrastcxr.metrics.sheet import TRIVIAL
from contrastcxr.vocab.labels import NO_FINDING

if TYPE_CHECKING:
    from contrastcxr.evaluation.result import Evaluation, SystemScores
    from contrastcxr.metrics.scores import Score
    from contrastcxr.metrics.table import StudyTable

FEW = 10
"""Positives below which a finding's figures are marked: its interval is wide and its AUC is not printed."""
EVEN = 0.5

Values = dict[str, Any]


def finding_rows(found: Evaluation) -> list[Values]:
    """Return every finding that the reference or the system calls, by number of positives in the reference.

    A system without reports calls none, and has rows for what its probabilities say.
    """
    table = found.systems["system"].table
    if table.truth is None or (table.claimed is None and table.probabilities is None):
        return []
    claimed = np.zeros_like(table.truth) if table.claimed is None else table.claimed
    rows = [_row(name, column, table.truth, claimed, found.systems) for column, name in _columns(table)]
    return sorted((r for r in rows if r["n"] or r["called"]), key=lambda r: (-r["n"], r["name"]))


def unspoken(found: Evaluation) -> list[str]:
    """Return the findings that are scored and that neither side calls in any study."""
    table = found.systems["system"].table
    if table.truth is None or table.claimed is None:
        return []
    shown = {r["name"] for r in finding_rows(found)}
    return [name for _, name in _columns(table) if name not in shown]


def abnormality_rates(systems: Mapping[str, SystemScores]) -> list[Values]:
    """Return the missed and invented abnormality of every reader (paper A, section 4.4)."""
    return [
        {
            "name": NAMES.get(name, name),
            "missed": cell(s.scores.get("missed_abnormality")),
            "invented": cell(s.scores.get("invented_abnormality")),
        }
        for name, s in systems.items()
        if s.scores.get("missed_abnormality") is not None
    ]


def calibration(table: StudyTable) -> Values | None:
    """Return the reliability plot and its table; None without probabilities or truth to compare them with."""
    if table.truth is None or table.probabilities is None:
        return None
    bins = reliability(table.probabilities, targets(table.truth))
    if not bins:
        return None
    rows = [
        {
            "range": f"{b.low:.2f}–{b.high:.2f}",
            "count": f"{b.count:,}",
            "mean": f"{b.mean_probability:.3f}",
            "share": f"{b.share_positive:.3f}",
        }
        for b in bins
    ]
    return {"plot": reliability_plot(bins), "rows": rows, "pairs": f"{sum(b.count for b in bins):,}"}


def _columns(table: StudyTable) -> list[tuple[int, str]]:
    return [(k, name) for k, name in enumerate(table.names) if name != NO_FINDING]


def _row(name: str, column: int, truth: Codes, claimed: Codes, systems: Mapping[str, SystemScores]) -> Values:
    counts = _counts(truth[:, column], claimed[:, column])
    scores = {
        measure: scores_of(systems, f"finding_{measure}/{name}") for measure in ("f1", "precision", "recall")
    }
    auc = scores_of(systems, f"auc/{name}")
    return {
        "name": name,
        **counts,
        "few": counts["n"] < FEW,
        "f1_plot": plot(scores["f1"], f"{name}, F1") if counts["n"] else None,
        "auc_plot": plot(auc, f"{name}, AUC", reference=EVEN),
        "figures": [cell(scores[m].get("system")) if counts["n"] else cell(None) for m in scores],
        "auc": cell(auc.get("system")),
        "auc_note": note.note if (note := auc.get("system")) is not None and note.value is None else "",
    }


def _counts(truth: Codes, claimed: Codes) -> Values:
    """Return studies by what the reference and the report say of one finding."""
    there = truth == STATUS_CODES["present"]
    called = claimed == STATUS_CODES["present"]
    said = {status: int(np.sum(there & (claimed == code))) for status, code in STATUS_CODES.items()}
    invented = called & ~there
    return {
        "n": int(there.sum()),
        "called": int(called.sum()),
        "hit": said["present"],
        "hedged": said["uncertain"],
        "denied": said["absent"],
        "silent": said["unmentioned"],
        "invented": int(invented.sum()),
        "invented_doubtful": int(np.sum(invented & (truth == STATUS_CODES["uncertain"]))),
    }


def scores_of(
    systems: Mapping[str, SystemScores], name: str, readers: Sequence[str] = ("system", *TRIVIAL)
) -> dict[str, Score]:
    """Return one score of those readers that have it."""
    found = {key: systems[key].scores.get(name) for key in readers if key in systems}
    return {key: score for key, score in found.items() if score is not None}


def plot(scores: Mapping[str, Score], name: str, *, reference: float | None = None) -> Any:
    """Return the forest row of one score, whiskers for the system alone; None where the system has no value."""
    drawn = [Mark.of(key, score, whiskers=key == "system") for key, score in scores.items()]
    marks: Sequence[Mark] = [mark for mark in drawn if mark is not None]
    if not marks or marks[0].system != "system":
        return None
    said = "; ".join(f"{NAMES.get(key, key)} {score.text()}" for key, score in scores.items())
    return row(marks, f"{name}: {said}", reference=reference)
