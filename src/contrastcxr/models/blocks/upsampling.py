"""Maps upsampled bilinearly, and a 3×3 convolution of upsampled maps that never makes them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = 3


def upsampled_maps(maps: Tensor, side: int) -> Tensor:
    """Return `maps [M, d, r, c]` at `[M, d, side, side]`: linear between the centres of cells."""
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


def upsampled_convolution(maps: Tensor, weight: Tensor, side: int) -> Tensor:
    """Return the 3×3 convolution, padded with zeros, of the upsampled maps, `[M, side, side, h]` without a bias.

    It is `conv2d(upsampled_maps(maps, side), weight, padding=1)`, channels last, in another order: both steps are
    linear, so each of the nine taps is applied to the small maps, and what it gives is upsampled along columns and
    rows, one cell further for each tap. From 16×16 to 128×128 that is a twelfth of the arithmetic, and the large
    maps have h channels and not d. All of it is products of matrices with the channels last, which learn twice as
    fast in bf16 as with the channels first.

    Args:
        maps: `[M, d, r, c]`.
        weight: `[h, d, 3, 3]`.
        side: of the upsampled maps.
    """
    M, channels, rows, columns = maps.shape
    width = len(weight)
    by_tap = weight.permute(1, 2, 3, 0).reshape(channels, -1)  # [h,d,3,3] -> [d,3*3*h]
    taps = maps.flatten(2).transpose(1, 2) @ by_tap  # [M,r*c,3*3*h]
    lines = taps.view(M, rows, columns, TAPS, TAPS, width).permute(0, 1, 4, 2, 3, 5)  # [M,r,3,c,3,h]
    wide = _shifted(columns, side, maps).T @ lines.reshape(
        M * rows, TAPS * columns, TAPS * width
    )  # [M*r,side,3*h]
    tall = wide.view(M, rows, side, TAPS, width).permute(0, 3, 1, 2, 4)  # [M,3,r,side,h]
    found = _shifted(rows, side, maps).T @ tall.reshape(M, TAPS * rows, side * width)  # [M,side,side*h]
    return found.view(M, side, side, width)


def _shifted(cells: int, side: int, like: Tensor) -> Tensor:
    """Return `[3*cells, side]`: how much of each cell the place before, at and behind each upsampled one takes.

    Places beyond the border take nothing, which is the padding.
    """
    unit = torch.eye(cells, dtype=like.dtype, device=like.device)
    padded = F.pad(F.interpolate(unit[None], side, mode="linear", align_corners=False)[0], (1, 1))
    return torch.cat([padded[:, tap : tap + side] for tap in range(TAPS)])  # [cells,side] each
