"""CAM: where a linear classifier of the mean patch sees each finding (after Zhou 2016, Wang 2017; paper B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads.base import FindingMaps, HeadInputs, IdentifyingHead, Lesson, PartialReading
from contrastcxr.models.heads.findings import label_loss
from contrastcxr.models.heads.localizers.options import CamOptions
from contrastcxr.models.heads.writing import Search

WANG_CUTS = (60.0, 180.0)
"""Of 255 of a map's range: above each of them Wang 2017 ° draws boxes."""
SHARPNESS = 10.0
"""r of log-sum-exp pooling (Wang 2017 °)."""
CANDIDATES = tuple(255 * step / 20 for step in range(1, 20))
"""Cuts that are tried on validation boxes (ours)."""


class CamLocalizer(IdentifyingHead):
    """A linear classifier of the pooled patches, `y_l = w_l^T pool(f_i) + b_l`, and its maps `w_l^T f_i`.

    The probability of a finding is `σ(y_l)`. What is marked (Wang 2017 °): the map of a view bilinear to the
    picture's size, min to max as 0 to 255, boxes round the 8-connected places above each cut; their union is
    scored. What is shown is the map of a view from 0 at its least place to the probability at its greatest (ours).
    His transition layer is here a linear map and ReLU on every patch (`transition`), his pooling log-sum-exp with
    r = 10 (`pooling`). `cuts: tuned` (ours) is one cut in place of his two, the one with the best mean IoU on the
    boxes of the validation studies.

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
    """

    cut: Tensor

    def __init__(self, inputs: HeadInputs, options: CamOptions) -> None:
        super().__init__(options, options.kind, inputs.findings)
        width = options.transition or inputs.width
        self.transition = nn.Linear(inputs.width, width) if options.transition else None
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(width, len(self.findings))
        self.sharp = options.pooling == "log_sum_exp"
        self.tuned = options.cuts == "tuned"
        if self.tuned:
            self.register_buffer("cut", torch.tensor(WANG_CUTS[0]))

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""
        return self._classified(self._patches(features), features.mask)

    def heat(self, features: VisualFeatures) -> Tensor:
        """Return `w_l^T f_i`, `[B, L, N]`; 0 where there is no patch."""
        return self._heat(self._patches(features), features.mask)

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the binary cross-entropy over the labels that are known."""
        del states  # it has none
        return Lesson({self.kind: label_loss(self.logits(features), targets)})

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the probability of each finding, its map, and how much of that is marked."""
        del search
        patches = self._patches(features)
        heat = _unmarked(self._heat(patches, features.mask).float(), features)
        probabilities = self.scaled(self._classified(patches, features.mask))
        maps = FindingMaps(
            self.findings, heat, probabilities.unsqueeze(-1) * _in_range(heat, features), self._cuts()
        )
        return PartialReading(findings=self.findings, probabilities=probabilities, maps=maps)

    @property
    def threshold(self) -> CamCut | None:
        """The cut, where it is tuned."""
        return CamCut(self) if self.tuned else None

    def _cuts(self) -> tuple[float, ...]:
        return (float(self.cut),) if self.tuned else WANG_CUTS

    def _patches(self, features: VisualFeatures) -> Tensor:
        if self.transition is None:
            return features.patches
        patches: Tensor = torch.relu(self.transition(features.patches))
        return patches

    def _classified(self, patches: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self._pooled(patches, mask)))
        return logits

    def _heat(self, patches: Tensor, mask: Tensor) -> Tensor:
        heat = torch.einsum("bnd,ld->bln", patches, self.classifier.weight)
        return heat.masked_fill(~mask.unsqueeze(1), 0.0)

    def _pooled(self, patches: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of `patches [B, N, d]`, or `1/r log mean exp(r f_i)`, `[B, d]`."""
        if not self.sharp:
            return masked_mean(patches, mask)
        scaled = (SHARPNESS * patches).masked_fill(~mask.unsqueeze(-1), -torch.inf)
        counts = mask.sum(dim=1, keepdim=True).to(patches.dtype)
        return (torch.logsumexp(scaled, dim=1) - counts.log()) / SHARPNESS


def _unmarked(heat: Tensor, features: VisualFeatures) -> Tensor:
    """Return `heat [B, L, N]` with the least of its view where an aligned picture shows nothing (ours).

    Nothing is marked there, whatever the sign of the heat is.
    """
    by_view, absent = _by_view(heat, features)
    low = by_view.masked_fill(absent, torch.inf).amin(dim=-1, keepdim=True)
    return torch.where(absent & low.isfinite(), low, by_view).reshape(heat.shape)


def _by_view(heat: Tensor, features: VisualFeatures) -> tuple[Tensor, Tensor]:
    """Return `heat [B, L, N]` as `[B, L, V, n]`, and where of it there is nothing."""
    cells = features.places.cells if isinstance(features.places, GridPlaces) else heat.shape[-1]
    shape = (*heat.shape[:-1], -1, cells)
    return heat.reshape(shape), ~features.mask.unsqueeze(1).expand_as(heat).reshape(shape)


def _in_range(heat: Tensor, features: VisualFeatures) -> Tensor:
    """Return `heat [B, L, N]` of each view from 0 at its least place to 1 at its greatest; 0 where all equal."""
    by_view, absent = _by_view(heat, features)
    low = by_view.masked_fill(absent, torch.inf).amin(dim=-1, keepdim=True)
    high = by_view.masked_fill(absent, -torch.inf).amax(dim=-1, keepdim=True)
    scaled = (by_view - low) / (high - low).clamp_min(torch.finfo(heat.dtype).tiny)
    return scaled.masked_fill(absent, 0.0).reshape(heat.shape)


@dataclass(frozen=True, eq=False)
class CamCut:
    """From which part of a map's range on a place is marked: the one with the best mean IoU on validation."""

    localizer: CamLocalizer
    score: str = "iou"

    def candidates(self, features: Sequence[VisualFeatures]) -> Sequence[float]:
        """Return the same cuts for any features."""
        del features
        return CANDIDATES

    def set(self, value: float) -> None:
        """Keep the cut."""
        self.localizer.cut.fill_(value)
