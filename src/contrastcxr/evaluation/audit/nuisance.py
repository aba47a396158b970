"""Labels that are told without looking for disease: from numbers of the file, the patient and a thumbnail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contrastcxr.errors import MissingExtraError, RequestError
from contrastcxr.evaluation.audit.verdict import Check
from contrastcxr.form import Reading, Study
from contrastcxr.metrics.nuisance import NuisanceScore, held_out_scores

ALARM = 0.60
"""AUC above which a predictor that sees no disease is worth a warning."""


def nuisance(
    studies: Sequence[Study], names: Sequence[str], reading: Mapping[str, Reading], *, split: str, seed: int = 0
) -> Check:
    """Return the AUC of every label from what is no sign of disease, inside one split, out of fold."""
    name = "nuisance predictors"
    labelled = [study for study in studies if study.study_id in reading]
    if not names or not labelled:
        return Check(name, "not run", "no labels")
    try:
        found = held_out_scores(labelled, names, reference=lambda study: reading[study.study_id], seed=seed)
    except (MissingExtraError, RequestError) as error:
        return Check(name, "not run", str(error))
    rows = [_row(score) for score in found if _known(score)]
    loud = [row["predictor"] for row in rows if max(row["mean AUC"] or 0, row["abnormal AUC"] or 0) > ALARM]
    labels = sorted({label for score in found for label, value in score.by_finding.items() if value > ALARM})
    which = f" ({', '.join(loud)})" if loud else ""
    message = (
        f"{len(loud)} of {len(rows)} predictors are above .60 on labels of {split}{which}; "
        f"{len(labels)} of {len(names)} findings are told above .60 by one of them"
    )
    return Check(name, "warning" if loud or labels else "ok", message, rows)


def _known(score: NuisanceScore) -> bool:
    return bool(np.isfinite(score.mean_auc.value) or np.isfinite(score.abnormal_auc.value))


def _row(score: NuisanceScore) -> dict[str, Any]:
    best = max(score.by_finding.items(), key=lambda item: item[1], default=("–", float("nan")))
    return {
        "predictor": score.predictor,
        "mean AUC": _rounded(score.mean_auc.value),
        "mean AUC, 95%": f"{score.mean_auc.low:.3f}–{score.mean_auc.high:.3f}",
        "abnormal AUC": _rounded(score.abnormal_auc.value),
        "best told": best[0],
        "its AUC": _rounded(best[1]),
        "by finding": {name: _rounded(value) for name, value in score.by_finding.items()},
    }


def _rounded(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
