"""Raw features of single views, for pools: from the cache, or by an encoder as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.cache import FeatureCache
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import View
from contrastcxr.models.encoders import Encoder
from contrastcxr.store.keys import view_key


class ViewFeatures(Protocol):
    """Gives the raw features of a view."""

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over its patches."""

    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`."""


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """What a frozen encoder has already made of the views."""

    cache: FeatureCache

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over the view's patches."""
        return torch.from_numpy(self.cache[view_key(view)].features.astype("float32").mean(0))

    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`."""
        return torch.from_numpy(self.cache[view_key(view)].features.astype("float32"))


@dataclass(frozen=True, eq=False)
class EncodedFeatures:
    """What an encoder makes of the views now, in eval mode and without gradient."""

    encoder: Encoder
    preprocess: Preprocess
    picture_of: PictureOf = original

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over the view's patches."""
        return self.patches(view).mean(0)

    @torch.no_grad()
    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`; the encoder is left in the mode it was in."""
        training = self.encoder.training
        read = self.picture_of(view)
        image, _ = whole_picture(self.preprocess, read.pixels, shape=read.shape)
        features: Tensor = self.encoder.eval()(image.unsqueeze(0))  # [1, N, C]
        self.encoder.train(training)
        return features[0]
