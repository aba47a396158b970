"""Contrastive Attention: what distinguishes this image from normal ones (paper A, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.attention_functions import AttentionName, build_scores, masked_softmax
from contrastcxr.models.features import VisualFeatures


class AggregateAttention(nn.Module):
    """The normals closest to the query, found `n` times with own weights (paper A, Eq. 5 and 6)."""

    def __init__(self, width: int, repeats: int, attention: AttentionName = "dot") -> None:
        super().__init__()
        self.scores = build_scores(attention, width=width, repeats=repeats)

    def forward(self, query: Tensor, pool: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """`P' [B, n, d]` and the weights `[B, n, N_P]` of `query [B, d]` over `pool [N_P, d]`, `keep [B, N_P]`."""
        scores = self.scores(query.unsqueeze(1), pool).squeeze(-2)  # [B, n, N_P]
        weights = masked_softmax(scores, None if keep is None else keep.unsqueeze(1))
        return weights.to(pool.dtype) @ pool, weights


class DifferentiateAttention(nn.Module):
    """What the query shares with the normals: the mean row of a self-attention over `[v̂; P']` (paper A, Eq. 7)."""

    def __init__(self, width: int, attention: AttentionName = "dot") -> None:
        super().__init__()
        self.scores = build_scores(attention, width=width, repeats=1)

    def forward(self, query: Tensor, closest: Tensor) -> Tensor:
        """`v^c [B, d]` of `query [B, d]` and `closest [B, n, d]`."""
        rows = torch.cat([query.unsqueeze(1), closest], dim=1)  # [B, n+1, d]
        weights = masked_softmax(self.scores(rows, rows).squeeze(-3), None)  # [B, n+1, n+1]
        return (weights.mean(dim=1, keepdim=True).to(rows.dtype) @ rows).squeeze(1)

    def over_pool(self, query: Tensor, pool: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """`v^c [B, d]` of `[v̂; P]` itself (paper A, Table 5 b) and the weights `[B, 1, N_P]` that the pool got.

        Only the mean row is needed. The scores among pool rows are the same for every study, so they are
        computed once, `[N_P, N_P]`; a study only changes the denominator of each row (by its own column) and
        which rows and columns count (`keep [B, N_P]`).
        """
        among = self.scores(pool, pool).squeeze(0).float()  # [N_P, N_P]
        to_query = self.scores(pool, query).squeeze(0).float().T  # [B, N_P] pool row -> its score for v̂
        own = torch.cat([self._self_score(query), self._pool_scores(query, pool)], dim=1)  # [B, 1+N_P]
        from_query = masked_softmax(own, F.pad(keep, (1, 0), value=True))  # [B, 1+N_P]
        kept = keep.to(among.dtype)
        top = among.amax(dim=1).detach()  # [N_P]
        shares = torch.exp(among - top.unsqueeze(1))  # [N_P rows, N_P columns], not yet divided
        total = (kept @ shares.T).clamp_min(torch.finfo(shares.dtype).tiny)  # [B, N_P rows], kept columns only
        to_pool = kept * torch.sigmoid(total.log() + top - to_query)  # [B, N_P rows]: share of row i on the pool
        rows = 1.0 + kept.sum(dim=1, keepdim=True)  # [B, 1]
        on_pool = (from_query[:, 1:] + kept * ((to_pool / total) @ shares)) / rows  # [B, N_P]
        on_query = 1.0 - on_pool.sum(dim=1, keepdim=True)  # [B, 1]
        common = on_query.to(query.dtype) * query + on_pool.to(pool.dtype) @ pool
        return common, on_pool.unsqueeze(1)

    def _self_score(self, query: Tensor) -> Tensor:
        rows = query.unsqueeze(1)  # [B, 1, d]
        score: Tensor = self.scores(rows, rows).flatten(1)  # [B, 1]
        return score.float()

    def _pool_scores(self, query: Tensor, pool: Tensor) -> Tensor:
        scores: Tensor = self.scores(query, pool).squeeze(0)  # [B, N_P]
        return scores.float()


class ContrastiveAttention(nn.Module):
    """Features rewritten by what sets the image apart from normal ones (paper A, Eq. 4 to 10).

    `v^d = v̂ − v^c`; `v̂' = ReLU([v̂; v^d] W')` and `v_i' = ReLU([v_i; v^d] W')` with one shared `W'`. There
    is no dropout, norm or residual. `v̂'` is Eq. 9, never the mean of the `v_i'`. Masked patches are zeroed again.

    With `patches=True`, our extension of what paper A names in section 6, every patch is a query of its own
    against a pool of patch vectors and has its own `v_i^d`; `v̂'` stays as in the paper. Patch queries have
    own weights.

    A study all of whose pool rows are excluded has nothing to be compared with: `P'` is empty, so `v^c = v̂` and
    `v^d = 0` (ours), and its pool weights are 0.

    Args:
        width: d.
        repeats: n of Aggregate Attention; the paper tries 1, 2, 4, 6, 8, 10.
        aggregate: False differentiates `[v̂; P]` itself (Table 5 b).
        attention: `dot`, `additive` or `bilinear`.
        patches: contrast every patch on its own too (ours).
    """

    def __init__(
        self,
        width: int = 512,
        repeats: int = 6,
        *,
        aggregate: bool = True,
        attention: AttentionName = "dot",
        patches: bool = False,
    ) -> None:
        super().__init__()
        if repeats < 1:
            raise IncompatibleError(f"contrast with n = {repeats}; Aggregate Attention needs n of at least 1")
        if patches and not aggregate:
            raise IncompatibleError("contrast of patches needs Aggregate Attention; set aggregate: true")
        self.width = width
        self.aggregate = AggregateAttention(width, repeats, attention) if aggregate else None
        self.differentiate = DifferentiateAttention(width, attention)
        self.patch_aggregate = AggregateAttention(width, repeats, attention) if patches else None
        self.patch_differentiate = DifferentiateAttention(width, attention) if patches else None
        self.update = nn.Linear(2 * width, width)

    @property
    def needs_patch_pool(self) -> bool:
        """True when `forward` must be given a pool of patch vectors."""
        return self.patch_aggregate is not None

    def forward(
        self,
        features: VisualFeatures,
        *,
        pool: Tensor,
        exclude: Tensor | None = None,
        patch_pool: Tensor | None = None,
        patch_exclude: Tensor | None = None,
    ) -> VisualFeatures:
        """Contrasted features; the evidence says with what.

        Args:
            features: patches `[B, N, d]` and pooled `[B, d]` after a linear projection.
            pool: `[N_P, d]`, projected by the same map as the features.
            exclude: `[B, N_P]` bool, True where a row must not be looked at (own patient, other view).
            patch_pool: `[N_Q, d]`, for `patches=True`.
            patch_exclude: `[B, N_Q]` bool.

        Returns:
            Features with evidence `pool_weights [B, n, N_P]`, `pool_keep [B, N_P]`, `common [B, d]` (`v^c`),
            `difference [B, d]` (`v^d`) and `contrast_map [B, N]`, the cosine of each `v_i` with `v^d` (ours; 0
            where masked).
        """
        keep = _keep(exclude, features.studies, pool)
        common, weights = self._common(features.pooled, pool, keep)
        difference = features.pooled - common
        per_patch = self._patch_difference(features, difference, patch_pool, patch_exclude)
        patches = self._update(features.patches, per_patch)
        return VisualFeatures(
            patches=patches.masked_fill(~features.mask.unsqueeze(-1), 0.0),
            pooled=self._update(features.pooled, difference),
            mask=features.mask,
            evidence={
                **features.evidence,
                "pool_weights": weights,
                "pool_keep": keep,
                "common": common,
                "difference": difference,
                "contrast_map": contrast_map(features, per_patch),
            },
        )

    def _common(self, query: Tensor, pool: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        if self.aggregate is None:
            common, weights = self.differentiate.over_pool(query, pool, keep)
        else:
            closest, weights = self.aggregate(query, pool, keep)
            common = self.differentiate(query, closest)
        alone = ~keep.any(dim=1, keepdim=True)  # [B, 1]
        return torch.where(alone, query, common), weights

    def _patch_difference(
        self, features: VisualFeatures, difference: Tensor, pool: Tensor | None, exclude: Tensor | None
    ) -> Tensor:
        """`v_i^d [B, N, d]`: the study's own `v^d`, or each patch's with `patches=True`."""
        B, N, d = features.patches.shape
        if self.patch_aggregate is None or self.patch_differentiate is None:
            return difference.unsqueeze(1).expand(B, N, d)
        if pool is None:
            raise IncompatibleError("contrast of patches needs a pool of patch vectors (patch_pool)")
        keep = _keep(exclude, B, pool).repeat_interleave(N, dim=0)  # [B*N, N_Q]
        query = features.patches.reshape(B * N, d)
        closest, _ = self.patch_aggregate(query, pool, keep)
        common = torch.where(~keep.any(dim=1, keepdim=True), query, self.patch_differentiate(query, closest))
        return (query - common).view(B, N, d)

    def _update(self, vectors: Tensor, difference: Tensor) -> Tensor:
        """`ReLU([v; v^d] W')` (Eq. 9 and 10)."""
        return torch.relu(self.update(torch.cat([vectors, difference], dim=-1)))


def contrast_map(features: VisualFeatures, difference: Tensor) -> Tensor:
    """Cosine `[B, N]` of each patch before the update with its `v^d [B, N, d]`, 0 where masked (ours).

    Paper A does not say how the maps of its Figure 3 are made.
    """
    cosine = F.cosine_similarity(features.patches.float(), difference.float(), dim=-1)
    return cosine.masked_fill(~features.mask, 0.0)


def _keep(exclude: Tensor | None, studies: int, pool: Tensor) -> Tensor:
    shape = (studies, pool.shape[0])
    if exclude is None:
        return torch.ones(shape, dtype=torch.bool, device=pool.device)
    if exclude.shape != shape or exclude.dtype != torch.bool:
        raise IncompatibleError(
            f"exclude mask {tuple(exclude.shape)} of {exclude.dtype}; expected bool {shape}, a row per study "
            "and a column per pool image"
        )
    return ~exclude
