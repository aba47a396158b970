"""One run from a configuration to a run folder."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from contrastcxr.assemble import check_pairs
from contrastcxr.checkpoint import read_training_state
from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.metrics.cider_d import CiderD
from contrastcxr.models.heads.localizers.options import CrossAttentionOptions
from contrastcxr.training.align import with_trained_aligner
from contrastcxr.training.epochs import EpochKeeper, EpochRules, Refresh
from contrastcxr.training.finish import close_run, trained_parameters
from contrastcxr.training.hooks import KeepBest, RefreshPool, ScoreSystem
from contrastcxr.training.machine import EpochData, make_trainer, precision_of, quiet_lightning
from contrastcxr.training.messages import Relay, run_log
from contrastcxr.training.order import epoch_batches
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.regions import WELL_ANCHORED, count_few_regions, with_trained_regions
from contrastcxr.training.run_folder import (
    CONFIG_FILE,
    LOG_FILE,
    STATE_FILE,
    RunFolder,
    check_folder,
    finished,
)
from contrastcxr.training.run_record import RECORD_FILE
from contrastcxr.training.self_critical import SelfCritical
from contrastcxr.training.task import ReportTask

logger = logging.getLogger(__name__)


def run(
    config: SystemConfig,
    *,
    out: Path | str,
    cache: Path | str | None = None,
    resume: bool = False,
    devices: int = 1,
    progress: bool | None = None,
    quality: bool = True,
) -> RunFolder:
    """Train a system as configured and leave a run folder.

    Args:
        config: of the system.
        out: the run folder; made when absent, refused when it holds another run and `resume` is off.
        cache: folder of encoder features; None is `$CONTRASTCXR_CACHE`, or `.cache/contrastcxr` below the working
            directory.
        resume: go on from the last whole epoch in `out`.
        devices: processes on this machine (gloo on the CPU); they share each batch.
        progress: a bar over the steps; None shows it on a terminal.
        quality: measure training pictures at the end, for the warnings of readings: hundreds are read again.

    Raises:
        ConfigError: `out` holds a run of another configuration, or a run and `resume` is off.
        IncompatibleError: parts that cannot work together, or a batch that the processes cannot share.
        DatasetError: no studies, or studies without readings.
    """
    out, config = Path(out), with_trained_regions(with_trained_aligner(config))
    check_pairs(config)
    _check_devices(config, devices)
    check_folder(out, config, resume=resume)
    if resume and (out / RECORD_FILE).is_file():
        logger.info(f"{out}: this run is already finished; nothing to do")
        return finished(out)
    # Nothing is written into the folder before the data have turned out usable.
    prepared = prepare(config, cache=Path(cache or default_cache()))
    with atomic_write(out / CONFIG_FILE) as file:
        file.write(config.to_yaml())
    with run_log(out / LOG_FILE):
        if (share := prepared.anchored) is not None:
            logger.info(f"localizer: {share:.1%} of its boxes have an anchor with an IoU above {WELL_ANCHORED}")
        _say_few_regions(prepared)
        keeper = _fit(prepared, out=out, resume=resume, devices=devices, progress=progress)
        return close_run(prepared, keeper, out=out, quality=quality)


def _say_few_regions(prepared: PreparedRun) -> None:
    localizer = prepared.config.localizer
    if not isinstance(localizer, CrossAttentionOptions):
        return
    wanted = localizer.count
    fewer, none_beyond = count_few_regions(prepared.batches(prepared.train), wanted)
    if none_beyond:
        logger.warning(
            f"localizer: of {len(prepared.train):,} studies {fewer:,} have fewer than {wanted} regions, and "
            f"{none_beyond:,} none beyond these, whose regions are compared with none"
        )


def _check_devices(config: SystemConfig, devices: int) -> None:
    if devices < 1 or config.train.batch_size % devices:
        raise IncompatibleError(
            f"--devices {devices} with train.batch_size {config.train.batch_size}: "
            "the processes share each batch equally; choose a number that divides it"
        )
    if devices > 1 and (whole := config.whole_batch):
        raise IncompatibleError(
            f"--devices {devices} with {whole}: what is learnt depends on the whole batch, of which each process "
            "sees a part, and the run would not be that of one process; train with one"
        )


def _fit(prepared: PreparedRun, *, out: Path, resume: bool, devices: int, progress: bool | None) -> EpochKeeper:
    config = prepared.config
    steps = len(epoch_batches(len(prepared.train), batch_size=config.train.batch_size, seed=0, epoch=0))
    task = ReportTask(
        prepared.system,
        config=config,
        steps_per_epoch=steps,
        second=_second_stage(prepared),
    )
    relay = Relay() if devices > 1 else None
    keeper = EpochKeeper(
        rules=_rules(config),
        folder=out,
        score=ScoreSystem(prepared),
        keep=KeepBest(prepared, out),
        refresh=_refresh(prepared),
        relay=relay,
    )
    words = "" if prepared.tokenizer is None else f"{len(prepared.tokenizer):,} words, "
    logger.info(
        f"training {config.name}: {len(prepared.train):,} studies, {len(prepared.validation):,} to validate, "
        f"{words}{trained_parameters(prepared.system):,} parameters, "
        f"{precision_of(config)}"
    )
    state = out / STATE_FILE if resume and (out / STATE_FILE).is_file() else None
    if state is not None:
        read_training_state(state)  # refuses a damaged or foreign file in one line, before anything is set up
    with quiet_lightning(), torch.random.fork_rng(devices=[]), relay.receive() if relay else nullcontext():
        trainer = make_trainer(config, keeper, out=out, devices=devices, progress=progress)
        task.train()  # Lightning leaves the mode as it is, and an encoder is built in that of reading
        trainer.fit(task, datamodule=EpochData(prepared), ckpt_path=state, weights_only=True)
    if devices > 1:  # the processes kept their own; what they wrote is the truth
        keeper.load_state_dict(_kept_state(out))
    return keeper


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
