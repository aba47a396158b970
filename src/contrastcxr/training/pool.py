"""The normality pool of a training set: which images may enter, and their raw pooled features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrastcxr.data.authors import is_normal
from contrastcxr.data.views import choose_views
from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Study, View, is_file_locator
from contrastcxr.models.contrast.options import PoolOptions
from contrastcxr.models.contrast.pool import NormalityPool, PatchPlaces, PoolRows, PoolUnit, draw_pool, views_name

ViewFeature = Callable[[View], Tensor]
"""Gives the raw features of a view: pooled `[C]`, or of its patches `[N, C]`."""


@dataclass(frozen=True)
class Candidate:
    """What may become a row: one view of a study, or all views of it that are read."""

    study_id: str
    patient_id: str | None
    views: tuple[View, ...]
    normal: bool

    @property
    def image_id(self) -> str:
        """A row of several views is shown by its first, a frontal one where there is one."""
        return f"{self.study_id}/{self.views[0].view_id}"


@dataclass(frozen=True, eq=False)
class PatchPool:
    """A pool of patch vectors, the views they were cut from, and which patches of these."""

    pool: NormalityPool
    views: tuple[View, ...]
    drawn: PatchPlaces

    def features(self, patches: ViewFeature) -> Tensor:
        """Return the raw features `[N_Q, C]` of the same patches; every view is encoded once."""
        return _cut(self.views, self.drawn, patches)


@dataclass(frozen=True, eq=False)
class TrainingPool:
    """A pool, the views its rows came from (to encode them again), and the share of its rows that are normal.

    Attributes:
        pool: the rows.
        views: of each row; several where a row is a study.
        purity: share of the rows that are normal.
        patches: the pool of patch vectors of the same images; None unless patches are compared.
    """

    pool: NormalityPool
    views: tuple[tuple[View, ...], ...]
    purity: float
    patches: PatchPool | None = None

    def features(self, pooled: ViewFeature) -> Tensor:
        """Return the raw features `[N_P, C]` of the rows."""
        return torch.stack([_row(views, pooled) for views in self.views])

    def summary(self) -> dict[str, Any]:
        """Return kind, size, view mix and purity, for the run record."""
        found = {**self.pool.summary(), "purity": self.purity}
        return found if self.patches is None else {**found, "patches": len(self.patches.pool)}


def make_pool(
    config: PoolOptions,
    studies: Sequence[Study],
    *,
    max_views: int,
    pooled: ViewFeature,
    seed: int,
    patches: ViewFeature | None = None,
) -> TrainingPool:
    """Draw the pool that `config` describes from the training studies.

    All three kinds have the same number of rows: `random` and `zeros` are as small as the `normal` pool would be.

    Args:
        config: of the pool.
        studies: of the training split.
        max_views: views of a study that are read; the others do not enter the pool either.
        pooled: gives a view's raw pooled feature.
        seed: of the run, which draws unless the pool has its own.
        patches: gives the raw features of a view's patches; with it a pool of patches is drawn too.

    Raises:
        IncompatibleError: no training image is normal, or matching by view where no position is known.
    """
    candidates = candidates_of(studies, max_views=max_views, unit=config.unit)
    normals = sum(c.normal for c in candidates)
    if config.match == "view":
        check_positions("contrast.pool", candidates)
    drawn_by = seed if config.seed is None else config.seed
    rows = rows_of(candidates)
    index = draw_pool(
        rows,
        normal=[c.normal for c in candidates],
        size=min(config.size, normals) if normals else config.size,
        kind=config.kind,
        seed=drawn_by,
    )
    drawn = [candidates[i] for i in index]
    raw = torch.stack([_row(c.views, pooled).float() for c in drawn])
    pool = NormalityPool(
        raw,
        rows.select(index),
        kind=config.kind,
        wanted=config.size,
        unit=config.unit,
    )
    return TrainingPool(
        pool,
        tuple(c.views for c in drawn),
        sum(c.normal for c in drawn) / len(drawn),
        None if patches is None else _patch_pool(config, drawn, patches, seed=drawn_by),
    )


def candidates_of(studies: Sequence[Study], *, max_views: int, unit: PoolUnit = "image") -> list[Candidate]:
    """Return what may become a row of a pool or of a bank, in the order of the studies."""
    found = []
    for study in studies:
        views = tuple(study.views[i] for i in choose_views(study, max_views))
        rows = [views] if unit == "study" else [(view,) for view in views]
        found += [Candidate(study.study_id, study.patient_id, row, is_normal(study)) for row in rows]
    return found


def _row(views: Sequence[View], pooled: ViewFeature) -> Tensor:
    """Return the feature `[C]` of one row.

    A study's views have equally many patches, so the mean of means is the mean of patches.
    """
    if len(views) == 1:
        return pooled(views[0])
    return torch.stack([pooled(view) for view in views]).mean(dim=0)


def _patch_pool(config: PoolOptions, drawn: Sequence[Candidate], patches: ViewFeature, *, seed: int) -> PatchPool:
    """Return `config.patches` patches of the images of a pool; the row of a patch is that of its image."""
    images = [Candidate(c.study_id, c.patient_id, (view,), c.normal) for c in drawn for view in c.views]
    views = tuple(c.views[0] for c in images)
    places = PatchPlaces.draw(len(images), len(patches(views[0])), size=config.patches, seed=seed)
    raw = _cut(views, places, patches)
    pool = NormalityPool(
        raw,
        rows_of(images).select(places.images),
        kind=config.kind,
        wanted=config.patches,
    )
    return PatchPool(pool, views, places)


def _cut(views: Sequence[View], drawn: PatchPlaces, patches: ViewFeature) -> Tensor:
    """Return `[N_Q, C]`; the images of `drawn` are in increasing order, so that each is encoded once."""
    rows: list[Tensor] = []
    image, encoded = -1, torch.empty(0)
    for wanted, place in zip(drawn.images, drawn.places, strict=True):
        if wanted != image:
            image, encoded = wanted, patches(views[wanted])
        rows.append(encoded[place].float())
    return torch.stack(rows)


def check_positions(part: str, candidates: Sequence[Candidate]) -> None:
    """Refuse matching by view where no position is known; `part` is what matches.

    Raises:
        IncompatibleError: none is.
    """
    if all(v.position == "unknown" for c in candidates for v in c.views):
        raise IncompatibleError(
            f"{part}.match is 'view' but no training image says which view it is; set {part}.match: none"
        )


def rows_of(candidates: Sequence[Candidate]) -> PoolRows:
    """Return who the candidates are; a row of several views is shown by its first."""
    return PoolRows(
        image_ids=tuple(c.image_id for c in candidates),
        study_ids=tuple(c.study_id for c in candidates),
        patient_ids=tuple(c.patient_id for c in candidates),
        positions=tuple(views_name([view.position for view in c.views]) for c in candidates),
        locators=tuple(_portable(c.views[0].locator) for c in candidates),
    )


def _portable(locator: str | None) -> str | None:
    """Return a locator that means the same on another machine; paths of this one do not go into checkpoints."""
    return None if locator is None or is_file_locator(locator) else locator
