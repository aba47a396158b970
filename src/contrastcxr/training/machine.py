"""Lightning set up as this project uses it: the batches of each epoch, processes, precision, silence."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader

from contrastcxr.config import SystemConfig
from contrastcxr.features.batch import Batch
from contrastcxr.features.samples import loader
from contrastcxr.machine import cpu_multiplies_bf16
from contrastcxr.training.epochs import EpochKeeper
from contrastcxr.training.order import Share, epoch_batches

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun


class EpochData(L.LightningDataModule):
    """Batches of each epoch, in the order that seed and epoch decide, this process's share of them."""

    def __init__(self, prepared: PreparedRun) -> None:
        super().__init__()
        self.prepared = prepared
        grouped = prepared.config.train.group_by_length
        self.lengths = [target.length for target in prepared.train.targets] if grouped else None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the current epoch's batches."""
        assert self.trainer is not None
        settings = self.prepared.config.train
        epoch = self.trainer.current_epoch
        whole = epoch_batches(
            len(self.prepared.train),
            batch_size=settings.batch_size,
            seed=settings.seed,
            epoch=epoch,
            lengths=self.lengths,
        )
        share = Share(self.trainer.global_rank, self.trainer.world_size)
        return loader(
            self.prepared.samples(self.prepared.train, epoch=epoch),
            [share.of(batch) for batch in whole],
            pad=self.prepared.pad,
            workers=self.prepared.workers,
        )


def precision_of(config: SystemConfig) -> str:
    """Return `fp32` or `bf16`: what is asked for, and for `auto` bf16 where the CPU multiplies it in hardware."""
    wanted = config.train.precision
    if wanted != "auto":
        return wanted
    return "bf16" if cpu_multiplies_bf16() else "fp32"


def make_trainer(
    config: SystemConfig, keeper: EpochKeeper, *, out: Path, devices: int, progress: bool | None
) -> L.Trainer:
    """Return a trainer whose only callbacks are the keeper and, where it is shown, a bar."""
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
    # A process may have no sentence for one of two writers, no indication, or no stop to learn in a second stage.
    return DDPStrategy(start_method="spawn", process_group_backend="gloo", find_unused_parameters=True)


@contextmanager
def quiet_lightning() -> Iterator[None]:
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
