"""Guided decoding: what the picture makes more probable than normal pictures would (ours; an experiment).

`log_softmax(log p(w | x) − λ log p(w | normals))` over the vocabulary at every step. It is a distribution again,
so a sum of its logarithms only falls, and what the search prunes stays exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrastcxr.models.heads.writing import State, StepDecoder, StepResult


@dataclass(frozen=True, eq=False)
class PairState:
    """The states of one decoder on a picture and on normal ones, after the same words."""

    seen: State
    normal: State

    @property
    def rows(self) -> int:
        """Number of rows R, one per prefix being continued."""
        return self.seen.rows

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.seen.device

    def select(self, index: Tensor) -> PairState:
        """Return the rows `index [R']` of both."""
        return PairState(self.seen.select(index), self.normal.select(index))


class GuidedDecoder:
    """A decoder run twice, in step; its features are a pair: those of the picture, and those of normal ones.

    Args:
        decoder: gives the probabilities of a word, with weights that both runs share.
        weight: λ.
    """

    def __init__(self, decoder: StepDecoder, weight: float) -> None:
        self.decoder = decoder
        self.weight = weight

    def start(self, features: tuple[Any, Any]) -> PairState:
        """Return both states before the first token."""
        seen, normal = features
        return PairState(self.decoder.start(seen), self.decoder.start(normal))

    def step(self, token_ids: Tensor, state: PairState) -> StepResult:
        """Feed `token_ids [R]` to both; the attention is that on the picture."""
        seen, normal = (self.decoder.step(token_ids, each) for each in (state.seen, state.normal))
        return StepResult(
            guide(seen.log_probs, normal.log_probs, self.weight),
            PairState(seen.state, normal.state),
            seen.attention,
        )


def guide(seen: Tensor, normal: Tensor, weight: float) -> Tensor:
    """Return `log_softmax(seen − weight · normal)` of two tables of log-probabilities `[R, V]`, in float32.

    A word that is impossible on the picture stays impossible.
    """
    least = torch.finfo(torch.float32).min / 1e6  # finite, so that no −inf is taken from another
    gain = seen.float() - weight * normal.float().clamp_min(least)
    return torch.log_softmax(gain.masked_fill(seen == float("-inf"), float("-inf")), dim=-1)
