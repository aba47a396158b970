"""A probability for each cell of a grid, learnt from labels and from boxes (after Li 2018; paper B §3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets, Term, needed
from contrastcxr.losses.cells import box_nll, mil_logits
from contrastcxr.models.blocks.upsampling import upsampled_convolution, upsampled_maps
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.heads.base import FindingMaps, HeadInputs, IdentifyingHead, Lesson, PartialReading
from contrastcxr.models.heads.localizers.options import LiOptions
from contrastcxr.models.heads.writing import Search

RARE = -6.0
"""Bias of a cell's logit at the start without a floor: 256 cells at .5 teach a positive study nothing (ours)."""
TOGETHER = 4
"""Views whose upsampled maps are in memory together where nothing is learnt (ours)."""


@dataclass(frozen=True, eq=False)
class _Views:
    """The real views of a batch.

    Attributes:
        maps: `[M, d, r, c]`, zero where a cell does not count.
        real: `[B, V]` bool, M of them True.
        mask: `[M, r, c]` bool, True where a cell counts.
    """

    maps: Tensor
    real: Tensor
    mask: Tensor

    @property
    def cells(self) -> int:
        """Cells of a view."""
        return self.mask[0].numel()

    def placed(self, values: Tensor) -> Tensor:
        """Return `values [M, L, n]` of the real views at `[B, V, L, n]`, zero in the others."""
        whole = values.new_zeros(*self.real.shape, *values.shape[1:])
        whole[self.real] = values
        return whole

    def mask_at(self, side: int | None) -> Tensor:
        """Return the mask at the cells of `side` a side, `[M, 1, n]`; None takes its own."""
        if side is None:
            return self.mask.flatten(1).unsqueeze(1)
        near = F.interpolate(self.mask.unsqueeze(1).float(), (side, side), mode="nearest-exact")
        return near.flatten(2) > 0


class LiLocalizer(IdentifyingHead):
    """A probability for each finding and cell, `p_j = σ(z_j)`, and for each study by multiple instances.

    The study's is `p = 1 − Π_j (floor + (1 − floor)(1 − p_j))`, j being the cells of all real views (B, Eq. 5).
    `z` is a 3×3 convolution without bias, batch norm, ReLU and a 1×1 convolution (Li 2018 °; B names the last
    alone: `head: single`). Where a training study has a box of a finding, λ of Eq. 6 is 1 and its cells are learnt
    in place of its label, whatever that says: in the views that have one of its boxes (ours), at the cells of the
    upsampled features. The same cells are marked where they are above the threshold. Cells where the mask is False
    stand in no loss, product or mark. With `stage` the cells are those of a finer stage of the encoder, as it
    gives them, and patches, projection and contrast have no part in it (ours).

    Batch norm's own statistics are those of the patches as they are, over all studies of a batch; upsampled maps
    take the running ones, as they do in reading (ours).

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: LiOptions) -> None:
        super().__init__(options, options.kind, inputs.findings)
        two = options.head == "two"
        if options.stage is not None:
            self.stage_widths = inputs.stage_widths
        width = self.stage_widths[0] if self.stage_widths else inputs.width
        self.first = nn.Conv2d(width, options.hidden, 3, padding=1, bias=False) if two else None
        self.norm = nn.BatchNorm2d(options.hidden) if two else None
        self.last = nn.Conv2d(options.hidden if two else width, len(self.findings), 1)
        if options.mil_floor == 0:
            assert self.last.bias is not None  # it has one
            nn.init.constant_(self.last.bias, RARE)
        self.side = options.upsample
        self.cut = options.threshold
        self.mil_floor = options.mil_floor
        self.box_floor = 0.0 if options.box_loss == "cells" else options.mil_floor
        self.by_cell = options.box_loss == "cells"
        self.summed = options.reduction == "sum"

    def marked_grid(self, patches: GridPlaces) -> GridPlaces:
        """Return the grid of the upsampled features, or that of the patches.

        Raises:
            IncompatibleError: the patches are finer.
        """
        if self.side is None:
            return patches
        if self.side < max(patches.rows, patches.columns):
            raise IncompatibleError(
                f"localizer.upsample {self.side} on a grid of {patches.rows}×{patches.columns} patches: it would "
                "make them fewer; set localizer.upsample: null or a larger number"
            )
        return GridPlaces(self.side, self.side)

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""
        views = self._views(features)
        return self._pooled(self._cells(views.maps), views)

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the two parts of Eq. 6: `mil` of labels, `box` of boxes.

        Raises:
            IncompatibleError: the studies have no labels; the patches are no grid, or finer than what is marked.
        """
        del states  # it has none
        missing = "a training batch needs labels of findings; choose data whose studies have them"
        findings, known = needed(targets.findings, missing), needed(targets.known, missing)
        views = self._views(features)
        cells = self._cells(views.maps)  # [M,L,n]
        boxes, boxed = self._box_losses(views, cells, targets.box_cells)  # [B,L], [B,L]
        learnt = known & ~boxed
        wanted = torch.where(known, findings, 0.0).float()
        labels = F.binary_cross_entropy_with_logits(self._pooled(cells, views), wanted, reduction="none")
        pairs = (learnt | boxed).sum()
        return Lesson(
            {
                "mil": self._term(labels.masked_fill(~learnt, 0.0), pairs),
                "box": self._term(boxes, pairs if targets.box_cells is not None else torch.zeros_like(pairs)),
            }
        )

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the probability of each finding, and of each cell."""
        del search
        views = self._views(features)
        cells = self._cells(views.maps)
        probabilities = self.scaled(self._pooled(cells, views))
        marked = cells if self.side is None else self._upsampled_cells(views.maps)
        heat = marked.float().sigmoid().masked_fill(~views.mask_at(self.side), 0.0)  # [M,L,n]
        shown, patches = heat, features.places
        assert isinstance(patches, GridPlaces)  # `_views` refuses others
        if heat.shape[2] != patches.cells:
            rows, columns = (self.side, self.side) if self.side is not None else views.mask.shape[1:]
            square = heat.view(*heat.shape[:2], rows, columns)
            shown = F.adaptive_max_pool2d(square, (patches.rows, patches.columns)).flatten(2)
        maps = FindingMaps(
            self.findings,
            heat=_in_a_row(views.placed(heat)),
            shown=_in_a_row(views.placed(shown)),
            cuts=(self.cut,),
            marking="cells",
        )
        return PartialReading(findings=self.findings, probabilities=probabilities, maps=maps)

    def _views(self, features: VisualFeatures) -> _Views:
        if self.stage_widths:
            (features,) = features.fine  # a system gives it to a head that stands on it
        grid = self._grid(features)
        shape = (features.studies, -1, grid.rows, grid.columns)
        mask = features.mask.reshape(shape)  # [B,V,r,c]
        real = mask.flatten(2).any(dim=-1)
        patches = features.patches.masked_fill(~features.mask.unsqueeze(-1), 0.0).reshape(*mask.shape, -1)
        return _Views(patches[real].permute(0, 3, 1, 2), real, mask[real])  # [M,r,c,d] -> [M,d,r,c]

    def _grid(self, features: VisualFeatures) -> GridPlaces:
        places = features.places
        if not isinstance(places, GridPlaces):
            raise IncompatibleError(
                f"localizer.kind {self.kind} on patches that are no grid: it marks cells of a grid over the "
                "picture; choose an encoder with a grid, or another localizer"
            )
        self.marked_grid(places)
        return places

    def _cells(self, maps: Tensor) -> Tensor:
        """Return the logits `[M, L, n]` of the cells of `maps [M, d, r, c]`."""
        if self.first is not None and self.norm is not None:
            maps = torch.relu(self.norm(self.first(maps)))
        logits: Tensor = self.last(maps)
        return logits.float().flatten(2)

    def _upsampled_cells(self, maps: Tensor) -> Tensor:
        """Return the logits `[M, L, n]` of the cells of `maps [M, d, r, c]` upsampled first."""
        together = len(maps) if torch.is_grad_enabled() else TOGETHER
        parts = torch.split(maps, together)
        return torch.cat([self._upsampled(part) for part in parts]).float().flatten(2)

    def _upsampled(self, maps: Tensor) -> Tensor:
        assert self.side is not None  # who asks has a side
        if self.first is None or self.norm is None:
            # Upsampling takes means of neighbours, which a 1×1 convolution keeps: the order is all one.
            return upsampled_maps(self.last(maps), self.side)
        scale, shift = _scale_and_shift(self.norm)
        weight = self.first.weight * scale[:, None, None, None]
        hidden = upsampled_convolution(maps, weight, self.side)  # [M,s,s,h]
        hidden = (hidden + shift.to(hidden.dtype)).relu_()  # in bf16 it stays in bf16, half as much to move
        logits: Tensor = F.linear(hidden, self.last.weight.flatten(1), self.last.bias).movedim(-1, 1)
        return logits

    def _pooled(self, cells: Tensor, views: _Views) -> Tensor:
        """Return the logits `[B, L]` of the findings, of those of the cells `[M, L, n]`."""
        mask = _in_a_row(views.placed(views.mask_at(None)))  # [B,1,V n]
        return mil_logits(_in_a_row(views.placed(cells)), mask, floor=self.mil_floor)

    def _box_losses(self, views: _Views, cells: Tensor, box_cells: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return `[B, L]`: the loss of the boxes of each finding, 0 where it has none, and where it has any.

        Args:
            views: the real views.
            cells: `[M, L, n]`, their logits before any upsampling.
            box_cells: `[B, V, L, n]` bool, which cells of each view overlap a box; None where nobody drew any.
        """
        studies, findings = len(views.real), len(self.findings)
        none = cells.new_zeros(studies, findings)
        if box_cells is None:
            return none, none.bool()
        mask = views.mask_at(self.side)
        inside = box_cells[views.real] & mask  # [M,L,n]
        there = inside.any(dim=-1)
        chosen = there.any(dim=-1)
        if not chosen.any():
            return none, none.bool()
        logits = cells[chosen] if self.side is None else self._upsampled_cells(views.maps[chosen])
        losses = box_nll(logits, inside[chosen], mask[chosen], floor=self.box_floor)  # [m,L]
        counts = mask[chosen].sum(dim=-1).expand_as(losses).to(losses.dtype)
        both = cells.new_zeros(len(cells), findings, 2)
        both[chosen] = torch.stack([losses, counts], dim=-1) * there[chosen].unsqueeze(-1)
        total, number = views.placed(both).sum(dim=1).unbind(dim=-1)  # [M,L,2] -> [B,V,L,2] -> [B,L]
        boxed = views.placed(there).any(dim=1)
        return (total if self.summed or not self.by_cell else total / number.clamp_min(1.0)), boxed

    def _term(self, losses: Tensor, pairs: Tensor) -> Term:
        """Return the sum of `losses [B, L]`, one sum a batch, or their mean over the pairs that are learnt."""
        if self.summed:
            return losses.sum(), pairs.clamp_max(1)
        return losses.sum() / pairs.clamp_min(1), pairs


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what a batch norm multiplies by and adds with its running statistics as they are now, `[h]` each."""
    assert norm.running_mean is not None  # it keeps them
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean.clone() * scale


def _in_a_row(values: Tensor) -> Tensor:
    """Return `[B, V, L, n]` as `[B, L, V n]`, one view after another."""
    return values.transpose(1, 2).flatten(2)
