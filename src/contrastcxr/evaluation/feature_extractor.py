"""How baselines see pictures: features of a frozen encoder, and where its pictures lie in the originals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from contrastcxr.data.transforms import Affine, Preprocess, map_box
from contrastcxr.data.views import choose_views, chosen_views
from contrastcxr.evaluation.place_baselines import Frame
from contrastcxr.features.cache import EncodedView, FeatureCache, encode_views, keyed
from contrastcxr.features.readable import all_in
from contrastcxr.features.view_features import CachedFeatures
from contrastcxr.form import Study
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.align.pose import without_pose
from contrastcxr.models.encoders import Encoder, build_encoder
from contrastcxr.models.features import GridPlaces
from contrastcxr.reading.regions import covered


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """How baselines see a picture: a frozen encoder, its transform, the views that count and the feature cache.

    With an `aligner` pictures are aligned first, as a system that has it sees them.
    """

    encoder: Encoder
    preprocess: Preprocess
    max_views: int
    cache: Path
    aligner: Aligner | None = None

    @classmethod
    def stock(cls, cache: Path) -> FeatureExtractor:
        """Return EfficientNet-Lite0 as packaged, for readings that come without a system."""
        encoder = build_encoder("tf_efficientnet_lite0", weights="package")
        return cls(encoder, Preprocess(size=224, mean=_three(encoder.mean), std=_three(encoder.std)), 1, cache)

    def pooled(self, studies: Sequence[Study]) -> tuple[NDArray[np.float32], list[int]]:
        """Return the mean feature of each readable study `[K, C]` and the K indices of those studies.

        It is that of the map that is read: many channels of a further stage would outweigh those.
        """
        kept = self._kept(studies)
        readable = [i for i, study in enumerate(studies) if all_in(study, kept, self.max_views)]
        rows = [self._mean(studies[i], kept) for i in readable]
        return np.asarray(rows, np.float32).reshape(len(rows), self.encoder.own_channels), readable

    def _mean(self, study: Study, kept: FeatureCache) -> NDArray[np.float32]:
        features = CachedFeatures(kept, GridPlaces(*self.encoder.grid))
        views = [features.pooled(study.views[i]).numpy() for i in choose_views(study, self.max_views)]
        mean: NDArray[np.float32] = np.mean(views, axis=0)
        return mean[: self.encoder.own_channels]

    def extents(self, studies: Sequence[Study]) -> list[dict[int, Rectangle]]:
        """Return by view of each study the encoder's picture in the original's pixels; readable views alone.

        Of a picture that was aligned it is the one before.
        """
        kept, side = self._kept(studies), self.preprocess.size
        square = (0.0, 0.0, float(side), float(side))
        return [
            {i: map_box(_before(view, side), square) for i, view in self._views(study, kept)} for study in studies
        ]

    def frames(self, studies: Sequence[Study]) -> list[dict[int, Frame]]:
        """Return by view of each study where the cells of a picture that was aligned lie; of others nothing."""
        if self.aligner is None:
            return [{} for _ in studies]
        kept, side = self._kept(studies), self.preprocess.size
        return [
            {
                i: Frame(view.affine.astype(np.float64), side, covered(_before(view, side), side))
                for i, view in self._views(study, kept)
            }
            for study in studies
        ]

    def _kept(self, studies: Sequence[Study]) -> FeatureCache:
        kept, _ = encode_views(
            chosen_views(studies, max_views=self.max_views),
            encoder=self.encoder,
            preprocess=self.preprocess,
            root=self.cache,
            aligner=self.aligner,
        )
        return kept

    def _views(self, study: Study, kept: FeatureCache) -> Iterator[tuple[int, EncodedView]]:
        for i in choose_views(study, self.max_views):
            for key, _ in keyed([study.views[i]], []):
                if key in kept:
                    yield i, kept[key]


def _before(view: EncodedView, side: int) -> Affine:
    """Return the affine `[2, 3]` from a picture of `side` pixels to the original, before it was aligned."""
    if view.pose is None:
        return view.affine
    affine, pose = (torch.from_numpy(value.astype(np.float64)) for value in (view.affine, view.pose))
    found: Affine = without_pose(affine, pose, side).numpy()
    return found


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
