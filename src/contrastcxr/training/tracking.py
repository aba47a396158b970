"""Epochs in TensorBoard, MLflow or Weights & Biases: figures, sample reports, and where words look.

All of it stays in files of the run folder. Studies are called by their place among those of validation: no id, no
file's name and no path is given away. What a report says is shown as it was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import report_text
from contrastcxr.data.transforms import invert, map_boxes
from contrastcxr.errors import MissingExtraError
from contrastcxr.features.batch import rows_of
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import Map, Reading, Study
from contrastcxr.models.system import System
from contrastcxr.training.hooks import ScoreSystem

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun

SAMPLES = 4
"""Validation studies that are shown after each epoch, the first ones (ours)."""
SECTIONS = ("findings", "impression")

Pixels = NDArray[np.uint8]
"""A picture `[S, S, 3]`."""


def check_logger(kind: str) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if kind == "none":
        return
    try:
        metadata(kind)  # a folder of that name, as a run folder has one, can be imported too
    except PackageNotFoundError:
        raise MissingExtraError(kind, "log", f"train.logger {kind}") from None


def make_logger(config: SystemConfig, out: Path) -> Any:
    """Return Lightning's logger of `train.logger`, which writes into the run folder; False for none."""
    kind = config.train.logger
    return False if kind == "none" else _LOGGERS[kind](config.name, out.absolute())


def close_logger(config: SystemConfig) -> None:
    """End what a logger has begun, so that the next run of this process begins its own."""
    if config.train.logger == "wandb":
        import wandb

        wandb.finish()


def _tensorboard(name: str, out: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    del name  # the run folder has it
    return TensorBoardLogger(out, name="", version="tensorboard")


def _mlflow(name: str, out: Path) -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it reads this when it is imported
    from lightning.pytorch.loggers import MLFlowLogger

    return MLFlowLogger(
        experiment_name=name,
        run_name=out.name,
        tracking_uri=f"sqlite:///{out / 'mlflow.db'}",
        artifact_location=(out / "mlflow").as_uri(),
        # Unasked it keeps who ran which file of the machine.
        tags={"mlflow.user": "", "mlflow.source.name": "contrastcxr"},
    )


def _wandb(name: str, out: Path) -> Any:
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # it reports its own errors from offline runs too
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    # Nothing of the console, which names pictures that cannot be read, of the machine, its user and the command.
    settings = wandb.Settings(console="off", host="", username="", program="", **_UNTOLD)
    return WandbLogger(name=name, save_dir=out, offline=True, project="contrastcxr", settings=settings)


_UNTOLD = dict.fromkeys(
    ("disable_git", "disable_code", "disable_job_creation", "x_disable_meta", "x_disable_machine_info"), True
)
"""What Weights & Biases would keep of the machine and the program unasked."""
_LOGGERS: Mapping[str, Callable[[str, Path], Any]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


@dataclass(frozen=True, eq=False)
class ShownStudy:
    """One validation study after an epoch.

    Attributes:
        name: its place among the validation studies, from 1.
        text: the report that was written and the one that should have been.
        picture: where the words looked, over the picture; None of a system without attention over it.
    """

    name: str
    text: str
    picture: Pixels | None


@dataclass(frozen=True, eq=False)
class EpochTracker:
    """Gives a logger what an epoch came to."""

    prepared: PreparedRun

    def __call__(
        self,
        logger: Any,
        system: System,
        epoch: int,
        losses: Mapping[str, float],
        scores: Mapping[str, float],
    ) -> None:
        """Log losses, scores and samples.

        Args:
            logger: Lightning's.
            system: in training.
            epoch: from 1.
            losses: of training, by name.
            scores: of validation, by name.
        """
        parts = {"train": losses, "validation": scores}
        figures = {f"{part}/{name}": value for part, each in parts.items() for name, value in each.items()}
        logger.log_metrics(figures, step=epoch)
        show = _SHOWS[self.prepared.config.train.logger]
        for sample in self.samples(system):
            show(logger, sample, epoch)

    def samples(self, system: System) -> Iterator[ShownStudy]:
        """Yield the first validation studies as the system reads them now; none of a system without words."""
        prepared = self.prepared
        if prepared.tokenizer is None:
            return
        batch = next(iter(prepared.batches(prepared.validation)))
        batch = rows_of(batch, range(min(SAMPLES, len(batch))))
        readings = ScoreSystem(prepared).reader(system).read_features(batch, evidence=True)
        for number, reading in enumerate(readings):
            wanted = prepared.validation.reports[number]
            text = f"written: {report_text(reading, sections=SECTIONS)}\n\nreference: {wanted}"
            picture = self._attention(prepared.validation.studies[number], reading)
            yield ShownStudy(f"study {number + 1}", text, picture)

    def _attention(self, study: Study, reading: Reading) -> Pixels | None:
        """Return the first view that words look at, and the mean of where they do."""
        maps = [views[0] for views in reading.evidence.attention if views]
        if not maps:
            return None
        read = self.prepared.picture_of(study.views[maps[0].view])
        image, affine = whole_picture(self.prepared.preprocess, read.pixels, shape=read.shape)
        return heated(image.mean(dim=0).numpy(), maps, to_original=affine)


def heated(picture: NDArray[np.float32], maps: Sequence[Map], *, to_original: NDArray[np.float64]) -> Pixels:
    """Return a picture with the mean of maps in red over it.

    Args:
        picture: `[S, S]`, on any scale.
        maps: of one view, all over the same extent.
        to_original: `[2, 3]`, pixels of the picture to those of the original, which the extent is in.
    """
    grey = 255 * (picture - picture.min()) / max(float(np.ptp(picture)), 1e-6)
    weights = np.mean([each.rows for each in maps], axis=0)
    corners = np.rint(map_boxes(invert(to_original), np.array([maps[0].extent]))[0]).astype(int)
    left, top, right, bottom = (int(value) for value in corners)
    small = Image.fromarray((255 * weights / max(float(weights.max()), 1e-6)).astype(np.uint8))
    heat = Image.new("L", picture.shape[::-1])
    size = (max(right - left, 1), max(bottom - top, 1))
    heat.paste(small.resize(size, Image.Resampling.BILINEAR), (left, top))
    shown: Pixels = np.stack([np.maximum(grey, np.asarray(heat)), grey, grey], axis=-1).astype(np.uint8)
    return shown


def _in_tensorboard(logger: Any, sample: ShownStudy, epoch: int) -> None:
    logger.experiment.add_text(sample.name, sample.text, epoch)
    if sample.picture is not None:
        logger.experiment.add_image(f"{sample.name} attention", sample.picture, epoch, dataformats="HWC")


def _in_mlflow(logger: Any, sample: ShownStudy, epoch: int) -> None:
    stem = f"epoch {epoch}/{sample.name}"
    logger.experiment.log_text(logger.run_id, sample.text, f"{stem}.md")
    if sample.picture is not None:
        logger.experiment.log_image(logger.run_id, sample.picture, f"{stem}.png")


def _in_wandb(logger: Any, sample: ShownStudy, epoch: int) -> None:
    logger.log_text(sample.name, columns=["epoch", "report"], data=[[epoch, sample.text]], step=epoch)
    if sample.picture is not None:
        logger.log_image(f"{sample.name} attention", [sample.picture], step=epoch)


_SHOWS: Mapping[str, Callable[[Any, ShownStudy, int], None]] = {
    "tensorboard": _in_tensorboard,
    "mlflow": _in_mlflow,
    "wandb": _in_wandb,
}
