"""One small epoch of two configurations, and what its run folder says of it.

The phantoms are those of level `smoke`, for they are drawn and encoded in a fifth of the time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from golden.command import ROOT, typed

SMALL = (
    "data.source=phantom:smoke",
    "data.train_limit=200",
    "data.validation_limit=32",
    "train.epochs=1",
    "train.precision=fp32",
)
"""Changes of a configuration; bf16, which `auto` takes where the processor has it, has other losses."""
RUNS = {
    "transformer": ("decoder.kind=transformer",),
    "transformer-contrast": ("decoder.kind=transformer", "contrast.pool.kind=normal"),
    "hlstm": ("decoder.kind=hlstm",),
}
"""Name: what is changed in configs/cpu/first/phantom.yaml."""
TOLD = ("seed", "data", "encoder", "parameters", "pool", "loss_weights", "precision", "vocabulary", "epochs")
"""What of a run record depends on neither time nor machine."""


def train(name: str, out: Path, cache: Path) -> dict[str, Any]:
    """Train one of the runs; its figures by epoch, and what it was made from."""
    changes = [word for change in (*SMALL, *RUNS[name]) for word in ("--set", change)]
    config = ROOT / "configs" / "cpu" / "first" / "phantom.yaml"
    typed("train", config, *changes, "--out", out, "--cache", cache, "--quiet")
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads((out / "run_record.json").read_text(encoding="utf-8"))
    return {
        "epochs": [without_seconds(json.loads(line)) for line in lines],
        "record": {key: record[key] for key in TOLD},
        "files": sorted(path.name for path in out.iterdir()),
    }


def without_seconds(epoch: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in epoch.items() if key != "seconds"}
