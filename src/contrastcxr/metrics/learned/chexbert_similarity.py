"""CheXbert similarity: cosine of the vectors from which CheXbert labels two reports (after Yu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrastcxr.metrics.bootstrap import Floats, divide
from contrastcxr.metrics.learned.weights import fingerprint
from contrastcxr.text.chexbert import CheXbert, weights_file

BATCH = 16


class CheXbertSimilarity:
    """Cosine of the first token's vector of reference and candidate, study by study."""

    names = ("chexbert_similarity",)

    def __init__(self, chexbert: CheXbert, *, weights: str) -> None:
        self._chexbert = chexbert
        self.signature = f"weights:{weights}"

    @classmethod
    def load(cls, folder: Path, *, allow_pickle: bool = False) -> CheXbertSimilarity:
        """Load the metric with the checkpoint of a local folder; raises what `CheXbert.load` raises."""
        chexbert = CheXbert.load(folder, allow_pickle=allow_pickle)
        return cls(chexbert, weights=fingerprint([weights_file(folder)]))

    def scores(self, references: Sequence[str], candidates: Sequence[str]) -> Floats:
        """Return the cosine of each study, `[S, 1]`."""
        texts = sorted({*references, *candidates}, key=len)
        if not texts:
            return np.empty((0, 1))
        rows = [self._chexbert.vectors(texts[k : k + BATCH]) for k in range(0, len(texts), BATCH)]
        vectors = dict(zip(texts, np.concatenate(rows), strict=True))
        left, right = (np.asarray([vectors[text] for text in side]) for side in (references, candidates))
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        cosine: Floats = divide((left * right).sum(axis=1), lengths, undefined=0.0)
        return cosine[:, None]
