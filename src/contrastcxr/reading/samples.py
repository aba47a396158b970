"""A study on its way into the system, and the rows of a batch that go through it together."""

from __future__ import annotations

from contrastcxr.data.pixels import Picture, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.batch import Sample, prepare
from contrastcxr.form import Study, View
from contrastcxr.quality.measures import GreyValues, grey_values


def measured_sample(study: Study, preprocess: Preprocess, max_views: int) -> tuple[Sample, tuple[GreyValues, ...]]:
    """Return the study as tensors, and the grey values of the views that are read, from their own pixels."""
    greys: list[GreyValues] = []

    def measured(view: View) -> Picture:
        read = original(view)
        greys.append(grey_values(read.pixels))
        return read

    sample = prepare(study, preprocess, max_views=max_views, picture_of=measured)
    return sample, tuple(greys)
