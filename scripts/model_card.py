"""Writes the card of a bundled checkpoint from what was recorded: nothing in it is typed by hand but its words.

python scripts/model_card.py RUN EVALUATION NUISANCE INTRODUCTION.md OUT [--acceptance FILE] [--places EVALUATION]

RUN is the folder `contrastcxr train` made, EVALUATION the one `contrastcxr evaluate` made, NUISANCE the
`audit.json` of `contrastcxr data audit` or a table in Markdown of what tells the labels without looking. Places
may be of another evaluation, against those who drew boxes. The acceptance of a model with a localizer is what
`scripts/marked_masses.py` found. OUT gets README.md, reliability.png and the records of the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contrastcxr.config import without_folders

SCORES = {
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "positive_f1": "positive-finding F1",
    "missed_abnormality": "abnormal studies with no abnormality called",
    "invented_abnormality": "studies with an invented abnormality",
    "auc_mean": "mean AUC of findings",
    "distinct_reports": "distinct reports per report",
}
PLACES = {
    **{f"tiou_{t}": f"localized, IoU above {t}" for t in (0.1, 0.3, 0.5, 0.7)},
    "miou": "mean IoU",
    "pointing": "peak inside a box",
    "false_boxes": "false boxes per study",
}
"""Means over the findings that have boxes, and what is boxed in vain."""
PLACERS = ("system", "mean_box", "neighbour", "constant", "ceiling")
ONE_BY_ONE = "tiou_0.3"
"""The score that a card gives for each finding too."""
MONITORS = {
    "loss": "validation loss",
    "report_loss": "the loss of validation reports",
    "abnormal_words": "the word loss of abnormal validation sentences",
    "auc": "validation AUC",
}
CONTRASTS = {
    "attention": "Contrastive Attention over a pool of",
    "difference": "Contrast-induced attention, each picture compared with the nearest of",
}
HEADS = {"decoder": None, "finding_head": "finding head", "localizer": None}
"""What fills a slot; None takes the kind in the configuration."""
WARNING = (
    "**Research only; not a medical device.** It was made so that every part of contrastcxr can be seen working. "
    "Do not use it to read patients."
)

LEGEND = (
    "Brackets hold 95% bootstrap intervals over patients. *constant*: one report for everybody, chosen on "
    "training; *commonest*: the five commonest findings of training, named for everybody; *neighbour*: the report "
    "of the nearest training image; *ceiling*: the truth in other words; "
    "*floor*: reports shuffled between images."
)
PLACED = (
    "*mean box*: the mean of each finding's training boxes, whatever the picture; *constant*: the whole picture; "
    "*ceiling*: a perfect labelling of the cells that are marked."
)
NUISANCE = "The same labels predicted from things that are no finding:"


def figure(score: dict[str, Any] | None) -> str:
    if score is None or score.get("value") is None:
        return "–"
    if score["low"] is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def _known(scores: dict[str, Any]) -> set[str]:
    return {key for key, score in scores.items() if score["value"] is not None}


def score_table(scores: dict[str, Any]) -> list[str]:
    names = [name for name, system in scores["systems"].items() if SCORES.keys() & _known(system["scores"])]
    lines = [f"| score | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for key, title in SCORES.items():
        cells = [scores["systems"][n]["scores"].get(key) for n in names]
        if any(cell and cell["value"] is not None for cell in cells):
            lines.append(f"| {title} | {' | '.join(figure(c) for c in cells)} |")
    return lines


def place_tables(scores: dict[str, Any]) -> list[str]:
    """Return how well findings are marked, over all of them and one by one; nothing where nothing is marked."""
    own = scores["systems"]["system"]["scores"]
    if ONE_BY_ONE not in own:
        return []
    readers = [name for name in PLACERS if name in scores["systems"]]
    found = {name: scores["systems"][name]["scores"] for name in readers}
    head = [name.replace("_", " ") for name in readers]
    lines = [f"| score | {' | '.join(head)} |", f"|---|{'---:|' * len(head)}"]
    for key, title in PLACES.items():
        lines.append(f"| {title} | {' | '.join(figure(found[n].get(key)) for n in readers)} |")
    lines += [
        "",
        f"Share of the images with a box, {PLACES[ONE_BY_ONE].removeprefix('localized, ')}, finding by finding:",
        "",
    ]
    lines += [f"| finding | images | {' | '.join(head)} |", f"|---|---:|{'---:|' * len(head)}"]
    for key in [key for key in own if key.startswith(f"{ONE_BY_ONE}/")]:
        cells = [figure(found[n].get(key)) for n in readers]
        lines.append(f"| {key.partition('/')[2]} | {own[key]['n']} | {' | '.join(cells)} |")
    return [*lines, "", PLACED]


def acceptance_lines(found: dict[str, Any]) -> list[str]:
    """Return what was asked of the marks beforehand and what came out."""
    share, (hits, first) = found["marked"] / found["studies"], found["first_draw"]
    verdict = "met" if share >= found["wanted"] else "not met"
    return [
        f"Asked beforehand, on validation: an IoU of at least {found['right']} on {found['wanted']:.0%} of "
        f"{found['studies']} boxed cases of {found['finding']}. Found: {found['marked']} of {found['studies']} "
        f"({share:.0%}), mean IoU {found['mean_iou']:.2f}; {verdict}. Studies: the first of "
        f"{', '.join(f'`{draw}`' for draw in found['draws'])}; of the first of these draws, on which the epoch "
        f"was chosen, {hits} of {first}.",
    ]


def _named(head: dict[str, Any]) -> str:
    stage = head.get("stage")
    return f"{head['kind']}" if stage is None else f"{head['kind']} on stage {stage}"


def training_lines(run: dict[str, Any], config: dict[str, Any]) -> list[str]:
    pool, best, studies = run["pool"], run["best"], {k: v["studies"] for k, v in run["data"].items()}
    encoder, views = run["encoder"], ", ".join(f"{k} {v}" for k, v in pool["views"].items())
    stage = config["encoder"]["stage"]
    read = "last map" if stage is None else f"stage {stage}"
    heads = [HEADS[slot] or _named(config[slot]) for slot in HEADS if config.get(slot)]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in run["loss_weights"].items())
    return [
        f"- {studies['train']} studies to train on, {studies['validation']} to validate; best of {run['epochs']} "
        f"epochs by {MONITORS[config['train']['monitor']]}: epoch {best['epoch']:.0f}.",
        f"- Encoder: {encoder['name']}, frozen, {read} of pictures of {config['image']['size']} pixels; "
        f"{encoder['weights']}.",
        f"- Heads: {', '.join(heads)}; losses weighed {weights}.",
        f"- {run['parameters']:,} trained parameters, {run['vocabulary']} words, seed {run['seed']}.",
        f"- {CONTRASTS[config['contrast']['kind']]} {pool['size']} {pool['kind']} images of "
        f"{pool['patients']} patients; views {views}; purity {pool['purity']:.2f}.",
        *([_aligned(run["align"])] if run.get("align") else []),
    ]


def _aligned(found: dict[str, Any]) -> str:
    images = found["canonical"]["images"]
    return (
        f"- Aligned ({found['kind']}) to the mean of {images} normal images by an aligner trained before, frozen."
    )


def audit_table(audit: dict[str, Any]) -> str:
    """Return what an audit found to tell the labels without looking, as Markdown."""
    (found,) = (check for check in audit["checks"] if check["name"] == "nuisance predictors")
    lines = ["| predictor | mean AUC | abnormal against normal, AUC |", "| --- | ---: | ---: |"]
    for row in found["rows"]:
        lines.append(
            f"| {row['predictor']} | {row['mean AUC']:.3f} ({row['mean AUC, 95%']}) | {row['abnormal AUC']:.3f} |"
        )
    return "\n".join([f"{audit['data']}: {found['message']}.", "", *lines])


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
        "![Reliability of the probabilities](reliability.png)",
    ]


@dataclass(frozen=True)
class Records:
    """What a card is written from.

    Attributes:
        run: `run_record.json` of the run.
        config: its `config.yaml`.
        scores: `scores.json` of the evaluation.
        places: of another one, against those who drew boxes; None where it is the same.
        nuisance: a table in Markdown.
        introduction: a title, a blank line and what the model is, in Markdown.
        acceptance: what `scripts/marked_masses.py` found, if anything was asked.
    """

    run: dict[str, Any]
    config: dict[str, Any]
    scores: dict[str, Any]
    nuisance: str
    introduction: str
    acceptance: dict[str, Any] | None = None
    places: dict[str, Any] | None = None


def card(records: Records) -> str:
    """Return the card as Markdown."""
    title, _, rest = records.introduction.strip().partition("\n")
    run, scores, other = records.run, records.scores, records.places
    signature = [f"Signature `{other['signature']}`.", ""] if other else []
    places = place_tables(other or scores)
    further = {"acceptance.json": records.acceptance, "places.json": other}
    files = ["run_record.json", "config.yaml", "scores.json", *(name for name, there in further.items() if there)]
    parts = [
        [title, "", WARNING, "", rest.strip()],
        ["## Training", "", *training_lines(run, records.config)],
        ["## Measured", "", f"Signature `{scores['signature']}`.", "", *score_table(scores)],
        *([[LEGEND]] if run["vocabulary"] else []),
        *([["## Where findings are", "", *signature, *places]] if places else []),
        *([acceptance_lines(records.acceptance)] if records.acceptance else []),
        ["## What knows as much without looking", "", NUISANCE, "", records.nuisance.strip()],
        ["## Calibration", "", *calibration_lines(run["calibration"])],
        [f"The records behind every figure: {', '.join(f'`{name}`' for name in files)}."],
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "evaluation", "nuisance", "introduction", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--acceptance", type=Path, help="what scripts/marked_masses.py found")
    parser.add_argument("--places", type=Path, help="another evaluation, against those who drew boxes")
    a = parser.parse_args()
    records = Records(
        run=json.loads((a.run / "run_record.json").read_text()),
        config=yaml.safe_load((a.run / "config.yaml").read_text()),
        scores=json.loads((a.evaluation / "scores.json").read_text()),
        nuisance=_nuisance(a.nuisance),
        introduction=a.introduction.read_text(),
        acceptance=None if a.acceptance is None else json.loads(a.acceptance.read_text()),
        places=None if a.places is None else json.loads((a.places / "scores.json").read_text()),
    )
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "README.md").write_text(card(records))
    reliability_plot(records.run["calibration"], a.out / "reliability.png")
    for source in (a.run / "run_record.json", a.evaluation / "scores.json"):
        shutil.copy(source, a.out / source.name)
    (a.out / "config.yaml").write_text(yaml.safe_dump(without_folders(records.config), sort_keys=False))
    if a.acceptance is not None:
        shutil.copy(a.acceptance, a.out / "acceptance.json")
    if a.places is not None:
        shutil.copy(a.places / "scores.json", a.out / "places.json")


def _nuisance(path: Path) -> str:
    text = path.read_text()
    return audit_table(json.loads(text)) if path.suffix == ".json" else text


if __name__ == "__main__":
    main()
