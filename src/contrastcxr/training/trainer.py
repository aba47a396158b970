"""One run from a configuration to a run folder."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from contrastcxr.assemble import check_pairs
from contrastcxr.checkpoint import read_training_state
from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.files import default_cache
from contrastcxr.metrics.cider_d import CiderD
from contrastcxr.training.align import with_trained_aligner
from contrastcxr.training.epochs import EpochKeeper, EpochRules, Refresh
from contrastcxr.training.finish import close_run, trained_parameters
from contrastcxr.training.hooks import KeepBest, RefreshPool, ScoreSystem
from contrastcxr.training.machine import HALVES, EpochData, make_trainer, plain_errors, quiet_lightning
from contrastcxr.training.messages import Relay, kept_lines, run_log, silence
from contrastcxr.training.order import epoch_batches
from contrastcxr.training.placement import Placement, find_placement, has_restarted
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.regions import WELL_ANCHORED, count_few_regions, with_trained_regions
from contrastcxr.training.requeue import requeue_at_signal
from contrastcxr.training.run_folder import (
    LOG_FILE,
    STATE_FILE,
    RunFolder,
    check_folder,
    finished,
)
from contrastcxr.training.run_record import RECORD_FILE
from contrastcxr.training.self_critical import SelfCritical
from contrastcxr.training.task import ReportTask
from contrastcxr.training.tracking import EpochTracker, check_logger, close_logger, make_logger

logger = logging.getLogger(__name__)


def run(
    config: SystemConfig,
    *,
    out: Path | str,
    cache: Path | str | None = None,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    progress: bool | None = None,
    quality: bool = True,
) -> RunFolder:
    """Train a system as configured and leave a run folder.

    Of processes that torchrun or srun have started each calls this; the first one writes and logs.

    Args:
        config: of the system.
        out: the run folder; made when absent, refused when it holds another run and `resume` is off.
        cache: folder of encoder features; None is `$CONTRASTCXR_CACHE`, or `.cache/contrastcxr` below the working
            directory.
        resume: go on from the last whole epoch in `out`; so does a job that its launcher has started again.
        accelerator: `cpu`, `cuda`, or `auto`, which is `cuda` where PyTorch finds a GPU.
        devices: processes on each node (nccl on CUDA, gloo on the CPU); all share each batch.
        nodes: machines, on each of which torchrun or srun has started the processes.
        progress: a bar over the steps; None shows it on a terminal.
        quality: measure training pictures at the end, for the warnings of readings: hundreds are read again.

    Raises:
        ConfigError: `out` holds a run of another configuration, or a run and `resume` is off.
        UnknownNameError: no such accelerator.
        IncompatibleError: parts that cannot work together, a batch that the processes cannot share or a GPU cannot
            hold, devices or a precision that are not there, or nodes that do not meet.
        DatasetError: no studies, or studies without readings.
        MissingExtraError: the package of `train.logger` is not installed.
    """
    out, config = Path(out), with_trained_regions(with_trained_aligner(config))
    check_pairs(config)
    check_logger(config.train.logger)
    placement = _placed(config, accelerator=accelerator, devices=devices, nodes=nodes)
    resume = resume or has_restarted()
    check_folder(out, config, resume=resume)
    with requeue_at_signal(placement), nullcontext() if placement.first else silence():
        if resume and (out / RECORD_FILE).is_file():
            logger.info(f"{out}: this run is already finished; nothing to do")
            return finished(out, writes=placement.first)
        # Nothing is written into the folder before the data have turned out usable.
        with kept_lines() as earlier:
            prepared = _prepared(config, placement, cache=Path(cache or default_cache()))
        if not placement.first:
            keeper = _fit(prepared, placement, out=out, resume=resume, progress=progress)
            # What could not be read is the first one's to say: a launcher ends all once one of them has failed.
            return RunFolder(out, dict(keeper.best), (), writes=False)
        with run_log(out / LOG_FILE, earlier=earlier):
            _say_regions(prepared)
            keeper = _fit(prepared, placement, out=out, resume=resume, progress=progress)
            return close_run(prepared, keeper, placement, out=out, quality=quality)


def _placed(config: SystemConfig, *, accelerator: str, devices: int, nodes: int) -> Placement:
    with quiet_lightning():
        return find_placement(config, accelerator=accelerator, devices=devices, nodes=nodes)


def _prepared(config: SystemConfig, placement: Placement, *, cache: Path) -> PreparedRun:
    """Return what is trained; processes that a launcher has started fill the cache one after the other."""
    if placement.environment is None or placement.processes == 1:
        prepared = prepare(config, cache=cache, device=placement.device)
        if placement.accelerator == "cuda" and placement.spawns:
            torch.cuda.empty_cache()  # what this process has encoded with is the first of the others' to use
        return prepared
    cache.mkdir(parents=True, exist_ok=True)
    return prepare(config, cache=cache, device=placement.device, turn=FileLock(cache / "prepare.lock"))


def _say_regions(prepared: PreparedRun) -> None:
    if (share := prepared.anchored) is not None:
        logger.info(f"localizer: {share:.1%} of its boxes have an anchor with an IoU above {WELL_ANCHORED}")
    localizer = prepared.config.localizer
    wanted = 0 if localizer is None else localizer.weighed_regions
    if not wanted:
        return
    fewer, none_beyond = count_few_regions(prepared.batches(prepared.train), wanted)
    if none_beyond:
        logger.warning(
            f"localizer: of {len(prepared.train):,} studies {fewer:,} have fewer than {wanted} regions, and "
            f"{none_beyond:,} none beyond these, whose regions are compared with none"
        )


def _fit(
    prepared: PreparedRun, placement: Placement, *, out: Path, resume: bool, progress: bool | None
) -> EpochKeeper:
    """Train; where a GPU cannot hold a batch, go on from the last whole epoch with batches in halves."""
    config = prepared.config
    words = "" if prepared.tokenizer is None else f"{len(prepared.tokenizer):,} words, "
    logger.info(
        f"training {config.name}: {len(prepared.train):,} studies, {len(prepared.validation):,} to validate, "
        f"{words}{trained_parameters(prepared.system):,} parameters, {placement}"
    )
    begin = {name: value.clone() for name, value in prepared.system.state_dict().items()}
    try:
        return _attempt(prepared, placement, out=out, resume=resume, progress=progress)
    except torch.OutOfMemoryError:
        _check_halves(prepared, placement)
    logger.warning(
        "the GPU's memory does not hold a batch: each is taken in two halves, whose gradients are summed"
    )
    prepared.system.load_state_dict(begin)
    del begin
    torch.cuda.empty_cache()
    try:
        return _attempt(prepared, placement, out=out, resume=True, parts=HALVES, progress=progress)
    except torch.OutOfMemoryError:
        raise _too_large(config, "nor does it hold half of one") from None


def _check_halves(prepared: PreparedRun, placement: Placement) -> None:
    """Refuse to take batches in halves where the steps would be others, or where the processes cannot agree on it.

    Raises:
        IncompatibleError: they are not taken so.
    """
    config = prepared.config
    compared = next((f"losses.{loss.kind}" for loss in config.losses if loss.smallest_batch > 1), None)
    if whole := config.whole_batch or compared:
        raise _too_large(config, f"and {whole} needs the whole of it at once")
    if min(config.train.batch_size, len(prepared.train)) < HALVES * placement.processes:
        raise _too_large(config, "which is of one study and has no halves")
    if placement.environment is not None and placement.processes > 1:
        raise _too_large(config, "and processes that a launcher has started do not begin anew with halves")


def _too_large(config: SystemConfig, why: str) -> IncompatibleError:
    return IncompatibleError(
        f"train.batch_size {config.train.batch_size}: the GPU's memory does not hold a batch, {why}; choose a "
        "smaller train.batch_size, image.size or width, a shorter precision, or more --devices"
    )


def _attempt(
    prepared: PreparedRun,
    placement: Placement,
    *,
    out: Path,
    resume: bool,
    parts: int = 1,
    progress: bool | None,
) -> EpochKeeper:
    """Train from the beginning, or from the last whole epoch, with each batch in so many parts."""
    config = prepared.config
    relay = Relay() if placement.spawns else None
    keeper = _keeper(prepared, out, relay)
    state = out / STATE_FILE if resume and (out / STATE_FILE).is_file() else None
    if state is not None:
        read_training_state(state)  # refuses a damaged or foreign file in one line, before anything is set up
    with (
        quiet_lightning(),
        torch.random.fork_rng(devices=[]),
        relay.receive() if relay else nullcontext(),
        plain_errors(placement, keeper),
    ):
        kept = make_logger(config, out) if placement.first else False
        trainer = make_trainer(config, keeper, placement, out=out, logger=kept, parts=parts, progress=progress)
        task = _task(prepared, parts)
        task.train()  # Lightning leaves the mode as it is, and an encoder is built in that of reading
        try:
            trainer.fit(task, datamodule=EpochData(prepared, parts=parts), ckpt_path=state, weights_only=True)
        finally:
            close_logger(config)
    if placement.spawns:  # the processes kept their own; what they wrote is the truth
        keeper.load_state_dict(_kept_state(out))
    return keeper


def _task(prepared: PreparedRun, parts: int) -> ReportTask:
    batch_size = prepared.config.train.batch_size
    return ReportTask(
        prepared.system,
        config=prepared.config,
        steps_per_epoch=len(epoch_batches(len(prepared.train), batch_size=batch_size, seed=0, epoch=0)),
        second=_second_stage(prepared),
        parts=parts,
    )


def _keeper(prepared: PreparedRun, out: Path, relay: Relay | None) -> EpochKeeper:
    return EpochKeeper(
        rules=_rules(prepared.config),
        folder=out,
        score=ScoreSystem(prepared),
        keep=KeepBest(prepared, out),
        refresh=_refresh(prepared),
        track=EpochTracker(prepared),
        relay=relay,
    )


def _second_stage(prepared: PreparedRun) -> SelfCritical | None:
    if not prepared.config.train.scst:
        return None
    assert prepared.tokenizer is not None  # `check_pairs` refuses a second stage without a decoder
    return SelfCritical(
        prepared.tokenizer,
        CiderD(prepared.train.reports),
        dict(zip((study.study_id for study in prepared.train.studies), prepared.train.reports, strict=True)),
        max_tokens=prepared.config.generate.max_tokens,
    )


def _rules(config: SystemConfig) -> EpochRules:
    pool = None if config.contrast is None else config.contrast.pool_options
    return EpochRules(
        monitor=config.train.monitor,
        patience=config.train.patience,
        epochs=config.train.epochs,
        refresh_epochs=pool.refresh_epochs if pool else 1,
    )


def _refresh(prepared: PreparedRun) -> Refresh | None:
    frozen = not prepared.config.encoder.trainable
    return None if frozen or prepared.pool is None else RefreshPool(prepared)


def _kept_state(out: Path) -> dict[str, Any]:
    callbacks = read_training_state(out / STATE_FILE)["callbacks"]
    state: dict[str, Any] = callbacks[EpochKeeper.__qualname__]
    return state
