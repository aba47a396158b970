"""Comparing one vector with many normal ones: aggregate, then differentiate (paper A, Eq. 4 to 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.masked_softmax import masked_softmax
from contrastcxr.models.contrast.attention_functions import AttentionName, build_scores

_LITTLE = 1e-12
"""A row of scores that leaves less than this to the columns that count is computed again without the others."""


class AggregateAttention(nn.Module):
    """The normals closest to the query, found `n` times with own weights (paper A, Eq. 5 and 6)."""

    def __init__(self, width: int, repeats: int, attention: AttentionName = "dot") -> None:
        super().__init__()
        self.scores = build_scores(attention, width=width, repeats=repeats)

    def forward(self, query: Tensor, pool: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return `P' [B, n, d]` and the weights `[B, n, N_P]` over the pool.

        Shapes are `query [B, d]`, `pool [N_P, d]` and `keep [B, N_P]`.
        """
        scores = self.scores(query.unsqueeze(1), pool).squeeze(-2)  # [B, n, N_P]
        weights = masked_softmax(scores, None if keep is None else keep.unsqueeze(1))
        return weights.to(pool.dtype) @ pool, weights


class DifferentiateAttention(nn.Module):
    """What the query shares with the normals: the mean row of a self-attention over `[v̂; P']` (paper A, Eq. 7)."""

    def __init__(self, width: int, attention: AttentionName = "dot") -> None:
        super().__init__()
        self.scores = build_scores(attention, width=width, repeats=1)

    def forward(self, query: Tensor, closest: Tensor) -> Tensor:
        """Return `v^c [B, d]` of `query [B, d]` and `closest [B, n, d]`."""
        rows = torch.cat([query.unsqueeze(1), closest], dim=1)  # [B, n+1, d]
        weights = masked_softmax(self.scores(rows, rows).squeeze(-3), None)  # [B, n+1, n+1]
        return (weights.mean(dim=1, keepdim=True).to(rows.dtype) @ rows).squeeze(1)

    def over_pool(self, query: Tensor, pool: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return `v^c [B, d]` of `[v̂; P]` itself (paper A, Table 5 b).

        The weights `[B, 1, N_P]` that the pool got come too.

        Only the mean row is needed. The scores among pool rows are the same for every study, so they are
        computed once, `[N_P, N_P]`; a study only changes the denominator of each row (by its own column) and
        which rows and columns count (`keep [B, N_P]`). Where the columns left out hold nearly all of a row, what
        remains of it would underflow: such a row is computed again from the scores, over its kept columns.
        """
        among = self.scores(pool, pool).squeeze(0).float()  # [N_P, N_P]
        to_query = self.scores(pool, query).squeeze(0).float().T  # [B, N_P] pool row -> its score for v̂
        alone = query.unsqueeze(1)  # [B, 1, d]
        own = [self.scores(alone, alone).flatten(1), self.scores(query, pool).squeeze(0)]  # [B, 1] and [B, N_P]
        from_query = masked_softmax(torch.cat(own, dim=1), F.pad(keep, (1, 0), value=True))  # [B, 1+N_P]
        top = among.amax(dim=1).detach()  # [N_P]
        shares = torch.exp(among - top.unsqueeze(1))  # [N_P rows, N_P columns], not yet divided
        total = keep.to(among.dtype) @ shares.T  # [B, N_P rows], kept columns only
        little = keep & (total < _LITTLE)
        total = torch.where(keep & ~little, total, 1.0)
        to_pool = torch.sigmoid(total.log() + top - to_query)  # [B, N_P rows]: share of row i on the pool
        from_pool = torch.where(keep & ~little, to_pool / total, 0.0) @ shares  # [B, N_P]
        from_pool = from_pool + _row_by_row(among, to_query, keep=keep, wanted=little)
        rows = 1.0 + keep.sum(dim=1, keepdim=True)  # [B, 1]
        on_pool = (from_query[:, 1:] + keep * from_pool) / rows  # [B, N_P]
        on_query = 1.0 - on_pool.sum(dim=1, keepdim=True)  # [B, 1]
        common = on_query.to(query.dtype) * query + on_pool.to(pool.dtype) @ pool
        return common, on_pool.unsqueeze(1)


def _row_by_row(among: Tensor, to_query: Tensor, *, keep: Tensor, wanted: Tensor) -> Tensor:
    """Return what `wanted` rows of the self-attention over `[v̂; P]` give to each pool row, `[B, N_P]`.

    Args:
        among: scores `[N_P, N_P]` of pool rows for each other.
        to_query: scores `[B, N_P]` of pool rows for `v̂`.
        keep: `[B, N_P]`, the columns that count.
        wanted: the rows, each a softmax of its own.
    """
    study, row = wanted.nonzero(as_tuple=True)  # [M] each
    scores = torch.cat([to_query[study, row].unsqueeze(1), among[row]], dim=1)  # [M, 1+N_P]
    weights = masked_softmax(scores, F.pad(keep[study], (1, 0), value=True))
    return torch.zeros_like(to_query).index_add(0, study, weights[:, 1:])


class PoolComparison(nn.Module):
    """What a vector has in common with normal ones, in either or both of the paper's two steps.

    | aggregate | differentiate | `v^c` |
    |---|---|---|
    | yes | yes | Eq. 5 to 7, the paper's model |
    | no | yes | the mean row of a self-attention over `[v̂; P]` (Table 5 b) |
    | yes | no | the mean of the aggregated rows `P'` (ours; the paper has no such row) |

    A vector all of whose pool rows are left out has nothing to be compared with: `v^c = v̂` (ours).
    """

    def __init__(
        self,
        width: int,
        repeats: int,
        *,
        aggregate: bool = True,
        differentiate: bool = True,
        attention: AttentionName = "dot",
    ) -> None:
        super().__init__()
        if repeats < 1:
            raise IncompatibleError(f"contrast with n = {repeats}; Aggregate Attention needs n of at least 1")
        if not aggregate and not differentiate:
            raise IncompatibleError(
                "contrast with aggregate and differentiate off: no attention is left; turn one of them on"
            )
        self.aggregate = AggregateAttention(width, repeats, attention) if aggregate else None
        self.differentiate = DifferentiateAttention(width, attention) if differentiate else None

    def common(self, query: Tensor, pool: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return `v^c [Q, d]` of `query [Q, d]`, and weights `[Q, n, N_P]` over `pool [N_P, d]`.

        `keep [Q, N_P]`.
        """
        common, weights = self._common(query, pool, keep)
        alone = ~keep.any(dim=1, keepdim=True)  # [Q, 1]
        return torch.where(alone, query, common), weights

    def _common(self, query: Tensor, pool: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        if self.aggregate is None:
            assert self.differentiate is not None  # one of the two is there
            return self.differentiate.over_pool(query, pool, keep)
        closest, weights = self.aggregate(query, pool, keep)
        common = closest.mean(dim=1) if self.differentiate is None else self.differentiate(query, closest)
        return common, weights
