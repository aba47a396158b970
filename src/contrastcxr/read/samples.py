"""A study on its way into the system, and the rows of a batch that go through it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from contrastcxr.data.batch import Batch, Sample, prepare
from contrastcxr.data.pixels import Picture, original
from contrastcxr.data.quality.measures import GreyValues, grey_values
from contrastcxr.data.transforms import Preprocess
from contrastcxr.form import Study, View


def measured_sample(study: Study, preprocess: Preprocess, max_views: int) -> tuple[Sample, tuple[GreyValues, ...]]:
    """The study as tensors, and the grey values of the views that are read, from their own pixels."""
    greys: list[GreyValues] = []

    def measured(view: View) -> Picture:
        read = original(view)
        greys.append(grey_values(read.pixels))
        return read

    sample = prepare(study, preprocess, max_views=max_views, picture_of=measured)
    return sample, tuple(greys)


def rows_of(batch: Batch, index: Sequence[int]) -> Batch:
    """The studies at `index`, padded to no more views than they have."""
    views = max(len(batch.positions[i]) for i in index)
    picked: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            picked[field.name] = value[torch.tensor(index, device=value.device)]
        elif value:
            picked[field.name] = tuple(value[i] for i in index)
    for name in ("images", "features", "view_mask", "affines"):
        if name in picked:
            picked[name] = picked[name][:, :views]  # [B,V,…] -> [B,views,…]
    return replace(batch, **picked)
