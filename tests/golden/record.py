"""Records what today's code answers, for the tests beside this file.

    PYTHONPATH=tests python -m golden.record [readings] [training]

Run it only where an answer was meant to change, say in the commit why it did, and look at what `git diff` shows.
On one machine two runs write the same bytes, so there it is also the strictest of these tests: run it, and
`git diff --exit-code tests/golden` must be silent. The NIH picture is looked for in ../shared/data beside the
checkout; without it its recorded readings stay as they are.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from golden import readings, training
from golden.command import RECORDED, ROOT


def write(name: str, value: Any) -> None:
    """One answer as JSON, a line for each of its parts so that a change can be seen."""
    path = RECORDED / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(lines(value, deep=3) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")


def lines(value: Any, *, deep: int) -> str:
    """JSON with a line for each value down to this depth, and all below it on that line."""
    if not deep or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    parts = [f"{json.dumps(key)}:{lines(value[key], deep=deep - 1)}" for key in sorted(value)]
    return "{\n" + ",\n".join(parts) + "\n}"


def record_readings(folder: Path) -> None:
    inputs = {"phantoms": readings.draw(folder / "phantoms")}
    picture = ROOT.parent / "shared" / "data" / "nih14" / "images" / readings.NIH_PICTURE
    if picture.is_file():
        inputs["nih"] = picture
    for name, path in inputs.items():
        for model in readings.MODELS:
            write(f"{model}-{name}", readings.read(path, model, folder / f"{model}-{name}"))


def record_training(folder: Path) -> None:
    write("training", {name: training.train(name, folder / name, folder / "cache") for name in training.RUNS})


RECORDERS = {"readings": record_readings, "training": record_training}


def main(asked: list[str]) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the first command loads PyTorch
    for name in asked or list(RECORDERS):
        with tempfile.TemporaryDirectory() as folder:
            RECORDERS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
