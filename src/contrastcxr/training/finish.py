"""The end of a run: the best checkpoint is calibrated, and the run record written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from contrastcxr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from contrastcxr.checkpoint.metadata import BOXED_PATIENTS
from contrastcxr.config.parts import older_precision
from contrastcxr.models.system import System
from contrastcxr.training.align import record_of
from contrastcxr.training.calibrate import Calibration, calibrate, detection_thresholds
from contrastcxr.training.epochs import EpochKeeper, read_metrics
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.placement import Placement
from contrastcxr.training.quality import quality_reference
from contrastcxr.training.run_folder import CHECKPOINT_FILE, CLUSTERS_FILE, METRICS_FILE, RunFolder
from contrastcxr.training.run_record import RunRecord, data_fingerprint
from contrastcxr.training.scaling import mean_picture
from contrastcxr.training.task import loss_weights
from contrastcxr.training.threshold import choose_threshold

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun

logger = logging.getLogger(__name__)


def close_run(
    prepared: PreparedRun, keeper: EpochKeeper, placement: Placement, *, out: Path, quality: bool
) -> RunFolder:
    """Calibrate the best checkpoint on all validation studies, and write the run record.

    Args:
        prepared: the run.
        keeper: of its epochs.
        placement: where it was trained, and computes still.
        out: the run folder.
        quality: measure training pictures.
    """
    unreadable, device = unreadable_lines(prepared), placement.device
    best, thresholds = _with_thresholds(prepared, load_checkpoint(out / CHECKPOINT_FILE), device)
    best = _with_mean_picture(prepared, best, device)
    calibration, present_from = _calibrated(prepared, best, device), _present_from(prepared, best, device)
    record = _record(prepared, keeper, placement, out=out, calibration=calibration, unreadable=unreadable)
    record = replace(record, thresholds=thresholds, present_from=present_from)
    finished = replace(
        best,
        temperature=calibration.temperature if calibration else 1.0,
        thresholds=calibration.thresholds if calibration else present_from,
        record={**best.record, "data": dict(record.data), "versions": dict(record.versions), **_taught(record)},
        quality=quality_reference(prepared, best, device=device) if quality else None,
    )
    size = save_checkpoint(out / CHECKPOINT_FILE, finished, dtype=prepared.config.train.checkpoint_dtype)
    record.write(out)
    if prepared.clusters is not None:
        prepared.clusters.write(out / CLUSTERS_FILE)
    for line in unreadable:
        logger.info(f"left out: {line}")
    logger.info(f"best: epoch {keeper.best.get('epoch', 0):.0f}; checkpoint {size / 1e6:.1f} MB in {out}")
    return RunFolder(out, dict(keeper.best), unreadable)


def unreadable_lines(prepared: PreparedRun) -> tuple[str, ...]:
    """Return a line for each view that was left out."""
    return tuple(f"{view.view_id}: {view.message}" for view in prepared.unreadable)


def _taught(record: RunRecord) -> dict[str, list[str]]:
    """Return whose boxes a detector learnt, as the checkpoint keeps it; nothing of another system."""
    return {BOXED_PATIENTS: list(record.boxed_patients)} if record.boxed_patients else {}


def _with_thresholds(
    prepared: PreparedRun, best: Checkpoint, device: torch.device
) -> tuple[Checkpoint, dict[str, float]]:
    """Return the checkpoint with what its heads choose on validation, and that by the kind of head."""
    system = best.build().to(device)
    tuned = {head.kind: head.threshold for head in system.heads if head.threshold is not None}
    if not tuned:
        return best, {}
    validation = ScoreSystem(prepared).validation()
    chosen = {}
    for kind, threshold in tuned.items():
        score = partial(validation.score, name=threshold.score)
        chosen[kind] = choose_threshold(system, threshold, validation.batches, score=score)
        logger.info(f"{kind}: threshold {chosen[kind]:.3f}, the best {threshold.score} on validation")
    kept = {name: value.cpu() for name, value in system.state_dict().items() if name in best.state}
    return replace(best, state={**best.state, **kept}), chosen


def _with_mean_picture(prepared: PreparedRun, best: Checkpoint, device: torch.device) -> Checkpoint:
    """Return the checkpoint with the mean raw features of the training views, of a system with a space."""
    spaces = [f"losses.{kind}." for kind, loss in prepared.system.losses.items() if loss.space is not None]
    if not spaces:
        return best
    mean = mean_picture(best.build().to(device), prepared.batches(prepared.train)).cpu()
    return replace(best, state={**best.state, **{f"{space}mean_picture": mean for space in spaces}})


def _calibrated(prepared: PreparedRun, best: Checkpoint, device: torch.device) -> Calibration | None:
    if not prepared.labels:
        return None
    batches = list(prepared.batches(prepared.validation))
    return calibrate(best.build().to(device), batches, labels=prepared.labels)


def _present_from(prepared: PreparedRun, best: Checkpoint, device: torch.device) -> Mapping[str, float]:
    """Return from which score the finding of a detector counts as present; on its regions that of its own run."""
    localizer = prepared.config.localizer
    if prepared.labels or localizer is None or localizer.regions is None:
        return {} if prepared.labels else prepared.present_from
    found = detection_thresholds(best.build().to(device), list(prepared.batches(prepared.validation)))
    for name, threshold in found.items():
        logger.info(f"{localizer.kind}: {name} counts as present from {threshold:.3f}, the best F1 on validation")
    return found


def _record(
    prepared: PreparedRun,
    keeper: EpochKeeper,
    placement: Placement,
    *,
    out: Path,
    calibration: Calibration | None,
    unreadable: tuple[str, ...],
) -> RunRecord:
    config = prepared.config
    encoder, epochs = prepared.system.encoder, read_metrics(out / METRICS_FILE)
    assert encoder is not None
    return RunRecord(
        name=config.name,
        seed=config.train.seed,
        data={
            "train": data_fingerprint(prepared.train.studies),
            "validation": data_fingerprint(prepared.validation.studies),
        },
        encoder={
            "name": encoder.name,
            "weights": encoder.weights_note,
            "fingerprint": prepared.encoder_fingerprint,
        },
        parameters=trained_parameters(prepared.system),
        pool=_reference(prepared),
        align=record_of(prepared.system.aligner),
        loss_weights=loss_weights(config),
        precision=older_precision(placement.precision),
        device=placement.accelerator,
        vocabulary=0 if prepared.tokenizer is None else len(prepared.tokenizer),
        truncated_reports=prepared.truncated,
        unreadable=unreadable,
        best=dict(keeper.best),
        curves=[_curve_row(epoch) for epoch in epochs],
        epochs=len(epochs),
        seconds=round(keeper.seconds, 1),
        calibration=calibration.to_dict() if calibration else None,
        anchored=prepared.anchored,
        boxed_patients=prepared.boxed_patients,
        started_from=prepared.started_from,
        clusters=None if prepared.clusters is None else prepared.clusters.summary(),
    )


def _reference(prepared: PreparedRun) -> dict[str, Any] | None:
    """Return what studies are compared with: the pool, or the bank of negatives."""
    if prepared.bank is not None:
        return prepared.bank.summary()
    return None if prepared.pool is None else prepared.pool.summary()


def _curve_row(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line of metrics holds of an epoch, to six places, without its seconds."""
    parts = {
        part: {name: round(value, 6) for name, value in epoch[part].items()} for part in ("train", "validation")
    }
    return {"epoch": epoch["epoch"], **parts}


def trained_parameters(system: System) -> int:
    """Return the number of parameters that training moves."""
    return sum(p.numel() for p in system.parameters() if p.requires_grad)
