"""The negatives of a training set: which pictures are in the bank, and which of them each training view has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastcxr.data.views import can_be_aligned, choose_views
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.batch import Sample
from contrastcxr.features.cache import FeatureCache
from contrastcxr.features.samples import FromCache, FromPixels
from contrastcxr.features.view_features import ViewFeatures
from contrastcxr.form import Study, View
from contrastcxr.models.contrast.bank import NegativeBank, thumbnails
from contrastcxr.models.contrast.options import BankOptions
from contrastcxr.models.contrast.pool import PoolRows, draw_pool
from contrastcxr.models.encoders import Encoder
from contrastcxr.store.keys import view_key
from contrastcxr.training.pool import Candidate, candidates_of, check_positions, rows_of

logger = logging.getLogger(__name__)

CANONICAL = 500
"""Pictures of which the canonical one is the mean, unless contrast.bank.size says (paper B, section 3.1)."""
TOGETHER = 256
"""Views whose negatives are looked up together."""

Thumbnail = Callable[[View], np.ndarray]
"""Gives `[256]` uint8 of the picture that the encoder sees of a view."""
Posed = Callable[[View], np.ndarray | None]
"""Gives the pose `[5]` of the picture that the encoder sees of a view; None where it was not aligned."""
Pictured = Callable[[View], Tensor]
"""Gives the picture `[3, S, S]` that the encoder sees of a view."""


@dataclass(frozen=True, eq=False)
class TrainingBank:
    """A bank before its maps are made, where its rows came from, and the negatives of the training views.

    Attributes:
        bank: thumbnails and rows.
        views: of each row; empty where the rows are mean pictures.
        pictures: `[M, 3, S, S]` of rows that are mean pictures; None where they are views.
        chosen: for each training study the row of each of its views; empty where nothing is compared.
        purity: share of the rows' pictures that are normal.
    """

    bank: NegativeBank
    views: tuple[View, ...]
    pictures: Tensor | None
    chosen: tuple[tuple[int, ...], ...]
    purity: float

    def summary(self) -> dict[str, Any]:
        """Return kind, sampling, size, view mix and purity, for the run record."""
        return {**self.bank.summary(), "purity": self.purity}

    def branches(self, encoder: Encoder, features: ViewFeatures) -> Iterator[Tensor]:
        """Yield for each row `[n, ≥C']`, whose last C' channels a map is made of; nothing is held.

        Args:
            encoder: sees mean pictures.
            features: of the rows that are views.
        """
        if self.pictures is None:
            return features.branches(self.views)
        return iter(encoder.branches(self.pictures.to(encoder.device)))


def make_bank(
    options: BankOptions,
    studies: Sequence[Study],
    *,
    max_views: int,
    cells: int,
    thumbnail: Thumbnail,
    picture: Pictured,
    encoder: Encoder,
    seed: int,
    pose: Posed | None = None,
    chest: Tensor | None = None,
) -> TrainingBank:
    """Draw the bank that the options describe from the training studies, and choose the negative of each view.

    The control `other` has as many rows as there would be normal ones. `sampling: random` draws once for each view
    of a study, by seed and the study's id.

    Args:
        options: of the bank.
        studies: of the training split.
        max_views: views of a study that are read.
        cells: n, the patches of a view.
        thumbnail: of a view.
        picture: of a view, for mean pictures.
        encoder: whose normalisation the pictures have.
        seed: of the run, which draws unless the bank has its own.
        pose: of a view, where pictures are aligned.
        chest: `[3, S, S]`, the canonical chest that they are aligned to; the canonical negative of frontal views.

    Raises:
        IncompatibleError: no training image is normal, or a view has nobody of its position to be compared with.
    """
    drawn_by = seed if options.seed is None else options.seed
    if options.kind == "zeros":
        empty = torch.zeros(0, 256, dtype=torch.uint8)
        bank = NegativeBank(empty, torch.zeros(0, cells), rows_of([]), options, seed=drawn_by)
        return TrainingBank(bank, (), None, (), 0.0)
    views: tuple[View, ...] = ()
    drawn = _drawn(options, candidates_of(studies, max_views=max_views), seed=drawn_by)
    purity = sum(each.normal for each in drawn) / len(drawn)
    poses = None
    if options.sampling == "canonical":
        rows, pictures = _mean_pictures(options, drawn, picture, chest if options.kind == "normal" else None)
        small = thumbnails(pictures, mean=encoder.mean, std=encoder.std)
    else:
        rows, pictures, views = rows_of(drawn), None, tuple(each.views[0] for each in drawn)
        small = torch.from_numpy(np.stack([thumbnail(view) for view in views]))
        poses = None if pose is None else _stacked([pose(view) for view in views])
    bank = NegativeBank(small, torch.zeros(len(rows), cells), rows, options, seed=drawn_by, poses=poses)
    logger.info(f"bank: {len(bank):,} negatives, {purity:.0%} of them normal")
    chosen = choose_negatives(bank, studies, max_views=max_views, thumbnail=thumbnail)
    return TrainingBank(bank, views, pictures, chosen, purity)


def _drawn(options: BankOptions, candidates: Sequence[Candidate], *, seed: int) -> list[Candidate]:
    if options.match == "view":
        check_positions("contrast.bank", candidates)
    normals = sum(each.normal for each in candidates)
    size = options.size or (CANONICAL if options.sampling == "canonical" else normals or len(candidates))
    index = draw_pool(
        rows_of(candidates),
        normal=[each.normal for each in candidates],
        size=min(size, normals) if normals else size,
        kind="random" if options.kind == "other" else "normal",
        seed=seed,
    )
    return [candidates[i] for i in index]


def _stacked(poses: Sequence[np.ndarray | None]) -> Tensor | None:
    """Return `[V, 5]`; None where no picture was aligned."""
    found = [pose for pose in poses if pose is not None]
    return torch.from_numpy(np.stack(found)) if found else None


def _mean_pictures(
    options: BankOptions, drawn: Sequence[Candidate], picture: Pictured, chest: Tensor | None
) -> tuple[PoolRows, Tensor]:
    """Return the mean of the pictures of each position, or of all where positions do not matter (ours).

    A canonical chest stands in place of that of frontal pictures.
    """
    by_view = options.match == "view"
    positions = list(dict.fromkeys(each.views[0].position if by_view else "unknown" for each in drawn))
    means, counts = [], []
    for position in positions:
        own = [each for each in drawn if not by_view or each.views[0].position == position]
        if chest is not None and position != "LATERAL":
            means.append(chest)
            counts.append(0)
            continue
        total = torch.zeros(())
        for each in own:  # one after another: hundreds of pictures need not be held at once
            total = total + picture(each.views[0])
        means.append(total / len(own))
        counts.append(len(own))
    names = tuple(
        f"{f'mean of {n}' if n else 'canonical chest'}{f' {p}' if by_view else ''}"
        for n, p in zip(counts, positions, strict=True)
    )
    nobody = (None,) * len(names)
    rows = PoolRows(names, names, patient_ids=nobody, positions=tuple(positions), locators=nobody)
    return rows, torch.stack(means)


def choose_negatives(
    bank: NegativeBank, studies: Sequence[Study], *, max_views: int, thumbnail: Thumbnail
) -> tuple[tuple[int, ...], ...]:
    """Return for each study the row of the bank that each of its views is compared with.

    Raises:
        IncompatibleError: a view for which the bank has none of its position.
    """
    asked = [(study, v) for study in studies for v in range(len(choose_views(study, max_views)))]
    rows: list[int] = []
    for start in range(0, len(asked), TOGETHER):
        part = asked[start : start + TOGETHER]
        views = [study.views[choose_views(study, max_views)[v]] for study, v in part]
        found = bank.find(
            torch.from_numpy(np.stack([thumbnail(view) for view in views])),
            study_ids=[study.study_id for study, _ in part],
            patient_ids=[study.patient_id for study, _ in part],
            positions=[view.position for view in views],
            numbers=[v for _, v in part],
        )
        refused = (~found.same_view).nonzero().flatten().tolist()
        if refused:
            _refuse(bank, part[refused[0]][0], views[refused[0]])
        rows += found.rows.tolist()
    given = iter(rows)
    return tuple(tuple(next(given) for _ in choose_views(study, max_views)) for study in studies)


def _refuse(bank: NegativeBank, study: Study, view: View) -> None:
    views = ", ".join(f"{count:,} {name}" for name, count in bank.summary()["views"].items())
    raise IncompatibleError(
        f"contrast.bank of {views}: a bank without normals of the view: training view {view.view_id} of study "
        f"{study.study_id} is {view.position}, and none of them is, its own patient's left out; set "
        "contrast.bank.match: none, data.max_views: 1, or raise contrast.bank.size"
    )


@dataclass(frozen=True, eq=False)
class WithNegatives:
    """Samples of training studies with the negative of each view: its channels, or its pixels.

    Attributes:
        load: gives the sample of a study and its place.
        bank: who the negatives are.
        means: `[M, n, C']` of rows that are mean pictures, or their pixels `[M, 3, S, S]`; None where rows are
            views.
        channels: C', the last channels of cached features that are kept of a negative.
    """

    load: FromCache | FromPixels
    bank: TrainingBank
    means: Tensor | None
    channels: int

    def __call__(self, study: Study, index: int) -> Sample:
        """Return the sample of the study at `index`."""
        sample, rows = self.load(study, index), self.bank.chosen[index]
        if self.means is not None:
            still = None if sample.images is None else torch.zeros(len(rows), dtype=torch.bool)
            return replace(sample, negatives=self.means[list(rows)], negative_frontal=still)
        views = [self.bank.views[row] for row in rows]
        if isinstance(self.load, FromPixels):
            frontal = torch.tensor([can_be_aligned(view.position) for view in views])
            return replace(sample, negatives=self.load.pictures(views, index), negative_frontal=frontal)
        found = [self.load.cache[view_key(view)] for view in views]
        channels = [torch.from_numpy(each.features[:, -self.channels :].copy()) for each in found]
        poses = _stacked([each.pose for each in found])
        return replace(sample, negatives=torch.stack(channels), negative_poses=poses)


def thumbnails_in(cache: FeatureCache) -> Thumbnail:
    """Return what gives the thumbnail of a view that is in the cache."""
    return lambda view: cache.thumbnail(view_key(view))


def poses_in(cache: FeatureCache) -> Posed:
    """Return what gives the pose of a view that is in the cache."""
    return lambda view: cache.pose(view_key(view))
