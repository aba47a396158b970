"""Self-critical sequence training: reports are rewarded against what greedy search writes (after Rennie 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastcxr.models.heads.decoders.base import DecoderOutputs


def self_critical(taught: DecoderOutputs, advantage: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over studies of `−(r(w^s) − r(ŵ)) Σ_t log p(w^s_t)`, and the number of studies.

    Args:
        taught: what the decoder says of the sampled reports `w^s`.
        advantage: `[B]`, reward of each sampled report less that of the greedy one; no gradient goes through it.
    """
    assert taught.log_probs is not None  # a decoder with words
    assert taught.words is not None
    assert taught.study is not None
    chosen = taught.log_probs.gather(-1, taught.words.unsqueeze(-1)).squeeze(-1)  # [M]
    total = chosen.new_zeros(len(advantage)).index_add(0, taught.study, chosen)  # [B]
    return -(advantage.detach() * total).mean(), torch.as_tensor(len(advantage), device=total.device)
