"""Benchmarks run, at a size that measures nothing, and say what they are there to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "--tokens",
    "20",
    "--batch",
    "2",
    "--width",
    "16",
    "--vocabulary",
    "40",
    "--patches",
    "4",
    "--threads",
    "1",
)


@pytest.mark.parametrize("decoder", ["nic", "hlstm", "transformer"])
def test_cached_and_uncached_searches_are_timed(decoder: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "decode.py"), decoder, *SMALL, "--repeats", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{decoder}, fp32, uncached:" in done.stdout
    assert "tokens identical: True" in done.stdout
