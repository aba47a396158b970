"""Localizers that learn labels of whole studies and have a map of each finding, of which a part is marked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.heads.base import FindingMaps, HeadInputs, IdentifyingHead, Lesson, PartialReading
from contrastcxr.models.heads.findings import label_loss
from contrastcxr.models.heads.localizers.options import MapOptions
from contrastcxr.models.heads.writing import Search

WANG_CUTS = (60.0, 180.0)
"""Of 255 of a map's range: above each of them Wang 2017 ° draws boxes."""
REGION_CUT = 127.5
"""Of 255: components above it are weighed against each other, each by its mean heat (paper D's baselines)."""
CANDIDATES = tuple(255 * step / 20 for step in range(1, 20))
"""Cuts that are tried on validation boxes (ours)."""


class MapLocalizer(IdentifyingHead):
    """Base of the localizers whose maps are cut at heights of their own range.

    The probability of a finding is the sigmoid of its logit. The map of a view is drawn bilinear to the size of
    the picture, min to max as 0 to 255. What is marked is either the boxes round the 8-connected places above each
    of Wang's cuts, whose union is scored, or those of the components above one cut that
    `reading.regions.chosen_regions` chooses by their mean heat. What is shown is the map of a view from 0 at its
    least place to the probability at its greatest (ours). `cuts: tuned` (ours) is one cut, the one with the best
    mean IoU on the boxes of the validation studies.

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
        regions: whether it marks chosen components.
    """

    cut: Tensor

    def __init__(self, inputs: HeadInputs, options: MapOptions, *, regions: bool) -> None:
        super().__init__(options, options.kind, inputs.findings)
        self.regions = regions
        self.fixed = (REGION_CUT,) if regions else WANG_CUTS
        self.tuned = options.cuts == "tuned"
        if self.tuned:
            self.register_buffer("cut", torch.tensor(self.fixed[0]))

    @abstractmethod
    def logits_and_maps(self, features: VisualFeatures) -> tuple[Tensor, Tensor]:
        """Return the logits `[B, L]` of the findings and their maps `[B, L, N]`, of any scale."""

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the binary cross-entropy over the labels that are known."""
        del states  # it has none
        return Lesson({self.kind: label_loss(self.logits(features), targets)})

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the probability of each finding, its map, and how much of that is marked."""
        del search
        logits, maps = self.logits_and_maps(features)
        heat = _unmarked(maps.float(), features)
        probabilities = self.scaled(logits)
        found = FindingMaps(
            self.findings,
            heat,
            shown=probabilities.unsqueeze(-1) * _in_range(heat, features),
            cuts=(float(self.cut),) if self.tuned else self.fixed,
            marking="regions" if self.regions else "range",
        )
        return PartialReading(findings=self.findings, probabilities=probabilities, maps=found)

    @property
    def threshold(self) -> MapCut | None:
        """The cut, where it is tuned."""
        return MapCut(self) if self.tuned else None


@dataclass(frozen=True, eq=False)
class MapCut:
    """From which part of a map's range on a place is marked: the one with the best mean IoU on validation."""

    localizer: MapLocalizer
    score: str = "iou"

    def candidates(self, features: Sequence[VisualFeatures]) -> Sequence[float]:
        """Return the same cuts for any features."""
        del features
        return CANDIDATES

    def set(self, value: float) -> None:
        """Keep the cut."""
        self.localizer.cut.fill_(value)


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
