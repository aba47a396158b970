"""Writes the tables and figures of pages on papers B, C and D from records of rows.

    python scripts/row_pages.py

Tables stand between `<!-- NAME -->` and `<!-- /NAME -->`. Of docs/localization.md (paper B): `phantoms`, of
results/localizers, `real` and `list`, of results/localizers-nih, `trials` and `poses`, of
results/localizers/negative_trials.json, which scripts/negative_trials.py makes. Of docs/cross-attention.md
(paper D): those of `WORD_ROWS`, and `weights`, of results/cross-attention/weights.json, which
scripts/region_weights.py makes, and `covid`, of results/cross-attention-nih/covid.md, which scripts/covid_cases.py
makes. Of docs/contrastive-loss.md (paper C): those of `LOSS_ROWS`, and `found`, of results/wcl/found.json, which
scripts/found_reports.py makes. Figures go to docs/images.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from contrastcxr.data.sources import parse_data
from contrastcxr.files import atomic_write
from contrastcxr.metrics.lengths import EDGES, WIDE, length_counts
from contrastcxr.metrics.retrieval import RETRIEVAL_SCORES
from contrastcxr.metrics.scores import Score
from contrastcxr.metrics.seeds import fold_differences, seed_differences
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import Places, Task, find_plan, task_of
from contrastcxr.reproduce.pooled import Pooled, pool
from contrastcxr.reproduce.record import GEOMETRY, table_beside
from contrastcxr.reproduce.row_page import SHORT, said_below, score_rows, tables_of, verdicts
from contrastcxr.reproduce.shown import NOTHING, markdown_table

ROOT = Path(__file__).resolve().parents[1]
TRIALS = "negative_trials.json"
REAL = {"table": "nih", "data": "nih14-cv:."}
"""The rows on real pictures: a table of the paper's, and data without a folder, since nothing is read."""
LIST = {"table": "nih", "data": "nih14:."}
"""The same on the pictures of the test list, by the mean of the models of all folds, author by author of boxes."""
WORD_ROWS = {
    "standard": ("table1", "phantom:standard"),
    "easy": ("table1", "phantom:easy"),
    "effusion": ("effusion", "phantom:standard"),
    "effusion-easy": ("effusion", "phantom:easy"),
    "nih": ("nih", "nih14-cv:."),
    "nih-drawn": ("nih-drawn", "nih14-cv:."),
    "nih-effusion": ("nih-effusion", "nih14-cv:."),
    "captions": ("captions", "manifest:."),
}
"""Blocks of paper D's page: a table of the plan, and data."""
LOSS_ROWS = {
    "table1": ("table1", "phantom:standard"),
    "table1-nih": ("table1", "nih14-cv:."),
    "table2": ("table2", "phantom:standard"),
    "contrast": ("contrast", "phantom:standard"),
    "captions": ("captions", "manifest:."),
}
"""Blocks of paper C's page."""
RETRIEVED = {SHORT[name] for name in RETRIEVAL_SCORES}
AMONG_TEN = "retrieval/image_to_text_10"
FOUND = "found.json"
FOUND_COLUMNS = {
    "beside_mean_picture": "beside the mean picture",
    "beside_own_picture": "beside its own",
    "by_fitted_heads": "by heads fitted beside the mean picture",
    "by_probabilities": "by the findings that the run expects",
    "by_findings": "by the findings that are there",
    "chance": "by chance",
}
BY_EPOCH = ("mdt-none", "mdt-wcl")
LEARNT = {
    "word loss in training": ("train", "word"),
    "positive F1 on validation": ("validation", "positive_f1"),
    "rise when exchanged": ("validation", "exchange_rise"),
    "word loss, abnormal": ("validation", "abnormal_words"),
}
"""What the log has after each epoch, by its head: the part and the name."""
NOT_RUN = "These rows have not been run yet."
FIRST_BOXES = ("cross_attention", "cross_attention@scores")
"""Systems whose first box is that of the words, and that of the detector's scores."""
WEIGHTS, COVID = "weights.json", "covid.md"
BLIND, BOUND = "mean_box", "ceiling"
STROKES = {BLIND: ":", BOUND: "--"}
WORD_BARS = {
    "detector's scores": "retinanet-none",
    "words": "cross_attention-none",
    "words of others (control)": "cross_attention@shuffled-none",
    "maps": "cam-none",
    "nearest picture": "neighbour",
}
WORD_SOURCES = {"phantom:standard": "standard", "phantom:easy": "easy", "NIH, five folds": "nih"}
"""Groups of the figure of words, and the blocks that they are of."""
WORD_SCORES = {"met_0.5": "boxes met at an IoU of 0.5", "attribute_auc_macro": "words told, mean AUC over words"}
CONTRASTS = {
    "none": "none",
    "normal": "nearest normal",
    "unmatched": "any normal",
    "canonical": "canonical chest",
    "random": "nearest of any kind (control)",
    "zeros": "zeros (control)",
}
"""Contrast of a row, in the words of a figure."""
SHARES = (("0", "@0"), ("40", "@40"), ("80", ""))
"""Percent of the boxed training studies whose boxes are learnt, and how the names of systems say it."""
SCORES = ("tiou_0.3", "tiou_0.5")
FEW = "†"
"""The mark of a finding with fewer pictures than an interval needs, whose rows `reproduce --show` has."""
WEIGHT_COLUMNS = {
    "weigh": "regions that weigh",
    "regions_on": "regions on a box",
    "on": "weight on a box",
    "off": "weight off boxes",
    "first_on": "first region on a box",
    "word_on": "stated words on a box",
}
TRIAL_COLUMNS = {
    "auc": "AUC",
    "iou": "mean IoU",
    "tiou_0.3": "IoU > .3",
    "tiou_0.5": "IoU > .5",
    "inside": "ΔM inside",
}


@cache
def localizers(
    places: Places, *, paper: str = "cia-net", table: str = "localizers", data: str = "phantom:standard"
) -> tuple[Task, Pooled | None]:
    """Return rows of a paper and what is recorded of them, on whatever seed or fold."""
    plan, folder = find_plan(paper, table)
    task = task_of(plan, folder, parse_data(data))
    folds, paths = bool(task.of_data.folds), places.paths(task)
    compared, crossed = task.compared_names, task.crossed_names
    return task, pool(paths, judging=plan.judging, compared=compared, crossed=crossed, folds=folds)


def rows_block(task: Task, pooled: Pooled) -> str:
    """Return the rows beside those that cannot see, and what follows from them."""
    said = [f"- {line}" for line in (*verdicts(task, pooled), *said_below(task, pooled))]
    _, rows, names = tables_of(task, pooled)[0]  # those behind it go through every finding
    rows = [row for row in rows if FEW not in row.get("images", "")]
    return "\n".join([*markdown_table(rows, names=names), "", *said])


def list_block(places: Places) -> str:
    """Return the rows on pictures of the test list, a table for each author of boxes that is recorded."""
    plan, folder = find_plan("cia-net", LIST["table"])
    found = []
    for part in task_of(plan, folder, parse_data(LIST["data"])).parts:
        pooled = pool(places.paths(part), judging=plan.judging, compared=part.compared_names)
        if pooled is not None:
            found += ["", f"**{part.title}**", "", rows_block(part, pooled)]
    return "\n".join(found[1:])


def trials_block(found: Mapping[str, Mapping[str, float | str]]) -> str:
    """Return the trials of other negatives, one line each."""
    lines = [
        f"| what a picture is compared with | {' | '.join(TRIAL_COLUMNS.values())} |",
        f"|---|{'---:|' * len(TRIAL_COLUMNS)}",
    ]
    for trial in found.values():
        lines.append(f"| {trial['said']} | {' | '.join(f'{float(trial[name]):.3f}' for name in TRIAL_COLUMNS)} |")
    return "\n".join(lines)


def poses_block(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return how far poses of pictures are from those of what they are compared with."""
    lines = ["| mean difference of pose | nearest thumbnail | any normal |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {name} | {d['nearest']:.1f} | {d['any']:.1f} |" for name, d in found.items())])


def weights_block(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return what localizers weigh, the mean over the seeds of a system, one line each."""
    lines = [
        f"| system | seeds | studies | {' | '.join(WEIGHT_COLUMNS.values())} |",
        f"|---|{'---:|' * (len(WEIGHT_COLUMNS) + 2)}",
    ]
    for system in dict.fromkeys(name.rpartition("-none-seed")[0] for name in found):
        runs = [values for name, values in found.items() if name.startswith(f"{system}-none-seed")]
        means = [
            f"{sum(run[name] for run in runs) / len(runs):.2f}" if name in runs[0] else NOTHING
            for name in WEIGHT_COLUMNS
        ]
        studies = f"{sum(run['n'] for run in runs) / len(runs):.0f}"
        lines.append(f"| {system} | {len(runs)} | {studies} | {' | '.join(means)} |")
    return "\n".join(lines)


def side_lines(task: Task, places: Places) -> list[str]:
    """Return how first boxes on the named side differ from words to detector, where both are recorded."""
    found: dict[str, dict[int, StudyTable]] = {system: {} for system in FIRST_BOXES}
    for row in task.rows():
        record = places.found(task, row)
        if row.system in found and record is not None:
            found[row.system][row.seed] = StudyTable.load(table_beside(record, GEOMETRY))
    words, scores = found.values()
    shared, folds = sorted(words.keys() & scores.keys()), bool(task.of_data.folds)
    differ = fold_differences if folds else seed_differences
    sides = (words[n] for n in shared), (scores[n] for n in shared)
    over = differ(*map(list, sides), ["attribute_side"]).get("attribute_side") if shared else None
    if over is None:
        return []
    low, high = (over.low, over.high) if over.known else (over.patients.low, over.patients.high)
    unit = f"{'fold' if folds else 'seed'}{'s' * (len(shared) > 1)}"
    return [
        "- Of first boxes on the side that the report names, words less the detector's scores: "
        f"{over.value:+.3f} ({low:+.3f} to {high:+.3f}, paired over {len(shared)} {unit} and patients). A coin "
        "has .5, and whoever names the commoner side has what `constant` has."
    ]


def with_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with every block between its two marks made anew."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in page or end not in page:
            raise SystemExit(f"expected the marks {begin} and {end} on the page; put them where the table belongs")
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        page = pattern.sub(lambda _, block=block, ends=(begin, end): f"{ends[0]}\n{block}\n{ends[1]}", page)
    return page


def draw_contrasts(pooled: Pooled, path: Path) -> None:
    """Draw what contrast adds: a bar for each contrast, on pictures as they are and on aligned ones."""
    groups = {"as they are": "li2018", "aligned": "li2018+align"}
    bars = {title: {label: f"{system}-{c}" for c, label in CONTRASTS.items()} for title, system in groups.items()}
    _draw(_by_score(pooled, bars), path)


def draw_shares(pooled: Pooled, path: Path) -> None:
    """Draw what boxes add: by the share that is learnt, paper B's base and its whole model with its controls."""
    rows = {
        "base": "li2018{}-none",
        "aligned": "li2018{}+align-none",
        "aligned, nearest normal": "li2018{}+align-normal",
        "aligned, zeros (control)": "li2018{}+align-zeros",
    }
    bars = {
        f"boxes of {share}%": {label: row.format(said) for label, row in rows.items()} for share, said in SHARES
    }
    _draw(_by_score(pooled, bars), path)


def draw_real(pooled: Pooled, path: Path) -> None:
    """Draw what real boxes say, of the rows that are recorded on all folds."""
    systems = {
        "maps": "cam",
        "labels alone": "li2018@0",
        "with boxes": "li2018",
        "with boxes, aligned": "li2018+align",
    }
    shown = [contrast for contrast in CONTRASTS if contrast not in ("unmatched", "canonical")]
    bars = {title: {CONTRASTS[c]: f"{system}-{c}" for c in shown} for title, system in systems.items()}
    kept = {title: rows for title, rows in bars.items() if any(row in pooled.intervals for row in rows.values())}
    _draw(_by_score(pooled, kept), path)


def draw_words(pooled: Mapping[str, Pooled], path: Path) -> None:
    """Draw paper D's rows: boxes that are met and words that are told, a group of bars for each source."""
    panels = {}
    for score, title in WORD_SCORES.items():
        groups = {
            source: {label: _score(each, row, score) for label, row in WORD_BARS.items()}
            for source, each in pooled.items()
        }
        panels[title] = Panel(groups, {})
    _draw(panels, path)


@dataclass(frozen=True)
class Panel:
    """Groups of bars, `title: {label: score}`, and lines across all of them by name; None is not drawn."""

    groups: Mapping[str, Mapping[str, Score | None]]
    lines: Mapping[str, Score | None]


def _by_score(pooled: Pooled, groups: Mapping[str, Mapping[str, str]]) -> dict[str, Panel]:
    """Return a panel for each share of boxes that are met, of groups `title: {label: row}`."""
    return {
        f"localized at IoU > {score.rpartition('_')[2]}, mean over findings": Panel(
            {
                title: {label: _score(pooled, row, score) for label, row in bars.items()}
                for title, bars in groups.items()
            },
            {row: _score(pooled, row, score) for row in (BLIND, BOUND)},
        )
        for score in SCORES
    }


def _draw(panels: Mapping[str, Panel], path: Path) -> None:
    """Draw panels side by side, with intervals over patients."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = [bars for panel in panels.values() for bars in panel.groups.values()]
    labels = list(dict.fromkeys(label for bars in drawn for label, value in bars.items() if value is not None))
    figure, axes = plt.subplots(1, len(panels), figsize=(13, 3.6), sharey=True, layout="constrained")
    width = 0.8 / len(labels)
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        for number, label in enumerate(labels):
            found = [(k, bars.get(label)) for k, bars in enumerate(panel.groups.values())]
            known = [(k, value) for k, value in found if value is not None]
            if not known:
                continue
            places = [k + (number - (len(labels) - 1) / 2) * width for k, _ in known]
            values = [value.value for _, value in known]
            ends = [[v.value - v.low for _, v in known], [v.high - v.value for _, v in known]]
            axis.bar(
                places, values, width * 0.92, yerr=ends, label=label, color=f"C{number}", ecolor="0.35", capsize=2
            )
        for name, value in panel.lines.items():
            if value is not None:
                axis.axhline(value.value, color="0.4", linestyle=STROKES[name], linewidth=1)
                at = axis.get_yaxis_transform()
                axis.text(0.99, value.value + 0.01, name.replace("_", " "), fontsize=8, ha="right", transform=at)
        axis.set_title(title, fontsize=9)
        axis.set_xticks(range(len(panel.groups)), list(panel.groups), fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    handles = {
        label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), fontsize=8, frameon=False, loc="outside right upper")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _score(pooled: Pooled, row: str, score: str) -> Score | None:
    return pooled.intervals.get(row, {}).get(score)


def blocks_of(places: Places) -> dict[str, str]:
    """Return every block of the page by its name."""
    (task, pooled), (folds, real) = localizers(places), localizers(places, **REAL)
    trials = places.results / "localizers" / TRIALS
    if pooled is None or real is None or not trials.is_file():
        raise SystemExit(
            f"{places.results}: no rows or no {TRIALS}; run `contrastcxr reproduce cia-net table6`, "
            "`contrastcxr reproduce cia-net nih --data nih14-cv:…` and scripts/negative_trials.py"
        )
    found = json.loads(trials.read_text(encoding="utf-8"))
    poses = found.pop("poses")
    return {
        "phantoms": rows_block(task, pooled),
        "real": rows_block(folds, real),
        "list": list_block(places),
        "trials": trials_block(found),
        "poses": poses_block(poses),
    }


def word_rows(places: Places, block: str) -> tuple[Task, Pooled | None]:
    """Return paper D's rows of a block, and what is recorded of them."""
    table, data = WORD_ROWS[block]
    return localizers(places, paper="cross-attention", table=table, data=data)


def word_blocks(places: Places) -> dict[str, str]:
    """Return every block of paper D's page by its name."""
    blocks: dict[str, str] = {}
    for name in WORD_ROWS:
        task, pooled = word_rows(places, name)
        if pooled is None:
            blocks[name] = NOT_RUN
            continue
        lines = [rows_block(task, pooled), *side_lines(task, places)]
        for above, rows, names in tables_of(task, pooled)[1:]:
            lines += ["", above, "", *markdown_table(rows, names=names)]
        blocks[name] = "\n".join(lines)
    weights, covid = places.results / "cross-attention" / WEIGHTS, places.results / "cross-attention-nih" / COVID
    if blocks["standard"] == NOT_RUN:
        raise SystemExit(f"{places.results}: no rows; run `contrastcxr reproduce cross-attention table1`")
    for file, script in ((weights, "region_weights.py"), (covid, "covid_cases.py")):
        if not file.is_file():
            raise SystemExit(f"{file}: not found; scripts/{script} makes it")
    blocks["weights"] = weights_block(json.loads(weights.read_text(encoding="utf-8"))["runs"])
    blocks["covid"] = covid.read_text(encoding="utf-8").partition("\n")[2].replace("\n## ", "\n### ").strip()
    return blocks


def loss_rows(places: Places, block: str) -> tuple[Task, Pooled | None]:
    """Return paper C's rows of a block, and what is recorded of them."""
    table, data = LOSS_ROWS[block]
    return localizers(places, paper="wcl", table=table, data=data)


def loss_blocks(places: Places) -> dict[str, str]:
    """Return every block of paper C's page by its name: retrieval and words have a table each."""
    blocks: dict[str, str] = {}
    recorded = {name: loss_rows(places, name) for name in LOSS_ROWS}
    for name, (task, pooled) in recorded.items():
        if pooled is None:
            blocks[name] = NOT_RUN
            continue
        rows = score_rows(task, pooled)
        names = list(rows[0])[:2]
        found = [column for column in rows[0] if column in RETRIEVED]
        parts = [[*names, *found], [column for column in rows[0] if column not in found]]
        chance = chance_lines(pooled) if found else []
        lines = [f"- {line}" for line in (*verdicts(task, pooled), *chance, *said_below(task, pooled))]
        for part in parts if found else parts[1:]:
            kept = [{column: row[column] for column in part} for row in rows]
            kept = [row for row in kept if set(list(row.values())[2:]) != {NOTHING}]
            lines = [*markdown_table(kept, names=1), "", *lines]
        blocks[name] = "\n".join(lines)
    file = places.results / "wcl" / FOUND
    if file.is_file():
        found = found_block(json.loads(file.read_text(encoding="utf-8"))["runs"])
        blocks["found"] = "\n".join([found, *learning_lines(recorded["table1"][1])])
    blocks["epochs"] = "\n".join(epoch_lines(recorded["table1"][1])) or NOT_RUN
    return blocks


def chance_lines(pooled: Pooled) -> list[str]:
    """Return how often a report is found by chance, where any row's are looked for."""
    scores = [record.systems[name].get(AMONG_TEN) for record in pooled.records for name in record.systems]
    shares = dict.fromkeys(f"10 of {score['n']} are {10 / score['n']:.3f}" for score in scores if score)
    return [f"Own report among ten by chance: {', '.join(shares)}."] if shares else []


def found_block(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return how often the own report is among ten, the mean over the seeds of a row, one line each."""
    lines = [
        f"| row | seeds | {' | '.join(FOUND_COLUMNS.values())} |",
        f"|---|{'---:|' * (len(FOUND_COLUMNS) + 1)}",
    ]
    for row in dict.fromkeys(name.rpartition("-seed")[0] for name in found):
        runs = [values for name, values in found.items() if name.rpartition("-seed")[0] == row]
        means = [f"{sum(run[name] for run in runs) / len(runs):.3f}" for name in FOUND_COLUMNS]
        lines.append(f"| {row} | {len(runs)} | {' | '.join(means)} |")
    return "\n".join(lines)


def learning_lines(pooled: Pooled | None) -> list[str]:
    """Return how the loss falls in training, epoch by epoch, a line for each row that has it."""
    curves: dict[str, list[list[float]]] = {}
    for record in pooled.records if pooled else ():
        losses = [epoch["train"]["wcl"] for epoch in record.training.get("curves", ()) if "wcl" in epoch["train"]]
        if losses:
            curves.setdefault(record.row, []).append(losses)
    each = (
        f"{row} {', '.join(f'{np.mean(epoch):.2f}' for epoch in zip(*seeds, strict=True))}"
        for row, seeds in curves.items()
    )
    said = "; ".join(each)
    return ["", f"- The loss in training, epoch by epoch, mean over seeds: {said}."] if said else []


def epoch_lines(pooled: Pooled | None) -> list[str]:
    """Return what second stages with and without the loss knew after each epoch, a line each, mean over seeds."""
    curves: dict[str, list[list[dict[str, dict[str, float]]]]] = {}
    for record in pooled.records if pooled else ():
        if record.row in BY_EPOCH:
            curves.setdefault(record.row, []).append(record.training["curves"])
    if set(curves) != set(BY_EPOCH):
        return []
    heads = [f"{head}, {row}" for head in LEARNT for row in BY_EPOCH]
    lines = [f"| epoch | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for number, epochs in enumerate(zip(*(zip(*curves[row], strict=True) for row in BY_EPOCH), strict=True), 1):
        means = [np.mean([one[part][name] for one in of]) for part, name in LEARNT.values() for of in epochs]
        lines.append(f"| {number} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return lines


def draw_lengths(pooled: Pooled, path: Path) -> None:
    """Draw paper C's Figure 2: how many of the reports have how many words, of the references and of each row."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sides = {"references": next(iter(pooled.lengths.values()))[0]}
    for name, (_, own) in pooled.lengths.items():
        if not any(
            np.array_equal(own, other, equal_nan=True) for other in sides.values()
        ):  # the base has its row's
            sides[name] = own
    figure, axis = plt.subplots(figsize=(9, 3.4), layout="constrained")
    for number, (name, lengths) in enumerate(sides.items()):
        shares = [count / len(lengths) for count in length_counts(lengths)[0]]
        style = {"color": "0.2", "linewidth": 2.5} if not number else {"color": f"C{number - 1}"}
        axis.plot([start + WIDE / 2 for start in EDGES[: len(shares)]], shares, label=name, **style)
    axis.set_xlabel("words of a report")
    axis.set_ylabel(f"share of reports, {WIDE} words a step")
    axis.set_xlim(0, 80)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


PAGES = {"localization.md": blocks_of, "cross-attention.md": word_blocks, "contrastive-loss.md": loss_blocks}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables of the pages, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    asked = parser.parse_args(arguments)
    places = Places(asked.results, Path("runs"), Path(".cache"))
    for name, blocks in PAGES.items():
        page = with_blocks((asked.docs / name).read_text(encoding="utf-8"), blocks(places))
        with atomic_write(asked.docs / name) as file:
            file.write(page)
    images = asked.docs / "images"
    pooled = localizers(places)[1]
    assert pooled is not None  # its blocks are written
    draw_contrasts(pooled, images / "localization-contrast.png")
    draw_shares(pooled, images / "localization-boxes.png")
    real = localizers(places, **REAL)[1]
    assert real is not None  # likewise
    draw_real(real, images / "localization-real.png")
    told = {title: each for title, block in WORD_SOURCES.items() if (each := word_rows(places, block)[1])}
    draw_words(told, images / "localization-words.png")
    if (learnt := loss_rows(places, "table1")[1]) is not None:
        draw_lengths(learnt, images / "wcl-lengths.png")


if __name__ == "__main__":
    main()
