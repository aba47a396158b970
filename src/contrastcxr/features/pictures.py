"""Pixels of any size become the square, normalised tensor an encoder takes, with the way back; kept in memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrastcxr.data.pixels import Picture, PictureOf
from contrastcxr.data.transforms import Affine, Preprocess, resize, resize_affine
from contrastcxr.form import View
from contrastcxr.store.keys import view_key

MOST_BYTES = 1 << 30
"""Of pictures that are kept in memory."""


class KeptPictures:
    """Pictures of whole views at a model's side, kept in memory: read once, however many epochs see them.

    Beyond `MOST_BYTES` they are read anew each time. A copy in another process keeps its own.

    Args:
        picture_of: where pixels come from.
        side: that they are resized to.
    """

    def __init__(self, picture_of: PictureOf, side: int) -> None:
        self.picture_of = picture_of
        self.side = side
        self._kept: dict[str, Picture] = {}

    def __call__(self, view: View) -> Picture:
        """Return the picture of a view.

        Raises:
            ImageError: it cannot be read.
        """
        key = view_key(view)
        if key in self._kept:
            return self._kept[key]
        read = self.picture_of(view)
        small = Picture(resize(read.pixels, self.side), read.shape)
        if (len(self._kept) + 1) * small.pixels.nbytes <= MOST_BYTES:
            self._kept[key] = small
        return small


def whole_picture(
    preprocess: Preprocess, pixels: np.ndarray, *, shape: tuple[int, int] | None = None
) -> tuple[Tensor, Affine]:
    """Return the whole picture at the model's size.

    Args:
        preprocess: its size, mean and deviation.
        pixels: `[H, W]` float32 in [0, 1].
        shape: of the original, where `pixels` are that original resized.

    Returns:
        `[3, S, S]` float32 and the affine from model pixels to original pixels.
    """
    size = preprocess.size
    return _normalise(preprocess, resize(pixels, size)), resize_affine(shape or pixels.shape, size)


def random_crop(
    preprocess: Preprocess,
    pixels: np.ndarray,
    generator: torch.Generator,
    *,
    shape: tuple[int, int] | None = None,
) -> tuple[Tensor, Affine]:
    """Return a random crop of the picture; never a flip, which would swap left and right under the report.

    Args:
        preprocess: its size, mean and deviation.
        pixels: `[H, W]` float32 in [0, 1].
        generator: chooses the corner of the crop.
        shape: of the original, where `pixels` are that original resized.

    Returns:
        `[3, S, S]` float32 and the affine from model pixels to original pixels.
    """
    side, size = preprocess.train_side, preprocess.size
    top, left = torch.randint(side - size + 1, (2,), generator=generator).tolist()
    crop = resize(pixels, side)[top : top + size, left : left + size]
    return _normalise(preprocess, crop), resize_affine(shape or pixels.shape, side, top=top, left=left)


def _normalise(preprocess: Preprocess, pixels: np.ndarray) -> Tensor:
    mean = torch.tensor(preprocess.mean)[:, None, None]
    std = torch.tensor(preprocess.std)[:, None, None]
    return (torch.from_numpy(pixels)[None] - mean) / std  # [S,S] -> [3,S,S]
