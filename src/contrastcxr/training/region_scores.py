"""How good all boxes of a detector are by COCO's rules: mean average precision (torchmetrics, pycocotools)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from contrastcxr.reading.regions import StudyRegions

logger = logging.getLogger(__name__)


def region_scores(found: Sequence[tuple[StudyRegions, Tensor]]) -> dict[str, float]:
    """Return `map`, the mean over IoU .5 to .95, and `map_50`; nothing without a box, or without pycocotools.

    Args:
        found: of each study its regions, with their weights as scores, and the corners `[V, K, 4]` of boxes of the
            same pictures, NaN where there is none.
    """
    if not any(corners.isfinite().any() for _, corners in found) or not _has_coco():
        return {}
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(backend="pycocotools")
    metric.warn_on_many_detections = False
    for regions, corners in found:
        for view, wanted in enumerate(corners):
            here = (regions.views == view) & (regions.weights > 0)
            boxes, scores = (torch.from_numpy(each[here]).float() for each in (regions.boxes, regions.weights))
            kept = wanted[wanted.isfinite().all(dim=1)].cpu()
            metric.update([_labelled(boxes, scores=scores)], [_labelled(kept)])
    values = metric.compute()
    return {name: float(values[name]) for name in ("map", "map_50")}


def _labelled(boxes: Tensor, **more: Tensor) -> dict[str, Tensor]:
    return {"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.int64), **more}


@cache
def _has_coco() -> bool:
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        logger.warning("no mAP of boxes: pycocotools is missing; pip install 'contrastcxr[metrics]'")
        return False
    return True
