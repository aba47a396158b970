"""Multi-label loss of the finding head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def finding_bce(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy averaged over known labels, a scalar.

    Args:
        logits: `[B, L]`.
        targets: `[B, L]` in [0, 1]; what stands where `mask` is False means nothing and may be NaN.
        mask: `[B, L]` bool, True where the label is known; None when all are.

    Returns:
        A scalar in float32; 0 when no label is known.
    """
    known = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask
    clean = torch.where(known, targets, 0.0).float()
    each = F.binary_cross_entropy_with_logits(logits.float(), clean, reduction="none")  # [B, L]
    return each.masked_fill(~known, 0.0).sum() / known.sum().clamp_min(1)
