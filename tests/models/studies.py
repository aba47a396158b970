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
    )
