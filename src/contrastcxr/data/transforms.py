"""What an encoder takes, a square and normalised picture, and the way back to the pixels it was made of.

Coordinates are continuous: pixel `i` covers `[i, i + 1)` and its centre is `i + 0.5`, so that an affine moves box
edges and pixel centres alike.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Affine = np.ndarray
"""`[2, 3]` float64: `(x, y, 1)` of the model's picture to `(x, y)` of the original."""

TRAIN_SCALE = 256 / 224
"""Training resizes to this multiple of the side before it crops (after R2Gen: 256, then 224)."""


class Preprocess(BaseModel):
    """Resizing both axes to one side, then `(x - mean) / std` over three equal channels.

    The picture is squeezed into the square, as R2Gen's test transform does; nothing is cut off or padded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=16, le=4096)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="all above 0")

    @property
    def train_side(self) -> int:
        """Side of the picture that training crops from."""
        return round(self.size * TRAIN_SCALE)


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return `[side, side]` float32 from `[H, W]`: bilinear, averaged over the source pixels when it shrinks."""
    # Imported here: settings and affines are for everyone, this arithmetic is PyTorch's.
    from torch import from_numpy
    from torch.nn.functional import interpolate

    image = from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))[None, None]  # [H,W] -> [1,1,H,W]
    small = interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)
    resized: np.ndarray = small[0, 0].numpy()  # [1,1,side,side] -> [side,side]
    return resized


def resize_affine(shape: tuple[int, ...], side: int, *, top: int = 0, left: int = 0) -> Affine:
    """Return the affine of a crop at (`left`, `top`) of the picture of `shape` (H, W) resized to `side`."""
    sy, sx = shape[0] / side, shape[1] / side
    return np.array([[sx, 0.0, sx * left], [0.0, sy, sy * top]])


def map_points(affine: Affine, points: np.ndarray) -> np.ndarray:
    """Return `[..., 2]` points (x, y) of the model's picture in pixels of the original."""
    mapped: np.ndarray = np.asarray(points, dtype=np.float64) @ affine[:, :2].T + affine[:, 2]
    return mapped


def invert(affine: Affine) -> Affine:
    """Return the affine that goes the other way."""
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def map_box(affine: Affine, xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return a box of the model's picture in pixels of the original (or the reverse, with `invert`).

    Where the affine rotates, it is the bounding box of what the box becomes.
    """
    ((x1, y1, x2, y2),) = map_boxes(affine, np.array([xyxy]))
    return float(x1), float(y1), float(x2), float(y2)


def map_boxes(affine: Affine, boxes: np.ndarray) -> np.ndarray:
    """Return `[n, 4]` boxes of the model's picture in pixels of the original, each as `map_box` does."""
    corners = map_points(affine, boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])  # [n,4] -> [n,4,2], corners in turn
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
