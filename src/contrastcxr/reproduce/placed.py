"""Rows that are judged by localization, as text: every row beside those that cannot see and the ceiling."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.evaluation.baselines import ORDER, PLACES
from contrastcxr.metrics.localization import THRESHOLDS
from contrastcxr.metrics.scores import Score
from contrastcxr.reproduce.plan import BASELINES, Task
from contrastcxr.reproduce.pooled import Mean, Pooled
from contrastcxr.reproduce.sentences import conclusions
from contrastcxr.reproduce.shown import NOTHING, markdown_table, signed

SHORT: Mapping[str, str] = {
    **{f"tiou_{t}": f"IoU > {t}" for t in THRESHOLDS},
    **{f"tiobb_{t}": f"IoBB > {t}" for t in THRESHOLDS},
    "pointing": "peak in box",
    "false_boxes": "false boxes",
    "auc_mean": "AUC",
}
"""Heads of columns."""


def score_rows(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per row of the table, the baselines last: the scores that rows are judged by."""
    return [
        {
            "row": name,
            "seeds": str(len(_seeds(pooled, name))),
            **{SHORT.get(score, score): _figure(pooled, name, score) for score in pooled.judging.shown},
        }
        for name in _names(task, pooled)
    ]


def finding_rows(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per threshold and row: the share localized of each finding, and their mean."""
    findings = list(dict.fromkeys(name for threshold in THRESHOLDS for name in _findings(pooled, threshold)))
    return [
        {
            "IoU >": str(threshold),
            "row": name,
            **{finding: _plain(pooled, name, f"tiou_{threshold}/{finding}") for finding in findings},
            "mean": _plain(pooled, name, f"tiou_{threshold}"),
        }
        for threshold in THRESHOLDS
        for name in _names(task, pooled)
    ]


def said_below(pooled: Pooled) -> list[str]:
    """Return what a reader of both tables must know, a sentence or two a line."""
    marked = "; ".join(f"{name}: {PLACES[name]}" for name in ORDER if name in PLACES and name in pooled.means)
    images = ", ".join(f"{name} {count}" for name, count in _images(pooled).items())
    return [
        "Mean over seeds (95% bootstrap interval over patients) ± standard deviation over seeds.",
        *([f"Beside the rows: {marked}."] if marked else []),
        *([f"Images with a box of the finding: {images}."] if images else []),
        *_chosen(pooled),
        *signed(pooled.signatures, pooled.recipe),
    ]


def rows_page(task: Task, pooled: Pooled) -> str:
    """Return the part of the page before published tables: what follows, and both tables of the rows."""
    lines = [f"## {task.plan.name} on {pooled.data}", "", f"{task.plan.title}.", ""]
    lines += [*(f"- {said}" for said in conclusions(pooled)), ""] if pooled.effects else []
    lines += [*markdown_table(score_rows(task, pooled), names=1), "", "Finding by finding:", ""]
    lines += [*markdown_table(finding_rows(task, pooled), names=2), ""]
    return "\n".join([*lines, *(f"- {said}" for said in said_below(pooled)), ""])


def _names(task: Task, pooled: Pooled) -> list[str]:
    """Return the rows that mark places: the plan's in its order, then the baselines."""
    rows = dict.fromkeys(row.name for row in task.rows() if row.system != BASELINES)
    return [name for name in (*rows, *ORDER) if set(pooled.judging.shown) & set(pooled.means.get(name, {}))]


def _seeds(pooled: Pooled, name: str) -> set[int]:
    return {r.seed for r in pooled.records if r.row == name or (r.row == BASELINES and name in r.systems)}


def _findings(pooled: Pooled, threshold: float) -> list[str]:
    scores = (score for scores in pooled.means.values() for score in scores)
    found = (score.partition("/") for score in dict.fromkeys(scores))
    return [finding for family, _, finding in found if finding and family == f"tiou_{threshold}"]


def _figure(pooled: Pooled, name: str, score: str) -> str:
    """Return mean, interval and deviation; the mean alone of a row whose study tables are not kept."""
    mean: Mean | None = pooled.means.get(name, {}).get(score)
    if mean is None:
        return NOTHING
    known: Score | None = pooled.intervals.get(name, {}).get(score)
    figure = f"{mean.mean:.3f}" if known is None else known.text()
    return figure if mean.deviation is None else f"{figure} ± {mean.deviation:.3f}"


def _plain(pooled: Pooled, name: str, score: str) -> str:
    mean = pooled.means.get(name, {}).get(score)
    return NOTHING if mean is None else f"{mean.mean:.2f}"


def _images(pooled: Pooled) -> dict[str, str]:
    """Return on how many images each finding has a box, of the trained rows: fewest to most where seeds differ."""
    counts: dict[str, set[int]] = {}
    for record in pooled.records:
        for score, found in record.systems.get("system", {}).items():
            family, _, finding = score.partition("/")
            if family == "tiou_0.3" and finding:
                counts.setdefault(finding, set()).add(found["n"])
    return {name: "–".join(map(str, sorted({min(n), max(n)}))) for name, n in counts.items()}


def _chosen(pooled: Pooled) -> list[str]:
    """Return what heads chose on validation, such as the cut of a map, seed by seed."""
    chosen: dict[str, list[str]] = {}
    for record in pooled.records:
        for head, value in record.training.get("thresholds", {}).items():
            chosen.setdefault(f"{record.row} ({head})", []).append(f"{value:.4g}")
    said = "; ".join(f"{row} {', '.join(values)}" for row, values in chosen.items())
    return [f"Cuts of 255 chosen on validation, seed by seed: {said}."] if said else []
