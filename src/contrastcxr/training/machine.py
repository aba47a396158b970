"""Lightning set up as this project uses it: the batches of each epoch, processes, what they fail with, silence."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader

from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.batch import Batch, rows_of
from contrastcxr.features.samples import loader
from contrastcxr.training.epochs import EpochKeeper
from contrastcxr.training.messages import LIGHTNING, error_line, error_of, silence_lightning
from contrastcxr.training.order import Share, epoch_batches
from contrastcxr.training.placement import Placement

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun


WAIT = timedelta(hours=1)
"""How long processes wait for one another: all to start, and the others while the first one validates (ours)."""
HALVES = 2
"""Parts that a batch is taken in where the whole of it does not fit into the memory of a GPU."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Batches in two halves each: the first one comes with the second behind it, then the second alone."""

    batches: DataLoader[Batch]

    def __len__(self) -> int:
        return HALVES * len(self.batches)

    def __iter__(self) -> Iterator[list[Batch]]:
        for batch in self.batches:
            first, second = (rows_of(batch, range(part, len(batch), HALVES)) for part in range(HALVES))
            yield [first, second]
            yield [second]


class EpochData(L.LightningDataModule):
    """Batches of each epoch, in the order that seed and epoch decide, this process's share of them.

    Args:
        prepared: the run.
        parts: 2 takes each batch in halves, as `Halves` does.
    """

    def __init__(self, prepared: PreparedRun, *, parts: int = 1) -> None:
        super().__init__()
        self.prepared = prepared
        self.parts = parts
        grouped = prepared.config.train.group_by_length
        self.lengths = [target.length for target in prepared.train.targets] if grouped else None

    def train_dataloader(self) -> DataLoader[Batch] | Halves:
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
        batches = loader(
            self.prepared.samples(self.prepared.train, epoch=epoch),
            [share.of(batch) for batch in whole],
            pad=self.prepared.pad,
            workers=self.prepared.workers,
            pin=self.trainer.strategy.root_device.type == "cuda",
        )
        return batches if self.parts == 1 else Halves(batches)


def make_trainer(
    config: SystemConfig,
    keeper: EpochKeeper,
    placement: Placement,
    *,
    out: Path,
    logger: Any = False,
    parts: int = 1,
    progress: bool | None = None,
) -> L.Trainer:
    """Return a trainer whose only callbacks are the keeper and, where it is shown, a bar.

    Args:
        config: of the system.
        keeper: of the epochs.
        placement: where it trains.
        out: the run folder.
        logger: Lightning's, for others to write to; False for none.
        parts: those that each batch is taken in.
        progress: a bar over the steps; None shows it on a terminal.
    """
    shown = sys.stderr.isatty() if progress is None else progress
    return L.Trainer(
        accelerator=placement.accelerator,
        devices=placement.devices,
        num_nodes=placement.nodes,
        strategy=_strategy(placement),
        plugins=[placement.environment] if placement.environment else None,
        precision="32-true" if placement.precision == "32" else placement.precision,
        accumulate_grad_batches=parts,
        max_epochs=config.train.epochs,
        callbacks=[keeper, *([TQDMProgressBar()] if shown else [])],
        default_root_dir=out,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=shown,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )


def _strategy(placement: Placement) -> Any:
    if placement.processes == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    # Spawned, not re-executed: `run` may be called from any program, whose command line is not ours to repeat.
    # What a launcher has started is left as it is by `popen`.
    # A process may have no sentence for one of two writers, no indication, or no stop to learn in a second stage.
    method: Any = "spawn" if placement.spawns else "popen"
    return DDPStrategy(start_method=method, timeout=WAIT, find_unused_parameters=True)


@contextmanager
def plain_errors(placement: Placement, keeper: EpochKeeper) -> Iterator[None]:
    """Raise what other processes failed with as this one would have, and say in words that they do not meet.

    Raises:
        IncompatibleError: the processes did not all start in time, or one of them ended.
    """
    try:
        yield
    except ProcessRaisedException as error:
        said = str(error).strip()
        lost = next((line for line in said.splitlines() if _is_of_processes(line)), None)
        raise error_of(said.splitlines()[-1]) or (_lost(lost) if lost else error) from None
    except ProcessExitedException as error:
        name = error.signal_name
        how = f"signal {name}" if name else f"exit status {error.exit_code}"
        full = ", as when the machine's memory is full" if name == "SIGKILL" else ""
        raise _lost(f"process {error.error_index} was ended by {how}{full}") from None
    except RuntimeError as error:
        line = f"{error_line(error)}\n".splitlines()[0]
        if placement.processes == 1 or not _is_of_processes(line):
            raise
        raise (_lost(line) if keeper.met else _unmet(placement)) from None


def _is_of_processes(line: str) -> bool:
    """Return whether a line of a traceback is an error between processes; gloo's have no class of their own."""
    kind, _, message = line.partition(": ")
    return kind.startswith("torch.distributed.Dist") or (kind == "RuntimeError" and "gloo" in message)


def _unmet(placement: Placement) -> IncompatibleError:
    return IncompatibleError(
        f"--devices {placement.devices} --nodes {placement.nodes}: {placement.processes} processes did not "
        f"meet within {WAIT}; start the command on all nodes, with one address and port of the first node "
        "(MASTER_ADDR, MASTER_PORT) that the others can reach"
    )


def _lost(how: str) -> IncompatibleError:
    return IncompatibleError(
        f"the processes have lost one another: {how}; what one of them said stands above, or in its own log; "
        "if an epoch was finished, go on with --resume"
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence hints on hardware, loaders and loggers; errors still come through; all is as before afterwards."""
    levels = {name: logging.getLogger(name).level for name in LIGHTNING}
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
