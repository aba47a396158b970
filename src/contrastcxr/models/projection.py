"""From raw encoder features to the model width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError, listed
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean

_ROUNDING = 1e-5
"""Of the mean, and of 1: a channel that deviates by less is one number that was rounded."""

ProjectionKind = Literal["linear", "r2gen", "none"]


class PatchProjection(nn.Module):
    """Patches of all views of a study side by side, brought to width `d` (paper A, Eq. 2 and 3).

    `linear` is `W_I` of paper A: a linear map and nothing else, so that the mean commutes with it and a pool
    may be kept as raw vectors. `r2gen` is the patch embedding of R2Gen's code, Linear-ReLU-Dropout 0.5; `v̂`
    is then the mean after it and Contrastive Attention cannot be used. `none` leaves the patches as the encoder
    gives them, so that d is its number of channels (paper B, and Wang 2017: the classifier sits on the last map).

    Args:
        channels: C of the raw features, those of further encoder stages included.
        width: d; not used where the kind is `none`.
        kind: `linear`, `r2gen` or `none`.
        stage_channels: how many of the last channels belong to each further stage; these do not become patches.
            Each stage has a linear map of its own (ours), with `map_stages`.
        map_stages: False where nobody asks for the stages at the model width.
        standardize: raw features have mean 0 and deviation 1 by channel before the map (ours); `set_scale` says
            what they have. Averages commute with it, so a pool stays raw.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        channels: int,
        width: int = 512,
        kind: ProjectionKind = "linear",
        *,
        stage_channels: Sequence[int] = (),
        map_stages: bool = True,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        if kind not in get_args(ProjectionKind):
            raise IncompatibleError(f"projection kind '{kind}'; known: {listed(get_args(ProjectionKind))}")
        self.channels = channels
        self.kind = kind
        self.stage_channels = tuple(stage_channels)
        self.own_channels = channels - sum(self.stage_channels)
        self.width = self.own_channels if kind == "none" else width
        self.linear = nn.Identity() if kind == "none" else nn.Linear(self.own_channels, width)
        self.dropout = nn.Dropout(0.5)
        self.standardize = standardize
        if standardize:
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("deviation", torch.ones(channels))
        mapped = self.stage_channels if map_stages else ()
        self.stages = nn.ModuleList(nn.Linear(count, self.width) for count in mapped)

    @property
    def is_linear(self) -> bool:
        """True when raw vectors may be averaged or pooled before the projection."""
        return self.kind != "r2gen"

    @property
    def embeds_patches(self) -> bool:
        """True when the patches come out of it as R2Gen embeds them."""
        return self.kind == "r2gen"

    def set_scale(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the mean and deviation `[C]` of raw features; a channel that does not change keeps its size."""
        changes = deviation > (_ROUNDING * mean.abs()).clamp_min(_ROUNDING)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(changes, deviation, torch.ones_like(deviation)))

    def project(self, raw: Tensor) -> Tensor:
        """Return `raw [..., C]` at the model width, `[..., d]`; further stages are left out."""
        scaled = self._scaled(raw)
        own = scaled[..., : self.own_channels] if self.stage_channels else scaled
        projected: Tensor = self.linear(own)
        if self.is_linear:
            return projected
        embedded: Tensor = self.dropout(torch.relu(projected))
        return embedded

    def project_stages(self, raw: Tensor) -> Tensor:
        """Return the further stages of `raw [..., C]` at the model width, `[..., S, d]`."""
        parts = torch.split(self._scaled(raw), [self.own_channels, *self.stage_channels], dim=-1)[1:]
        return torch.stack([stage(part) for stage, part in zip(self.stages, parts, strict=True)], dim=-2)

    @property
    def branch_channels(self) -> int:
        """C', the channels of further stages; where there are none, those of the map that is read."""
        return sum(self.stage_channels) or self.own_channels

    def branch(self, raw: Tensor) -> Tensor:
        """Return those channels of `raw [..., C]`, or of these channels alone, `[..., C']`, as maps take them."""
        raw = raw[..., -self.branch_channels :]
        raw = raw.to(self._dtype(raw))
        if not self.standardize:
            return raw
        return (raw - self.mean[-self.branch_channels :]) / self.deviation[-self.branch_channels :]

    def _scaled(self, raw: Tensor) -> Tensor:
        """Return `raw [..., C]` as the maps take it, in their precision."""
        raw = raw.to(self._dtype(raw))
        return (raw - self.mean) / self.deviation if self.standardize else raw

    def _dtype(self, raw: Tensor) -> torch.dtype:
        """Return the precision of its weights; without any that of the features, which may be cached in half."""
        return next((p.dtype for p in self.parameters()), torch.promote_types(raw.dtype, torch.float32))

    def forward(
        self,
        raw: Tensor,
        view_mask: Tensor,
        places: GridPlaces | None = None,
        *,
        inside: Tensor | None = None,
    ) -> VisualFeatures:
        """Return features of `raw [B, V, N, C]`, where `view_mask [B, V]` is True for real views.

        `places` says where the N patches of a view are, `inside [B, V, N]` which of them show some of the picture;
        None says all.

        Raises:
            IncompatibleError: the channels are not those the projection was built for.
        """
        B, V, N, C = raw.shape
        if self.channels != C:
            raise IncompatibleError(f"features have {C} channels, the projection was built for {self.channels}")
        mask = view_mask.bool().repeat_interleave(N, dim=1)  # [B, V*N]
        if inside is not None:
            mask = mask & inside.reshape(B, V * N)
        patches = self.project(raw.reshape(B, V * N, C))  # [B, V*N, d]
        patches = patches.masked_fill(~mask.unsqueeze(-1), 0.0)
        return VisualFeatures(patches=patches, pooled=masked_mean(patches, mask), mask=mask, places=places)
