"""Losses of a map of cells, after Li 2018: labels by multiple instances, boxes cell by cell or as one product.

A cell j has the logit `z_j` and the probability `p_j = σ(z_j)`. Products over cells are sums of logarithms, which
neither 256 nor 16,384 of them overflow or cancel. `floor` is what no factor of a product goes below (Li: .98).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_FEW = -16.0
"""Where the sum of small probabilities is below exp of this, it is their union to all digits of float32."""


def log_kept(logits: Tensor, floor: float) -> Tensor:
    """Return `log(floor + (1 − floor)(1 − p_j))` of each cell, in the shape of `logits`."""
    if floor == 0:
        return F.logsigmoid(-logits)
    return torch.log1p((floor - 1) * torch.sigmoid(logits))


def mil_logits(logits: Tensor, mask: Tensor, *, floor: float) -> Tensor:
    """Return the logit of `p = 1 − Π_j (floor + (1 − floor)(1 − p_j))`, paper B, Eq. 5, after Li 2018.

    Args:
        logits: `[…, N]`, of cells, in float32.
        mask: bool, broadcast to `logits`, True for cells that count; each row has one.
        floor: 0 is Eq. 5 to the letter.

    Returns:
        `[…]`; its binary cross-entropy is Eq. 5.
    """
    none = log_kept(logits, floor).masked_fill(~mask, 0.0).sum(dim=-1)  # log(1 − p)
    few = F.logsigmoid(logits).masked_fill(~mask, -torch.inf).logsumexp(dim=-1) + math.log1p(-floor)
    tiny = few < _FEW
    some = torch.where(tiny, few, torch.log(-torch.expm1(none.masked_fill(tiny, -1.0))))  # log p
    return some - none


def box_nll(logits: Tensor, inside: Tensor, mask: Tensor, *, floor: float) -> Tensor:
    """Return `−log Π_j q_j` with `q_j` the probability of what cell j is, inside a box or outside, `[…]`.

    With `floor` 0 that is the binary cross-entropy summed over the cells (paper B, Eq. 4); with another each
    factor is `floor + (1 − floor) q_j`, the box loss of Li 2018.

    Args:
        logits: `[…, N]`, of cells, in float32.
        inside: `[…, N]` bool, True where a cell overlaps a box.
        mask: bool, broadcast to `logits`, True for cells that count.
        floor: what no factor goes below.
    """
    wrong = torch.where(inside, -logits, logits)
    return -log_kept(wrong, floor).masked_fill(~mask, 0.0).sum(dim=-1)
