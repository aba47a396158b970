"""Raw features of single views, for pools: from the cache, or by an encoder as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import can_be_aligned
from contrastcxr.features.cache import ENCODE_BATCH, FeatureCache
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import View
from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.pose import cells_inside
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.features import GridPlaces
from contrastcxr.store.keys import view_key


class ViewFeatures(Protocol):
    """Gives the raw features of a view."""

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over its patches, of an aligned picture over those inside of it."""

    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`."""

    def branches(self, views: Sequence[View]) -> Iterator[Tensor]:
        """Yield for each view `[N, ≥C']`, whose last C' channels are those of the encoder's further stages."""


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """What a frozen encoder has already made of the views; `places` are those of its patches."""

    cache: FeatureCache
    places: GridPlaces | None = None

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over the view's patches, of an aligned picture over those inside of it."""
        kept = self.cache[view_key(view)]
        patches = kept.features.astype("float32")
        if kept.pose is None or self.places is None:
            return torch.from_numpy(patches.mean(0))
        return torch.from_numpy(patches)[cells_inside(torch.from_numpy(kept.pose.copy()), self.places)].mean(0)

    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`."""
        return torch.from_numpy(self.cache[view_key(view)].features.astype("float32"))

    def branches(self, views: Sequence[View]) -> Iterator[Tensor]:
        """Yield `[N, C]` for each view."""
        return map(self.patches, views)


@dataclass(frozen=True, eq=False)
class EncodedFeatures:
    """What an encoder makes of the views now, in eval mode and without gradient."""

    encoder: Encoder
    preprocess: Preprocess
    picture_of: PictureOf = original
    aligner: Aligner | None = None

    def pooled(self, view: View) -> Tensor:
        """Return `[C]`, the mean over the view's patches, of an aligned picture over those inside of it."""
        patches, pose = self._encoded(view)
        return (
            patches.mean(0)
            if pose is None
            else patches[cells_inside(pose, GridPlaces(*self.encoder.grid))].mean(0)
        )

    def patches(self, view: View) -> Tensor:
        """Return `[N, C]`; the encoder is left in the mode it was in."""
        return self._encoded(view)[0]

    def branches(self, views: Sequence[View]) -> Iterator[Tensor]:
        """Yield `[N, C']` for each view, some of them encoded together."""
        for first in range(0, len(views), ENCODE_BATCH):
            yield from self.encoder.branches(torch.stack([self.picture(v) for v in views[first:][:ENCODE_BATCH]]))

    @property
    def canonical_chest(self) -> Tensor | None:
        """What pictures are aligned to, as one that the encoder sees, `[3, S, S]`; None without an aligner."""
        if self.aligner is None:
            return None
        size = (self.preprocess.size, self.preprocess.size)
        grey = self.aligner.canonical[None, None]
        resized = F.interpolate(grey, size, mode="bilinear", antialias=True, align_corners=False)
        return Normalisation(self.preprocess.mean, self.preprocess.std).of_grey(resized[:, 0])[0]

    def picture(self, view: View) -> Tensor:
        """Return the picture that the encoder sees, `[3, S, S]`, aligned where there is an aligner."""
        return self._seen(view)[0]

    @torch.no_grad()
    def _encoded(self, view: View) -> tuple[Tensor, Tensor | None]:
        """Return the patches `[N, C]` and, where there is an aligner, the pose `[5]`."""
        training, (image, pose) = self.encoder.training, self._seen(view)
        features: Tensor = self.encoder.eval()(image.unsqueeze(0))  # [1, N, C]
        self.encoder.train(training)
        return features[0], pose

    def _seen(self, view: View) -> tuple[Tensor, Tensor | None]:
        read = self.picture_of(view)
        image = whole_picture(self.preprocess, read.pixels, shape=read.shape)[0].to(self.encoder.device)
        if self.aligner is None:
            return image, None
        chosen = torch.tensor([can_be_aligned(view.position)])
        normalisation = Normalisation(self.preprocess.mean, self.preprocess.std)
        images, poses = self.aligner.align(image.unsqueeze(0), normalisation, chosen=chosen)
        return images[0], poses[0]
