"""The command as a person types it: the only way in which the recorded answers are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contrastcxr.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
RECORDED = Path(__file__).resolve().parent / "recorded"
"""What `record.py` wrote."""


def typed(*words: object) -> None:
    """Run `contrastcxr WORDS…` in this process; anything but success is an error."""
    status = run([str(word) for word in words])
    assert status == 0, f"contrastcxr {' '.join(map(str, words))}: exit status {status}"


def recorded(name: str) -> Any:
    """The answer that `record.py` kept under this name."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
