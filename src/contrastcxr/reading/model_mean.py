"""What a localizer sees before anything is marked, and one reading of what several of them see on average.

Models of different folds that align have pictures in different poses, so that their cells are no cells of each
other. Their heat is put on one raster over the original picture first, then averaged, then marked: boxes of Wang's
cuts stand upright in the original, where those of one aligned model stand upright in its own picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.transforms import resize_affine
from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Author, Reading
from contrastcxr.reading.evidence import PatchGrid
from contrastcxr.reading.findings import DEFAULT_THRESHOLD, LOCALIZER, merge, rounded, with_places
from contrastcxr.reading.heat import upsampled
from contrastcxr.reading.regions import ViewHeat, covered, view_marks
from contrastcxr.reading.upright import upright

if TYPE_CHECKING:
    from contrastcxr.models.heads.base import Marking

SIDE = 256
"""Places along each side of an original on which heat is averaged; a multiple of the cells of every setting, so
that those of a picture that was not aligned stay as they are (ours)."""


@dataclass(frozen=True, eq=False)
class StudyHeat:
    """What a localizer sees of one study.

    Attributes:
        study_id: of it.
        probabilities: by finding.
        heat: by finding, `[V n]` over the cells of all views.
        places: where the cells of each real view lie.
        affines: `[V, 2, 3]`, model pixels to original pixels.
        size: side of the model's picture.
        cuts: of the heat, see `FindingMaps`.
        marking: what they are heights of.
    """

    study_id: str
    probabilities: Mapping[str, float]
    heat: Mapping[str, np.ndarray]
    places: tuple[PatchGrid, ...]
    affines: np.ndarray
    size: int
    cuts: tuple[float, ...]
    marking: Marking

    def on_original(self, finding: str, view: int) -> NDArray[np.float64]:
        """Return the heat of a finding over the original of a view, `[SIDE, SIDE]`.

        Where the model's picture shows nothing it is 0 of probabilities, else the least that the model sees.
        """
        at, affine = self.places[view], self.affines[view]
        cells, outside = at.cells(self.heat[finding]).astype(np.float64), 0.0
        if self.marking != "cells":
            cells, outside = upsampled(cells, (SIDE, SIDE)), float(cells.min())
        shape = self.shape(view)
        return upright(cells, affine, size=self.size, shape=shape, grid=(SIDE, SIDE), outside=outside)

    def shape(self, view: int) -> tuple[int, int]:
        """Return (H, W) of the original of a view."""
        return self.places[view].shape or covered(self.affines[view], self.size)


def mean_reading(
    seen: Sequence[StudyHeat],
    *,
    author: Author,
    thresholds: Sequence[Mapping[str, float]] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Reading:
    """Return one reading of what several models see of one study: means of probabilities and of heat.

    Args:
        seen: by each model.
        author: who signs it.
        thresholds: of each model, from which probability a finding is present; they are averaged.
        provenance: of the reading.

    Raises:
        IncompatibleError: the models know different findings, or mark differently.
    """
    first = seen[0]
    if len({(tuple(each.heat), each.cuts, each.marking) for each in seen}) > 1:
        raise IncompatibleError(
            "the mean of models that know different findings, or cut their maps at different heights; take models "
            "of one configuration with fixed cuts"
        )
    means = {name: float(np.mean([each.probabilities[name] for each in seen])) for name in first.probabilities}
    present = {
        name: float(np.mean([given.get(name, DEFAULT_THRESHOLD) for given in thresholds])) if thresholds else 0.5
        for name in means
    }
    probabilities = {name: rounded(value) for name, value in means.items()}
    findings = merge((), probabilities, thresholds=present, source=LOCALIZER, written=False)
    views = range(len(first.places))
    marked = {
        name: view_marks(
            [_mean_heat(seen, name, view) for view in views], size=SIDE, cuts=first.cuts, marking=first.marking
        )
        for name in first.heat
    }
    return Reading(
        study_id=first.study_id,
        author=author,
        findings=with_places(findings, marked),
        provenance=dict(provenance or {}),
    )


def _mean_heat(seen: Sequence[StudyHeat], finding: str, view: int) -> ViewHeat:
    first, shape = seen[0], seen[0].shape(view)
    heat = np.mean([each.on_original(finding, view) for each in seen], axis=0)
    return ViewHeat(heat, first.places[view].view, resize_affine(shape, SIDE), shape)
