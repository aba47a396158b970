"""Train the predictor of lateral views and measure it on radiographs of another collection.

    python scripts/lateral_predictor.py --nih /data/nih14 [--covid /data/covid_chestxray] [--out lateral.json]

Laterals are phantoms, frontals are phantoms and the NIH training list; phantoms also as mirror images, since a
lateral may face either way.  The threshold is the score that 1 in 100 NIH frontals exceed when their patient's
fold was left out.  Thumbnail and regularisation were chosen on one half of the COVID-19 collection's patients; the
figures come from the other half, which was seen while choosing: they are optimistic.  No picture of that
collection trains.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from contrastcxr import phantom
from contrastcxr.api import load_studies
from contrastcxr.data.lateral import SIDE, thumbnail
from contrastcxr.data.pixels import load_pixels
from contrastcxr.files import atomic_write
from contrastcxr.form import Study, View

SHIPPED = Path(__file__).resolve().parents[1] / "src/contrastcxr/data/lateral.json"
REGULARISATION = 0.1
LET_THROUGH = 0.01
PHANTOMS, FIRST_SEED = 300, 700_000


def phantoms(view: str) -> np.ndarray:
    """Thumbnails `[2n, 256]` of phantoms and of their mirror images."""
    drawn = [phantom.render(phantom.sample(FIRST_SEED + n), size=64, view=view).pixels for n in range(PHANTOMS)]
    return np.stack([thumbnail(p) for pixels in drawn for p in (pixels, pixels[:, ::-1])])


def fitted(frontal: np.ndarray, lateral: np.ndarray) -> LogisticRegression:
    x = np.concatenate([frontal, lateral])
    y = np.arange(len(x)) >= len(frontal)
    return LogisticRegression(C=REGULARISATION, max_iter=1000, class_weight="balanced").fit(x, y)


def threshold(drawn: np.ndarray, real: np.ndarray, patients: list[str], lateral: np.ndarray) -> float:
    """The score that 1 in 100 real frontals exceed, each scored without its own fold of patients."""
    scores = np.zeros(len(real))
    for rest, fold in GroupKFold(5).split(real, groups=patients):
        scores[fold] = fitted(np.concatenate([drawn, real[rest]]), lateral).decision_function(real[fold])
    return float(np.quantile(scores, 1 - LET_THROUGH))


def views(studies: Iterable[Study]) -> Iterator[tuple[str, View]]:
    return ((study.patient_id or study.study_id, view) for study in studies for view in study.views)


def measured(model: LogisticRegression, limit: float, root: Path) -> dict[str, float | int]:
    """Figures on the half of the COVID-19 collection's patients that the choice is not scored on."""
    known = [
        (view.position == "LATERAL", thumbnail(load_pixels(view)))
        for patient, view in views(load_studies(f"covid:{root}"))
        if view.position != "unknown" and zlib.crc32(patient.encode()) % 2
    ]
    lateral = np.array([is_lateral for is_lateral, _ in known])
    scores = model.decision_function(np.stack([x for _, x in known]))
    return {
        "laterals": int(lateral.sum()),
        "frontals": int((~lateral).sum()),
        "auc": round(float(roc_auc_score(lateral, scores)), 3),
        "laterals_found": int((scores[lateral] > limit).sum()),
        "frontals_taken_for_laterals": int((scores[~lateral] > limit).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nih", type=Path, required=True)
    parser.add_argument("--covid", type=Path)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    found = list(views(load_studies(f"nih14:{arguments.nih}/train_val")))
    real = np.stack([thumbnail(load_pixels(view)) for _, view in found])
    drawn, lateral = phantoms("frontal"), phantoms("lateral")
    limit = threshold(drawn, real, [patient for patient, _ in found], lateral)
    model = fitted(np.concatenate([drawn, real]), lateral)
    document = {
        "weights": [round(float(w), 5) for w in model.coef_[0]],
        "bias": round(float(model.intercept_[0]), 5),
        "threshold": round(limit, 5),
        "thumbnail": [SIDE, SIDE],
        "trained_on": {
            "phantoms": f"{PHANTOMS} frontal, {PHANTOMS} lateral, and their mirror images",
            "nih14": f"{len(real)} frontal radiographs of the training list",
        },
        "measured_on_covid": None if arguments.covid is None else measured(model, limit, arguments.covid),
    }
    with atomic_write(arguments.out, mode="w") as file:
        file.write(json.dumps(document, indent=1) + "\n")
    print(json.dumps({k: v for k, v in document.items() if k != "weights"}, indent=1))


if __name__ == "__main__":
    main()
