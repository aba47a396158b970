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
    """Return the 3×3 convolution, padded with zeros, of the upsampled maps, `[M, h, side, side]` without a bias.

    It is `conv2d(upsampled_maps(maps, side), weight, padding=1)`, in another order: both steps are linear, so each
    of the nine taps is applied to the small maps, and what it gives is upsampled along columns and rows, one cell
    further for each tap. From 16×16 to 128×128 that is a twelfth of the arithmetic, and the large maps have h
    channels and not d.

    Args:
        maps: `[M, d, r, c]`.
        weight: `[h, d, 3, 3]`.
        side: of the upsampled maps.
    """
    M, channels, rows, columns = maps.shape
    by_tap = weight.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)  # [h,d,3,3] -> [h*3*3,d,1,1]
    taps = F.conv2d(maps, by_tap).view(M, -1, TAPS, TAPS, rows, columns)  # [M,h,3,3,r,c]
    lines = taps.transpose(3, 4).reshape(-1, TAPS * columns)  # [M*h*3*r,3*c]
    wide = (lines @ _shifted(columns, side, maps)).view(M, -1, TAPS * rows, side)  # [M,h,3*r,side]
    return torch.matmul(_shifted(rows, side, maps).T, wide)


def _shifted(cells: int, side: int, like: Tensor) -> Tensor:
    """Return `[3*cells, side]`: how much of each cell the place before, at and behind each upsampled one takes.

    Places beyond the border take nothing, which is the padding.
    """
    unit = torch.eye(cells, dtype=like.dtype, device=like.device)
    padded = F.pad(F.interpolate(unit[None], side, mode="linear", align_corners=False)[0], (1, 1))
    return torch.cat([padded[:, tap : tap + side] for tap in range(TAPS)])  # [cells,side] each
