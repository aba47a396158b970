"""All scores of a study table, each with its 95% interval, under the names that all our tables use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from contrastcxr.metrics import meteor
from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.bootstrap import (
    REPLICATES,
    Floats,
    Interval,
    Statistic,
    divide,
    interval,
    mean_of,
    paired_difference,
    study_weights,
)
from contrastcxr.metrics.calibration import calibration_error_statistic
from contrastcxr.metrics.clinical import MEASURES, POLICIES, SUFFIX, ClinicalCounts, targets
from contrastcxr.metrics.efficacy import GRID, PRESETS, efficacy
from contrastcxr.metrics.exchange import counted_words, exchange_reasons, exchange_statistics
from contrastcxr.metrics.identification import MINIMUM_POSITIVES, Identification
from contrastcxr.metrics.lengths import LENGTH_DISTANCE, length_distance
from contrastcxr.metrics.localization import FALSE_BOXES, PRECISIONS, Localization, PlaceCounts, counted_places
from contrastcxr.metrics.table import StudyTable
from contrastcxr.metrics.text import BLEU_ORDERS, bleu_statistic
from contrastcxr.metrics.undefined import of_nothing, undefined
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING

TEXT_SCORES = (
    *(f"bleu_{order}" for order in range(1, BLEU_ORDERS + 1)),
    "meteor",
    "rouge_l",
    "cider",
    "mean_words",
    LENGTH_DISTANCE,
)
"""Scores that are empty, with the reason, where there is no report on both sides."""


@dataclass(frozen=True)
class Score:
    """One figure (CIDEr up to 10, others up to 1), its interval, the studies behind it, or why it is empty.

    `n` counts studies; for side and severity, the findings they are shares of, and for the localization of one
    finding the images with a box of it, as the note says.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, to six places; an undefined figure is null."""
        said = {k: v for k, v in vars(self).items() if k != "name" and not (k == "note" and v is None)}
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in said.items()}

    def text(self, digits: int = 3) -> str:
        """Return the figure as it stands in a table, such as `.412 (.380–.441)`."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            return _figure(self.value, digits)
        return f"{_figure(self.value, digits)} ({_figure(self.low, digits)}–{_figure(self.high, digits)})"


Scores = Mapping[str, Score]


def statistics(table: StudyTable, *, minimum: int = MINIMUM_POSITIVES) -> dict[str, Statistic]:
    """Return every score of the table as a statistic of study weights, by name."""
    found = _texts(table) | _clinical(table) | _agreement(table, minimum) | _identification(table, minimum)
    found |= exchange_statistics(table)
    found |= {} if table.attributes is None else table.attributes.statistics(minimum)
    places = _localization(table)
    return found if places is None else found | places.statistics(minimum)


def _texts(table: StudyTable) -> dict[str, Statistic]:
    found: dict[str, Statistic] = {}
    if table.bleu is not None:
        found |= {f"bleu_{order}": bleu_statistic(table.bleu, order) for order in range(1, BLEU_ORDERS + 1)}
    for name, values in (("rouge_l", table.rouge_l), ("cider", table.cider)):
        if values is not None:
            found[name] = mean_of(values)
    if table.meteor is not None:
        counts = table.meteor
        found["meteor"] = lambda weights: meteor.score_from_totals(weights @ counts)
    if table.words is not None:
        found["mean_words"] = mean_of(table.words)
    if table.lengths is not None:
        found[LENGTH_DISTANCE] = length_distance(*table.lengths)
    if table.learned is not None:
        found |= {name: mean_of(table.learned[:, k]) for k, name in enumerate(table.learned_names)}
    return found


def _localization(table: StudyTable) -> Localization | None:
    if table.iou is None or table.iobb is None:
        return None
    kept = PlaceCounts(
        table.iou, table.iobb, table.pointing, table.false_boxes, table.boxes_marked, table.boxes_wanted
    )
    return Localization(table.names, kept)


def counted_how(name: str) -> str:
    """Return how a score counts uncertain labels and averages, as it stands in the score's signature.

    Empty for words.
    """
    family, _, rest = name.partition("/")
    if family in PRESETS:
        one = rest.startswith("f1/")
        return f"finding:{rest[3:]}|uncertain:{PRESETS[family].uncertain}" if one else PRESETS[family].signature
    if family in GRID:
        return GRID[family].signature
    if family in AGREEMENTS:
        return "uncertain:negative|average:findings that both call"
    if family.startswith("finding_"):
        return f"finding:{rest}|uncertain:negative"
    if family.startswith(("positive_", "missed_", "invented_")):
        average = "macro over findings present" if family.endswith("_macro") else "micro"
        average = average if family.startswith("positive_") else "studies"
        return f"uncertain:{'positive' if rest else 'negative'}|average:{average}"
    if counted_words(name):
        return counted_words(name)
    return "uncertain:left out" if family.startswith(("auc", "calibration", "brier")) else counted_places(name)


def score_table(
    table: StudyTable, *, replicates: int = REPLICATES, seed: int = 0, minimum: int = MINIMUM_POSITIVES
) -> dict[str, Score]:
    """Return every score with its 95% bootstrap interval over patients, or why it is empty.

    Args:
        table: of one system.
        replicates: bootstrap draws.
        seed: of the draws; the same for systems that are to be compared.
        minimum: positives, and negatives, that a finding needs to enter the mean AUC.
    """
    weights = study_weights(table.groups, replicates=replicates, seed=seed)
    found = {name: _score(name, interval(s, weights)) for name, s in statistics(table, minimum=minimum).items()}
    found |= {k: Score(k, None, None, None, len(table), why) for k, why in undefined(table).items() if k in found}
    few = {**_too_few(table, minimum), **_too_few_boxes(table, minimum)}
    more = {**_empty(table, minimum), **few, **_attributed(found, table, minimum), **_boxed(found, table)}
    more |= _worded(found, table, minimum)
    return _of_texts({**found, **more}, table)


def _of_texts(found: Scores, table: StudyTable) -> dict[str, Score]:
    """Return the scores, those of words with the number of studies whose reference holds some."""
    scored = int(table.scored_texts.sum())
    if table.rouge_l is None or scored == len(table):
        return dict(found)
    words = {*TEXT_SCORES, *table.learned_names} - {"mean_words"}
    return {name: replace(score, n=scored) if name in words else score for name, score in found.items()}


def differences(
    first: Sequence[StudyTable],
    second: Sequence[StudyTable],
    names: Iterable[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    minimum: int = MINIMUM_POSITIVES,
) -> dict[str, Interval]:
    """Return `first − second` for the named scores, by paired bootstrap over patients.

    Each side is one table, or one per seed; then a score is the mean over the seeds, and a patient that is in
    the test set of several seeds is drawn with all of them. What only one of two paired tables has (findings,
    probabilities of a finding, learned scores) does not count: a mean is over the same things on both sides.

    Raises:
        ValueError: the tables are not of the same studies in the same order.
    """
    if [t.studies for t in first] != [t.studies for t in second]:
        raise ValueError("the two systems were not scored on the same studies; a paired comparison needs that")
    weights = study_weights([group for table in first for group in table.groups], replicates=replicates, seed=seed)
    pairs = [alike(one, other) for one, other in zip(first, second, strict=True)]
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    sides = [_over_seeds(first, minimum), _over_seeds(second, minimum)]
    both = [name for name in names if all(name in side for side in sides)]
    return {name: paired_difference(sides[0][name], sides[1][name], weights) for name in both}


def seed_means(
    tables: Sequence[StudyTable],
    names: Iterable[str] | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    minimum: int = MINIMUM_POSITIVES,
) -> dict[str, Score]:
    """Return the named scores (all by default) as means over seeds.

    The 95% intervals are over patients, not over seeds.
    """
    weights = study_weights(
        [group for table in tables for group in table.groups], replicates=replicates, seed=seed
    )
    known = _over_seeds(tables, minimum)
    wanted = known if names is None else [name for name in names if name in known]
    return {name: _score(name, interval(known[name], weights)) for name in wanted}


def _over_seeds(tables: Sequence[StudyTable], minimum: int) -> dict[str, Statistic]:
    """Return the mean over the tables of each score that all of them have.

    The weights hold their studies side by side.
    """
    parts = [statistics(table, minimum=minimum) for table in tables]
    ends = np.cumsum([len(table) for table in tables])
    places = [slice(int(end) - len(table), int(end)) for table, end in zip(tables, ends, strict=True)]
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: _mean([part[name] for part in parts], places) for name in shared}


def _mean(parts: Sequence[Statistic], places: Sequence[slice]) -> Statistic:
    def statistic(weights: Floats) -> Floats:
        each = np.stack([part(weights[:, place]) for part, place in zip(parts, places, strict=True)])
        mean: Floats = each.mean(axis=0)
        return mean

    return statistic


def _clinical(table: StudyTable) -> dict[str, Statistic]:
    if table.truth is None or table.claimed is None:
        return {}
    found: dict[str, Statistic] = {}
    findings = [k for k, name in enumerate(table.names) if name != NO_FINDING]
    names = [table.names[k] for k in findings]
    for policy in POLICIES:
        counts = ClinicalCounts.of(table.truth[:, findings], table.claimed[:, findings], names, policy=policy)
        for measure in MEASURES:
            found[f"positive_{measure}{SUFFIX[policy]}"] = counts.micro(measure)
            found[f"positive_{measure}_macro{SUFFIX[policy]}"] = counts.macro(measure)
        found[f"missed_abnormality{SUFFIX[policy]}"] = counts.missed()
        found[f"invented_abnormality{SUFFIX[policy]}"] = counts.invented()
        if policy == "uncertain_negative":
            found |= _by_finding(counts)
    if set(CHEXPERT) <= set(table.names):
        for definition in PRESETS.values():
            found |= efficacy(table.truth, table.claimed, table.names, definition)
        for definition in GRID.values():
            found |= efficacy(table.truth, table.claimed, table.names, definition, by_finding=False)
    return found


AGREEMENTS: Mapping[str, str] = {"side_agreement": "side", "severity_agreement": "severity"}


def _agreement(table: StudyTable, minimum: int) -> dict[str, Statistic]:
    """Return side and severity, where so many findings are called by both and attributed by the reference."""
    counted = {"side_agreement": table.sides, "severity_agreement": table.severities}
    return {
        name: _share(counts)
        for name, counts in counted.items()
        if counts is not None and counts[:, 1].sum() >= max(minimum, 1)
    }


def _attributed(found: Scores, table: StudyTable, minimum: int) -> dict[str, Score]:
    """Return side and severity with the number of findings they are shares of, or why they are empty."""
    scores = {}
    for (name, what), counts in zip(AGREEMENTS.items(), (table.sides, table.severities), strict=True):
        if counts is None:
            continue
        pairs = int(counts[:, 1].sum())
        which = f"findings that both call and whose {what} the reference names"
        if name in found:
            scores[name] = replace(found[name], n=pairs, note=f"n counts {which}")
        else:
            scores[name] = Score(name, None, None, None, pairs, f"n < {max(minimum, 1)} ({pairs} {which})")
    return scores


def _by_finding(counts: ClinicalCounts) -> dict[str, Statistic]:
    return {
        f"finding_{measure}/{name}": counts.of_finding(name, measure)
        for measure in MEASURES
        for name in counts.names
    }


def _share(counted: Any) -> Statistic:
    agree, all_of = np.asarray(counted, np.float64).T
    return lambda weights: divide(weights @ agree, weights @ all_of)


def _identification(table: StudyTable, minimum: int) -> dict[str, Statistic]:
    data = _identified(table)
    if data is None:
        return {}
    scored = data.scored(minimum)
    found = {f"auc/{name}": data.statistic(name) for name in scored}
    error = calibration_error_statistic(data.probabilities, data.targets)
    gaps = _row_means((data.probabilities - data.targets) ** 2)
    mean = {"auc_mean": data.mean_statistic(scored)} if scored else {}
    return {**mean, **found, "calibration_error": error, "brier": mean_of(gaps)}


def _row_means(values: Floats) -> Floats:
    known = np.isfinite(values)
    return divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _identified(table: StudyTable) -> Identification | None:
    if table.truth is None or table.probabilities is None:
        return None
    given = np.any(np.isfinite(table.probabilities), axis=0)
    columns = np.flatnonzero(given)
    names = tuple(table.names[k] for k in columns)
    return Identification(names, table.probabilities[:, columns], targets(table.truth)[:, columns])


def _too_few(table: StudyTable, minimum: int) -> dict[str, Score]:
    data = _identified(table)
    if data is None:
        return {}
    few = [name for name in data.names if name not in data.scored(minimum)]
    positives = data.positives()
    notes = {name: f"n < {minimum}" + (" without it" if positives[name] >= minimum else "") for name in few}
    return {f"auc/{name}": Score(f"auc/{name}", None, None, None, len(table), notes[name]) for name in few}


def _too_few_boxes(table: StudyTable, minimum: int) -> dict[str, Score]:
    data = _localization(table)
    if data is None:
        return {}
    names = [f"{score}/{name}" for score in data.by_finding for name in data.too_few(minimum)]
    images, note = data.images(), f"n < {max(minimum, 1)}"
    return {name: Score(name, None, None, None, images[name.partition("/")[2]], note) for name in names}


def _boxed(found: Scores, table: StudyTable) -> dict[str, Score]:
    """Return the localization scores of one finding with the number of images that have a box of it."""
    data = _localization(table)
    if data is None:
        return {}
    images, note = data.images(), "n counts images with a box of the finding"
    each = [f"{score}/{name}" for score in data.by_finding for name in data.names]
    return {k: replace(found[k], n=images[k.partition("/")[2]], note=note) for k in each if k in found}


def _worded(found: Scores, table: StudyTable, minimum: int) -> dict[str, Score]:
    """Return the scores of attributes with the number of studies that state some, or why they are empty."""
    data = table.attributes
    if data is None:
        return {}
    scored = {k: replace(v, n=data.studies) for k, v in found.items() if k.startswith("attribute_")}
    empty = data.reasons(minimum).items()
    return scored | {k: Score(k, None, None, None, data.studies, why) for k, why in empty}


def _empty(table: StudyTable, minimum: int) -> dict[str, Score]:
    """Return the scores that could not be computed, each with the reason."""
    notes = table.notes or {}
    reasons: dict[str, str] = {}
    if table.bleu is None:
        reasons = dict.fromkeys(TEXT_SCORES, notes.get("text", "report texts were not compared"))
    else:
        counted = {"meteor": table.meteor, "cider": table.cider}
        reasons = {k: notes.get(k, f"{k} was not computed") for k, value in counted.items() if value is None}
    if table.truth is None or table.claimed is None:
        reasons["positive_f1"] = notes.get("findings", "no findings to compare")
    data = _identified(table)
    if data is None:
        reasons["auc_mean"] = "no probabilities, or no findings to compare them with"
    elif not data.scored(minimum):
        reasons["auc_mean"] = f"no finding has {minimum} positives and {minimum} negatives"
    reasons |= _unplaced(table, minimum) | exchange_reasons(table)
    return {name: Score(name, None, None, None, len(table), reason) for name, reason in reasons.items()}


def _unplaced(table: StudyTable, minimum: int) -> dict[str, str]:
    """Return why localization scores are empty, of a table that has some."""
    data = _localization(table)
    if data is None:
        return {}
    reasons: dict[str, str] = {}
    if not data.scored(minimum):
        reasons = dict.fromkeys(data.by_finding, f"no finding has boxes on {max(minimum, 1)} images")
    if table.pointing is None:
        reasons["pointing"] = "no peak is given"
    if data.counts.detections is None:
        reasons |= dict.fromkeys(PRECISIONS, "no box is kept: none is marked, or an older version scored")
    if table.false_boxes is None:
        reasons[FALSE_BOXES] = "no finding is called present beside what is marked"
    return reasons


def _score(name: str, found: Interval) -> Score:
    why = None if math.isfinite(found.value) else of_nothing(name)
    return Score(name, _finite(found.value), _finite(found.low), _finite(found.high), found.n, why)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _figure(value: float, digits: int) -> str:
    figure = f"{value:.{digits}f}"
    return figure.replace("0.", ".", 1) if figure.startswith(("0.", "-0.")) else figure
