"""Hinge ranking loss with the hardest negatives (after Faghri 2018, as Ni 2020 uses it)."""

from __future__ import annotations

import torch
from torch import Tensor


def hardest_hinge(scores: Tensor, negative: Tensor, *, margin: float = 0.2) -> tuple[Tensor, Tensor]:
    """Return the mean over pairs of `max_j [m + s_ij − s_ii]₊ + max_j [m + s_ji − s_ii]₊`.

    The number of pairs comes too.

    Args:
        scores: `[K, K]`, image i against sentence j; own pairs on the diagonal.
        negative: `[K, K]` bool, True where j may stand against i; a pair without any adds 0.
        margin: m.
    """
    K = len(scores)
    count = torch.as_tensor(K, device=scores.device)
    if K == 0:
        return scores.sum(), count
    own = scores.diagonal().unsqueeze(1)
    by_image = (margin + scores - own).clamp_min(0.0).masked_fill(~negative, 0.0).amax(dim=1)
    by_sentence = (margin + scores.T - own).clamp_min(0.0).masked_fill(~negative.T, 0.0).amax(dim=1)
    return (by_image + by_sentence).mean(), count
