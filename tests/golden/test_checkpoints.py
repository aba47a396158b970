"""Checkpoints of format 1, which the bundled models are, load and write reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import contrastcxr
from golden.command import ROOT
from golden.readings import MODELS
from tiny_system import smooth

FORMAT = "1"


def bundled(model: str) -> Path:
    """The one checkpoint of this name in the checkout, wherever the package keeps it."""
    (path,) = (found for place in ("models", "src") for found in (ROOT / place).rglob(f"{model}.safetensors"))
    return path


@pytest.mark.parametrize("model", MODELS)
def test_a_bundled_checkpoint_is_of_format_1(model: str) -> None:
    with safe_open(bundled(model), framework="np") as file:
        assert file.metadata()["format_version"] == FORMAT


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_of_format_1_loads_whole(model: str) -> None:
    with safe_open(bundled(model), framework="np") as file:
        weights = {name for name in file.keys() if not name.startswith("quality.")}  # noqa: SIM118
    checkpoint = contrastcxr.load_checkpoint(bundled(model))
    assert set(checkpoint.state) == weights
    assert len(checkpoint.tokenizer) > 100
    assert set(checkpoint.thresholds) <= set(checkpoint.labels)
    assert checkpoint.pool
    assert checkpoint.quality
    assert not checkpoint.build().training


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_of_format_1_writes_a_report(model: str, tmp_path: Path) -> None:
    pixels = smooth(np.random.default_rng(0), 160, 140)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / "chest.png")
    (reading,) = contrastcxr.read(tmp_path / "chest.png", model=bundled(model))
    assert reading.report.sentences
    assert {finding.name for finding in reading.findings} >= set(
        contrastcxr.load_checkpoint(bundled(model)).labels
    )
