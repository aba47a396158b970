"""A detector of regions on the maps of an encoder: RetinaNet, with what it sees in each region (paper D)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, box_iou
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from contrastcxr.models.features import RegionPlaces

OCTAVES = tuple(2 ** (step / 3) for step in range(3))
RATIOS = (0.5, 1.0, 2.0)
MAPS, LEVELS = 3, 5
FINEST_STRIDE = 8
"""Pixels from one place of the finest map to the next; each level doubles it."""
NMS = 0.5
CANDIDATES = 1000
"""Boxes of each level that enter non-maximum suppression, those with the highest scores."""
ROI_SIDE = 7
BOXES_TOGETHER = 128
"""Boxes that are compared with all anchors together, which at 320 pixels takes 90 MB."""
PLACE_CHANNELS = 5
"""Behind what is seen in a region: its box in shares of the sides, and its score; −1 where there is none."""


class _Pyramid(nn.Module):
    """Three maps of an encoder as a feature pyramid, levels P3 to P7 of one width."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(channels), width, extra_blocks=LastLevelP6P7(width, width))
        self.out_channels = width

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        levels: dict[str, Tensor] = self.fpn({str(n): each for n, each in enumerate(maps)})
        return levels


class RegionDetector(nn.Module):
    """RetinaNet (Lin 2017, of torchvision) of one class on the maps of an encoder, and what it sees in its boxes.

    A region is a row: the mean over 7×7 of the levels P3 to P5 in its box (RoIAlign), the box in shares of the
    picture's sides, and its score. Regions are the boxes left by non-maximum suppression at an IoU of .5, whatever
    their score, the highest score first (ours).

    Args:
        channels: of the three maps, the finest first.
        image_size: side of the picture in pixels.
        width: of the levels and of what is seen in a region.
        count: regions of a picture, at most.
        smallest_anchor: side in pixels of the smallest anchor; each level doubles it.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        image_size: int,
        width: int = 256,
        count: int = 100,
        smallest_anchor: int = 32,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.width = width
        self.count = count
        self.smallest_anchor = smallest_anchor
        sizes = tuple(
            tuple(round(smallest_anchor * 2**level * octave) for octave in OCTAVES) for level in range(LEVELS)
        )
        self.retinanet = RetinaNet(
            _Pyramid(channels, width),
            num_classes=1,
            anchor_generator=AnchorGenerator(sizes, (RATIOS,) * LEVELS),
            score_thresh=0.0,
            nms_thresh=NMS,
            detections_per_img=count,
            topk_candidates=CANDIDATES,
        )
        self.roi_align = MultiScaleRoIAlign(["0", "1", "2"], ROI_SIDE, sampling_ratio=2)

    def config(self) -> dict[str, int]:
        """Return what decides its regions apart from the weights."""
        return {
            "width": self.width,
            "count": self.count,
            "smallest_anchor": self.smallest_anchor,
            "image_size": self.image_size,
        }

    @property
    def channels(self) -> int:
        """Channels of a row."""
        return self.width + PLACE_CHANNELS

    def losses(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the focal loss of the class and the L1 loss of the boxes, by name: means over the pictures.

        Args:
            maps: `[M, c, h, w]` each, the finest first.
            boxes: of each picture `[n, 4]`, `[x1, y1, x2, y2]` in its pixels; none where it shows no finding.
        """
        levels = list(self.retinanet.backbone(maps).values())
        outputs = self.retinanet.head(levels)
        targets = [{"boxes": each, "labels": each.new_zeros(len(each), dtype=torch.int64)} for each in boxes]
        found: dict[str, Tensor] = self.retinanet.compute_loss(targets, outputs, self._anchors(levels))
        return found

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the regions `[M, N, width + 5]` of the pictures with these maps, N the number at most."""
        levels: dict[str, Tensor] = self.retinanet.backbone(maps)
        found = self._detections(list(levels.values()))
        boxes = [each["boxes"] for each in found]
        pyramid = {name: level.float() for name, level in levels.items()}
        seen = self.roi_align(pyramid, boxes, [(self.image_size, self.image_size)] * len(boxes))
        by_picture = torch.split(seen.mean(dim=(2, 3)), [len(each) for each in boxes])  # [n, width] each
        rows = (
            torch.cat([features, each["boxes"] / self.image_size, each["scores"].unsqueeze(1)], dim=1)
            for features, each in zip(by_picture, found, strict=True)
        )
        return torch.stack([self._filled(row) for row in rows])

    def best_anchors(self, boxes: Tensor) -> Tensor:
        """Return for each of `boxes [n, 4]` in pixels the IoU with the anchor that fits it best, `[n]`."""
        sides = [math.ceil(self.image_size / (FINEST_STRIDE * 2**level)) for level in range(LEVELS)]
        (anchors,) = self._anchors([boxes.new_zeros(1, 1, side, side) for side in sides])
        best = [box_iou(part, anchors).amax(dim=1) for part in torch.split(boxes, BOXES_TOGETHER)]
        return torch.cat(best)

    def _filled(self, rows: Tensor) -> Tensor:
        """Return `rows [n, C]` with rows of nothing behind, `[N, C]`."""
        filled = F.pad(rows, (0, 0, 0, self.count - len(rows)))
        filled[len(rows) :, -1] = -1.0
        return filled

    def _anchors(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the anchors `[A, 4]` of each picture with these levels."""
        M, side = len(levels[0]), self.image_size
        blank = levels[0].new_zeros(()).expand(M, 3, side, side)
        anchors: list[Tensor] = self.retinanet.anchor_generator(ImageList(blank, [(side, side)] * M), list(levels))
        return anchors

    def _detections(self, levels: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Return the boxes and scores of each picture, the highest score first."""
        outputs: dict[str, Tensor] = self.retinanet.head(list(levels))
        anchors = self._anchors(levels)
        counts = [level.shape[2] * level.shape[3] * len(OCTAVES) * len(RATIOS) for level in levels]
        by_level: dict[str, Any] = {
            name: list(torch.split(value.float(), counts, dim=1)) for name, value in outputs.items()
        }
        shapes = [(self.image_size, self.image_size)] * len(levels[0])
        found: list[dict[str, Tensor]] = self.retinanet.postprocess_detections(
            by_level, [list(torch.split(each, counts)) for each in anchors], shapes
        )
        return found


def are_regions(rows: Tensor) -> Tensor:
    """Return `[...]` bool of `rows [..., C]`, False where there is no region."""
    return rows[..., -1] >= 0


def region_places(rows: Tensor, image_size: int, views: int) -> RegionPlaces:
    """Return where the regions of `rows [B, V N, C]` of so many views are; boxes in pixels of the picture."""
    B, total, _ = rows.shape
    numbers = torch.arange(views, device=rows.device).repeat_interleave(total // views)
    places = rows[..., -PLACE_CHANNELS:].float()
    return RegionPlaces(places[..., :4] * image_size, places[..., 4].clamp_min(0.0), numbers.expand(B, -1))
