"""Nodes: processes that a launcher has started, on one machine; their errors, and a job that is started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config
from torch.multiprocessing.spawn import ProcessRaisedException

from contrastcxr.errors import DivergedError, IncompatibleError, MissingExtraError, RequestError
from contrastcxr.training import run
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.machine import plain_errors
from contrastcxr.training.placement import Placement
from contrastcxr.training.task import ReportTask

TESTS = Path(__file__).resolve().parents[1]
COMMAND = """
import sys
from pytest import MonkeyPatch
from mini_data import mini_study, use_studies
numbers = {"train": range(16), "validation": range(8)}
use_studies(MonkeyPatch(), lambda split: [mini_study(i, split=split) for i in numbers[split]])
from contrastcxr.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
"""The command, on the miniature data set."""


def losses(folder: Path) -> list[float]:
    lines = read_metrics(folder / "metrics.jsonl")
    return [value for line in lines for value in (*line["train"].values(), line["validation"]["loss"])]


def free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def torchrun(*, rank: int, nodes: int, port: str) -> dict[str, str]:
    """What torchrun puts into the environment of the only process of a node."""
    return {
        "TORCHELASTIC_RUN_ID": "run",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "RANK": str(rank),
        "GROUP_RANK": str(rank),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": str(nodes),
    }


@pytest.mark.usefixtures("mini_data")
def test_two_nodes_equal_one_process_and_only_the_first_one_speaks(tmp_path: Path, cache: Path) -> None:
    config, port = mini_config(train={**mini_config().to_dict()["train"], "logger": "tensorboard"}), free_port()
    (tmp_path / "mini.yaml").write_text(config.to_yaml())
    paths = os.pathsep.join([str(TESTS), str(TESTS / "training"), *sys.path])
    one = run(config, out=tmp_path / "one", cache=tmp_path / "own", progress=False)
    asked = ["train", "mini.yaml", "--out", "two", "--cache", str(cache), "--nodes", "2", "--accelerator", "cpu"]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, *asked],
            env={**os.environ, "PYTHONPATH": paths, **torchrun(rank=rank, nodes=2, port=port)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed, said = zip(*(node.communicate() for node in nodes), strict=True)
    assert [node.returncode for node in nodes] == [0, 0], said
    assert printed == ("two\n", "")
    assert losses(tmp_path / "two") == pytest.approx(losses(one.path), abs=1e-4)
    assert "epoch 2 of 2" in said[0]
    assert "epoch" not in said[1]
    assert len(list((tmp_path / "two" / "tensorboard").glob("events.*"))) == 1
    assert "32 on cpu on each of 2 nodes" in (tmp_path / "two" / "log.txt").read_text()


@pytest.mark.usefixtures("mini_data")
def test_nodes_that_do_not_meet_are_told_so(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.training.machine.WAIT", timedelta(seconds=1))
    for name, value in torchrun(rank=0, nodes=2, port=free_port()).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        IncompatibleError, match=r"--nodes 2: 2 processes did not meet within 0:00:01; .*MASTER_ADDR"
    ):
        run(mini_config(), out=tmp_path / "run", cache=cache, nodes=2, progress=False)


def raised(line: str) -> ProcessRaisedException:
    return ProcessRaisedException(f"\n\n-- Process 1 terminated:\nTraceback:\n  File …\n{line}", 1, 7)


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        (
            "contrastcxr.errors.DivergedError: training diverged: loss nan",
            DivergedError,
            "training diverged: loss",
        ),
        ("contrastcxr.errors.MissingExtraError: needs 'x'", RequestError, "needs 'x'"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried …", torch.OutOfMemoryError, "Tried"),
        ("KeyError: 'a'", ProcessRaisedException, "KeyError"),
        ("contrastcxr.errors.one_line: no class of errors", ProcessRaisedException, "no class"),
    ],
)
def test_an_error_of_another_process_is_raised_by_its_class(line: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as found, plain_errors(Placement(devices=2)):
        raise raised(line)
    assert not isinstance(found.value, MissingExtraError)


class PreemptedError(Exception):
    """Stands for the end that SLURM makes of a process."""


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.usefixtures("mini_data")
def test_a_job_that_slurm_requeues_goes_on_by_itself(
    epoch: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from the last whole epoch, and not from within one, as Lightning's own state would."""
    config, out = mini_config(), tmp_path / "run"
    whole = run(config, out=tmp_path / "whole", cache=cache, progress=False)
    requeue(tmp_path, monkeypatch)
    step = ReportTask.training_step

    def preempted(task: ReportTask, batch: Any, batch_idx: int) -> Any:
        if task.current_epoch == epoch and batch_idx == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
            raise PreemptedError
        return step(task, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ReportTask, "training_step", preempted)
        with pytest.raises(PreemptedError):
            run(config, out=out, cache=cache, progress=False)
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    assert list(out.glob("hpc_ckpt_*.ckpt"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = run(config, out=out, cache=cache, progress=False)
    assert losses(again.path) == pytest.approx(losses(whole.path), abs=1e-5)
    assert not list(out.glob("hpc_ckpt_*.ckpt"))


def requeue(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this be the only task of a SLURM job, whose `scontrol` writes down what it is told."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/requeued\n')
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
    task = {"NTASKS": "1", "JOB_ID": "17", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_NAME": "train"}
    for name, value in task.items():
        patch.setenv(f"SLURM_{name}", value)
