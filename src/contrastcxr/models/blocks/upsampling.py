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
    hidden, channels = weight.shape[:2]
    by_tap = weight.permute(2, 3, 0, 1).reshape(-1, channels, 1, 1)  # [h,d,3,3] -> [3*3*h,d,1,1]
    taps = F.conv2d(maps, by_tap).unflatten(1, (TAPS, TAPS, hidden))  # [M,3,3,h,r,c]
    rows, columns = (_shifted(cells, side, maps) for cells in maps.shape[2:])
    wide = torch.einsum("mathrc,tvc->mahrv", taps, columns)  # [M,3,h,r,side]
    return torch.einsum("mahrv,aur->mhuv", wide, rows)


def _shifted(cells: int, side: int, like: Tensor) -> Tensor:
    """Return `[3, side, cells]`: how much of each cell the upsampled place before, at and behind each one takes.

    Places beyond the border take nothing, which is the padding.
    """
    unit = torch.eye(cells, dtype=like.dtype, device=like.device)
    places = F.interpolate(unit[None], side, mode="linear", align_corners=False)[0].T  # [side,cells]
    padded = F.pad(places, (0, 0, 1, 1))
    return torch.stack([padded[tap : tap + side] for tap in range(TAPS)])
