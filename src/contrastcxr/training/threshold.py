"""A number of a head that is chosen on validation studies: a score to say a sentence from, a cut of a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from contrastcxr.features.batch import Batch
from contrastcxr.features.extraction import batch_features
from contrastcxr.models.heads.base import Threshold
from contrastcxr.models.system import System


def choose_threshold(
    system: System, threshold: Threshold, batches: Sequence[Batch], *, score: Callable[[System], float]
) -> float:
    """Set the candidate with the best validation score, and return it; of equals the first stays.

    Args:
        system: whose head has the threshold.
        threshold: of the head; it is set.
        batches: of the validation studies.
        score: what the system scores with the threshold that is set, more being better.
    """
    with torch.no_grad():
        features = [batch_features(system, batch.to(system.device)) for batch in batches]
    candidates = threshold.candidates(features)
    found = []
    for value in candidates:
        threshold.set(value)
        found.append((score(system), value))
    best = max(found, key=lambda pair: pair[0])[1]
    threshold.set(best)
    return float(best)
