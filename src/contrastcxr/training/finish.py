"""The end of a run: the best checkpoint is calibrated, and the run record written."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from contrastcxr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from contrastcxr.checkpoint.system import LIBRARY_KEY
from contrastcxr.models.system import ReportSystem
from contrastcxr.training.calibrate import Calibration, calibrate
from contrastcxr.training.epochs import EpochKeeper, read_metrics
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.machine import precision_of
from contrastcxr.training.quality import quality_reference
from contrastcxr.training.run_folder import CHECKPOINT_FILE, METRICS_FILE, RunFolder
from contrastcxr.training.run_record import RunRecord, data_fingerprint
from contrastcxr.training.task import loss_weights
from contrastcxr.training.threshold import choose_threshold

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun

logger = logging.getLogger(__name__)

THRESHOLD_KEY = f"{LIBRARY_KEY}threshold"


def close_run(prepared: PreparedRun, keeper: EpochKeeper, *, out: Path, quality: bool) -> RunFolder:
    """Calibrate the best checkpoint on all validation studies, and write the run record."""
    unreadable = tuple(f"{u.view_id}: {u.message}" for u in prepared.unreadable)
    best = _with_threshold(prepared, load_checkpoint(out / CHECKPOINT_FILE))
    calibration = _calibrated(prepared, best)
    record = _record(prepared, keeper, out=out, calibration=calibration, unreadable=unreadable)
    finished = replace(
        best,
        temperature=calibration.temperature if calibration else 1.0,
        thresholds=calibration.thresholds if calibration else {},
        record={**best.record, "data": dict(record.data), "versions": dict(record.versions)},
        quality=quality_reference(prepared, best) if quality else None,
    )
    size = save_checkpoint(out / CHECKPOINT_FILE, finished, dtype=prepared.config.train.checkpoint_dtype)
    record.write(out)
    for line in unreadable:
        logger.info(f"left out: {line}")
    logger.info(f"best: epoch {keeper.best.get('epoch', 0):.0f}; checkpoint {size / 1e6:.1f} MB in {out}")
    return RunFolder(out, dict(keeper.best), unreadable)


def _with_threshold(prepared: PreparedRun, best: Checkpoint) -> Checkpoint:
    """Return the checkpoint with the threshold of a decoder that retrieves; any other as it is."""
    if best.library is None:
        return best
    system = best.build()
    validation = ScoreSystem(prepared).validation()
    chosen = choose_threshold(system, validation.batches, bleu4=validation.bleu4)
    logger.info(f"sentences are said from a score of {chosen:.3f} on")
    return replace(best, state={**best.state, THRESHOLD_KEY: torch.tensor(chosen)})


def _calibrated(prepared: PreparedRun, best: Checkpoint) -> Calibration | None:
    if not prepared.labels:
        return None
    return calibrate(best.build(), list(prepared.batches(prepared.validation)), labels=prepared.labels)


def _record(
    prepared: PreparedRun,
    keeper: EpochKeeper,
    *,
    out: Path,
    calibration: Calibration | None,
    unreadable: tuple[str, ...],
) -> RunRecord:
    config = prepared.config
    encoder = prepared.system.encoder
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
        pool=prepared.pool.summary() if prepared.pool else None,
        loss_weights=loss_weights(config),
        precision=precision_of(config),
        vocabulary=len(prepared.tokenizer),
        truncated_reports=prepared.truncated,
        unreadable=unreadable,
        best=dict(keeper.best),
        epochs=len(read_metrics(out / METRICS_FILE)),
        seconds=round(keeper.seconds, 1),
        calibration=calibration.to_dict() if calibration else None,
    )


def trained_parameters(system: ReportSystem) -> int:
    """Return the number of parameters that training moves."""
    return sum(p.numel() for p in system.parameters() if p.requires_grad)
