"""The normality pool of a training set: which images may enter, and their raw pooled features (MODELS §2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrastcxr.config import PoolConfig
from contrastcxr.data.batch import choose_views
from contrastcxr.data.normals import is_normal
from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Study, View, is_file_locator
from contrastcxr.models.pool import NormalityPool, PoolRows, build_pool

PooledFeature = Callable[[View], Tensor]
"""Gives the raw pooled feature `[C]` of a view."""


@dataclass(frozen=True)
class _Candidate:
    study: Study
    view: View
    normal: bool


@dataclass(frozen=True, eq=False)
class TrainingPool:
    """A pool, the views its rows came from (to encode them again), and the share of its rows that are normal."""

    pool: NormalityPool
    views: tuple[View, ...]
    purity: float

    def summary(self) -> dict[str, Any]:
        """Kind, size, view mix and purity, for the run record."""
        return {**self.pool.summary(), "purity": self.purity}


def make_pool(
    config: PoolConfig, studies: Sequence[Study], *, max_views: int, pooled: PooledFeature, seed: int
) -> TrainingPool:
    """Draw the pool that `config` describes from the training studies.

    All three kinds have the same number of rows: `random` and `zeros` are as small as the `normal` pool would be.

    Raises:
        IncompatibleError: no training image is normal, or matching by view where no position is known.
    """
    candidates = [
        _Candidate(study, study.views[i], is_normal(study))
        for study in studies
        for i in choose_views(study, max_views)
    ]
    normals = sum(c.normal for c in candidates)
    _check_positions(config, candidates)
    pool = build_pool(
        torch.stack([pooled(c.view) for c in candidates]),
        _rows(candidates),
        normal=[c.normal for c in candidates],
        size=min(config.size, normals) if normals else config.size,
        kind=config.kind,
        seed=seed if config.seed is None else config.seed,
    )
    pool.wanted = config.size
    by_id = {_image_id(c): c for c in candidates}
    drawn = [by_id[image_id] for image_id in pool.image_ids]
    return TrainingPool(pool, tuple(c.view for c in drawn), sum(c.normal for c in drawn) / len(drawn))


def _check_positions(config: PoolConfig, candidates: Sequence[_Candidate]) -> None:
    if config.match == "view" and all(c.view.position == "unknown" for c in candidates):
        raise IncompatibleError(
            "contrast.pool.match is 'view' but no training image says which view it is; "
            "set contrast.pool.match: none"
        )


def _image_id(candidate: _Candidate) -> str:
    return f"{candidate.study.study_id}/{candidate.view.view_id}"


def _rows(candidates: Sequence[_Candidate]) -> PoolRows:
    return PoolRows(
        image_ids=tuple(_image_id(c) for c in candidates),
        study_ids=tuple(c.study.study_id for c in candidates),
        patient_ids=tuple(c.study.patient_id for c in candidates),
        positions=tuple(c.view.position for c in candidates),
        locators=tuple(_portable(c.view.locator) for c in candidates),
    )


def _portable(locator: str | None) -> str | None:
    """A locator that means the same on another machine; paths of this one do not go into checkpoints."""
    return None if locator is None or is_file_locator(locator) else locator
