"""Studies stacked on a device, with the affine back to each original view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from contrastcxr.data.pixels import Picture, PictureOf, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import choose_views
from contrastcxr.features.box_cells import StudyBoxes
from contrastcxr.features.pictures import random_crop, whole_picture
from contrastcxr.form import Position, Study


@dataclass(frozen=True, eq=False)
class Sample:
    """One study as tensors, before stacking. `V` is this study's own number of views.

    `affines [V,2,3]` take model pixels to original pixels; `view_index` says which view of the study each one is.
    `poses` are there where the pictures that features were made of had been aligned, which `affines` undo.
    """

    study_id: str
    patient_id: str | None
    affines: Tensor
    positions: tuple[Position, ...]
    view_index: tuple[int, ...]
    images: Tensor | None = None  # [V,3,S,S]
    features: Tensor | None = None  # [V,N,C]
    poses: Tensor | None = None  # [V,5]
    token_ids: Tensor | None = None  # [T] int64, bos … eos
    finding_targets: Tensor | None = None  # [L] float
    finding_mask: Tensor | None = None  # [L] bool
    indication_ids: Tensor | None = None  # [T] int64, for decoders that read it; may be empty
    abnormal: Tensor | None = None  # [S] bool, of each sentence of the report
    tags: Tensor | None = None  # [L] float, 1 for each tag
    attributes: Tensor | None = None  # [A] bool, which the report states
    clusters: Tensor | None = None  # [] int64, that of the training report
    meanings: Tensor | None = None  # [] int64, equal where training reports have equal labels
    box_cells: Tensor | None = None  # [V,L,n] bool, cells of each view that overlap a box of each finding
    box_corners: Tensor | None = None  # [V,K,4], boxes of each view in the model's picture, NaN behind the last
    boxes: StudyBoxes | None = None  # what they were made of, beside images, which an aligner may yet move
    thumbnails: Tensor | None = None  # [V,256] uint8, beside cached features: what negatives are found by
    negatives: Tensor | None = None  # [V,3,S,S] or [V,N,C'], in training: what each view is compared with
    negative_frontal: Tensor | None = None  # [V] bool, beside pixels: negatives that an aligner moves
    negative_poses: Tensor | None = None  # [V,5], beside features of aligned pictures


@dataclass(frozen=True, eq=False)
class Batch:
    """`B` studies of at most `V` views: pixels or encoder features, and what training compares with.

    `view_mask` is True at real views; masked views hold zeros and an identity affine, and have no entry in
    `positions` and `view_index`. `token_mask` is True at the tokens of a report, whatever their ids: the end and
    the padding of an imported vocabulary may share one. `finding_mask` is True where a target is known.
    `indication_ids` are there for decoders that read the indication; a study without one has none of
    `indication_mask`. `poses` are there once pictures have been aligned; `affines` then lead from aligned ones.
    `negatives` are there in training of a system that compares each view with another picture: its pixels where
    there are images, else C' channels of its features. `negative_frontal` says which of these pixels an aligner
    moves, not laterals and mean pictures; once it has moved pictures, `box_cells` are made anew of `boxes`.
    """

    study_ids: tuple[str, ...]
    patient_ids: tuple[str | None, ...]
    images: Tensor | None  # [B,V,3,S,S] float
    features: Tensor | None  # [B,V,N,C] float
    view_mask: Tensor  # [B,V] bool
    affines: Tensor  # [B,V,2,3] float
    positions: tuple[tuple[Position, ...], ...]
    poses: Tensor | None = None  # [B,V,5] float
    token_ids: Tensor | None = None  # [B,T] int64
    token_mask: Tensor | None = None  # [B,T] bool
    finding_targets: Tensor | None = None  # [B,L] float
    finding_mask: Tensor | None = None  # [B,L] bool
    indication_ids: Tensor | None = None  # [B,T] int64
    indication_mask: Tensor | None = None  # [B,T] bool
    abnormal: Tensor | None = None  # [B,S] bool
    tags: Tensor | None = None  # [B,L] float
    attributes: Tensor | None = None  # [B,A] bool
    clusters: Tensor | None = None  # [B] int64
    meanings: Tensor | None = None  # [B] int64
    box_cells: Tensor | None = None  # [B,V,L,n] bool
    box_corners: Tensor | None = None  # [B,V,K,4] float, NaN where there is no box
    thumbnails: Tensor | None = None  # [B,V,256] uint8
    negatives: Tensor | None = None  # [B,V,3,S,S] or [B,V,N,C']
    negative_frontal: Tensor | None = None  # [B,V] bool
    negative_poses: Tensor | None = None  # [B,V,5] float
    boxes: tuple[StudyBoxes, ...] = ()
    view_index: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.study_ids)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with every tensor on `device`; a copy to CUDA from pinned memory is not waited for."""
        to_gpu = torch.device(device).type == "cuda"  # what a CPU reads must have arrived
        return self._each(lambda tensor: tensor.to(device, non_blocking=to_gpu))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory, where CUDA is; a `DataLoader` that pins calls it."""
        return self._each(Tensor.pin_memory)

    def _each(self, made: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {k: made(v) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changed)


def prepare(
    study: Study,
    preprocess: Preprocess,
    *,
    max_views: int = 2,
    generator: torch.Generator | None = None,
    picture_of: PictureOf = original,
) -> Sample:
    """Read a study's pixels into a sample; with a generator, as a random crop for training.

    `picture_of` says where pixels come from: the files, or squares that were prepared.

    Raises:
        ImageError: a view cannot be read.
    """
    chosen = choose_views(study, max_views)
    made = [one_view(preprocess, picture_of(study.views[i]), generator) for i in chosen]
    return Sample(
        study_id=study.study_id,
        patient_id=study.patient_id,
        affines=torch.stack([affine for _, affine in made]),
        positions=tuple(study.views[i].position for i in chosen),
        view_index=chosen,
        images=torch.stack([image for image, _ in made]),
    )


def one_view(preprocess: Preprocess, read: Picture, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return one view at the model's size, `[3, S, S]`, and its affine `[2, 3]`; a crop with a generator."""
    if generator is None:
        image, affine = whole_picture(preprocess, read.pixels, shape=read.shape)
    else:
        image, affine = random_crop(preprocess, read.pixels, generator, shape=read.shape)
    return image, torch.from_numpy(affine).float()


def collate(samples: Sequence[Sample], *, pad: int = 0) -> Batch:
    """Stack samples, padding views with masked zeros and token ids with `pad`.

    Raises:
        ValueError: no samples, or a field that only some of them have.
    """
    if not samples:
        raise ValueError("collate needs at least one sample")
    views = max(len(s.positions) for s in samples)
    mask = torch.tensor([[v < len(s.positions) for v in range(views)] for s in samples])
    return Batch(
        study_ids=tuple(s.study_id for s in samples),
        patient_ids=tuple(s.patient_id for s in samples),
        images=_padded([s.images for s in samples], views, "images"),
        features=_padded([s.features for s in samples], views, "features"),
        view_mask=mask,
        affines=_affines([s.affines for s in samples], views),
        positions=tuple(s.positions for s in samples),
        token_ids=_tokens([s.token_ids for s in samples], pad),
        token_mask=_lengths_mask([s.token_ids for s in samples]),
        finding_targets=_stacked([s.finding_targets for s in samples], "finding_targets"),
        finding_mask=_stacked([s.finding_mask for s in samples], "finding_mask"),
        indication_ids=_tokens([s.indication_ids for s in samples], pad),
        indication_mask=_lengths_mask([s.indication_ids for s in samples]),
        abnormal=_tokens([s.abnormal for s in samples], 0),
        tags=_stacked([s.tags for s in samples], "tags"),
        attributes=_stacked([s.attributes for s in samples], "attributes"),
        clusters=_stacked([s.clusters for s in samples], "clusters"),
        meanings=_stacked([s.meanings for s in samples], "meanings"),
        box_cells=_padded([s.box_cells for s in samples], views, "box_cells"),
        box_corners=corners_of([s.box_corners for s in samples], views),
        thumbnails=_thumbnails([s.thumbnails for s in samples], views),
        negatives=_padded([s.negatives for s in samples], views, "negatives"),
        negative_frontal=_padded([s.negative_frontal for s in samples], views, "negative_frontal"),
        negative_poses=_padded([s.negative_poses for s in samples], views, "negative_poses"),
        boxes=tuple(s.boxes for s in samples if s.boxes is not None),
        poses=_padded([s.poses for s in samples], views, "poses"),
        view_index=tuple(s.view_index for s in samples),
    )


def _present(values: Sequence[Tensor | None], name: str) -> list[Tensor] | None:
    found = [v for v in values if v is not None]
    if found and len(found) < len(values):
        raise ValueError(f"{len(values) - len(found)} of {len(values)} samples have no {name}; all or none must")
    return found or None


def _padded(values: Sequence[Tensor | None], length: int, name: str) -> Tensor | None:
    """Stack `[v, …]` to `[B, length, …]` with zeros behind."""
    found = _present(values, name)
    if found is None:
        return None
    out = found[0].new_zeros(len(found), length, *found[0].shape[1:])
    for row, value in zip(out, found, strict=True):
        row[: len(value)] = value
    return out


def corners_of(values: Sequence[Tensor | None], length: int) -> Tensor | None:
    """Return `[B, V, K, 4]` of `[v, k, 4]` each, NaN where a study has no view or a view no box."""
    found = _present(values, "box_corners")
    if found is None:
        return None
    most = max(value.shape[1] for value in found)
    out = found[0].new_full((len(found), length, most, 4), torch.nan)
    for row, value in zip(out, found, strict=True):
        row[: value.shape[0], : value.shape[1]] = value
    return out


def _thumbnails(values: Sequence[Tensor | None], length: int) -> Tensor | None:
    """Return `[B, V, 256]`; None where a study has none, whose features an earlier version encoded."""
    return None if any(value is None for value in values) else _padded(values, length, "thumbnails")


def _affines(values: Sequence[Tensor], length: int) -> Tensor:
    identity = torch.eye(2, 3)
    out = identity.repeat(len(values), length, 1, 1)  # [2,3] -> [B,V,2,3]
    for row, value in zip(out, values, strict=True):
        row[: len(value)] = value
    return out


def _tokens(values: Sequence[Tensor | None], pad: int) -> Tensor | None:
    found = _present(values, "token_ids")
    return None if found is None else torch.nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=pad)


def _lengths_mask(values: Sequence[Tensor | None]) -> Tensor | None:
    """Return True `[B, T]` at the values there are, whatever their ids."""
    found = [torch.ones_like(value, dtype=torch.bool) for value in values if value is not None]
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True) if found else None


def _stacked(values: Sequence[Tensor | None], name: str) -> Tensor | None:
    found = _present(values, name)
    return None if found is None else torch.stack(found)


_BY_VIEW = (
    "images",
    "features",
    "view_mask",
    "affines",
    "poses",
    "box_cells",
    "box_corners",
    "thumbnails",
    "negatives",
    "negative_frontal",
    "negative_poses",
)
"""Fields `[B, V, …]` of a batch."""


def rows_of(batch: Batch, index: Sequence[int]) -> Batch:
    """Return the studies at `index`, padded to no more views than they have."""
    views = max(len(batch.positions[i]) for i in index)
    picked: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            picked[field.name] = value[torch.tensor(index, device=value.device)]
        elif value:
            picked[field.name] = tuple(value[i] for i in index)
    for name in _BY_VIEW:
        if name in picked:
            picked[name] = picked[name][:, :views]  # [B,V,…] -> [B,views,…]
    return replace(batch, **picked)
