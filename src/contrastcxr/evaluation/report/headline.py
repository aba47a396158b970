"""The figures on top: cards of the main scores with every reader's interval, all scores, every definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contrastcxr.evaluation.report.forest import Mark, axis, row
from contrastcxr.evaluation.report.svg import Scale, top
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.efficacy import AVERAGES, GRID, PRESETS
from contrastcxr.metrics.exchange import EXCHANGED_F1, RISE, WORD_LOSSES
from contrastcxr.metrics.sheet import HEADLINE, LOWER_IS_BETTER, ROWS, TRIVIAL, reasons

if TYPE_CHECKING:
    from contrastcxr.evaluation.result import Differences, Evaluation, SystemScores
    from contrastcxr.metrics.scores import Score, Scores

NAMES: Mapping[str, str] = {
    "system": "this system",
    "commonest": "commonest findings",
    "neighbour": "nearest neighbour",
    "mean_box": "mean box",
}
BETTER, WORSE, SAME = "better", "worse", "same"
UNTOUCHED = (*WORD_LOSSES, RISE, EXCHANGED_F1)
"""Scores of the system alone, which stand in a block of their own."""
_TITLES: Mapping[str, str] = {
    "missed_abnormality": "Missed: abnormal studies with nothing called right",
    "invented_abnormality": "Invented: studies with an abnormality that is not there",
    "positive_f1": "Positive findings, F1",
    "auc_mean": "Mean AUC over findings",
    "calibration_error": "Calibration error of the probabilities",
    "tiou_0.3": "Localized: IoU with the reference boxes above .3",
    "pointing": "Pointing game: peak inside a reference box",
    "false_boxes": "False boxes per study",
}
_OWN: Mapping[str, str] = {
    "positive_{}": "this project, pairs pooled, uncertain negative",
    "positive_{}_macro": "this project, mean over findings present, uncertain negative",
    "positive_{}/uncertain_positive": "this project, pairs pooled, uncertain positive",
    "positive_{}_macro/uncertain_positive": "this project, mean over findings present, uncertain positive",
}

Values = dict[str, Any]


def readers(found: Evaluation) -> list[Values]:
    """Return the systems of the page with their names and what they are."""
    return [
        {"key": name, "name": NAMES.get(name, name), "description": system.description}
        for name, system in found.systems.items()
    ]


def cards(found: Evaluation, differences: Differences) -> list[Values]:
    """Return one card for each main score that the system has."""
    return [_card(name, found, differences) for name in HEADLINE if _has(found.scores.get(name))]


def beside_words(systems: Mapping[str, SystemScores]) -> list[str]:
    """Return the trivial readers that state findings in words."""
    return [key for key in TRIVIAL if key in systems and systems[key].table.claimed is not None]


def tally(found: Sequence[Values]) -> list[Values]:
    """Return how many of the cards are better and worse than each baseline, beyond chance."""
    verdicts = [beside for card in found for beside in card["beside"]]
    return [
        {
            "name": NAMES.get(name, name),
            "scores": sum(v["key"] == name for v in verdicts),
            BETTER: sum(v["key"] == name and v["verdict"] == BETTER for v in verdicts),
            WORSE: sum(v["key"] == name and v["verdict"] == WORSE for v in verdicts),
        }
        for name in TRIVIAL
        if any(v["key"] == name for v in verdicts)
    ]


def all_scores(systems: Mapping[str, SystemScores]) -> list[Values]:
    """Return every score that a baseline may have too, a cell for each system."""
    known = [name for name in ROWS if any(_has(s.scores.get(name)) for s in systems.values())]
    shown = [name for name in known if name not in UNTOUCHED]
    return [
        {"label": ROWS[name], "name": name, "cells": [cell(s.scores.get(name)) for s in systems.values()]}
        for name in shown
    ]


def empty_scores(systems: Mapping[str, SystemScores]) -> list[str]:
    """Return why scores are empty, each reason once."""
    return reasons({name: system.scores for name, system in systems.items()})


def definitions(systems: Mapping[str, SystemScores]) -> list[Values]:
    """Return clinical efficacy under every definition that could be scored, those in use first."""
    own = systems["system"].scores
    rows = [
        _definition(f"{name}/{{}}", name, f"{definition.source}", definition.signature, systems)
        for name, definition in PRESETS.items()
        if _has(own.get(f"{name}/f1"))
    ]
    rows += [
        _definition(pattern, pattern.format("f1"), said, "", systems)
        for pattern, said in _OWN.items()
        if _has(own.get(pattern.format("f1")))
    ]
    return rows


def every_count(systems: Mapping[str, SystemScores]) -> list[Values]:
    """Return F1 under every policy and average, and both accuracies; 14 findings, then five."""
    own = systems["system"].scores
    rows = []
    for place in dict.fromkeys((len(cell.findings), cell.uncertain) for cell in GRID.values()):
        count, uncertain = place
        key = f"findings{count}-{uncertain}"
        names = [f"{key}-{average}/f1" for average in AVERAGES]
        names += [f"{key}-micro/accuracy", f"{key}-per_study/accuracy"]
        if _has(own.get(names[0])):
            rows.append(
                {"findings": count, "uncertain": uncertain, "cells": [cell(own.get(name)) for name in names]}
            )
    return rows


def exchanged(systems: Mapping[str, SystemScores]) -> list[Values]:
    """Return the system's scores that no search touches, and those of exchanged pictures."""
    own = systems["system"].scores
    shown = [name for name in UNTOUCHED if _has(own.get(name))]
    return [{"label": ROWS[name], "cell": cell(own[name])} for name in shown]


def cell(score: Score | None) -> Values:
    """Return a figure and its interval, apart, so that a narrow table breaks between them."""
    value, _, interval = "–" if score is None else score.text(), "", ""
    value, _, interval = value.partition(" ")
    return {"value": value, "interval": interval}


def signature_parts(signature: str) -> list[tuple[str, str]]:
    """Return `data:x|n:60` as pairs."""
    parts = (part.partition(":") for part in signature.split("|"))
    return [(name, value) for name, _, value in parts]


def _definition(pattern: str, name: str, source: str, how: str, systems: Mapping[str, SystemScores]) -> Values:
    measures = [pattern.format(measure) for measure in ("precision", "recall", "f1", "accuracy")]
    beside = [cell(systems[key].scores.get(measures[2])) for key in beside_words(systems)]
    own: Scores = systems["system"].scores
    return {
        "name": name,
        "source": source,
        "how": how.replace("|", ", ").replace(":", " "),
        "cells": [cell(own.get(measure)) for measure in measures] + beside,
    }


def _card(name: str, found: Evaluation, differences: Differences) -> Values:
    scores = {key: system.scores.get(name) for key, system in found.systems.items()}
    marks = {key: Mark.of(key, score, whiskers=True) for key, score in scores.items()}
    ends = [v for s in scores.values() if s is not None for v in (s.value, s.high) if v is not None]
    scale = Scale(0.0, top(ends))
    rows = [_card_row(key, mark, scores[key], scale) for key, mark in marks.items() if mark is not None]
    return {
        "name": name,
        "title": _TITLES.get(name) or ROWS[name],
        "better": "lower is better" if name in LOWER_IS_BETTER else "higher is better",
        "n": found.scores[name].n,
        **cell(found.scores[name]),
        "rows": rows,
        "axis": axis(scale),
        "beside": [_against(key, differences[key][name], name) for key in differences if name in differences[key]],
    }


def _card_row(key: str, mark: Mark, score: Score | None, scale: Scale) -> Values:
    figure = cell(score)
    said = f"{NAMES.get(key, key)}: {figure['value']} {figure['interval']}"
    return {"key": key, "name": NAMES.get(key, key), "plot": row([mark], said, scale=scale), **figure}


def _against(key: str, change: Interval, name: str) -> Values:
    return {
        "key": key,
        "name": NAMES.get(key, key),
        "verdict": verdict(change, lower_is_better=name in LOWER_IS_BETTER),
        "figure": _change(change),
    }


def _change(change: Interval) -> str:
    """Return a difference with its interval, where it has one."""
    if not (math.isfinite(change.low) and math.isfinite(change.high)):
        return _signed(change.value)
    return f"{_signed(change.value)} ({_signed(change.low)} to {_signed(change.high)})"


def verdict(change: Interval, *, lower_is_better: bool) -> str:
    """Return `better`, `worse`, or `same` where the interval of the difference holds zero."""
    if not (math.isfinite(change.value) and change.excludes_zero()):
        return SAME
    return BETTER if (change.value < 0) == lower_is_better else WORSE


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    sign = {-1: "\N{MINUS SIGN}", 0: "", 1: "+"}[(round(value, 3) > 0) - (round(value, 3) < 0)]
    return sign + f"{abs(value):.3f}".removeprefix("0")


def _has(score: Score | None) -> bool:
    return score is not None and score.value is not None
