"""The one socket between encoders and everything after them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class GridPlaces:
    """Patches that are the cells of a grid over each view, row by row, one view after another."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """Patches of one view."""
        return self.rows * self.columns


@dataclass(frozen=True, eq=False)
class RegionPlaces:
    """Patches that are regions of the views.

    Attributes:
        boxes: `[B, N, 4]`, `[x1, y1, x2, y2]` in pixels of the model's picture.
        scores: `[B, N]`.
        views: `[B, N]` int64, which view of the study each is in.
    """

    boxes: Tensor
    scores: Tensor
    views: Tensor


@dataclass(frozen=True, eq=False)
class VisualFeatures:
    """Patches, their summary and what the modules they went through have to show for themselves.

    Attributes:
        patches: `[B, N, d]`; rows of absent views are zero.
        pooled: `[B, d]`, the global feature `v̂` of paper A.
        mask: `[B, N]` bool, True where a patch belongs to a real view and, where pictures are aligned, lies inside
            of the picture; every study has one.
        places: where the patches are; None where nobody knows, so that nothing is laid over a picture.
        evidence: named tensors whose first dimension is B.
        indication: `[B, T]` token ids of why the picture was taken, for decoders that read it; None where nobody
            asks.
        indication_mask: `[B, T]` bool, True for its real words; a study without indication has none.
        fine: the same views on the maps of finer stages of the encoder, as it gives them, for a head that stands
            on those; none where there is no such head.
    """

    patches: Tensor
    pooled: Tensor
    mask: Tensor
    places: GridPlaces | RegionPlaces | None = None
    evidence: Mapping[str, Tensor] = field(default_factory=dict)
    indication: Tensor | None = None
    indication_mask: Tensor | None = None
    fine: tuple[VisualFeatures, ...] = ()

    def __post_init__(self) -> None:
        B, N, d = self.patches.shape
        if self.pooled.shape != (B, d) or self.mask.shape != (B, N) or self.mask.dtype != torch.bool:
            raise ValueError(
                f"patches {tuple(self.patches.shape)} need pooled {(B, d)} and a bool mask {(B, N)}; found "
                f"{tuple(self.pooled.shape)} and {tuple(self.mask.shape)} of {self.mask.dtype}"
            )
        if isinstance(self.places, GridPlaces) and N % self.places.cells:
            raise ValueError(f"{N} patches on a grid of {self.places.rows}×{self.places.columns} a view")

    @property
    def studies(self) -> int:
        """Number of studies B."""
        return self.patches.shape[0]

    def replace(self, **changes: Any) -> VisualFeatures:
        """Return the same features with the named attributes changed."""
        return dataclasses.replace(self, **changes)

    def detach(self) -> VisualFeatures:
        """Return the same features, which no gradient goes through."""
        fine = tuple(each.detach() for each in self.fine)
        return self.replace(patches=self.patches.detach(), pooled=self.pooled.detach(), fine=fine)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of `values [B, N, d]` over the rows where `mask [B, N]` is True (paper A, Eq. 3).

    The mean is `[B, d]`.
    """
    weights = mask.to(values.dtype)  # [B, N]
    total = torch.einsum("bnd,bn->bd", values, weights)
    return total / weights.sum(dim=1, keepdim=True).clamp_min(1.0)
