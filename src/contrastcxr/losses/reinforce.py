"""Self-critical sequence training: reports are rewarded against what greedy search writes (after Rennie 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def self_critical(log_probs: Tensor, study: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over studies of `−(r(w^s) − r(ŵ)) Σ_t log p(w^s_t)`, and the number of studies.

    Args:
        log_probs: `[M]`, of the words of the sampled reports `w^s`.
        study: `[M]`, the study each of them is of.
        advantage: `[B]`, reward of each sampled report less that of the greedy one; no gradient goes through it.
    """
    total = log_probs.new_zeros(len(advantage)).index_add(0, study, log_probs)  # [B]
    return -(advantage.detach() * total).mean(), torch.as_tensor(len(advantage), device=total.device)
