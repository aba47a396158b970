"""Calibration of findings on validation studies: a temperature, thresholds, the numbers of the card.

After Guo et al. 2017; none of the four papers calibrates, so all of it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contrastcxr.features.batch import Batch
from contrastcxr.features.extraction import batch_features
from contrastcxr.metrics.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from contrastcxr.models.system import System
from contrastcxr.training.validate import known_targets

MINIMUM_POSITIVES = 10

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What validation says of the probabilities of findings.

    Attributes:
        temperature: divides the logits.
        thresholds: probability from which a finding is called present, for the best F1 on validation; only
            findings with at least `MINIMUM_POSITIVES` positive and negative studies have one.
        ece_before: expected calibration error at temperature 1.
        ece_after: at the fitted temperature (on the studies it was fitted on).
        reliability: table over equal-width bins, after.
        pairs: of study and finding.
    """

    temperature: float
    thresholds: dict[str, float]
    ece_before: float
    ece_after: float
    reliability: tuple[ReliabilityBin, ...]
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the run record and the card."""
        return asdict(self)


def calibrate(system: System, batches: Sequence[Batch], *, labels: Sequence[str]) -> Calibration:
    """Fit temperature and thresholds on validation batches; the system itself is not changed."""
    logits, targets = head_outputs(system, batches)
    temperature = fit_temperature(logits, targets)
    before, after = _sigmoid(logits), _sigmoid(logits / temperature)
    return Calibration(
        temperature=temperature,
        thresholds=best_thresholds(after, targets, labels=labels),
        ece_before=expected_calibration_error(before, targets),
        ece_after=expected_calibration_error(after, targets),
        reliability=reliability(after, targets),
        pairs=int(np.isfinite(targets).sum()),
    )


@torch.no_grad()
def head_outputs(system: System, batches: Sequence[Batch]) -> tuple[Table, Table]:
    """Return the logits and targets `[S, L]` of the findings; NaN where a target is not known."""
    head = system.identifier
    assert head is not None  # there are labels
    system.eval()
    rows = [head.logits(batch_features(system, batch.to(system.device))) for batch in batches]
    return torch.cat(rows).double().cpu().numpy(), known_targets(batches)


@torch.no_grad()
def detection_thresholds(system: System, batches: Sequence[Batch]) -> dict[str, float]:
    """Return the threshold of the finding whose boxes a detector learnt, as `best_thresholds`, by its name.

    A study has the finding where it has a box. Nothing where no study of these has a box or lacks one.
    """
    assert system.localizer is not None  # who asks has seen it
    system.eval()
    scores, truths = [], []
    for batch in (each.to(system.device) for each in batches):
        if batch.box_corners is not None:
            answer = system.localizer.answer(batch_features(system, batch))
            assert answer.probabilities is not None  # of the finding that it boxes
            scores.append(answer.probabilities)
            truths.append(batch.box_corners.isfinite().flatten(1).any(dim=1, keepdim=True))
    if not scores:
        return {}
    found, truth = (torch.cat(each).double().cpu().numpy() for each in (scores, truths))
    return best_thresholds(found, truth, labels=answer.findings)


def best_thresholds(probabilities: Table, targets: Table, *, labels: Sequence[str]) -> dict[str, float]:
    """Return for each finding the threshold with the best F1, half-way between two neighbouring probabilities.

    Args:
        probabilities: `[S, L]`.
        targets: `[S, L]`, NaN where not known.
        labels: L names.
    """
    found: dict[str, float] = {}
    for column, label in enumerate(labels):
        known = np.isfinite(targets[:, column])
        truth = targets[known, column] > 0.5
        if min(truth.sum(), (~truth).sum()) >= MINIMUM_POSITIVES:
            found[label] = _best_threshold(probabilities[known, column], truth)
    return found


def _best_threshold(scores: Table, truth: NDArray[np.bool_]) -> float:
    """Return the threshold with the best F1.

    Calling the k highest scores positive gives F1 = 2 hits / (k + positives); the best k decides.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + truth.sum())
    last_of_ties = np.append(ranked[:-1] > ranked[1:], True)
    k = int(np.argmax(np.where(last_of_ties, f1, -1.0)))
    below = ranked[k + 1] if k + 1 < len(ranked) else 0.0
    return float((ranked[k] + below) / 2)


def _sigmoid(values: Table) -> Table:
    result: Table = 1 / (1 + np.exp(-values))
    return result
