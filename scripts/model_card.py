"""Writes the card of a bundled checkpoint from what was recorded: nothing in it is typed by hand but its words.

python scripts/model_card.py RUN EVALUATION NUISANCE.md INTRODUCTION.md OUT

RUN is the folder `contrastcxr train` made, EVALUATION the one `contrastcxr evaluate` made, NUISANCE.md a table of
what tells the labels without looking, such as `contrastcxr data audit` finds. OUT gets README.md, reliability.png
and the records of the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

SCORES = {
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "positive_f1": "positive-finding F1",
    "missed_abnormality": "abnormal studies with no abnormality called",
    "invented_abnormality": "studies with an invented abnormality",
    "auc_mean": "mean AUC of the finding head",
    "distinct_reports": "distinct reports per report",
}
WARNING = (
    "**Research only; not a medical device.** It was made so that every part of contrastcxr can be seen working. "
    "Do not use it to read patients."
)

LEGEND = (
    "Brackets hold 95% bootstrap intervals over patients. *constant*: one report for everybody, chosen on "
    "training; *neighbour*: the report of the nearest training image; *ceiling*: the truth in other words; "
    "*floor*: reports shuffled between images."
)
NUISANCE = "The same labels predicted from things that are no finding:"


def figure(score: dict[str, Any] | None) -> str:
    if score is None or score.get("value") is None:
        return "–"
    if score["low"] is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def score_table(scores: dict[str, Any]) -> list[str]:
    names = list(scores["systems"])
    lines = [f"| score | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for key, title in SCORES.items():
        cells = [scores["systems"][n]["scores"].get(key) for n in names]
        if any(cells):
            lines.append(f"| {title} | {' | '.join(figure(c) for c in cells)} |")
    return lines


def training_lines(run: dict[str, Any]) -> list[str]:
    pool, best, studies = run["pool"], run["best"], {k: v["studies"] for k, v in run["data"].items()}
    encoder, views = run["encoder"], ", ".join(f"{k} {v}" for k, v in pool["views"].items())
    return [
        f"- {studies['train']} studies to train on, {studies['validation']} to validate; best of {run['epochs']} "
        f"epochs by validation loss: epoch {best['epoch']:.0f}.",
        f"- Encoder: {encoder['name']}, frozen; {encoder['weights']}.",
        f"- {run['parameters']:,} trained parameters, {run['vocabulary']} words, seed {run['seed']}.",
        f"- Contrastive Attention over a pool of {pool['size']} {pool['kind']} images of "
        f"{pool['patients']} patients; views {views}; purity {pool['purity']:.2f}.",
    ]


def reliability_plot(calibration: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    bins = [b for b in calibration["reliability"] if b["count"] >= 5]
    figure_, axis = plt.subplots(figsize=(4.2, 3.6), dpi=120)
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axis.plot([b["mean_probability"] for b in bins], [b["share_positive"] for b in bins], "o-", color="#0b5fa5")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="share that was present")
    axis.set_title("Validation; bins of at least 5", fontsize=9)
    figure_.tight_layout()
    figure_.savefig(path)
    plt.close(figure_)


def calibration_lines(calibration: dict[str, Any]) -> list[str]:
    return [
        f"Temperature {calibration['temperature']:.2f}, fitted on validation; expected calibration error there "
        f"{calibration['ece_before']:.3f} before and {calibration['ece_after']:.3f} after "
        f"({calibration['pairs']} study × finding pairs).",
        "",
        "![Reliability of the finding head](reliability.png)",
    ]


def card(run: dict[str, Any], scores: dict[str, Any], nuisance: str, introduction: str) -> str:
    title, _, rest = introduction.strip().partition("\n")
    parts = [
        [title, "", WARNING, "", rest.strip()],
        ["## Training", "", *training_lines(run)],
        ["## Measured", "", f"Signature `{scores['signature']}`.", "", *score_table(scores)],
        [LEGEND],
        ["## What knows as much without looking", "", NUISANCE, "", nuisance.strip()],
        ["## Calibration", "", *calibration_lines(run["calibration"])],
        ["The records behind every figure: `run_record.json`, `config.yaml`, `scores.json`."],
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "evaluation", "nuisance", "introduction", "out"):
        parser.add_argument(name, type=Path)
    a = parser.parse_args()
    run = json.loads((a.run / "run_record.json").read_text())
    scores = json.loads((a.evaluation / "scores.json").read_text())
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "README.md").write_text(card(run, scores, a.nuisance.read_text(), a.introduction.read_text()))
    reliability_plot(run["calibration"], a.out / "reliability.png")
    for source in (a.run / "run_record.json", a.run / "config.yaml", a.evaluation / "scores.json"):
        shutil.copy(source, a.out / source.name)


if __name__ == "__main__":
    main()
