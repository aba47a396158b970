"""The published settings take a training step, on miniature data and with random encoder weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrastcxr.config import load_config
from contrastcxr.train import run

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper"
MINIATURE = (
    "encoder.weights=random",
    "image.size=64",
    "text.min_count=1",
    "train.epochs=1",
    "train.workers=0",
    "train.monitor=loss",
    "generate.method=greedy",
    "generate.max_tokens=4",
)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize("name", ["iu-nic", "iu-transformer", "mimic-nic", "mimic-transformer"])
def test_a_published_setting_takes_a_training_step(name: str, tmp_path: Path, shared_cache: Path) -> None:
    config = load_config(PAPER / f"{name}.yaml", overrides=MINIATURE)
    assert (config.width, config.encoder.name) == (512, "resnet50")
    folder = run(config, out=tmp_path / name, cache=shared_cache, progress=False)
    record = json.loads(folder.record.read_text())
    assert (record["epochs"], record["pool"]["wanted"], record["pool"]["size"]) == (1, 1000, 8)
