"""Benchmarks run, at a size that measures nothing, and say what they are there to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contrastcxr.checkpoint import save_checkpoint
from tiny_system import tiny_checkpoint, tiny_config

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


def test_a_reading_is_timed_beside_its_encoder(tmp_path: Path) -> None:
    difference = {"kind": "difference", "stage": 1}
    cells = {"kind": "li2018", "labels": "phantom", "upsample": None}
    aligned = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}
    alone = {"decoder": None, "finding_head": None, "train": {"monitor": "auc"}}
    config = tiny_config(contrast=difference, localizer=cells, align=aligned, **alone)
    save_checkpoint(tmp_path / "checkpoint.safetensors", tiny_checkpoint(config))
    command = [sys.executable, str(ROOT / "benchmarks" / "reading.py"), str(tmp_path), "--repeats", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"{part} " in done.stdout for part in ("encoder", "features", "heads", "reading"))
    beside = subprocess.run([*command, "--beside", str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"times {tmp_path}, of a picture of 512×512 (aim: 2.0)" in beside.stdout
    assert "times two forward passes" in done.stdout
