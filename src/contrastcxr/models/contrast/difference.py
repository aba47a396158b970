"""Contrast-induced attention: where this picture is not like a normal one (paper B, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.precision import FullPrecision
from contrastcxr.models.contrast.base import Contrast
from contrastcxr.models.contrast.options import ContrastOptions
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.projection import PatchProjection

LEAST = 1e-6
"""A difference whose sum over a view is below this says nothing: all its places weigh the same (ours)."""


class InducedAttention(FullPrecision, Contrast):
    """Features weighed by how far a picture is from its negative at each place (paper B, Eq. 3).

    `M = w^T a_k` of the attention branch's channels `a_k` (paper B: layer3, max-pooled to the grid of layer4), one
    map for each picture and the same `w` for image and negative. There is no bias, which cancels in
    `ΔM = |M⁺ − M⁻|`, and no weight decay, since only the direction of `w` counts (both ours): `ΔM` of each view is
    scaled to mean 1 over the view's patches, and `f̄_k = Δm_k f_k` cell by cell. A `ΔM` whose sum is below 1e-6
    weighs every place 1, and a place outside of an aligned negative weighs 1, since nothing was compared there
    (ours). The global feature is the mean of the `f̄_k` (ours; paper B has none).

    Args:
        channels: C' of the attention branch.
    """

    without_decay = ("to_map.weight",)
    """Only its direction counts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_map = nn.Linear(channels, 1, bias=False)

    @classmethod
    def built(cls, options: ContrastOptions, projection: PatchProjection) -> InducedAttention:
        """Return one for the channels of the branch."""
        del options  # what they say is the encoder's and the bank's
        return cls(projection.branch_channels)

    def map(self, branch: Tensor) -> Tensor:
        """Return `M [...]` of the branch's channels `[..., C']`."""
        with torch.autocast(branch.device.type, enabled=False):  # a difference of rounded maps is mostly rounding
            made: Tensor = self.to_map(branch.to(self.to_map.weight.dtype))
        return made.squeeze(-1)

    def forward(
        self, features: VisualFeatures, *, own: Tensor, negative: Tensor, shown: Tensor | None = None
    ) -> VisualFeatures:
        """Return the weighed features; the evidence says by what.

        Args:
            features: patches `[B, V·n, d]`.
            own: `M⁺ [B, V, n]`, of each view.
            negative: `M⁻ [B, V, n]`, of the picture that each view is compared with.
            shown: `[B, V, n]` bool, True at the patches that show some of that picture; None says all.

        Returns:
            Features with evidence `difference_map [B, V·n]`, `ΔM` of mean 1 over the patches of a view and 0 where
            masked.
        """
        mask = features.mask.view(own.shape)
        weights = difference_weights(own, negative, mask, shown=shown).flatten(1)  # [B, V·n]
        patches = features.patches * weights.unsqueeze(-1).to(features.patches.dtype)
        return features.replace(
            patches=patches,
            pooled=masked_mean(patches, features.mask),
            evidence={**features.evidence, "difference_map": weights},
        )


def difference_weights(own: Tensor, negative: Tensor, mask: Tensor, *, shown: Tensor | None = None) -> Tensor:
    """Return `ΔM [B, V, n]` of maps `[B, V, n]`, of mean 1 over the patches of each view, in float32.

    Args:
        own: `M⁺`.
        negative: `M⁻`.
        mask: bool, True at the patches that count; the weight of others is 0.
        shown: bool, True where the negative shows something; the weight of other patches is 1. None says all.
    """
    compared = mask if shown is None else mask & shown
    gap = (own.float() - negative.float()).abs().masked_fill(~compared, 0.0)
    total = gap.sum(dim=-1, keepdim=True)
    flat = (total < LEAST) | ~compared
    scaled = gap * compared.sum(dim=-1, keepdim=True) / torch.where(total < LEAST, 1.0, total)
    return torch.where(flat, 1.0, scaled).masked_fill(~mask, 0.0)
