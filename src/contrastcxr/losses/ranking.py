"""Hinge ranking loss, with the hardest negatives or all (after Faghri 2018, as Ni 2020 uses it)."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastcxr.losses.options import Negatives


def ranking_hinge(
    scores: Tensor, negative: Tensor, *, negatives: Negatives = "hardest", margin: float = 0.2
) -> tuple[Tensor, Tensor]:
    """Return the mean over pairs of `h_j [m + s_ij − s_ii]₊ + h_j [m + s_ji − s_ii]₊`.

    The number of pairs comes too.

    Args:
        scores: `[K, K]`, image i against sentence j; own pairs on the diagonal.
        negative: `[K, K]` bool, True where j may stand against i; a pair without any adds 0.
        negatives: h over these, the maximum (`hardest`) or the mean (`all`).
        margin: m.
    """
    K = len(scores)
    count = torch.as_tensor(K, device=scores.device)
    if K == 0:
        return scores.sum(), count
    own = scores.diagonal().unsqueeze(1)
    by_image = _over((margin + scores - own).clamp_min(0.0), negative, negatives)
    by_sentence = _over((margin + scores.T - own).clamp_min(0.0), negative.T, negatives)
    return (by_image + by_sentence).mean(), count


def _over(costs: Tensor, negative: Tensor, negatives: Negatives) -> Tensor:
    costs = costs.masked_fill(~negative, 0.0)
    if negatives == "hardest":
        return costs.amax(dim=1)
    return costs.sum(dim=1) / negative.sum(dim=1).clamp_min(1)
