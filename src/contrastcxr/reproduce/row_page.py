"""The rows of an experiment as text: every row beside those that cannot see and the ceiling, and what follows.

Rows of few pictures, which the mean of fold models reads, stand finding by finding, each with its images and
intervals, and nothing follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastcxr.evaluation.baselines import ATTRIBUTES, FINDINGS, ORDER, PLACES, WORDS
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.detection import AP_THRESHOLDS, MET_THRESHOLDS
from contrastcxr.metrics.identification import MINIMUM_POSITIVES
from contrastcxr.metrics.lengths import EDGES, LENGTH_DISTANCE, LONGEST, WIDE, length_counts
from contrastcxr.metrics.localization import THRESHOLDS
from contrastcxr.metrics.retrieval import RETRIEVAL_SCORES
from contrastcxr.metrics.scores import Score
from contrastcxr.reproduce.agreement import together
from contrastcxr.reproduce.plan import BASELINES, PLAIN
from contrastcxr.reproduce.pooled import Mean, Pooled, by_geometry, by_votes
from contrastcxr.reproduce.sentences import conclusions, sentence
from contrastcxr.reproduce.shown import NOTHING, markdown_table, signed
from contrastcxr.reproduce.task import Task
from contrastcxr.vocab.attribute_words import attribute_list

SHORT: Mapping[str, str] = {
    **{f"tiou_{t}": f"IoU > {t}" for t in THRESHOLDS},
    **{f"tiobb_{t}": f"IoBB > {t}" for t in THRESHOLDS},
    "pointing": "peak in box",
    "miou": "mIoU",
    **{f"map_{t}": f"mAP at {t}" for t in AP_THRESHOLDS},
    **{f"met_{t}": f"boxes met at {t}" for t in MET_THRESHOLDS},
    **{f"met_{t}_first": f"by one box, {t}" for t in MET_THRESHOLDS},
    "attribute_auc": "AUC of words",
    "attribute_auc_macro": "macro AUC",
    "attribute_accuracy": "words right",
    "attribute_accuracy_none": "saying none",
    "attribute_side": "side told",
    "false_boxes": "false boxes",
    "auc_mean": "AUC",
    "positive_f1": "positive F1",
    "positive_precision": "precision",
    "positive_recall": "recall",
    "word_loss_abnormal": "word loss, abnormal",
    "word_loss_normal": "word loss, normal",
    "exchange_rise": "rise when exchanged",
    "exchanged_f1": "F1 when exchanged",
    "bleu_4": "BLEU-4",
    "cider": "CIDEr",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "side_agreement": "side right",
    **{name: name.partition("/")[2].replace("_", " ") for name in RETRIEVAL_SCORES},
    LENGTH_DISTANCE: "length distance",
}
"""Heads of columns."""


MEANING: Mapping[bool, str] = {
    False: "Mean over seeds (95% bootstrap interval over patients) ± standard deviation over seeds.",
    True: "All folds as one: hits over images, not a mean of folds (95% bootstrap interval over patients).",
}
"""What a figure is, by whether rows are over folds."""


FEW = f"n < {MINIMUM_POSITIVES}"
OF_MEANS = (
    "The mean of the models of all folds, of probabilities and of heat in the frame of the original; hits over "
    f"images (95% bootstrap interval over patients). † fewer than {MINIMUM_POSITIVES} images: the interval is "
    "too narrow, and has no width at 0 and 1."
)
_OF_PICTURES = (*(f"tiou_{t}" for t in THRESHOLDS), "pointing")


def columns(pooled: Pooled) -> list[str]:
    """Return the scores that tables of rows show: of those that are to be shown the ones that any row has."""
    return [score for score in pooled.judging.shown if any(score in means for means in pooled.means.values())]


def score_rows(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per row of the table, the baselines last: the scores that rows are judged by.

    A row whose reports are also chosen by votes has a second line.
    """
    return [
        {
            "row": name,
            "folds" if pooled.folds else "seeds": str(len(_seeds(pooled, name))),
            **{SHORT.get(score, score): _figure(pooled, name, score) for score in columns(pooled)},
        }
        for name in _names(task, pooled)
    ]


def finding_rows(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per threshold and row: the share localized of each finding, and their mean.

    A finding with boxes on fewer than ten images has no share and is in no mean.
    """
    findings = list(dict.fromkeys(name for threshold in THRESHOLDS for name in _findings(pooled, threshold)))
    few = _few(pooled)
    return [
        {
            "IoU >": str(threshold),
            "row": name,
            **{finding: _plain(pooled, name, f"tiou_{threshold}/{finding}") for finding in findings},
            **dict.fromkeys(few, FEW),
            "mean": _plain(pooled, name, f"tiou_{threshold}"),
        }
        for threshold in THRESHOLDS
        for name in _names(task, pooled)
    ]


def picture_rows(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per row and finding, of few pictures: hits over images, however few these are."""
    found = []
    for name, scores in _recorded(task, pooled).items():
        for key in (key for key in scores if key.startswith(f"{_OF_PICTURES[0]}/")):
            finding, images = key.partition("/")[2], int(scores[key]["n"])
            marked = f"{images} †" if images < MINIMUM_POSITIVES else str(images)
            figures = {SHORT[each]: _text(scores.get(f"{each}/{finding}")) for each in _OF_PICTURES}
            found.append({"row": name, "finding": finding, "images": marked, **figures})
    return found


def _recorded(task: Task, pooled: Pooled) -> dict[str, Mapping[str, Any]]:
    """Return the scores of each row in the order of the plan, then of the baselines."""
    rows = {record.row: record.systems for record in pooled.records}
    trained = {row.name: rows[row.name]["system"] for row in task.rows() if "system" in rows.get(row.name, {})}
    beside = rows.get(BASELINES, {})
    return {**trained, **{name: beside[name] for name in ORDER if name in beside}}


def _text(score: Mapping[str, Any] | None) -> str:
    """Return a recorded figure with its interval."""
    if score is None or score["value"] is None:
        return NOTHING
    return Score("", score["value"], score["low"], score["high"], score["n"]).text()


def tables_of(task: Task, pooled: Pooled) -> list[tuple[str, list[dict[str, str]], int]]:
    """Return the tables of the rows: what stands above each, its rows, and how many columns are names."""
    if task.averages:
        return [("", picture_rows(task, pooled), 2)]
    several = _located(pooled) and task.of_data.attributes is None
    located = [("Finding by finding:", finding_rows(task, pooled), 2)] if several else []
    words = _words(task, pooled)
    named = [("AUC of each word:", words, 1)] if words else []
    return [("", score_rows(task, pooled), 1), *located, *named, *_lengths(task, pooled)]


def _rare_words(task: Task, pooled: Pooled) -> list[str]:
    """Return which attributes of the list are in no table, of rows that tell some."""
    found = [row["word"] for row in _words(task, pooled)]
    if not found or task.of_data.attributes is None:
        return []
    rare = [word for word in attribute_list(task.of_data.attributes).attributes if word not in found]
    return (
        [f"Words without an AUC of their own, stated of too few or of too many ({FEW}): {', '.join(rare)}."]
        if rare
        else []
    )


def _words(task: Task, pooled: Pooled) -> list[dict[str, str]]:
    """Return one row of text per attribute of the list that is scored: its AUC in each row of the table."""
    if task.of_data.attributes is None:
        return []
    told = [name for name in _names(task, pooled) if "attribute_auc" in pooled.means[name]]
    words = attribute_list(task.of_data.attributes).attributes
    scores = {word: f"attribute_auc/{word}" for word in words}
    known = {word: score for word, score in scores.items() if any(score in pooled.means[name] for name in told)}
    return [
        {"word": word, **{name: _plain(pooled, name, score) for name in told}} for word, score in known.items()
    ]


def _lengths(task: Task, pooled: Pooled) -> list[tuple[str, list[dict[str, str]], int]]:
    """Return the table of paper C's Figure 2, of rows that its loss is for: how long reports are."""
    if task.plan.judged_by != "retrieval" or not pooled.lengths:
        return []
    rows = [name for name in _names(task, pooled) if name in pooled.lengths]
    sides = {"references": pooled.lengths[rows[0]][0], **{name: pooled.lengths[name][1] for name in rows}}
    shares = {name: _shares(lengths) for name, lengths in sides.items()}
    ends = [*(f"{start} to {start + WIDE - 1}" for start in EDGES[:-2]), f"{EDGES[-2]} to {LONGEST}", "longer"]
    return [
        (
            "Words of a report, shares of the reports (Figure 2):",
            [
                {"words": end, **{name: f"{share[at]:.3f}" for name, share in shares.items()}}
                for at, end in enumerate(ends)
                if any(share[at] for share in shares.values())
            ],
            1,
        )
    ]


def _shares(lengths: Floats) -> list[float]:
    counts, longer = length_counts(lengths)
    every = max(1, sum(counts) + longer)
    return [count / every for count in (*counts, longer)]


def said_below(task: Task, pooled: Pooled) -> list[str]:
    """Return what a reader of the tables must know, a sentence or two a line."""
    of = _baselines(task, pooled)
    beside = "; ".join(f"{name}: {of[name]}" for name in ORDER if of[name] and name in pooled.means)
    images = ", ".join(f"{name} {count}" for name, count in _images(pooled).items())
    few = ", ".join(f"{name} {_images(pooled)[name]}" for name in _few(pooled))
    means = task.averages
    return [
        OF_MEANS if means else MEANING[pooled.folds],
        *([f"Beside the rows: {beside}."] if beside else []),
        *([f"Images with a box of the finding: {images}."] if images and not means else []),
        *([f"In no mean ({FEW}): {few}."] if few and not means else []),
        *_agreement(pooled),
        *_joined(task),
        *_attributes(task),
        *_rare_words(task, pooled),
        *task.of_data.notes,
        *_aligners(task, pooled),
        *(_chosen(pooled) if _located(pooled) else []),
        *(_twins(pooled) if _located(pooled) else []),
        *signed(pooled.signatures, pooled.recipe),
    ]


def _baselines(task: Task, pooled: Pooled) -> dict[str, str]:
    """Return what each baseline is, of what the table scores."""
    told = [] if task.of_data.attributes is None else [ATTRIBUTES]
    kinds = [PLACES, *told] if _located(pooled) else told or [WORDS, FINDINGS]
    said = {name: ", and ".join(kind[name] for kind in kinds if name in kind) for name in ORDER}
    chosen_on = "training" if task.of_data.split == "validation" else "validation"
    return {name: text.format(chosen_on=chosen_on) for name, text in said.items()}


def _agreement(pooled: Pooled) -> list[str]:
    """Return how far the labels agree with the boxes of the pictures that are scored, where they are of two."""
    found = together(record for record in pooled.records if record.row == BASELINES)
    each = "; ".join(
        f"{name} {counts['boxed']}, {counts['labelled']}, {counts['both']}" for name, counts in found.items()
    )
    return [f"Scored images with a box, with the label that is learnt, and with both: {each}."] if each else []


def _joined(task: Task) -> list[str]:
    said = "; ".join(f"{name} is the maximum over {', '.join(of)}" for name, of in task.of_data.joined.items())
    return [f"Of every row, as declared before any ran: {said}."] if said else []


def _attributes(task: Task) -> list[str]:
    name = task.of_data.attributes
    if name is None:
        return []
    found = attribute_list(name)
    return [
        f"All findings of {name} ({', '.join(found.boxed)}) are one, {found.finding}; so are their boxes. Words "
        "are scored on studies whose report states one; 'saying none' is how many are right of whoever says "
        "none. A row by geometry says side and zone of its first box, and other words as often as training."
    ]


def verdicts(task: Task, pooled: Pooled) -> list[str]:
    """Return what follows from the rows, in sentences: on contrast, and on systems that are compared."""
    if task.averages:
        return []
    contrasted = any(PLAIN in effect.over for effect in pooled.comparisons)
    return [*([sentence([pooled])] if contrasted else []), *conclusions(pooled)]


def rows_page(task: Task, pooled: Pooled) -> str:
    """Return the part of the page before published tables: what follows, and the tables of the rows."""
    lines = [f"## {task.plan.name} on {pooled.data}", "", f"{task.plan.title}.", ""]
    lines += [*(f"- {said}" for said in found), ""] if (found := verdicts(task, pooled)) else []
    for above, rows, names in tables_of(task, pooled):
        lines += [*([above, ""] if above else []), *markdown_table(rows, names=names), ""]
    return "\n".join([*lines, *(f"- {said}" for said in said_below(task, pooled)), ""])


def _names(task: Task, pooled: Pooled) -> list[str]:
    """Return the rows that have a score to show: the plan's in its order, then the baselines."""
    rows = dict.fromkeys(row.name for row in task.rows() if row.system != BASELINES)
    lines = (line for name in rows for line in (name, by_votes(name), by_geometry(name)))
    return [name for name in (*lines, *ORDER) if set(pooled.judging.shown) & set(pooled.means.get(name, {}))]


def _located(pooled: Pooled) -> bool:
    """Return True for rows that mark places."""
    return any(score.startswith(("tiou", "met_")) for score in columns(pooled))


def _seeds(pooled: Pooled, name: str) -> set[int]:
    trained = (name, name.removesuffix(by_votes("")), name.removesuffix(by_geometry("")))
    return {r.seed for r in pooled.records if r.row in trained or (r.row == BASELINES and name in r.systems)}


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
    """Return on how many images each finding has a box, as text: fewest to most where seeds differ."""
    return {name: "–".join(map(str, dict.fromkeys(ends))) for name, ends in _counts(pooled).items()}


def _few(pooled: Pooled) -> list[str]:
    """Return the findings with boxes on fewer than ten images, whatever the row."""
    return [name for name, (_, most) in _counts(pooled).items() if most < MINIMUM_POSITIVES]


def _counts(pooled: Pooled) -> dict[str, tuple[int, int]]:
    """Return the fewest and the most images with a box of each finding, over seeds; of folds twice their sum."""
    counts: dict[str, dict[int, list[int]]] = {}
    for record in pooled.records:
        for score, found in (pair for scores in record.systems.values() for pair in scores.items()):
            family, _, finding = score.partition("/")
            if family == "tiou_0.3" and finding:
                counts.setdefault(finding, {}).setdefault(record.seed, []).append(found["n"])
    if pooled.folds:
        return {name: (sum(max(n) for n in f.values()),) * 2 for name, f in counts.items()}
    every = {name: [n for found in seeds.values() for n in found] for name, seeds in counts.items()}
    return {name: (min(n), max(n)) for name, n in every.items()}


def _chosen(pooled: Pooled) -> list[str]:
    """Return what heads chose on validation, such as the cut of a map, seed by seed."""
    said = {
        "thresholds": "Cuts of 255 chosen on validation, seed by seed",
        "present_from": "A finding counts as present from the score with the best F1 on validation, seed by seed",
    }
    lines = []
    for name, above in said.items():
        chosen: dict[str, list[str]] = {}
        for record in pooled.records:
            for of, value in record.training.get(name, {}).items():
                chosen.setdefault(f"{record.row} ({of})", []).append(f"{value:.4g}")
        each = "; ".join(f"{row} {', '.join(values)}" for row, values in chosen.items())
        lines += [f"{above}: {each}."] if each else []
    return lines


def _aligners(task: Task, pooled: Pooled) -> list[str]:
    """Return which rows took another training of their seed's aligner than the first row that took one."""
    taken: dict[int, dict[str, str]] = {}
    for record in pooled.records:
        if weights := (record.training.get("align") or {}).get("weights"):
            taken.setdefault(record.seed, {})[record.row] = weights
    names = list(dict.fromkeys(row.name for row in task.rows()))
    others = {
        name: first
        for rows in taken.values()
        if (first := next((name for name in names if name in rows), None)) is not None
        for name in names
        if rows.get(name, rows[first]) != rows[first]
    }
    if not others:
        return []
    said = f"{', '.join(others)} took the aligner of another training than {next(iter(others.values()))}"
    return [f"Of one configuration and seed, {said}: two machines do not repeat one to the last digit."]


_SIGNS: Mapping[str, str] = {"pooled": "v̂", "difference": "v^d", "patches": "F", "difference_map": "ΔM"}
"""How papers write what twins compare."""


def _twins(pooled: Pooled) -> list[str]:
    """Return what contrast makes of twins: how far a lesion moves it, over how far another pose does."""
    said = []
    for row in pooled.twins:
        if row.claim is None or row.pair is None:
            continue
        before, after = (_SIGNS[name] for name in row.pair)
        gain, holds = row.claim.gain, "holds" if row.claim.holds else "does not hold"
        said.append(
            f"{row.row}: R({before}) {row.claim.pooled.value:.3f}, R({after}) {row.claim.difference.value:.3f}, "
            f"{gain.value:+.0%} ({gain.low:+.0%} to {gain.high:+.0%}), the claim {holds}"
        )
    meant = "Twins: R is how far a lesion moves a feature, over how far another pose moves it (geometric mean). "
    return [meant + "; ".join(said) + "."] if said else []
