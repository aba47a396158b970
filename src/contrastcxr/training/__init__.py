"""Training: cached features, the Lightning task, validation through the reader, calibration, the run record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contrastcxr.errors import MissingExtraError

if TYPE_CHECKING:
    from contrastcxr.config import SystemConfig
    from contrastcxr.training.run_folder import RunFolder


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
    """Train a system as configured and leave a run folder; see `contrastcxr.training.trainer.run`.

    `cache` is the folder for encoder features; unless given, `$CONTRASTCXR_CACHE`, or `.cache/contrastcxr` below
    the working directory.

    Raises:
        MissingExtraError: the extra `train` is not installed.
    """
    # Lightning takes seconds to import, and reading must not need it.
    try:
        from contrastcxr.training import trainer
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "lightning":
            raise
        raise MissingExtraError("lightning", "train", "training") from None
    from contrastcxr.files import default_cache

    return trainer.run(
        config,
        out=Path(out),
        cache=Path(cache) if cache is not None else default_cache(),
        resume=resume,
        devices=devices,
        progress=progress,
        quality=quality,
    )
