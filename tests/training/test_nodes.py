"""Nodes: processes that a launcher has started, on one machine; their errors, and a job that is started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study, use_studies
from node_command import COMMAND, TESTS
from torch.distributed import DistStoreError
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from contrastcxr.errors import DivergedError, IncompatibleError, MissingExtraError, RequestError
from contrastcxr.models.system import System
from contrastcxr.training import prepare as prepare_module
from contrastcxr.training import run
from contrastcxr.training import studies as studies_module
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.machine import plain_errors
from contrastcxr.training.placement import Placement, find_placement
from contrastcxr.training.requeue import requeue_at_signal
from contrastcxr.training.task import ReportTask


def losses(folder: Path) -> list[float]:
    lines = read_metrics(folder / "metrics.jsonl")
    return [value for line in lines for value in (*line["train"].values(), line["validation"]["loss"])]


def free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def torchrun(rank: int) -> dict[str, str]:
    """What torchrun puts into the environment of the only process of one of two nodes."""
    return {
        "TORCHELASTIC_RUN_ID": "run",
        "RANK": str(rank),
        "GROUP_RANK": str(rank),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
    }


@dataclass(frozen=True)
class Ended:
    """A process that has ended, and what it wrote to stdout and stderr."""

    status: int
    printed: str
    said: str


def on_two_nodes(
    program: str, folder: Path, cache: Path, launched: Callable[[int], dict[str, str]]
) -> list[Ended]:
    """Run a program as the only process of each of two nodes, until both have ended.

    Args:
        program: the command, or one that behaves otherwise.
        folder: has `mini.yaml`, and gets the run folder `two`.
        cache: of features.
        launched: what a launcher puts into the environment of the process with this rank.
    """
    asked = ["train", "mini.yaml", "--out", "two", "--cache", str(cache), "--nodes", "2", "--accelerator", "cpu"]
    paths = os.pathsep.join([str(TESTS), str(TESTS / "training"), *sys.path])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "PYTHONPATH": paths}
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *asked],
            env={**os.environ, **where, **launched(rank)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    written = [node.communicate() for node in nodes]
    return [Ended(node.returncode, *each) for node, each in zip(nodes, written, strict=True)]


@pytest.mark.usefixtures("mini_data")
def test_two_nodes_equal_one_process_and_only_the_first_one_speaks(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**mini_config().to_dict()["train"], "logger": "tensorboard"})
    (tmp_path / "mini.yaml").write_text(config.to_yaml())
    one = run(config, out=tmp_path / "one", cache=tmp_path / "own", progress=False)
    first, second = on_two_nodes(COMMAND, tmp_path, cache, torchrun)
    assert (first.status, second.status) == (0, 0), (first, second)
    assert (first.printed, second.printed) == ("two\n", "")
    assert losses(tmp_path / "two") == pytest.approx(losses(one.path), abs=1e-4)
    assert "epoch 2 of 2" in first.said
    assert "epoch" not in second.said
    assert len(list((tmp_path / "two" / "tensorboard").glob("events.*"))) == 1
    assert "32 on cpu on each of 2 nodes" in (tmp_path / "two" / "log.txt").read_text()


@pytest.mark.usefixtures("mini_data")
def test_nodes_that_do_not_meet_are_told_so(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.training.machine.WAIT", timedelta(seconds=1))
    alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in {**alone, **torchrun(0)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        IncompatibleError, match=r"--nodes 2: 2 processes did not meet within 0:00:01; .*MASTER_ADDR"
    ):
        run(mini_config(), out=tmp_path / "run", cache=cache, nodes=2, progress=False)


def raised(line: str) -> ProcessRaisedException:
    return ProcessRaisedException(f"\n\n-- Process 1 terminated:\nTraceback:\n  File …\n{line}", 1, 7)


def ended_by(name: str | None, status: int) -> ProcessExitedException:
    return ProcessExitedException("ended", error_index=1, error_pid=7, exit_code=status, signal_name=name)


@pytest.mark.parametrize(
    ("met", "error", "kind", "said"),
    [
        (
            False,
            raised("contrastcxr.errors.DivergedError: training diverged: loss nan"),
            DivergedError,
            "training diverged: loss",
        ),
        (False, raised("contrastcxr.errors.MissingExtraError: needs 'x'"), RequestError, "needs 'x'"),
        (False, raised("torch.OutOfMemoryError: CUDA out of memory. Tried …"), torch.OutOfMemoryError, "Tried"),
        (False, raised("KeyError: 'a'"), ProcessRaisedException, "KeyError"),
        (False, raised("contrastcxr.errors.one_line: no class of errors"), ProcessRaisedException, "no class"),
        (False, raised("torch.distributed.DistStoreError: gone"), IncompatibleError, "lost one another: .*gone"),
        (
            False,
            raised("torch.distributed.DistBackendError: NCCL error\nncclRemoteError: closed\nLast error:\nsocket"),
            IncompatibleError,
            "lost one another: torch.distributed.DistBackendError: NCCL error; .* if an epoch was finished",
        ),
        (False, raised("RuntimeError: [gloo/pair.cc:5] closed"), IncompatibleError, "lost one another: .*closed"),
        (False, ended_by("SIGKILL", -9), IncompatibleError, "process 1 was ended by signal SIGKILL, .* memory is"),
        (False, ended_by(None, 3), IncompatibleError, "process 1 was ended by exit status 3; .*--resume"),
        (False, DistStoreError("late"), IncompatibleError, "2 processes did not meet within 1:00:00"),
        (True, DistStoreError("gone\nfar away"), IncompatibleError, "lost one another: .*gone; what"),
        (
            True,
            RuntimeError("[gloo/pair.cc:5] Connection closed by peer"),
            IncompatibleError,
            "lost one another: .*closed",
        ),
        (False, RuntimeError("[gloo/full.cc:9] connectFullMesh failed"), IncompatibleError, "did not meet"),
        (True, RuntimeError("shapes differ"), RuntimeError, "shapes differ"),
    ],
)
def test_an_error_of_another_process_is_raised_by_its_class(
    met: bool, error: Exception, kind: type[Exception], said: str
) -> None:
    keeper: Any = SimpleNamespace(met=met)
    with pytest.raises(kind, match=said) as found, plain_errors(Placement(devices=2), keeper):
        raise error
    assert not isinstance(found.value, MissingExtraError)


class PreemptedError(Exception):
    """Stands for the end that SLURM makes of a process."""


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize("within", ["prepare", "training", "validation", "close"])
def test_a_job_that_slurm_requeues_goes_on_by_itself(
    within: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from the last whole epoch, and not from within one."""
    config, out = mini_config(), tmp_path / "run"
    whole = run(config, out=tmp_path / "whole", cache=cache, progress=False)
    slurm(tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        preempt(patch, within)
        with pytest.raises(PreemptedError):
            run(config, out=out, cache=cache, progress=False)
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    begun = len(read_metrics(out / "metrics.jsonl"))
    assert begun == {"prepare": 0, "close": 2}.get(within, 1)
    said = (out / "log.txt").read_text() if begun else "SLURM: job 17 is back in the queue"
    assert "SLURM: job 17 is back in the queue" in said
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = run(config, out=out, cache=cache, progress=False)
    assert losses(again.path) == pytest.approx(losses(whole.path), abs=1e-5)


def preempt(patch: pytest.MonkeyPatch, within: str) -> None:
    """Let the signal come while data are prepared, or within the second epoch."""
    step, score = ReportTask.training_step, ScoreSystem.__call__

    def end() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        raise PreemptedError

    def preempted_step(task: ReportTask, batch: Any, batch_idx: int) -> Any:
        if task.current_epoch == 1 and batch_idx == 2:
            end()
        return step(task, batch, batch_idx)

    def preempted_score(scorer: ScoreSystem, system: System) -> dict[str, float]:
        scored.append(True)
        if len(scored) == 2:
            end()
        return score(scorer, system)

    scored: list[bool] = []
    if within == "prepare":
        patch.setattr("contrastcxr.training.prepare.load_data", lambda *_, **__: end())
    elif within == "close":
        patch.setattr("contrastcxr.training.trainer.close_run", lambda *_, **__: end())
    elif within == "training":
        patch.setattr(ReportTask, "training_step", preempted_step)
    else:
        patch.setattr(ScoreSystem, "__call__", preempted_score)


def slurm(folder: Path, patch: pytest.MonkeyPatch, *, does: str = "") -> None:
    """Let this be the only task of a SLURM job, whose `scontrol` writes down what it is told."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/requeued\n{does}\n')
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
    for name, value in slurm_task(0, tasks=1).items():
        patch.setenv(name, value)


def slurm_task(rank: int, *, tasks: int) -> dict[str, str]:
    """What srun puts into the environment of a task on a node of its own."""
    values: dict[str, Any] = {"NTASKS": tasks, "NTASKS_PER_NODE": 1, "PROCID": rank, "LOCALID": 0, "NODEID": rank}
    values |= {"JOB_ID": 17, "JOB_NAME": "train"}
    return {f"SLURM_{name}": str(value) for name, value in values.items()}


def test_a_job_that_may_not_be_requeued_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slurm(tmp_path, monkeypatch, does='echo "Access denied" >&2; exit 1')
    placement = find_placement(mini_config(), accelerator="cpu")
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with requeue_at_signal(placement):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "job 17 could not be requeued (Access denied)" in caplog.text
    monkeypatch.setenv("PATH", str(tmp_path))
    with requeue_at_signal(placement):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert "scontrol" in caplog.records[-1].getMessage()


def test_only_the_first_task_requeues_and_a_program_keeps_its_own_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm(tmp_path, monkeypatch)
    own: list[int] = []
    for rank, handler in ((1, signal.SIG_DFL), (0, lambda number, _: own.append(number))):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        placement = find_placement(mini_config(), accelerator="cpu")
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            with requeue_at_signal(placement):
                os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert own == [signal.SIGUSR1]
    assert not (tmp_path / "requeued").exists()


def test_of_a_job_array_the_task_alone_is_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job id of one task of an array is that of the array."""
    slurm(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    with requeue_at_signal(find_placement(mini_config(), accelerator="cpu")):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert (tmp_path / "requeued").read_text() == "requeue 17_4\n"


SIGNALLED = f"""
import os, signal, time
from pathlib import Path
from contrastcxr.training.hooks import ScoreSystem
Path(f"pid-{{os.environ['SLURM_PROCID']}}").write_text(str(os.getpid()))
score, scored = ScoreSystem.__call__, []
def signalled(scorer, system):
    scored.append(True)
    if len(scored) == 2 and "SLURM_RESTART_COUNT" not in os.environ:
        for rank in (1, 0):
            os.kill(int(Path(f"pid-{{rank}}").read_text()), signal.SIGUSR1)
    return score(scorer, system)
ScoreSystem.__call__ = signalled
{COMMAND}
"""
"""The command; SLURM's signal comes to both of its tasks while the first one validates and the other one waits."""


@pytest.mark.usefixtures("mini_data")
def test_two_tasks_are_requeued_while_one_validates_and_the_other_one_waits(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = mini_config()
    (tmp_path / "mini.yaml").write_text(config.to_yaml())
    one = run(config, out=tmp_path / "one", cache=cache, progress=False)
    slurm(tmp_path, monkeypatch, does="kill -TERM $(cat pid-0) $(cat pid-1)")
    ended = on_two_nodes(SIGNALLED, tmp_path, cache, partial(slurm_task, tasks=2))
    assert ended[0].status == -signal.SIGTERM, ended
    assert ended[1].status != 0
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    assert len(read_metrics(tmp_path / "two" / "metrics.jsonl")) == 1
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    ended = on_two_nodes(SIGNALLED, tmp_path, cache, partial(slurm_task, tasks=2))
    assert [task.status for task in ended] == [0, 0], ended
    assert losses(tmp_path / "two") == pytest.approx(losses(one.path), abs=1e-4)


FAILS = f"""
import os
from contrastcxr.errors import DatasetError
from contrastcxr.training.hooks import ScoreSystem
def fails(scorer, system):
    raise DatasetError("nothing to score")
ScoreSystem.__call__ = fails
{COMMAND}
"""


@pytest.mark.usefixtures("mini_data")
def test_no_process_waits_for_a_first_one_that_has_failed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the validation, which it does alone, and where the folder holds another run, which all of them see."""
    (tmp_path / "mini.yaml").write_text(mini_config().to_yaml())
    slurm(tmp_path, monkeypatch)
    for status, said in ((1, "nothing to score"), (2, "two holds a run already")):
        ended = on_two_nodes(FAILS, tmp_path, cache, partial(slurm_task, tasks=2))
        assert [task.status for task in ended] == [status, status]
        assert all(said in task.said and "Traceback" not in task.said for task in ended), ended


def test_processes_fill_the_cache_in_turn_and_do_the_rest_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda split: [mini_study(i, split=split) for i in range(8)])
    waiting: list[str] = []
    heard: dict[str, bool] = {}

    @contextmanager
    def turn() -> Iterator[None]:
        waiting.append("held")
        yield
        waiting.clear()

    of_prepare, of_studies = ("load_data", "build_system"), ("training_clusters",)
    for module, names in ((prepare_module, of_prepare), (studies_module, of_studies)):
        for name in names:
            monkeypatch.setattr(module, name, noting(name, getattr(module, name), waiting, heard))
    prepare_module.prepare(mini_config(), cache=tmp_path, turn=turn())
    assert heard == {"load_data": True, "training_clusters": True, "build_system": False}


def noting(name: str, function: Any, waiting: list[str], heard: dict[str, bool]) -> Any:
    def noted(*args: Any, **kwargs: Any) -> Any:
        heard[name] = bool(waiting)
        return function(*args, **kwargs)

    return noted
