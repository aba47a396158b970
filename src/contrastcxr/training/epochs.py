"""After each epoch: validate, keep the best, write metrics and the state that resumes, and say when to stop."""

from __future__ import annotations

import json
import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch

from contrastcxr.errors import DivergedError, IncompatibleError, listed
from contrastcxr.files import atomic_write
from contrastcxr.models.system import System
from contrastcxr.training.messages import Relay, error_line, error_of
from contrastcxr.training.release import HeadReleases
from contrastcxr.training.run_folder import CONFIG_FILE, METRICS_FILE, STATE_FILE
from contrastcxr.training.task import ReportTask

logger = logging.getLogger(__name__)

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "bleu4": True,
    "positive_f1": True,
    "auc": True,
    "map": True,
    "loss": False,
    "report_loss": False,
    "abnormal_words": False,
}
"""The figures that a checkpoint can be chosen by."""
LAST = "last"
"""The monitor that takes the last epoch, whatever its figures."""
LOGGED = ("loss", "report_loss", "bleu4", "positive_f1", "auc", "iou", "map", "map_50", "exchange_rise")
"""The validation scores in the log's line of an epoch; all of them are in the metrics."""

T = TypeVar("T")
Score = Callable[[System], dict[str, float]]
Keep = Callable[[System, Mapping[str, float]], None]
Refresh = Callable[[System], None]
Track = Callable[[Any, System, int, Mapping[str, float], Mapping[str, float]], None]
"""Gives a logger what an epoch, counted from 1, came to: of the system its losses and its validation scores."""


@dataclass(frozen=True)
class EpochRules:
    """What decides, how long to wait for something better, and when to encode the pool again."""

    monitor: str
    patience: int
    epochs: int
    refresh_epochs: int = 1

    def better(self, score: float, best: float | None) -> bool:
        """Return whether a score of the monitored metric beats the best so far; the last one always does."""
        return (
            self.monitor == LAST
            or best is None
            or (score > best if HIGHER_IS_BETTER[self.monitor] else score < best)
        )


@dataclass(eq=False, repr=False, kw_only=True)
class EpochKeeper(L.Callback):
    """Runs between epochs. The first process scores and writes, the others wait for its verdict.

    Attributes:
        rules: by what metric, and for how long.
        folder: the run folder.
        score: from the system to its validation scores.
        keep: writes the checkpoint when a score is the best so far.
        refresh: encodes the pool again when the encoder is trained; None for a frozen one.
        track: what a logger is given, where there is one.
        relay: takes messages to the process that runs the training, when others do the work.
        met: whether the processes have all started.
        best: scores so far, and their epoch.
        releases: of heads that stop shaping the features.
        seconds: spent so far.
    """

    rules: EpochRules
    folder: Path
    score: Score
    keep: Keep
    refresh: Refresh | None
    track: Track
    relay: Relay | None
    met: bool = False
    best: dict[str, float] = field(default_factory=dict)
    releases: HeadReleases = field(default_factory=HeadReleases)
    seconds: float = 0.0
    _started: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the best scores so far, the heads' releases and the seconds spent: the resumable state."""
        return {"best": dict(self.best), "seconds": self.seconds, "releases": self.releases.to_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of an earlier part of the run."""
        self.best = dict(state_dict["best"])
        self.seconds = float(state_dict["seconds"])
        if "releases" in state_dict:  # states of earlier versions have none
            self.releases = HeadReleases.from_dict(state_dict["releases"])

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begin the run folder: all processes are here, and each has seen that it may be used.

        Messages go to the process that spawned this one, and the cores are shared, which each would take whole.
        """
        del stage
        assert isinstance(pl_module, ReportTask)
        self.met = True
        if trainer.is_global_zero:
            if self.relay is not None:
                self.relay.send()
            with atomic_write(self.folder / CONFIG_FILE) as file:
                file.write(pl_module.config.to_yaml())
        if trainer.num_devices > 1:
            torch.set_num_threads(max(1, torch.get_num_threads() // trainer.num_devices))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train no further where the run had ended with its patience, and was stopped behind it."""
        del pl_module
        trainer.should_stop = trainer.should_stop or self._waited(trainer.current_epoch) >= self.rules.patience

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, release heads as before a resume, re-encode the pool where the encoder has moved."""
        assert isinstance(pl_module, ReportTask)
        self._started = time.perf_counter()
        self.releases.apply(pl_module.system)
        due = trainer.current_epoch % self.rules.refresh_epochs == 0 and trainer.current_epoch > 0
        if due and self.refresh is not None:
            with _between_epochs():
                self.refresh(pl_module.system)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validate, keep the best, write a line of metrics and the resumable state."""
        assert isinstance(pl_module, ReportTask)
        system, losses = pl_module.system, pl_module.mean_losses()
        epoch = trainer.current_epoch + 1
        scores = _by_the_first(trainer, lambda: self.score(system))
        improved = self._note(epoch, scores)
        released = self.releases.note(system, scores, epoch=epoch)
        trainer.should_stop = trainer.should_stop or self._waited(epoch) >= self.rules.patience
        self.seconds += time.perf_counter() - self._started

        def write() -> None:
            if improved:
                self.keep(system, self.best)
            self._write(epoch, losses=losses, scores=scores, improved=improved)
            for line in released:
                logger.info(line)
            for kept in trainer.loggers:
                self.track(kept, system, epoch, losses, scores)

        _by_the_first(trainer, write)
        save_state(trainer, self.folder / STATE_FILE)

    def _waited(self, epoch: int) -> int:
        """Return the epochs since the best one."""
        return epoch - int(self.best.get("epoch", epoch))

    def _note(self, epoch: int, scores: Mapping[str, float]) -> bool:
        """Remember the scores when they are the best so far."""
        monitor = self.rules.monitor
        if not scores:
            raise DivergedError(
                f"training diverged in epoch {epoch}: expected validation scores, found none that is a finite "
                "number; train anew with a lower train.optimizer.lr or train.optimizer.clip_norm"
            )
        if monitor not in (LAST, *scores):
            given = listed(sorted(scores.keys() & HIGHER_IS_BETTER.keys()), near=monitor)
            raise IncompatibleError(
                f"train.monitor {monitor}: validation gave no such figure; choose one of {given}, or {LAST}"
            )
        improved = self.rules.better(scores.get(monitor, math.nan), self.best.get(monitor))
        if improved:
            self.best = {**scores, "epoch": float(epoch)}
        return improved

    def _write(
        self, epoch: int, *, losses: Mapping[str, float], scores: Mapping[str, float], improved: bool
    ) -> None:
        line = {"epoch": epoch, "train": dict(losses), "validation": dict(scores), "best": improved}
        _append(self.folder / METRICS_FILE, {**line, "seconds": round(self.seconds, 3)})
        trained = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        scored = ", ".join(f"{name} {scores[name]:.3f}" for name in LOGGED if name in scores)
        mark = " (best so far)" if improved and self.rules.monitor != LAST else ""
        logger.info(f"epoch {epoch} of {self.rules.epochs}: {trained}; validation {scored}{mark}")


def _by_the_first(trainer: L.Trainer, work: Callable[[], T]) -> T:
    """Return what the first process makes, in every process; none waits for one that has failed at it."""
    made: T | None = None
    failed: Exception | None = None
    said: tuple[str, str] | None = None
    if trainer.is_global_zero:
        try:
            with _between_epochs():
                made = work()
        except Exception as error:
            failed, said = error, (error_line(error), traceback.format_exc())
    try:
        made, said = trainer.strategy.broadcast((made, said))
    finally:
        if failed is not None:
            raise failed
    if said is not None:
        raise error_of(said[0]) or RuntimeError(f"the first process failed:\n{said[1]}")
    return made  # type: ignore[return-value]


@contextmanager
def _between_epochs() -> Iterator[None]:
    """Say in words that memory is full: what is computed between epochs is in no batch that could be halved."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise IncompatibleError(
            "the GPU's memory does not hold what is computed between epochs (validation, the pool's pictures, "
            "those of a logger); train anew with fewer generate.beams, or a smaller image.size or width"
        ) from None


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Rewrite the file with one more line; lines of epochs that are trained again after a resume are replaced."""
    kept = [old for old in read_metrics(path) if old["epoch"] < line["epoch"]]
    with atomic_write(path) as file:
        file.writelines(json.dumps(old) + "\n" for old in (*kept, line))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics, one per epoch; empty when there are none yet."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def save_state(trainer: L.Trainer, path: Path) -> None:
    """Write the resumable state under a temporary name, then rename; every process must call it."""
    temporary = path.with_suffix(".part")
    trainer.save_checkpoint(temporary)
    if trainer.is_global_zero:
        temporary.replace(path)
    trainer.strategy.barrier()
