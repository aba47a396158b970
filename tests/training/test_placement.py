"""Where a run trains: every choice with a faked GPU, and the refusals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mini_data import mini_config
from torch.utils.data import DataLoader

from contrastcxr.config import parse_config
from contrastcxr.errors import IncompatibleError, UnknownNameError
from contrastcxr.training import run
from contrastcxr.training.machine import EpochData
from contrastcxr.training.placement import Placement, find_placement, has_restarted

TORCHRUN = {"TORCHELASTIC_RUN_ID": "run", "RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "4"}
SRUN = {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a launcher nor a GPU, and a CPU without bf16."""
    for name in (*TORCHRUN, *SRUN, "SLURM_JOB_NAME", "SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    put_gpus(monkeypatch, 0)
    monkeypatch.setattr("contrastcxr.training.placement.cpu_multiplies_bf16", lambda: False)


def put_gpus(patch: pytest.MonkeyPatch, count: int, *, bf16: bool = True) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)
    patch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)


def launch(patch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        patch.setenv(name, value)


def learning(precision: object = "auto", **changes: Any) -> Any:
    return mini_config(train={"batch_size": 8, "monitor": "loss", "precision": precision}, **changes)


@pytest.mark.parametrize(
    ("gpus", "asked", "found"),
    [(0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda"), (2, "cpu", "cpu"), (2, "cuda", "cuda")],
)
def test_auto_is_a_gpu_where_there_is_one(
    gpus: int, asked: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpus(monkeypatch, gpus)
    placement = find_placement(learning(), accelerator=asked)
    assert placement.accelerator == placement.device.type == found
    assert (placement.processes, placement.spawns, placement.first) == (1, False, True)


@pytest.mark.parametrize(
    ("gpus", "bf16", "asked", "used"),
    [
        (0, True, "auto", "bf16-mixed"),
        (0, False, "auto", "32"),
        (0, False, "bf16-mixed", "bf16-mixed"),
        (1, True, "auto", "bf16-mixed"),
        (1, False, "auto", "16-mixed"),
        (1, True, "16-mixed", "16-mixed"),
        (1, False, "32", "32"),
    ],
)
def test_precision_is_what_was_asked_for_and_auto_what_the_device_has(
    gpus: int, bf16: bool, asked: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpus(monkeypatch, gpus, bf16=bf16)
    monkeypatch.setattr("contrastcxr.training.placement.cpu_multiplies_bf16", lambda: bf16)
    assert find_placement(learning(asked)).precision == used


@pytest.mark.parametrize(
    ("gpus", "given", "precision", "said"),
    [
        (0, {"accelerator": "cuda"}, "32", "--accelerator cuda: PyTorch finds no GPU here"),
        (2, {"devices": 4}, "32", "--devices 4: this machine has 2 GPUs; choose at most 2"),
        (1, {"devices": 2, "accelerator": "cuda"}, "32", "this machine has 1 GPU; choose at most 1"),
        (0, {}, "16-mixed", r"train\.precision 16-mixed: a CPU trains in 32 or bf16-mixed"),
        (1, {}, "bf16-mixed", r"train\.precision bf16-mixed: the GPU has no bf16; choose 16-mixed or 32"),
        (0, {"nodes": 2}, "32", "--nodes 2: no launcher has started this process; .* torchrun or srun"),
        (0, {"devices": 3}, "32", r"--devices 3 with train\.batch_size 8: .* choose a number that divides it"),
        (0, {"devices": 3, "nodes": 4}, "32", r"--devices 3 --nodes 4 with train\.batch_size 8"),
        (0, {"nodes": 0}, "32", r"--devices 1 --nodes 0 with train\.batch_size 8"),
    ],
)
def test_what_is_not_there_is_refused_before_data_are_loaded(
    gpus: int,
    given: dict[str, Any],
    precision: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_gpus(monkeypatch, gpus, bf16=False)
    with pytest.raises(IncompatibleError, match=said):
        run(learning(precision), out=tmp_path / "run", cache=tmp_path / "cache", **given)
    assert not list(tmp_path.iterdir())


def test_lightnings_word_for_a_gpu_is_answered_with_ours() -> None:
    with pytest.raises(IncompatibleError, match=r"a GPU is called cuda here"):
        find_placement(mini_config(), accelerator="gpu")


def test_an_accelerator_that_nobody_knows_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown accelerator 'cud'; did you mean 'cuda'"):
        find_placement(learning(), accelerator="cud")


@pytest.mark.parametrize("variables", [TORCHRUN, {**SRUN, "SLURM_NODEID": "1"}], ids=["torchrun", "srun"])
def test_processes_of_a_launcher_are_taken_as_they_are(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpus(monkeypatch, 2)
    launch(monkeypatch, variables)
    placement = find_placement(learning(), devices=2, nodes=2)
    assert (placement.processes, placement.spawns, placement.first) == (4, False, False)
    assert placement.device == torch.device("cuda:1")
    assert str(placement) == "bf16-mixed on cuda, 2 processes on each of 2 nodes"


def test_without_a_launcher_the_first_process_starts_the_others() -> None:
    placement = find_placement(learning("32"), devices=2)
    assert (placement.processes, placement.spawns, placement.first) == (2, True, True)
    assert str(placement) == "32 on cpu, 2 processes"
    assert str(Placement()) == "32 on cpu"


@pytest.mark.parametrize("variables", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_another_number_of_processes_than_asked_for_is_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(monkeypatch, variables)
    with pytest.raises(
        IncompatibleError, match=r"expected 2 processes, .*, found 4 that the launcher has started"
    ):
        find_placement(learning(), devices=2)


def test_tasks_of_srun_without_their_number_on_a_node_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, {"SLURM_NTASKS": "4"})
    with pytest.raises(IncompatibleError, match=r"srun: .*--ntasks-per-node"):
        find_placement(learning(), devices=4)


@pytest.mark.parametrize(
    ("variables", "restarted"),
    [
        ({}, False),
        ({"SLURM_RESTART_COUNT": "0"}, False),
        ({"SLURM_RESTART_COUNT": "2"}, True),
        ({"TORCHELASTIC_RESTART_COUNT": "1"}, True),
    ],
)
def test_a_launcher_says_that_it_has_started_a_job_again(
    variables: dict[str, str], restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(monkeypatch, variables)
    assert has_restarted() == restarted


@pytest.mark.parametrize(
    ("said", "name", "written"),
    [
        ("fp32", "32", "fp32"),
        (32, "32", "fp32"),
        ("32", "32", "fp32"),
        ("bf16", "bf16-mixed", "bf16"),
        ("bf16-mixed", "bf16-mixed", "bf16"),
        ("16-mixed", "16-mixed", "16-mixed"),
        ("auto", "auto", "auto"),
    ],
)
def test_older_names_of_a_precision_are_read_and_stay_in_files(said: object, name: str, written: str) -> None:
    config = learning(said)
    assert config.train.precision == name
    assert config.to_dict()["train"]["precision"] == config.said()["train"]["precision"] == written
    assert parse_config(config.to_dict(), where="again") == config


def test_no_code_calls_cuda_on_a_tensor_or_a_module() -> None:
    source = Path(__file__).resolve().parents[2] / "src"
    assert not [path for path in source.rglob("*.py") if ".cuda()" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_batches_are_pinned_where_a_run_is_on_a_gpu(device: str, pinned: bool) -> None:
    split = SimpleNamespace(targets=[])
    prepared = SimpleNamespace(
        config=learning(), train=range(16), samples=lambda *_, **__: split, pad=0, workers=0
    )
    data = EpochData.__new__(EpochData)
    data.__dict__.update(prepared=prepared, parts=1, lengths=None)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        current_epoch=0, global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=torch.device(device))
    )
    batches = data.train_dataloader()
    assert isinstance(batches, DataLoader)
    assert batches.pin_memory == pinned
