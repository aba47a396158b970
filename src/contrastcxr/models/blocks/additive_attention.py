"""Additive attention of a query over the rows of its study, kept so that moving beams about copies nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.masked_softmax import masked_softmax
from contrastcxr.models.features import VisualFeatures


@dataclass(frozen=True, eq=False)
class AttentionKeys:
    """What R queries may look at, stored once per study and laid out per query.

    Attributes:
        values: `[R, N, d]`.
        keys: `[R, N, a]`, `W_k x_i`.
        mask: `[R, N]` bool, True where a row is real.
        owner: `[R]`, the study of each query.
        whole: the same of every study, `owner` being `0 … M-1`; None when this is it.
    """

    values: Tensor
    keys: Tensor
    mask: Tensor
    owner: Tensor
    whole: AttentionKeys | None = None

    @classmethod
    def of(cls, values: Tensor, keys: Tensor, mask: Tensor) -> AttentionKeys:
        """Return one query per study: `values [M, N, d]`, `keys [M, N, a]`, `mask [M, N]`."""
        return cls(values, keys, mask, torch.arange(len(values), device=values.device))

    def select(self, index: Tensor) -> AttentionKeys:
        """Return what the queries `index [R']` may look at; nothing is copied while each stays with its study."""
        owner = self.owner.index_select(0, index)
        if torch.equal(owner, self.owner):
            return self
        whole = self.whole or self
        values, keys, mask = (part.index_select(0, owner) for part in (whole.values, whole.keys, whole.mask))
        return AttentionKeys(values, keys, mask, owner, whole)


class AdditiveAttention(nn.Module):
    """`e_i = w^T tanh(W_q q + W_k x_i)`, `a = softmax(e)` over real rows, answer `Σ a_i x_i`.

    Args:
        query: width of the query.
        rows: width of the rows x_i.
        hidden: width a inside the tanh.
    """

    def __init__(self, query: int, rows: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, hidden)
        self.key = nn.Linear(rows, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def attendable(self, features: VisualFeatures) -> AttentionKeys:
        """Return the patches of each study with their keys."""
        return self.over(features.patches, features.mask)

    def over(self, rows: Tensor, mask: Tensor) -> AttentionKeys:
        """Return `rows [M, N, d]` with their keys."""
        return AttentionKeys.of(rows, self.key(rows), mask)

    def forward(self, query: Tensor, seen: AttentionKeys) -> tuple[Tensor, Tensor]:
        """Return the answer `[R, d]` to `query [R, q]` and the weights `[R, N]`."""
        inner = torch.tanh(self.query(query).unsqueeze(1) + seen.keys)  # [R, N, a]
        weights = masked_softmax(self.score(inner).squeeze(-1), seen.mask)
        return torch.einsum("rn,rnd->rd", weights.to(seen.values.dtype), seen.values), weights
