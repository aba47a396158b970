"""Nuisance predictors: how well labels are told from what is no sign of disease (ours).

File size, patient number, view, age, sex, mean grey, image size, histogram and a 16×16 thumbnail each get a
logistic regression, scored on patients it was not fitted on.  What a thumbnail also knows, a model need not have
seen.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.splits import patient_folds
from contrastcxr.data.views import choose_views
from contrastcxr.errors import ImageError, MissingExtraError
from contrastcxr.form import Reading, Study, View, is_file_locator, locator_path
from contrastcxr.metrics.bootstrap import REPLICATES, Interval, interval, plain_weights, study_weights
from contrastcxr.metrics.clinical import status_codes, targets
from contrastcxr.metrics.identification import MINIMUM_POSITIVES, Identification

ABNORMAL = "any finding"
"""The extra target: any of the findings present, against none."""
BINS, THUMBNAIL, LEVELS = 10, 16, 32
STATED = 0.5
"""Share of the studies that must have a number for it to be a predictor (ours)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NuisanceScore:
    """What one predictor knows: mean AUC over `findings` of them, AUC of abnormal against normal, and of each."""

    predictor: str
    mean_auc: Interval
    abnormal_auc: Interval
    findings: int
    by_finding: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StudyFacts:
    """What the predictors may look at of `S` studies: numbers, which are binned, and vectors."""

    numbers: Mapping[str, Floats]
    vectors: Mapping[str, Floats]

    def take(self, rows: NDArray[np.intp]) -> StudyFacts:
        """Return the facts of some of the studies."""
        return StudyFacts(
            {k: v[rows] for k, v in self.numbers.items()}, {k: v[rows] for k, v in self.vectors.items()}
        )


def held_out_scores(
    studies: Sequence[Study],
    names: Sequence[str],
    *,
    reference: Callable[[Study], Reading],
    folds: int = 5,
    minimum: int = MINIMUM_POSITIVES,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[NuisanceScore]:
    """Score every predictor inside one set of studies: fitted on all folds of patients but one, asked on that one.

    Probabilities of the folds are ranked together.

    Args:
        studies: of one split.
        names: findings.
        reference: the reading whose statuses are the truth.
        folds: of patients.
        minimum: positives and negatives that a finding needs.
        replicates: bootstrap draws over patients.
        seed: of folds and draws.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        RequestError: fewer patients than folds.
    """

    def strata(study: Study) -> list[str]:
        return [f.name for f in reference(study).findings if f.status == "present"]

    members = patient_folds(studies, folds=folds, seed=seed, strata=strata)
    place = {study.study_id: i for i, study in enumerate(studies)}
    parts = [np.asarray([place[study.study_id] for study in part]) for part in members]
    facts, truth = facts_of(studies), _targets(studies, names, reference)
    weights = study_weights([s.patient_id or s.study_id for s in studies], replicates=replicates, seed=seed)
    guessed: dict[str, Floats] = {}
    for part in parts:
        rest = np.setdiff1d(np.arange(len(studies)), part)
        for predictor, (left, right) in _designs(facts.take(rest), facts.take(part)).items():
            table = guessed.setdefault(predictor, np.full(truth.shape, np.nan))
            table[part] = _predict(left, truth[rest], right, minimum=minimum)
    named = (*names, ABNORMAL)
    scores = [_score(predictor, table, truth, named, weights, minimum) for predictor, table in guessed.items()]
    return sorted(scores, key=lambda score: -np.nan_to_num(score.mean_auc.value))


def facts_of(studies: Sequence[Study]) -> StudyFacts:
    """Return everything the predictors look at, from the first frontal view of each study; NaN where unknown."""
    rows = [_facts(study) for study in studies]
    numbers = {name: np.asarray([row[0][name] for row in rows], np.float64) for name in _NUMBERS}
    vectors = {name: np.stack([row[1][name] for row in rows]) for name in ("thumbnail", "histogram")}
    return StudyFacts(numbers, vectors)


_NUMBERS = ("file size", "patient number", "view", "age", "sex", "mean grey", "image size")
_POSITIONS = {"PA": 0.0, "AP": 1.0, "LATERAL": 2.0, "unknown": np.nan}


def _facts(study: Study) -> tuple[dict[str, float], dict[str, Floats]]:
    view = study.views[choose_views(study, 1)[0]]
    numbers = {
        "patient number": _number(study.patient_id),
        "view": _POSITIONS[view.position],
        "age": np.nan if study.age is None else study.age,
        "sex": {"F": 0.0, "M": 1.0}.get(study.sex or "", np.nan),
    }
    seen, vectors = _seen(view)
    return numbers | seen, vectors


def _seen(view: View) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return what needs the picture; NaN where the picture cannot be read."""
    try:
        pixels = load_pixels(view)
    except ImageError:
        unknown = {"thumbnail": np.full(THUMBNAIL**2, np.nan), "histogram": np.full(LEVELS, np.nan)}
        return dict.fromkeys(("file size", "mean grey", "image size"), np.nan), unknown
    small = np.asarray(Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float64)
    shares = np.histogram(pixels, bins=LEVELS, range=(0, 1))[0] / pixels.size
    numbers = {
        "file size": _file_size(view, pixels),
        "mean grey": float(pixels.mean()),
        "image size": float((view.width or pixels.shape[1]) * (view.height or pixels.shape[0])),
    }
    return numbers, {"thumbnail": small.ravel(), "histogram": shares}


def _file_size(view: View, pixels: NDArray[np.floating]) -> float:
    """Return the bytes of the file; of the picture as PNG where there is none."""
    if view.locator is not None and is_file_locator(view.locator):
        return float(locator_path(view.locator).stat().st_size)
    stream = io.BytesIO()
    Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(stream, "PNG")
    return float(stream.tell())


def _number(patient_id: str | None) -> float:
    digits = re.findall(r"\d+", patient_id or "")
    return float(digits[-1]) if digits else np.nan


def _targets(studies: Sequence[Study], names: Sequence[str], reference: Callable[[Study], Reading]) -> Floats:
    """Return `[S, L + 1]`: every finding, and any of them."""
    codes = status_codes([reference(study).findings for study in studies], names)
    known = targets(codes)
    return np.column_stack([known, (known == 1).any(axis=1)])


def _designs(known: StudyFacts, wanted: StudyFacts) -> dict[str, tuple[Floats, Floats]]:
    """Return for each predictor the design matrices of training and test.

    Left out are predictors that never vary, numbers that most studies lack, and thumbnail and histogram where a
    picture cannot be read.
    """
    stated = [name for name in _NUMBERS if np.isfinite(known.numbers[name]).mean() >= STATED]
    found = {name: _binned(known.numbers[name], wanted.numbers[name]) for name in stated}
    whole = [
        n for n in known.vectors if np.isfinite(known.vectors[n]).all() and np.isfinite(wanted.vectors[n]).all()
    ]
    found |= {name: _standard(known.vectors[name], wanted.vectors[name]) for name in whole}
    return {name: pair for name, pair in found.items() if np.ptp(pair[0], axis=0).any()}


def _binned(known: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Return one column per decile of the training values, and one for unknown ones."""
    present = known[np.isfinite(known)]
    if present.size == 0:
        return np.zeros((len(known), 1)), np.zeros((len(wanted), 1))
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))

    def columns(values: Floats) -> Floats:
        place = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)
        return np.eye(len(edges) + 2)[place]

    return columns(known), columns(wanted)


def _standard(known: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    return (known - mean) / scale, (wanted - mean) / scale


def _predict(design: Floats, fitted: Floats, wanted: Floats, *, minimum: int) -> Floats:
    """Return probabilities `[S, L + 1]`; NaN for findings with too few training cases."""
    found = np.full((len(wanted), fitted.shape[1]), np.nan)
    for column in range(fitted.shape[1]):
        known = np.isfinite(fitted[:, column])
        truth = fitted[known, column] > 0.5
        if min(truth.sum(), (~truth).sum()) >= minimum:
            model = _regression().fit(design[known], truth)
            found[:, column] = model.predict_proba(wanted)[:, 1]
    return found


def _regression() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError:
        raise MissingExtraError("scikit-learn", "metrics", "fitting nuisance predictors") from None
    return LogisticRegression(C=0.1, max_iter=2000)


def _score(
    predictor: str, guessed: Floats, truth: Floats, names: Sequence[str], weights: Floats, minimum: int
) -> NuisanceScore:
    given = [k for k in range(len(names)) if np.isfinite(guessed[:, k]).all()]
    data = Identification(tuple(names[k] for k in given), guessed[:, given], truth[:, given])
    scored = [name for name in data.scored(minimum) if name != ABNORMAL]
    return NuisanceScore(
        predictor,
        mean_auc=interval(data.mean_statistic(scored), weights),
        abnormal_auc=interval(data.mean_statistic([n for n in data.scored(minimum) if n == ABNORMAL]), weights),
        findings=len(scored),
        by_finding={name: float(data.statistic(name)(plain_weights(len(truth)))[0]) for name in scored},
    )
