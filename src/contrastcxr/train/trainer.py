"""One run from a configuration to a run folder."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader

from contrastcxr.assemble import check_pairs
from contrastcxr.checkpoint import Checkpoint, load_checkpoint, read_training_state, save_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.data.batch import Batch
from contrastcxr.errors import ConfigError, IncompatibleError
from contrastcxr.files import atomic_write
from contrastcxr.form import Author
from contrastcxr.models.system import ReportSystem
from contrastcxr.read.reader import Reader
from contrastcxr.train.calibrate import Calibration, calibrate
from contrastcxr.train.data import Share, epoch_batches, loader
from contrastcxr.train.epochs import METRICS_FILE, STATE_FILE, EpochKeeper, EpochRules, Refresh, read_metrics
from contrastcxr.train.features import Say, silent
from contrastcxr.train.prepare import Prepared, pooled_by, prepare
from contrastcxr.train.run_record import RECORD_FILE, RunRecord, data_fingerprint
from contrastcxr.train.task import ReportTask, loss_weights
from contrastcxr.train.validate import Validation

CHECKPOINT_FILE = "checkpoint.safetensors"
CONFIG_FILE = "config.yaml"
LOG_FILE = "log.txt"


@dataclass(frozen=True)
class RunFolder:
    """Where a run left its results.

    Attributes:
        path: of the folder.
        best: validation scores of the checkpoint, and its epoch.
        unreadable: lines on views that were left out; a command that got any ends with status 1.
    """

    path: Path
    best: Mapping[str, float]
    unreadable: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> Path:
        """The best system on validation."""
        return self.path / CHECKPOINT_FILE

    @property
    def metrics(self) -> Path:
        """One line of JSON per epoch."""
        return self.path / METRICS_FILE

    @property
    def record(self) -> Path:
        """The run record."""
        return self.path / RECORD_FILE


class _Data(L.LightningDataModule):
    """Batches of each epoch, in the order that seed and epoch decide, this process's share of them."""

    def __init__(self, prepared: Prepared) -> None:
        super().__init__()
        self.prepared = prepared

    def train_dataloader(self) -> DataLoader[Batch]:
        """The current epoch's batches."""
        assert self.trainer is not None
        settings = self.prepared.config.train
        epoch = self.trainer.current_epoch
        whole = epoch_batches(
            len(self.prepared.train), batch_size=settings.batch_size, seed=settings.seed, epoch=epoch
        )
        share = Share(self.trainer.global_rank, self.trainer.world_size)
        return loader(
            self.prepared.samples(self.prepared.train, epoch=epoch),
            [share.of(batch) for batch in whole],
            pad=self.prepared.tokenizer.special.pad,
            workers=settings.workers if self.prepared.cache is None else 0,
        )


@dataclass(frozen=True, eq=False)
class _Score:
    """Validation scores of the system in training."""

    prepared: Prepared

    def __call__(self, system: ReportSystem) -> dict[str, float]:
        prepared = self.prepared
        validation = Validation(
            batches=list(prepared.batches(prepared.validation)),
            reports=prepared.validation.reports,
            truths=prepared.validation.truths,
            labels=prepared.labels,
            make_reader=self._reader,
            weights=loss_weights(prepared.config),
        )
        return validation.scores(system)

    def _reader(self, system: ReportSystem) -> Reader:
        prepared = self.prepared
        return Reader(
            system,
            prepared.tokenizer,
            prepared.preprocess,
            settings=prepared.config.generate,
            labels=prepared.labels,
            max_views=prepared.config.data.max_views,
            author=Author(kind="model", name=prepared.config.name),
        )


@dataclass(frozen=True, eq=False)
class _Keep:
    """Writes the checkpoint of the best system so far."""

    prepared: Prepared
    folder: Path

    def __call__(self, system: ReportSystem, best: Mapping[str, float]) -> None:
        prepared = self.prepared
        made = Checkpoint(
            config=prepared.config,
            tokenizer=prepared.tokenizer,
            labels=prepared.labels,
            preprocess=prepared.preprocess,
            state=system.state_dict(),
            sources=prepared.sources,
            pool=prepared.pool.pool.metadata() if prepared.pool else None,
            record={"best": dict(best), "seed": prepared.config.train.seed},
        )
        save_checkpoint(self.folder / CHECKPOINT_FILE, made, dtype=prepared.config.train.checkpoint_dtype)


@dataclass(frozen=True, eq=False)
class _RefreshPool:
    """Encodes the pool's pictures again with the encoder as it is now."""

    prepared: Prepared

    def __call__(self, system: ReportSystem) -> None:
        pool = self.prepared.pool
        assert pool is not None
        assert system.pool is not None
        assert system.encoder is not None
        encode = pooled_by(system.encoder, self.prepared.preprocess)
        system.pool.refresh(torch.stack([encode(view) for view in pool.views]))


def run(
    config: SystemConfig,
    *,
    out: Path,
    cache: Path,
    resume: bool = False,
    devices: int = 1,
    progress: bool | None = None,
    say: Say = silent,
) -> RunFolder:
    """Train a system as configured and leave a run folder.

    Args:
        config: of the system.
        out: the run folder; made when absent, refused when it holds another run and `resume` is off.
        cache: where encoder features are kept.
        resume: go on from the last whole epoch in `out`.
        devices: processes on this machine (gloo on the CPU); they share each batch.
        progress: a bar over the steps; None shows it on a terminal.
        say: takes lines of progress; they also go to the log.

    Raises:
        ConfigError: `out` holds a run of another configuration, or a run and `resume` is off.
        IncompatibleError: parts that cannot work together, or a batch that the processes cannot share.
        DatasetError: no studies, or studies without readings.
    """
    check_pairs(config)
    _check_devices(config, devices)
    _check_folder(out, config, resume=resume)
    if resume and (out / RECORD_FILE).is_file():
        say(f"{out}: this run is already finished; nothing to do")
        return _finished(out)
    # Nothing is written into the folder before the data have turned out usable.
    prepared = prepare(config, cache=cache, say=say)
    with atomic_write(out / CONFIG_FILE) as file:
        file.write(config.to_yaml())
    tell = _Log(out / LOG_FILE, say)
    keeper = _fit(prepared, out=out, resume=resume, devices=devices, progress=progress, say=tell)
    return _close(prepared, keeper, out=out, say=tell)


def _check_devices(config: SystemConfig, devices: int) -> None:
    if devices < 1 or config.train.batch_size % devices:
        raise IncompatibleError(
            f"--devices {devices} with train.batch_size {config.train.batch_size}: "
            "the processes share each batch equally; choose a number that divides it"
        )


def _check_folder(out: Path, config: SystemConfig, *, resume: bool) -> None:
    """Refuse a folder that holds another run, or this one unless it is resumed."""
    path = out / CONFIG_FILE
    if not path.is_file():
        return
    if not resume:
        raise ConfigError(f"{out} holds a run already; add --resume to go on with it, or choose another --out")
    if path.read_text(encoding="utf-8") != config.to_yaml():
        raise ConfigError(
            f"{path} differs from the configuration given; resume with the same one, or choose another --out"
        )


@dataclass(frozen=True)
class _Log:
    """Lines go to the caller and to the run's log; spawned processes can take it along."""

    path: Path
    say: Say

    def __call__(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.say(line)


def precision_of(config: SystemConfig) -> str:
    """`fp32` or `bf16`: what is asked for, and for `auto` bf16 where the CPU multiplies it in hardware."""
    asked = config.train.precision
    if asked != "auto":
        return asked
    return "bf16" if cpu_multiplies_bf16() else "fp32"


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has bf16 instructions; without them bf16 is emulated and slower (docs/training.md)."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)


def _fit(
    prepared: Prepared, *, out: Path, resume: bool, devices: int, progress: bool | None, say: Say
) -> EpochKeeper:
    config = prepared.config
    steps = len(epoch_batches(len(prepared.train), batch_size=config.train.batch_size, seed=0, epoch=0))
    task = ReportTask(prepared.system, config=config, pad=prepared.tokenizer.special.pad, steps_per_epoch=steps)
    keeper = EpochKeeper(
        _rules(config),
        folder=out,
        score=_Score(prepared),
        keep=_Keep(prepared, out),
        refresh=_refresh(prepared),
        say=say,
    )
    say(
        f"training {config.name}: {len(prepared.train):,} studies, {len(prepared.validation):,} to validate, "
        f"{len(prepared.tokenizer):,} words, {_trained(prepared.system):,} parameters, {precision_of(config)}"
    )
    state = out / STATE_FILE if resume and (out / STATE_FILE).is_file() else None
    if state is not None:
        read_training_state(state)  # refuses a damaged or foreign file in one line, before anything is set up
    with _quiet_lightning(), torch.random.fork_rng(devices=[]):
        trainer = _trainer(config, keeper, out=out, devices=devices, progress=progress)
        trainer.fit(task, datamodule=_Data(prepared), ckpt_path=state, weights_only=True)
    if devices > 1:  # the processes kept their own; what they wrote is the truth
        keeper.load_state_dict(_kept_state(out))
    return keeper


def _rules(config: SystemConfig) -> EpochRules:
    return EpochRules(
        monitor=config.train.monitor,
        patience=config.train.patience,
        validate_every=config.train.validate_every,
        epochs=config.train.epochs,
        refresh_epochs=config.contrast.pool.refresh_epochs if config.contrast else 1,
    )


def _refresh(prepared: Prepared) -> Refresh | None:
    frozen = not prepared.config.encoder.trainable
    return None if frozen or prepared.pool is None else _RefreshPool(prepared)


def _trained(system: ReportSystem) -> int:
    return sum(p.numel() for p in system.parameters() if p.requires_grad)


def _kept_state(out: Path) -> dict[str, Any]:
    callbacks = read_training_state(out / STATE_FILE)["callbacks"]
    state: dict[str, Any] = callbacks[EpochKeeper.__qualname__]
    return state


def _trainer(
    config: SystemConfig, keeper: EpochKeeper, *, out: Path, devices: int, progress: bool | None
) -> L.Trainer:
    shown = sys.stderr.isatty() if progress is None else progress
    return L.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=_strategy(devices),
        precision="bf16-mixed" if precision_of(config) == "bf16" else "32-true",
        max_epochs=config.train.epochs,
        callbacks=[keeper, *([TQDMProgressBar()] if shown else [])],
        default_root_dir=out,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=shown,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )


def _strategy(devices: int) -> Any:
    if devices == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    # Spawned, not re-executed: `run` may be called from any program, whose command line is not ours to repeat.
    return DDPStrategy(start_method="spawn", process_group_backend="gloo")


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence hints on hardware, loaders and loggers; errors still come through; all is as before afterwards."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _close(prepared: Prepared, keeper: EpochKeeper, *, out: Path, say: Say) -> RunFolder:
    """Calibrate the best checkpoint on all validation studies, and write the run record."""
    unreadable = tuple(f"{u.view_id}: {u.message}" for u in prepared.unreadable)
    best = load_checkpoint(out / CHECKPOINT_FILE)
    calibration = _calibrated(prepared, best)
    record = _record(prepared, keeper, out=out, calibration=calibration, unreadable=unreadable)
    finished = replace(
        best,
        temperature=calibration.temperature if calibration else 1.0,
        thresholds=calibration.thresholds if calibration else {},
        record={**best.record, "data": dict(record.data), "versions": dict(record.versions)},
    )
    size = save_checkpoint(out / CHECKPOINT_FILE, finished, dtype=prepared.config.train.checkpoint_dtype)
    record.write(out)
    for line in unreadable:
        say(f"left out: {line}")
    say(f"best: epoch {keeper.best.get('epoch', 0):.0f}; checkpoint {size / 1e6:.1f} MB in {out}")
    return RunFolder(out, dict(keeper.best), unreadable)


def _calibrated(prepared: Prepared, best: Checkpoint) -> Calibration | None:
    if not prepared.labels:
        return None
    return calibrate(best.build(), list(prepared.batches(prepared.validation)), labels=prepared.labels)


def _record(
    prepared: Prepared,
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
        encoder={"name": encoder.name, "weights": encoder.weights_note, "fingerprint": encoder.fingerprint()},
        parameters=_trained(prepared.system),
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


def _finished(out: Path) -> RunFolder:
    said = json.loads((out / RECORD_FILE).read_text(encoding="utf-8"))
    return RunFolder(out, said["best"], tuple(said["unreadable"]))
