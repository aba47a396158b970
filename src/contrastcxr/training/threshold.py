"""From which score on a retrieval decoder says a sentence: chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from contrastcxr.features.batch import Batch
from contrastcxr.features.extraction import batch_features
from contrastcxr.models.heads.decoders.cvse import CvseDecoder
from contrastcxr.models.system import ReportSystem

CANDIDATES = 21
"""Quantiles of the validation scores that are tried."""


def choose_threshold(
    system: ReportSystem, batches: Sequence[Batch], *, bleu4: Callable[[ReportSystem], float]
) -> float:
    """Set the threshold with the best validation BLEU-4 among quantiles of the scores, and return it.

    Quantiles reach from the lowest score to the highest, so from every sentence allowed to one a report; of equals
    the lowest stays.

    Args:
        system: with a `cvse` decoder; its library's threshold is set.
        batches: of the validation studies.
        bleu4: what the system scores with the threshold that is set.
    """
    decoder = system.decoder
    assert isinstance(decoder, CvseDecoder)
    scores = np.concatenate([_best_scores(system, decoder, batch) for batch in batches])
    found = []
    for threshold in np.quantile(scores, np.linspace(0, 1, CANDIDATES)).tolist():
        decoder.library.threshold.fill_(threshold)
        found.append((bleu4(system), threshold))
    best = max(found, key=lambda pair: pair[0])[1]
    decoder.library.threshold.fill_(best)
    return float(best)


@torch.no_grad()
def _best_scores(system: ReportSystem, decoder: CvseDecoder, batch: Batch) -> np.ndarray:
    """Return the scores of the sentences that a report may be made of, all studies in one list."""
    features = batch_features(system, batch)
    values: np.ndarray = decoder.candidates(features)[1].flatten().cpu().numpy()
    return values
