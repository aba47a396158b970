"""Studies picked out of a batch, to be compared with the batch."""

from __future__ import annotations

from torch import Tensor

from contrastcxr.models.features import VisualFeatures


def select(features: VisualFeatures, index: Tensor) -> VisualFeatures:
    """The studies `index [B']`, in that order; without evidence."""
    return VisualFeatures(
        patches=features.patches[index],
        pooled=features.pooled[index],
        mask=features.mask[index],
        places=features.places,
        indication=None if features.indication is None else features.indication[index],
        indication_mask=None if features.indication_mask is None else features.indication_mask[index],
        fine=tuple(select(each, index) for each in features.fine),
    )


def first_view(features: VisualFeatures) -> VisualFeatures:
    """The same studies, of two views each, without the second one."""
    half = features.patches.shape[1] // 2
    return features.replace(
        patches=features.patches[:, :half],
        mask=features.mask[:, :half],
        fine=tuple(map(first_view, features.fine)),
    )


def filled(features: VisualFeatures, value: float) -> VisualFeatures:
    """The same studies with a value at every patch of a view that they do not have."""
    return features.replace(
        patches=features.patches.masked_fill(~features.mask.unsqueeze(-1), value),
        fine=tuple(filled(each, value) for each in features.fine),
    )
