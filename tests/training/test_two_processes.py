"""Runs of other kinds than a report writer that two processes share: what they learn is one process's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import boxed_study, mini_config, use_studies
from node_command import COMMAND, TESTS

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.training import run
from contrastcxr.training.epochs import read_metrics

ONE_EPOCH: dict[str, Any] = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
ALONE: dict[str, Any] = {
    "decoder": None,
    "finding_head": None,
    "contrast": None,
    "projection": {"kind": "none"},
    "train": ONE_EPOCH,
}
ALIGN = {
    "kind": "affine",
    "network": "small",
    "size": 64,
    "canonical": {"images": 3, "crop": [0.1, 0.2, 0.9, 0.8]},
}
DETECTOR = {
    "kind": "retinanet",
    "attributes": "phantom-effusion",
    "pyramid": 8,
    "count": 10,
    "smallest_anchor": 8,
}
OF_KIND: dict[str, dict[str, Any]] = {
    "aligner": {"align": ALIGN},
    "detector": {
        "localizer": DETECTOR,
        "encoder": {"name": "test_efficientnet", "weights": "random", "stage": 4},
    },
}


def trained(config: SystemConfig, out: Path, *, devices: int = 1) -> Path:
    cache = out.parent / "cache"
    return run(
        config, out=out, cache=cache, accelerator="cpu", devices=devices, progress=False, quality=False
    ).path


def last_losses(folder: Path) -> dict[str, float]:
    line = read_metrics(folder / "metrics.jsonl")[-1]
    return {**line["train"], "validation": line["validation"].get("loss", 0.0)}


@pytest.mark.parametrize("kind", OF_KIND)
def test_two_processes_equal_one_with_the_same_global_batch(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split) for i in range(8)])
    config = mini_config(**{**ALONE, **OF_KIND[kind]})
    one, two = trained(config, tmp_path / "one"), trained(config, tmp_path / "two", devices=2)
    assert last_losses(two) == pytest.approx(last_losses(one), abs=1e-4)
    ours, theirs = load_checkpoint(one).state, load_checkpoint(two).state
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], atol=1e-3), name


@pytest.mark.usefixtures("mini_data")
def test_two_processes_reward_a_batch_as_one_does_but_for_what_is_drawn(tmp_path: Path) -> None:
    """Each process draws its reports by itself; what the greedy search writes before the only step is the same."""
    second = {
        **ONE_EPOCH,
        "batch_size": 16,
        "monitor": "bleu4",
        "scst": True,
        "init_from": str(tmp_path / "first"),
    }
    trained(mini_config(contrast=None, train=ONE_EPOCH), tmp_path / "first")
    config = mini_config(contrast=None, train=second)
    one, two = trained(config, tmp_path / "one"), trained(config, tmp_path / "two", devices=2)
    ours, theirs = last_losses(one), last_losses(two)
    assert ours.keys() == theirs.keys()
    for name in ("greedy_cider", "finding"):
        assert theirs[name] == pytest.approx(ours[name], abs=1e-4)
    first, after = (load_checkpoint(folder).state for folder in (tmp_path / "first", two))
    moved = {name.partition(".")[0] for name, value in after.items() if not torch.equal(value, first[name])}
    assert {"decoder", "finding_head"} <= moved
    assert "encoder" not in moved


KEEPS_WEIGHTS = f"""
import os, torch
from contrastcxr.training.task import ReportTask
def keep(task):
    torch.save(task.system.state_dict(), f"weights-{{os.environ['RANK']}}.pt")
ReportTask.on_train_end = keep
{COMMAND}
"""
"""The command; each process leaves the weights that it has after the last step."""


@pytest.mark.usefixtures("mini_data")
def test_processes_of_torchrun_that_are_rewarded_apart_keep_one_set_of_weights(tmp_path: Path) -> None:
    trained(mini_config(contrast=None, train=ONE_EPOCH), tmp_path / "first")
    second = {**ONE_EPOCH, "monitor": "bleu4", "scst": True, "init_from": str(tmp_path / "first")}
    (tmp_path / "second.yaml").write_text(mini_config(contrast=None, train=second).to_yaml())
    (tmp_path / "command.py").write_text(KEEPS_WEIGHTS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    asked = ["train", "second.yaml", "--out", "two", "--cache", "cache", "--devices", "2", "--accelerator", "cpu"]
    done = subprocess.run(
        [*torchrun, "command.py", *asked],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "training"), *sys.path])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "two\n"), done.stderr
    assert done.stderr.count("epoch 1 of 1") == 1
    ours, theirs = (torch.load(tmp_path / f"weights-{rank}.pt") for rank in range(2))
    before = load_checkpoint(tmp_path / "first").state
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert any(not torch.equal(value, before[name]) for name, value in ours.items() if name.startswith("decoder."))
