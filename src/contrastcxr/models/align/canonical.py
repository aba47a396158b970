"""The canonical chest: what pictures are aligned to (paper B §3.1, Figure 3 a)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.align.pose import warp

BLUR = 8 / 512
"""Sigma of the blur before lungs are looked for, in sides of the picture (ours)."""
LEVELS = 128
LEAST = 0.01
"""Share of the picture that a lung covers at least (ours)."""

Crop = tuple[float, float, float, float]
"""`(x1, y1, x2, y2)` in shares of a picture's sides."""


@dataclass(frozen=True, eq=False)
class CanonicalChest:
    """What pictures are aligned to.

    Attributes:
        picture: `[T, T]` in [0, 1].
        crop: the part of the mean picture that it is.
        images: normal pictures in the mean.
    """

    picture: Tensor
    crop: Crop
    images: int

    @classmethod
    def of_mean(
        cls, mean: Tensor, *, images: int, crop: Crop | None = None, margin: float = 0.0
    ) -> CanonicalChest:
        """Return the part of a mean picture `[T, T]` that a crop says, at the size of the mean.

        Without a crop it is what bounds both lungs, with a margin round it in sides of that box.

        Raises:
            IncompatibleError: no two lungs are found, or the crop has no inside.
        """
        box = lung_box(mean.double().numpy(), margin=margin) if crop is None else crop
        if not (box[0] < box[2] and box[1] < box[3]):
            raise IncompatibleError(
                f"align.canonical.crop {list(box)}: expected [x1, y1, x2, y2], x1 below x2 and y1 below y2, in "
                "shares of the picture's sides; correct it, or set it to auto"
            )
        cut = warp(mean[None, None], crop_matrix(box).to(mean)[None])[0, 0]
        return cls(cut, box, images)

    def metadata(self) -> dict[str, Any]:
        """Return what is kept of it beside its picture, as plain values."""
        return {"crop": list(self.crop), "images": self.images}

    @classmethod
    def from_metadata(cls, said: Mapping[str, Any], picture: Tensor) -> CanonicalChest:
        """Return what `metadata` and the picture say."""
        x1, y1, x2, y2 = (float(value) for value in said["crop"])
        return cls(picture, (x1, y1, x2, y2), int(said["images"]))


def crop_matrix(crop: Crop) -> Tensor:
    """Return the affine `[2, 3]` from places of a crop to those of the picture that it is cut from."""
    x1, y1, x2, y2 = crop
    return torch.tensor([[x2 - x1, 0.0, x1 + x2 - 1], [0.0, y2 - y1, y1 + y2 - 1]], dtype=torch.float64)


def lung_box(mean: NDArray[np.floating[Any]], *, margin: float = 0.0) -> Crop:
    """Return the box that bounds both lungs of a mean picture `[H, W]`, with a margin in sides of the box.

    Lungs are darker than what surrounds them: a blurred picture, less one that is blurred eight times as much, is
    cut at the level at which the second largest dark component off the border is largest (ours; paper B cropped by
    eye, and one threshold over the whole picture joins the lungs of the NIH mean with the air beside the neck).

    Raises:
        IncompatibleError: at no level there are two.
    """
    nothing = 0, np.zeros(mean.shape, dtype=bool)
    size, lungs = max(_two_lungs(_local_brightness(mean)), key=lambda each: each[0], default=nothing)
    if size < LEAST * mean.size:
        raise IncompatibleError(
            "align.canonical.crop auto: expected two dark lungs inside of the mean picture, found none; give the "
            "box round both, [x1, y1, x2, y2] in shares of the picture's sides, or average more pictures"
        )
    (y,), (x,) = (ndimage.find_objects(lungs.any(axis=axis).astype(int)) for axis in (1, 0))
    height, width = mean.shape
    sides = (_wider(x[0], width, margin), _wider(y[0], height, margin))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _local_brightness(mean: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return by how much each place is brighter than its surroundings."""
    side, wide = max(mean.shape), np.asarray(mean, dtype=np.float64)
    fine, coarse = (ndimage.gaussian_filter(wide, sigma * side, mode="nearest") for sigma in (BLUR, 8 * BLUR))
    difference: NDArray[np.float64] = fine - coarse
    return difference


def _two_lungs(values: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield, for levels with two dark components off the border, the smaller one's size, and both as a mask."""
    for level in np.quantile(values, np.linspace(0.02, 0.6, LEVELS)):
        labels, _ = ndimage.label(values < level)
        sizes = np.bincount(labels.ravel())
        sizes[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1], [0]]))] = 0
        first, second = np.argsort(sizes)[::-1][:2] if len(sizes) > 2 else (0, 0)
        if sizes[second]:
            yield int(sizes[second]), np.isin(labels, (first, second))


def _wider(part: slice, side: int, margin: float) -> tuple[float, float]:
    more = margin * (part.stop - part.start)
    return max(0.0, (part.start - more) / side), min(1.0, (part.stop + more) / side)


def mean_picture(pictures: Sequence[Tensor]) -> Tensor:
    """Return the mean `[T, T]` of pictures `[T, T]`, summed in float64."""
    total = torch.zeros(pictures[0].shape, dtype=torch.float64)
    for picture in pictures:
        total += picture
    return (total / len(pictures)).float()
