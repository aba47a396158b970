"""Whether a radiograph whose file states no view is a lateral: a logistic regression over a thumbnail (ours).

It only ever says lateral, and only when it is sure: the threshold lets 1 in 100 frontal NIH radiographs through.
Everything else stays unknown; PA and AP are never told apart, because what does so on NIH radiographs (AUC .94 by
thumbnail) does not on others (.77). Weights, training and what was measured are in `lateral.json`; the file is
made by `scripts/lateral_predictor.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

SIDE = 16


@dataclass(frozen=True, eq=False)
class LateralPredictor:
    """Weights `[256]` over the thumbnail's rows, a bias, and the score above which a picture counts as lateral."""

    weights: np.ndarray
    bias: float
    threshold: float

    def score(self, pixels: np.ndarray) -> float:
        """Return how lateral the radiograph `[H, W]` looks; 0 is the threshold."""
        return float(thumbnail(pixels) @ self.weights) + self.bias - self.threshold


def looks_lateral(pixels: np.ndarray) -> bool:
    """Return True when the radiograph `[H, W]` in [0, 1], bone bright, is surely a lateral."""
    return _shipped().score(pixels) > 0


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return the means of 16×16 blocks, `[256]`, with mean 0 and deviation 1: exposure does not matter."""
    rows, columns = (np.linspace(0, length, SIDE, endpoint=False).astype(int) for length in pixels.shape)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.float64), columns, axis=1)
    counts = np.diff(rows, append=pixels.shape[0])[:, None] * np.diff(columns, append=pixels.shape[1])
    blocks = (sums / counts).ravel()  # [16,16] -> [256]
    return np.asarray((blocks - blocks.mean()) / (blocks.std() + 1e-6))


@cache
def _shipped() -> LateralPredictor:
    data = json.loads(files("contrastcxr.data").joinpath("lateral.json").read_text(encoding="utf-8"))
    return LateralPredictor(np.array(data["weights"]), data["bias"], data["threshold"])
