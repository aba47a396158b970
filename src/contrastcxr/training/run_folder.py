"""The folder of a run: what is in it, and whether a run may use it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contrastcxr.config.parts import SystemConfig
from contrastcxr.config.reading import parse_config, read_with_parents
from contrastcxr.errors import ConfigError, OutputError
from contrastcxr.training.run_record import RECORD_FILE

CHECKPOINT_FILE = "checkpoint.safetensors"
CLUSTERS_FILE = "clusters.json"
CONFIG_FILE = "config.yaml"
LOG_FILE = "log.txt"
METRICS_FILE = "metrics.jsonl"
STATE_FILE = "last.ckpt"


@dataclass(frozen=True)
class RunFolder:
    """Where a run left its results.

    Attributes:
        path: of the folder.
        best: validation scores of the checkpoint, and its epoch.
        unreadable: lines on views that were left out; a command that got any ends with status 1.
        writes: whether this process wrote them; of several that a launcher has started only the first one does.
    """

    path: Path
    best: Mapping[str, float]
    unreadable: tuple[str, ...] = ()
    writes: bool = True

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


def check_folder(out: Path, config: SystemConfig, *, resume: bool) -> None:
    """Refuse a folder that cannot be written, holds another run, or holds this one unless it is resumed."""
    there = next(each for each in (out, *out.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise OutputError(f"{out}: {there} is no folder that can be written; choose another --out")
    path = out / CONFIG_FILE
    if not path.is_file():
        return
    if not resume:
        raise ConfigError(f"{out} holds a run already; add --resume to go on with it, or choose another --out")
    # Read and not compared as text: a run that began before a field existed goes on with that field's default.
    if parse_config(read_with_parents(path), where=str(path)) != config:
        raise ConfigError(
            f"{path} differs from the configuration given; resume with the same one, or choose another --out"
        )


def finished(out: Path, *, writes: bool = True) -> RunFolder:
    """Return what a finished run left in its folder; what could not be read is said by the process that writes."""
    said = json.loads((out / RECORD_FILE).read_text(encoding="utf-8"))
    return RunFolder(out, said["best"], tuple(said["unreadable"]) if writes else (), writes=writes)
