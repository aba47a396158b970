"""Studies picked out of a batch, to be compared with the batch."""

from __future__ import annotations

from torch import Tensor

from contrastcxr.models.features import GridPlaces, RegionPlaces, VisualFeatures


def select(features: VisualFeatures, index: Tensor) -> VisualFeatures:
    """The studies `index [B']`, in that order; without evidence."""
    return VisualFeatures(
        patches=features.patches[index],
        pooled=features.pooled[index],
        mask=features.mask[index],
        places=_places(features.places, index),
        indication=None if features.indication is None else features.indication[index],
        indication_mask=None if features.indication_mask is None else features.indication_mask[index],
        fine=tuple(select(each, index) for each in features.fine),
    )


def _places(places: GridPlaces | RegionPlaces | None, index: Tensor) -> GridPlaces | RegionPlaces | None:
    if not isinstance(places, RegionPlaces):
        return places
    return RegionPlaces(places.boxes[index], places.scores[index], places.views[index])


def first_view(features: VisualFeatures) -> VisualFeatures:
    """The same studies, of two views each, without the second one."""
    half, places = features.patches.shape[1] // 2, features.places
    if isinstance(places, RegionPlaces):
        places = RegionPlaces(places.boxes[:, :half], places.scores[:, :half], places.views[:, :half])
    return features.replace(
        places=places,
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
