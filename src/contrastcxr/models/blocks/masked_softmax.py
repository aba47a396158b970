"""A softmax over what a mask keeps."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(scores: Tensor, keep: Tensor | None) -> Tensor:
    """Return the softmax over the last axis in float32, 0 where `keep` is False.

    A row with nothing to keep is all 0.
    """
    scores = scores.float()
    if keep is None:
        return torch.softmax(scores, dim=-1)
    weights = torch.softmax(scores.masked_fill(~keep, torch.finfo(scores.dtype).min), dim=-1)
    return weights.masked_fill(~keep, 0.0)
