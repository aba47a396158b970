"""`contrastcxr reproduce PAPER TABLE`: what is printed without a row being run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.published import TABLES
from tiny_plan import write_plan

FIRST = ("reproduce", "contrastive-attention", "first")


def test_published_figures_are_printed_with_their_notes(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ran = command("reproduce", "wcl", "table1", "--published")
    assert ran.status == 0
    assert "MDT+WCL" in ran.out
    assert "37.3" in ran.out
    assert "note: MIMIC-ABN: F1 of ST" in " ".join(ran.out.split())


def test_published_figures_go_to_json_as_printed(command: Any) -> None:
    ran = command("reproduce", "contrastive-attention", "table2", "--published", "--json")
    said = json.loads(ran.out)
    assert said["rows"][0] == {
        **{"method": "HRGR-Agent", "system": "", "contrast": "none", "data": "mimic_cxr"},
        **dict.fromkeys(TABLES["contrastive-attention table2"].metrics, ""),
    }
    assert said["rows"][3]["bleu4"] == "0.090"


def test_a_published_table_without_rows_to_train_says_so(command: Any) -> None:
    ran = command("reproduce", "contrastive-attention", "table3")
    assert ran.status == 2
    assert "contrastive-attention table3: its rows cannot be trained here yet" in ran.err
    assert "--published" in ran.err


def test_an_unknown_table_names_the_nearest(command: Any) -> None:
    ran = command("reproduce", "cia-net", "table55", "--published")
    assert ran.status == 2
    assert "cia-net table5" in ran.err


def test_a_dry_run_prints_hours_and_does_nothing(tmp_path: Path, command: Any) -> None:
    plan = ("--plan", write_plan(tmp_path), "--data", "phantom:smoke")
    ran = command(*FIRST, *plan, "--out", tmp_path / "results", "--dry-run", "--json")
    assert ran.status == 0
    said = json.loads(ran.out)
    assert len(said) == 6
    assert all(line["basis"].startswith("guess") for line in said)
    assert not (tmp_path / "results").exists()


def test_rows_that_are_not_recorded_are_said_to_be_missing(tmp_path: Path, command: Any) -> None:
    ran = command("reproduce", "cross-attention", "table1", "--show", "--out", tmp_path)
    assert ran.status == 0
    assert f"no row is recorded in {tmp_path / 'cross-attention' / 'phantom-standard'}; the same" in ran.out


def test_seeds_that_are_no_numbers_are_refused(tmp_path: Path, command: Any) -> None:
    ran = command(*FIRST, "--plan", write_plan(tmp_path), "--data", "phantom:smoke", "--seeds", "a,1")
    assert ran.status == 2
    assert "whole numbers" in ran.err


def test_a_wrong_request_is_refused_without_loading_pytorch() -> None:
    script = (
        "import sys; from contrastcxr.cli.main import run; "
        "status = run(['reproduce', 'contrastive-attention', 'first', '--rows', 'nix-none']); "
        "sys.exit(status if 'torch' not in sys.modules else 99)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert "did you mean 'nic-none'" in ran.stderr


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("mps", "--device mps: rows train and read on cpu or cuda; choose one of these"),
        ("cuda:1", "--device cuda:1: rows train and read on cpu or cuda"),
        ("cuda", "device 'cuda' cannot be used"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_a_row_is_run(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, said: str
) -> None:
    def absent(*_: object, device: str) -> None:
        raise RuntimeError(f"no {device}")

    monkeypatch.setattr("torch.empty", absent)
    ran = command(*FIRST, "--plan", write_plan(tmp_path), "--data", "phantom:smoke", "--device", asked)
    assert ran.status == 2
    assert said in ran.err


@pytest.mark.parametrize(
    ("gpu", "asked", "used"), [(True, (), "cuda"), (False, (), "cpu"), (True, ("--device", "cpu"), "cpu")]
)
def test_rows_run_on_a_gpu_where_there_is_one_unless_another_device_is_asked_for(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, asked: tuple[str, ...], used: str
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr(
        "contrastcxr.reproduce.rows.run_rows", lambda *_, places, **__: heard.append(places.device) or []
    )
    folders = ("--out", tmp_path / "results", "--runs", tmp_path / "runs", "--cache", tmp_path / "cache")
    ran = command(*FIRST, "--plan", write_plan(tmp_path), "--data", "phantom:smoke", *folders, *asked)
    assert ran.status == 0
    assert heard == [used]
