"""Poses: five numbers of a picture, the affine that they are, and what follows for pixels and for cells.

A pose is `(t_x, t_y, u_x, u_y, θ)`, of scale `s = exp(u)`, so that zeros are the identity and every pose can be
inverted (ours; paper B names `t`, `s` and `θ`). Its affine takes places of the aligned picture to places of the
picture as it was, both in [-1, 1] with corners at the outer edges of the corner pixels (`align_corners=False`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.models.features import GridPlaces

LENGTH = 5
MOST_SCALE = 2.0
"""A picture is scaled by at most this, and by at least its inverse (ours)."""
MOST_SHIFT = 0.5
"""Of half a side: the middle is moved by at most a quarter of the picture (ours)."""
MOST_ANGLE = math.pi / 4
"""A picture is turned by at most this (ours)."""
_ROUNDING = 1e-6


def pose_matrix(pose: Tensor) -> Tensor:
    """Return the affine `[..., 2, 3]` of a pose `[..., 5]` (paper B, Eq. 1)."""
    tx, ty, ux, uy, angle = pose.unbind(-1)
    sx, sy, cos, sin = ux.exp(), uy.exp(), angle.cos(), angle.sin()
    rows = (sx * cos, -sy * sin, tx, sx * sin, sy * cos, ty)
    return torch.stack(rows, dim=-1).reshape(*pose.shape[:-1], 2, 3)


def pose_of(matrix: Tensor) -> Tensor:
    """Return the pose `[..., 5]` whose affine is nearest to `matrix [..., 2, 3]`; the same where it has one."""
    first, second, shift = matrix.unbind(-1)
    angle = torch.atan2(first[..., 1] - second[..., 0], first[..., 0] + second[..., 1])
    return torch.stack([*shift.unbind(-1), first.norm(dim=-1).log(), second.norm(dim=-1).log(), angle], dim=-1)


def beyond(pose: Tensor) -> Tensor:
    """Return `[...]` bool: which of the poses `[..., 5]` leave their bounds, or are no numbers."""
    return ~((_limits(pose) - pose.abs()) >= -_ROUNDING).all(dim=-1)


def _limits(pose: Tensor) -> Tensor:
    scale = math.log(MOST_SCALE)
    return pose.new_tensor([MOST_SHIFT, MOST_SHIFT, scale, scale, MOST_ANGLE])


def within_bounds(pose: Tensor) -> Tensor:
    """Return the poses `[..., 5]`, the identity in place of those beyond their bounds."""
    return torch.where(beyond(pose).unsqueeze(-1), torch.zeros_like(pose), pose)


def why_beyond(pose: Tensor) -> str:
    """Return in words what of a pose `[5]` leaves its bounds."""
    tx, ty, ux, uy, angle = pose.tolist()
    found = {
        f"scale {_exp(ux):.2f} and {_exp(uy):.2f}, outside of {1 / MOST_SCALE:g} to {MOST_SCALE:g}": pose[
            2:4
        ].abs()
        <= math.log(MOST_SCALE) + _ROUNDING,
        f"shift {tx / 2:.2f} and {ty / 2:.2f} of a side, beyond {MOST_SHIFT / 2:g}": pose[:2].abs()
        <= MOST_SHIFT + _ROUNDING,
        f"turn {math.degrees(angle):.0f}°, beyond {math.degrees(MOST_ANGLE):.0f}°": pose[4:].abs()
        <= MOST_ANGLE + _ROUNDING,
    }
    return "; ".join(words for words, fine in found.items() if not bool(fine.all()))


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0)) if math.isfinite(value) else value


def warp(images: Tensor, matrix: Tensor, *, size: int | None = None) -> Tensor:
    """Return pictures `[M, C, H, W]` sampled where `matrix [M, 2, 3]` takes the pixels of the result.

    Bilinear; 0 outside, so that whoever has another black takes it off before and adds it after. The result has
    the pictures' own size, or `size` by `size` pixels.
    """
    shape = images.shape if size is None else (*images.shape[:2], size, size)
    with torch.autocast(images.device.type, enabled=False):  # places in bfloat16 are pixels apart
        grid = F.affine_grid(matrix.to(images.dtype), list(shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def pixel_matrix(matrix: Tensor, size: float) -> Tensor:
    """Return `matrix [..., 2, 3]` between [-1, 1] as one between pixels of pictures of `size` a side."""
    linear, shift = matrix[..., :2], matrix[..., 2]
    moved = (shift + 1 - linear.sum(dim=-1)) * (size / 2)
    return torch.cat([linear, moved.unsqueeze(-1)], dim=-1)


def compose(affine: Tensor, pose: Tensor, size: float) -> Tensor:
    """Return the affine `[..., 2, 3]` from pixels of the aligned picture to those of the original view.

    Args:
        affine: `[..., 2, 3]`, pixels of the picture as it was to those of the original view.
        pose: `[..., 5]`; one beyond its bounds moves nothing.
        size: side of the picture.
    """
    return _after(affine, pixel_matrix(pose_matrix(within_bounds(pose)), size))


def without_pose(affine: Tensor, pose: Tensor, size: float) -> Tensor:
    """Return what `compose` was given, of what it gave."""
    own = pixel_matrix(pose_matrix(within_bounds(pose)), size)
    inverse = torch.linalg.inv(own[..., :2])
    return _after(affine, torch.cat([inverse, -inverse @ own[..., 2:]], dim=-1))


def _after(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the affine that does `inner`, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def cells_inside(pose: Tensor, grid: GridPlaces) -> Tensor:
    """Return `[..., N]` bool: which cells of an aligned view have their centre inside of the picture as it was.

    Of a pose `[..., 5]` beyond its bounds all have. The cell nearest to the middle always counts (ours): a view
    without any would have no feature.
    """
    rows = (torch.arange(grid.rows, dtype=pose.dtype, device=pose.device) + 0.5) * (2 / grid.rows) - 1
    columns = (torch.arange(grid.columns, dtype=pose.dtype, device=pose.device) + 0.5) * (2 / grid.columns) - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x.flatten(), y.flatten(), torch.ones_like(x).flatten()])  # [3, N]
    with torch.autocast(pose.device.type, enabled=False):
        reach = (pose_matrix(within_bounds(pose)) @ centres).abs().amax(dim=-2)  # [..., 2, N] -> [..., N]
    return (reach <= 1 + _ROUNDING) | (reach == reach.amin(dim=-1, keepdim=True))
