"""Contrastive Attention: what distinguishes this image from normal ones (paper A, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.contrast.attention_functions import AttentionName
from contrastcxr.models.contrast.base import Contrast
from contrastcxr.models.contrast.comparison import PoolComparison
from contrastcxr.models.contrast.options import AttentionOptions, ContrastOptions
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.projection import PatchProjection


@dataclass(frozen=True, eq=False)
class StageFeatures:
    """Global vectors of further encoder stages, at the model width.

    Attributes:
        queries: `[B, V, S, d]`, one per view and stage.
        pool: `[N_P, S, d]`, the same of the pool's images.
    """

    queries: Tensor
    pool: Tensor


class ContrastiveAttention(Contrast, PoolComparison):
    """Features rewritten by what sets the image apart from normal ones (paper A, Eq. 4 to 10).

    `v^d = v̂ − v^c`; `v̂' = ReLU([v̂; v^d] W')` and `v_i' = ReLU([v_i; v^d] W')` with one shared `W'`. There
    is no dropout, norm or residual. `v̂'` is Eq. 9, never the mean of the `v_i'`. Masked patches are zeroed again.

    Paper A names two extensions in section 6 and gives no equations; these are ours:

    - `patches=True`: every patch is a query of its own against a pool of patch vectors, with weights of its
      own, and has its own `v_i^d`; `v̂'` stays as in the paper.
    - `stages=S`: the global vectors of S further encoder stages are compared, each by weights of its own, with
      those of the pool's images; their differences are joined to `v^d`:
      `v' = ReLU([v; v^d; v^d_1; …; v^d_S] W')` with `W' ∈ R^{(2+S)d×d}`.

    With `per_view=True` (ours, `pool.views: same_view`) each view is compared on its own, its `v̂` being the mean
    of its patches; a patch gets the `v^d` of its view, and the study their mean over its views. One view gives
    the same as the paper's model.

    A study all of whose pool rows are excluded has nothing to be compared with: `P'` is empty, so `v^c = v̂` and
    `v^d = 0` (ours), and its pool weights are 0.

    Args:
        width: d.
        repeats: n of Aggregate Attention; the paper tries 1, 2, 4, 6, 8, 10.
        aggregate: False differentiates `[v̂; P]` itself (Table 5 b).
        differentiate: False takes the mean of `P'` for `v^c` (ours).
        attention: `dot`, `additive` or `bilinear`.
        patches: contrast every patch on its own too (ours).
        stages: number of further encoder stages (ours).
        per_view: compare every view on its own (ours).

    Raises:
        IncompatibleError: options that leave nothing to compare with.
    """

    def __init__(
        self,
        width: int = 512,
        repeats: int = 6,
        *,
        aggregate: bool = True,
        differentiate: bool = True,
        attention: AttentionName = "dot",
        patches: bool = False,
        stages: int = 0,
        per_view: bool = False,
    ) -> None:
        super().__init__(width, repeats, aggregate=aggregate, differentiate=differentiate, attention=attention)
        if patches and not aggregate:
            raise IncompatibleError("contrast of patches needs Aggregate Attention; set aggregate: true")
        self.width = width
        self.per_view = per_view
        self.update = nn.Linear((2 + stages) * width, width)
        another = partial(
            PoolComparison, width, repeats, aggregate=aggregate, differentiate=differentiate, attention=attention
        )
        self.of_patches = another() if patches else None
        self.of_stages = nn.ModuleList(another() for _ in range(stages))

    @classmethod
    def built(cls, options: ContrastOptions, projection: PatchProjection) -> ContrastiveAttention:
        """Return one as its options say, at the width of the projection."""
        assert isinstance(options, AttentionOptions)  # what its kind has
        return cls(
            projection.width,
            options.repeats,
            aggregate=options.aggregate,
            differentiate=options.differentiate,
            attention=options.attention,
            patches=options.patches,
            stages=len(options.stages),
            per_view=options.pool.views == "same_view",
        )

    @property
    def needs_patch_pool(self) -> bool:
        """True when `forward` must be given a pool of patch vectors."""
        return self.of_patches is not None

    def forward(
        self,
        features: VisualFeatures,
        *,
        pool: Tensor,
        exclude: Tensor | None = None,
        patch_pool: Tensor | None = None,
        patch_exclude: Tensor | None = None,
        stages: StageFeatures | None = None,
    ) -> VisualFeatures:
        """Return the contrasted features; the evidence says with what.

        Args:
            features: patches `[B, N, d]` and pooled `[B, d]` after a linear projection.
            pool: `[N_P, d]`, projected by the same map as the features.
            exclude: `[B, N_P]` bool, True where a row must not be looked at (own patient, other view); with
                `per_view` `[B, V, N_P]`, which also says how many views the patches come from.
            patch_pool: `[N_Q, d]`, for `patches=True`.
            patch_exclude: `[B, N_Q]` bool; with `per_view` `[B, V, N_Q]`.
            stages: of `stages=S`.

        Returns:
            Features with evidence `pool_weights [B, n, N_P]`, `pool_keep [B, N_P]`, `common [B, d]` (`v^c`),
            `difference [B, d]` (`v^d`) and `contrast_map [B, N]`, the cosine of each `v_i` with its `v^d` (ours; 0
            where masked). Over several views weights, `v^c` and `v^d` are means, and a row counts as kept for any.
        """
        queries = _Queries.of(features, exclude, pool=pool, per_view=self.per_view)
        common, weights = self.common(queries.vectors, pool, queries.keep)
        own = queries.vectors - common  # [Q, d]
        further = self._further(queries, stages)  # S of [Q, d]
        by_patch = queries.to_patches(own)
        if self.of_patches is not None:
            by_patch = self._by_patch(self.of_patches, features, queries, patch_pool, patch_exclude)
        patches = self._update(features.patches, by_patch, [queries.to_patches(part) for part in further])
        difference = queries.over_views(own)
        return features.replace(
            patches=patches.masked_fill(~features.mask.unsqueeze(-1), 0.0),
            pooled=self._update(features.pooled, difference, [queries.over_views(part) for part in further]),
            evidence={
                **features.evidence,
                "pool_weights": queries.over_views(weights),
                "pool_keep": queries.kept_by_any(),
                "common": queries.over_views(common),
                "difference": difference,
                "contrast_map": contrast_map(features, by_patch),
            },
        )

    def _further(self, queries: _Queries, stages: StageFeatures | None) -> list[Tensor]:
        """Return `v^d_s [Q, d]` of each further stage."""
        found = 0 if stages is None else stages.queries.shape[2]
        if found != len(self.of_stages):
            raise IncompatibleError(
                f"contrast over {len(self.of_stages)} further stages was given {found} of them"
            )
        if stages is None:
            return []
        differences = []
        for s, comparison in enumerate(self.of_stages):
            assert isinstance(comparison, PoolComparison)
            query = queries.of_views(stages.queries[:, :, s])
            differences.append(query - comparison.common(query, stages.pool[:, s], queries.keep)[0])
        return differences

    def _by_patch(
        self,
        comparison: PoolComparison,
        features: VisualFeatures,
        queries: _Queries,
        pool: Tensor | None,
        exclude: Tensor | None,
    ) -> Tensor:
        """Return `v_i^d [B, N, d]`, each patch compared with the pool of patches."""
        if pool is None:
            raise IncompatibleError("contrast of patches needs a pool of patch vectors (patch_pool)")
        B, N, d = features.patches.shape
        rows = _keep(exclude, (*queries.shape, pool.shape[0]), pool)  # [Q, N_Q]
        keep = rows.repeat_interleave(B * N // len(rows), dim=0)  # [B*N, N_Q]
        query = features.patches.reshape(B * N, d)
        return (query - comparison.common(query, pool, keep)[0]).view(B, N, d)

    def _update(self, vectors: Tensor, difference: Tensor, further: list[Tensor]) -> Tensor:
        """Return `ReLU([v; v^d; …] W')` (Eq. 9 and 10)."""
        return torch.relu(self.update(torch.cat([vectors, difference, *further], dim=-1)))


@dataclass(frozen=True, eq=False)
class _Queries:
    """What is compared: the global vector of each study, or of each of its views; `Q = B` or `B·V` rows.

    Attributes:
        vectors: `[Q, d]`.
        keep: `[Q, N_P]`.
        real: `[B, V]`, the views there are (`V` is 1 where studies are compared as a whole).
        mask: `[B, N]` of the patches.
        per_view: whether the rows are views.
    """

    vectors: Tensor
    keep: Tensor
    real: Tensor
    mask: Tensor
    per_view: bool

    @classmethod
    def of(cls, features: VisualFeatures, exclude: Tensor | None, *, pool: Tensor, per_view: bool) -> _Queries:
        B, N, d = features.patches.shape
        if not per_view:
            keep = _keep(exclude, (B, pool.shape[0]), pool)
            return cls(features.pooled, keep, features.mask.any(dim=1, keepdim=True), features.mask, per_view)
        if exclude is None or exclude.ndim != 3 or N % exclude.shape[1]:
            found = None if exclude is None else tuple(exclude.shape)
            raise IncompatibleError(
                f"contrast by view needs an exclude mask [B, V, N_P] whose views share {N} patches; found {found}"
            )
        V = exclude.shape[1]
        by_view = features.mask.view(B, V, N // V)
        vectors = masked_mean(features.patches.reshape(B * V, N // V, d), by_view.flatten(0, 1))  # [B*V, d]
        keep = _keep(exclude, (B, V, pool.shape[0]), pool)
        return cls(vectors, keep, by_view.any(dim=2), features.mask, per_view)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(B,)`, or `(B, V)` by view."""
        return tuple(self.real.shape) if self.per_view else (len(self.real),)

    def of_views(self, vectors: Tensor) -> Tensor:
        """Return `vectors [B, V, d]` of single views as queries `[Q, d]`."""
        B, V, d = vectors.shape
        if self.per_view:
            return vectors.reshape(B * V, d)
        return masked_mean(vectors, self.mask.view(B, V, -1).any(dim=2))

    def over_views(self, values: Tensor) -> Tensor:
        """Return `values [Q, …]` as one per study `[B, …]`, the mean over its real views."""
        if not self.per_view:
            return values
        split = values.view(*self.real.shape, -1)  # [B, V, …]
        return masked_mean(split, self.real).view(len(self.real), *values.shape[1:])

    def to_patches(self, values: Tensor) -> Tensor:
        """Return `values [Q, d]` laid beside the patches they belong to, `[B, N, d]`."""
        B, N = self.mask.shape
        if not self.per_view:
            return values.unsqueeze(1).expand(B, N, -1)
        return values.view(*self.real.shape, -1).repeat_interleave(N // self.real.shape[1], dim=1)

    def kept_by_any(self) -> Tensor:
        """Return `[B, N_P]`: rows that were looked at for a real view."""
        if not self.per_view:
            return self.keep
        kept: Tensor = self.keep.view(*self.real.shape, -1) & self.real.unsqueeze(-1)  # [B, V, N_P]
        return kept.any(dim=1)


def contrast_map(features: VisualFeatures, difference: Tensor) -> Tensor:
    """Return the cosine `[B, N]` of each patch before the update with its `v^d [B, N, d]`.

    It is 0 where masked (ours).

    Paper A does not say how the maps of its Figure 3 are made.
    """
    cosine = F.cosine_similarity(features.patches.float(), difference.float(), dim=-1)
    return cosine.masked_fill(~features.mask, 0.0)


def _keep(exclude: Tensor | None, shape: tuple[int, ...], pool: Tensor) -> Tensor:
    """Return `[Q, N_P]`: the opposite of an exclude mask of this shape."""
    if exclude is None:
        return torch.ones(shape, dtype=torch.bool, device=pool.device).flatten(0, -2)
    if exclude.shape != shape or exclude.dtype != torch.bool:
        raise IncompatibleError(
            f"exclude mask {tuple(exclude.shape)} of {exclude.dtype}; expected bool {shape}, a row per study "
            "(and view) and a column per pool image"
        )
    return ~exclude.flatten(0, -2)
