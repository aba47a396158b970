"""What a system makes of a batch: one call for whoever reads, trains, calibrates or measures it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from contrastcxr.data.views import can_be_aligned
from contrastcxr.features.batch import Batch, corners_of
from contrastcxr.losses.base import Targets
from contrastcxr.models.align.pose import compose
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.system import System


def views_to_align(batch: Batch) -> Tensor:
    """Return `[B, V]` bool: the views that an aligner is for, all real ones that are not known to be lateral."""
    found = batch.view_mask.clone()
    for row, names in enumerate(batch.positions):
        for view, name in enumerate(names):
            found[row, view] &= can_be_aligned(name)
    return found


def aligned_batch(system: System, batch: Batch) -> Batch:
    """Return a batch whose pictures are aligned and whose affines lead from there, of a system that aligns.

    Cells of boxes are made anew for what the pictures are now, and the pixels of negatives are aligned as well.
    A batch of cached features was aligned before they were made; it comes back as it is, and so does one of a
    system that aligns nothing, or that learns to.
    """
    if system.aligner is None or not system.heads or batch.images is None or batch.poses is not None:
        return batch
    images = batch.images.float()
    moved, poses = system.aligned(images, views_to_align(batch))
    affines = compose(batch.affines.double(), poses.double(), images.shape[-1]).to(batch.affines)
    negatives, negative_poses = batch.negatives, None
    if negatives is not None and batch.negative_frontal is not None:
        negatives, negative_poses = system.aligned(negatives.to(images.device).float(), batch.negative_frontal)
    return replace(
        batch,
        images=moved,
        affines=affines,
        poses=poses,
        box_cells=_cells_again(batch, affines),
        box_corners=_corners_again(batch, affines),
        negatives=negatives,
        negative_poses=negative_poses,
    )


def _cells_again(batch: Batch, affines: Tensor) -> Tensor | None:
    """Return the cells `[B, V, L, n]` that overlap boxes, with other affines `[B, V, 2, 3]`."""
    if batch.box_cells is None or not batch.boxes:
        return batch.box_cells
    found = torch.zeros_like(batch.box_cells)
    for row, boxes in enumerate(batch.boxes):
        found[row, : boxes.views] = boxes.cells(affines[row, : boxes.views]).to(found.device)
    return found


def _corners_again(batch: Batch, affines: Tensor) -> Tensor | None:
    """Return the corners `[B, V, K, 4]` of boxes, with other affines `[B, V, 2, 3]`."""
    if batch.box_corners is None or not batch.boxes:
        return batch.box_corners
    made = [boxes.corners(affines[row, : boxes.views]) for row, boxes in enumerate(batch.boxes)]
    found = corners_of(made, affines.shape[1])
    assert found is not None  # every study has its own
    return found.to(batch.box_corners.device)


def raw_features(system: System, batch: Batch) -> Tensor:
    """Return what the encoder gives for a batch, `[B, V, N, C]`, or what was kept of it."""
    if batch.features is not None:
        return batch.features
    assert batch.images is not None  # a batch holds one of the two
    aligned = aligned_batch(system, batch).images
    assert aligned is not None  # it has pictures where the batch has
    return system.encode(aligned.to(_own_dtype(system)))


def batch_features(system: System, batch: Batch, *, raw: Tensor | None = None) -> VisualFeatures:
    """Return the features that the heads take, of a batch on the system's device.

    Args:
        system: may be in training; its encoder then gets the gradient.
        batch: pixels or cached features; its patients are left out of the pool, its indication goes along.
        raw: `raw_features(system, batch)` where the caller has them already.
    """
    batch = aligned_batch(system, batch)
    return system.features(
        raw=raw_features(system, batch) if raw is None else raw,
        view_mask=batch.view_mask,
        patient_ids=batch.patient_ids,
        positions=batch.positions,
        indication=batch.indication_ids,
        indication_mask=batch.indication_mask,
        study_ids=batch.study_ids,
        thumbnails=_thumbnails(system, batch),
        negatives=None if batch.negatives is None else batch.negatives.to(_own_dtype(system)),
        poses=batch.poses,
        negative_poses=batch.negative_poses,
    )


def _thumbnails(system: System, batch: Batch) -> Tensor | None:
    """Return what a bank finds negatives by, `[B, V, 256]`: kept beside the features, or of the pictures."""
    if batch.thumbnails is not None or batch.images is None or batch.negatives is not None:
        return batch.thumbnails
    return system.thumbnails(batch.images)


def normal_features(system: System, batch: Batch, *, raw: Tensor) -> VisualFeatures:
    """Return the features of a flat normal picture in place of each study's pictures (ours).

    Every patch is the mean of the pool's rows, which goes through projection and contrast like any other and is
    compared with the whole pool; views and indication are the study's. Only a system with a pool of normals has
    that mean.

    Args:
        system: with a pool.
        batch: of the studies.
        raw: their features `[B, V, N, C]`, whose shape is taken.
    """
    assert system.pool is not None  # `assemble.check_search` refuses guidance without one
    flat = system.pool.raw.mean(dim=0).to(raw.dtype).expand_as(raw)
    strangers = replace(batch, patient_ids=(None,) * len(batch))
    return batch_features(system, strangers, raw=flat)


def batch_targets(batch: Batch, *, own_words: float = 0.0) -> Targets:
    """Return what a batch says, of all that a head may learn from; `own_words` as in `Targets`."""
    return Targets(
        token_ids=batch.token_ids,
        mask=None if batch.token_mask is None else batch.token_mask[:, 1:],
        abnormal=batch.abnormal,
        tags=batch.tags,
        own_words=own_words,
        findings=batch.finding_targets,
        known=batch.finding_mask,
        box_cells=batch.box_cells,
        box_corners=batch.box_corners,
        attributes=batch.attributes,
        clusters=batch.clusters,
        meanings=batch.meanings,
    )


def _own_dtype(system: System) -> torch.dtype:
    parts = system if system.encoder is None else system.encoder  # an aligner keeps a type of its own
    return next(p.dtype for p in parts.parameters() if p.is_floating_point())
