"""How good all boxes of a detector are by COCO's rules: mean average precision (torchmetrics, pycocotools)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from contrastcxr.errors import MissingExtraError
from contrastcxr.reading.regions import StudyRegions

logger = logging.getLogger(__name__)

PACKAGES = ("torchmetrics", "pycocotools")
"""What counts as COCO does."""


def region_scores(found: Sequence[tuple[StudyRegions, Tensor]]) -> dict[str, float]:
    """Return `map`, the mean over IoU .5 to .95, and `map_50`; nothing without a box, or without `PACKAGES`.

    Args:
        found: of each study its regions, with their weights as scores, and the corners `[V, K, 4]` of boxes of the
            same pictures, NaN where there is none.
    """
    if not any(corners.isfinite().any() for _, corners in found):
        return {}
    if (missing := _missing_package()) is not None:
        _warn(missing)
        return {}
    from torchmetrics.detection import MeanAveragePrecision

    # The first of several processes scores alone: a metric that waited for the others would wait for ever.
    metric = MeanAveragePrecision(backend="pycocotools", sync_on_compute=False)
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


def check_scorer(monitor: str) -> None:
    """Refuse a monitor of boxes that cannot be scored here.

    Raises:
        MissingExtraError: a package is not installed.
    """
    if monitor == "map" and (missing := _missing_package()) is not None:
        raise MissingExtraError(missing, "metrics", "train.monitor map")


def _missing_package() -> str | None:
    return next((name for name in PACKAGES if find_spec(name) is None), None)


@cache
def _warn(package: str) -> None:
    """Say once why there is no such score."""
    logger.warning(f"no mAP of boxes: {package} is missing; pip install 'contrastcxr[metrics]'")
