"""Pictures laid out like a frontal chest, each a little different, with made-up encoder features."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.pictures import whole_picture
from contrastcxr.quality.assess import thumbnails
from contrastcxr.quality.fit import fit_reference
from contrastcxr.quality.measures import PictureMeasures, QualityReference, grey_values

CHANNELS = 24


def chest_like(seed: int, side: int = 96) -> np.ndarray:
    """Two dark lungs, bright heart and belly, dark air above the shoulders, some white at the foot."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    dx, dy = rng.normal(0, 0.01, 2)
    lungs = sum(_blob(x - dx, y - dy, cx, 0.45, 0.13, 0.28) for cx in (0.28, 0.72))
    heart, belly = _blob(x - dx, y - dy, 0.56, 0.6, 0.14, 0.14), 1 / (1 + np.exp(-30 * (y - 0.85)))
    air = 1 / (1 + np.exp(30 * (y - 0.08 - 0.3 * np.abs(x - 0.5))))
    grey = 0.55 - 0.35 * lungs + 0.2 * heart + 0.2 * belly - 0.4 * air
    grey = 0.5 + (grey - 0.5) * rng.uniform(0.8, 1.1) + rng.uniform(-0.04, 0.04)
    grey = np.clip(grey + rng.normal(0, 0.01, grey.shape), 0.01, 0.99).astype(np.float32)
    grey.reshape(-1)[-int(rng.integers(10, 400)) :] = 1.0
    return np.asarray(grey)


def _blob(x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(6 * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 - 1))))


def usual_features(count: int, seed: int) -> torch.Tensor:
    spread = torch.linspace(2, 0.2, CHANNELS)
    return 1 + spread * torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(seed))


def pictures_of(pixels: list[np.ndarray], features: torch.Tensor | None = None) -> PictureMeasures:
    seen = torch.stack([whole_picture(Preprocess(size=64), p)[0] for p in pixels])
    pooled = torch.ones(len(pixels), CHANNELS) if features is None else features
    return PictureMeasures(tuple(map(grey_values, pixels)), thumbnails(seen), pooled)


def many(count: int, *, first: int) -> PictureMeasures:
    return pictures_of([chest_like(first + i) for i in range(count)], usual_features(count, first))


@cache
def chest_reference() -> QualityReference:
    """Of 120 pictures, with limits read from 200 others."""
    found = fit_reference(many(120, first=0), many(200, first=1000), positions=["PA"] * 80 + ["AP"] * 40)
    assert found is not None
    return found
