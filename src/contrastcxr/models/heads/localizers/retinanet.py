"""RetinaNet as a localizer: the boxes of one class of findings and their own scores (paper D's detector)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets, needed
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.heads.base import Head, HeadInputs, Lesson, PartialReading, RegionMarks
from contrastcxr.models.heads.localizers.options import RetinaNetOptions
from contrastcxr.models.heads.writing import Search
from contrastcxr.models.regions import RegionDetector, region_places
from contrastcxr.vocab.attribute_words import attribute_list


class RetinaNetLocalizer(Head):
    """A detector on three stages of the encoder, which marks its boxes by their scores (D, Table 1: Retinanet).

    The findings of its list are one class. The probability of that is the highest score of a study's boxes (ours).

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: RetinaNetOptions) -> None:
        super().__init__(options, options.kind)
        self.stage_widths = inputs.stage_widths
        self.finding = attribute_list(options.attributes).finding
        self.detector = RegionDetector(
            (*inputs.stage_widths, inputs.width),
            image_size=inputs.image_size,
            width=options.pyramid,
            count=options.count,
            smallest_anchor=options.smallest_anchor,
        )

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the losses of the class and of the corners, means over views.

        Raises:
            IncompatibleError: the studies come without boxes; the patches are no grid.
        """
        del states  # it has none
        corners = needed(
            targets.box_corners, "a training batch needs boxes of findings; choose data whose studies have them"
        )
        maps, real = self._maps(features)
        boxes = [each[each.isfinite().all(dim=1)] for each in corners[real]]  # [n,4] of each of M views
        losses = self.detector.losses(maps, boxes)
        count = torch.as_tensor(len(boxes), device=corners.device)
        return Lesson(
            {
                "region_class": (losses["classification"], count),
                "region_box": (losses["bbox_regression"], count),
            }
        )

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the boxes of each study with their scores, and the highest of these."""
        del search
        maps, real = self._maps(features)
        found: Tensor = self.detector(maps)  # [M,N,C]
        rows = found.new_zeros(*real.shape, *found.shape[1:])
        rows[real] = found
        places = region_places(rows.flatten(1, 2), self.detector.image_size, real.shape[1])
        marks = RegionMarks(self.finding, places.boxes, places.scores, places.views)
        probabilities = places.scores.amax(dim=1, keepdim=True)
        return PartialReading(findings=(self.finding,), probabilities=probabilities, regions=marks)

    def best_anchors(self, corners: Tensor) -> Tensor:
        """Return the IoU `[n]` of boxes with the anchor that fits each best."""
        return self.detector.best_anchors(corners)

    def marked_grid(self, patches: GridPlaces) -> None:
        """Return none: its boxes lie anywhere."""
        del patches

    def _maps(self, features: VisualFeatures) -> tuple[Sequence[Tensor], Tensor]:
        """Return the maps `[M, c, h, w]` of the M real views, the finest first, and `[B, V]`, which are real."""
        stages = (*features.fine, features)
        maps = [_of_grid(each) for each in stages]
        real = features.mask.view(features.studies, maps[-1].shape[1], -1).any(dim=2)
        return [each[real] for each in maps], real


def _of_grid(features: VisualFeatures) -> Tensor:
    """Return patches on a grid as maps `[B, V, d, r, c]`.

    Raises:
        IncompatibleError: they are no grid.
    """
    places = features.places
    if not isinstance(places, GridPlaces):
        raise IncompatibleError(
            "localizer.kind retinanet on patches that are no grid: it finds boxes on the maps of an encoder; "
            "choose an encoder with a grid"
        )
    B, _, width = features.patches.shape
    return features.patches.view(B, -1, places.rows, places.columns, width).permute(0, 1, 4, 2, 3)
