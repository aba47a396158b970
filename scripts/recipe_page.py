"""Write the tables and curves of docs/recipe.md from what was measured.

    python scripts/recipe_page.py

Reads `results/recipe/trials.json`, the validation curves of short runs that the recipe was chosen by, the curves
in the records of the rows trained with it, and `results/recipe/guidance.json`, two of them read with guidance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "recipe.md"
TRIALS = ROOT / "results" / "recipe" / "trials.json"
GUIDANCE = ROOT / "results" / "recipe" / "guidance.json"
RECORDS = ROOT / "results" / "recipe" / "phantom-standard"
SCORES = ("abnormal_words", "exchange_rise", "positive_f1")
TITLES = {
    "abnormal_words": "cross-entropy per word, abnormal sentences",
    "exchange_rise": "rise with another patient's picture",
    "positive_f1": "positive-finding F1 of the beam",
}
COLUMNS = {
    "word_loss": "word loss",
    "abnormal_words": "abnormal",
    "normal_words": "normal",
    "exchange_rise": "exchange",
    "auc": "AUC",
    "positive_f1": "F1",
}
GUIDED = {
    "positive_f1": "F1",
    "positive_precision": "precision",
    "positive_recall": "recall",
    "bleu_4": "BLEU-4",
    "cider": "CIDEr",
    "distinct_reports": "distinct reports",
}
MONITORS = {"loss": min, "report_loss": min, "abnormal_words": min, "bleu4": max}
"""Monitors, and whether less or more of each is better."""

Curve = Sequence[Mapping[str, float]]


def trials() -> list[dict[str, Any]]:
    """Return the trials: decoder, overrides of the first recipe, what they are in words, validation by epoch."""
    found: list[dict[str, Any]] = json.loads(TRIALS.read_text(encoding="utf-8"))
    return found


def row_curves() -> dict[str, list[dict[str, float]]]:
    """Return the validation scores by epoch of each recorded row, by its file's name."""
    found = {}
    for path in sorted(RECORDS.glob("*-seed*.json")):
        curves = json.loads(path.read_text(encoding="utf-8"))["training"].get("curves", [])
        if curves:
            found[path.stem] = [{"epoch": line["epoch"], **line["validation"]} for line in curves]
    return found


def trials_table(found: Iterable[Mapping[str, Any]]) -> str:
    """Return every trial at the fifth epoch and at its last one."""
    lines = [
        f"| decoder | first recipe, but | epoch | {' | '.join(COLUMNS.values())} |",
        f"|---|---|---:|{'---:|' * len(COLUMNS)}",
    ]
    for trial in found:
        last = len(trial["epochs"])
        for place in sorted({min(5, last), last}):
            scores = trial["epochs"][place - 1]
            lines.append(
                f"| {trial['decoder']} | {_said(trial['overrides'])} | {place} | "
                + " | ".join(_figure(scores.get(name)) for name in COLUMNS)
                + " |"
            )
    return "\n".join(lines)


def monitors_table(curves: Mapping[str, Curve]) -> str:
    """Return the epoch that each monitor would pick in each plain row, and the F1 there."""
    lines = [
        f"| row | {' | '.join(f'`{name}`' for name in MONITORS)} | best F1 |",
        f"|---|{'---:|' * (len(MONITORS) + 1)}",
    ]
    for row, curve in curves.items():
        if "-none-" not in row:
            continue
        picked = [choose(curve, key=lambda line, name=name: line[name]) for name, choose in MONITORS.items()]
        most = max(curve, key=lambda line: line["positive_f1"])
        lines.append(f"| {row} | " + " | ".join(_picked(line) for line in (*picked, most)) + " |")
    return "\n".join(lines)


def pairs_table(curves: Mapping[str, Curve]) -> str:
    """Return rows with contrast less the plain ones of the same seed, at the same epochs."""
    lines = [
        f"| decoder | seed | epoch | {' | '.join(COLUMNS.values())} |",
        f"|---|---:|---:|{'---:|' * len(COLUMNS)}",
    ]
    for row, plain in curves.items():
        if "-none-" not in row or (other := curves.get(row.replace("-none-", "-normal-"))) is None:
            continue
        decoder, _, seed = row.partition("-none-seed")
        shared = min(len(plain), len(other))
        for place in sorted({5, 10, shared} & set(range(1, shared + 1))):
            both = plain[place - 1], other[place - 1]
            changes = [_change(*(line.get(name) for line in both)) for name in COLUMNS]
            lines.append(f"| {decoder} | {seed} | {place} | {' | '.join(changes)} |")
    return "\n".join(lines)


def guidance_table(found: Iterable[Mapping[str, Any]]) -> str:
    """Return the beam's scores at each λ, and what they change, with paired intervals over patients."""
    lines = [
        f"| row | λ | {' | '.join(GUIDED.values())} | change of F1 | change of BLEU-4 |",
        f"|---|---:|{'---:|' * (len(GUIDED) + 2)}",
    ]
    for each in found:
        scores = [_figure(each["scores"][name][0]) for name in GUIDED]
        change = each.get("change", {})
        moved = [_moved(*change[name]) if name in change else "–" for name in ("positive_f1", "bleu_4")]
        lines.append(f"| {each['row']} | {each['guidance']:g} | {' | '.join([*scores, *moved])} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Return the page with every table between its two marks made anew."""
    curves = row_curves()
    made = {
        "trials": trials_table(trials()),
        "monitors": monitors_table(curves),
        "pairs": pairs_table(curves),
        "guidance": guidance_table(json.loads(GUIDANCE.read_text(encoding="utf-8"))),
    }
    for name, table in made.items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, table=table: f"{found.group(1)}\n{table}\n\n{found.group(2)}",
            page,
            flags=re.DOTALL,
        )
    return page


def draw(groups: Mapping[str, Mapping[str, Curve]], path: Path) -> None:
    """Draw one row of curves for each group, a column for each score."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(groups), len(SCORES), figsize=(14, 2.6 * len(groups)), squeeze=False)
    for row, (group, curves) in zip(axes, groups.items(), strict=True):
        for axis, score in zip(row, SCORES, strict=True):
            for number, (label, curve) in enumerate(curves.items()):
                kept = [(line["epoch"], line[score]) for line in curve if score in line]
                style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}  # ten colours
                axis.plot(*zip(*kept, strict=True), label=label, linewidth=1.5, **style)
            axis.set_title(TITLES[score], fontsize=9)
            axis.set_xlabel("epoch", fontsize=8)
            axis.tick_params(labelsize=8)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(group, fontsize=10)
        row[0].set_ylim(top=1.6)  # the first epochs are far above
        row[-1].set_ylim(bottom=0)
        row[-1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _said(overrides: Sequence[str]) -> str:
    return ", ".join(f"`{each}`" for each in overrides) or "nothing changed"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _change(plain: float | None, other: float | None) -> str:
    return "–" if plain is None or other is None else f"{other - plain:+.3f}"


def _moved(change: float, low: float, high: float) -> str:
    return f"{change:+.3f} ({low:+.3f} to {high:+.3f})"


def _picked(line: Mapping[str, float]) -> str:
    return f"{line['epoch']:.0f}: {line['positive_f1']:.3f}"


def main() -> None:
    """Write the page's tables and both pictures."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    by_decoder: dict[str, dict[str, Curve]] = {}
    for trial in trials():
        by_decoder.setdefault(trial["decoder"], {})[trial["what"]] = trial["epochs"]
    draw(by_decoder, ROOT / "docs" / "images" / "recipe-trials.png")
    rows: dict[str, dict[str, Curve]] = {}
    for row, curve in row_curves().items():
        rows.setdefault(row.partition("-")[0], {})[row.partition("-")[2]] = curve
    if rows:
        draw(rows, ROOT / "docs" / "images" / "recipe-rows.png")


if __name__ == "__main__":
    main()
