"""`contrastcxr train` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mini_data import mini_config

from contrastcxr import api
from contrastcxr.cli.main import run
from contrastcxr.training.run_folder import RunFolder


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "mini.yaml"
    path.write_text(mini_config().to_yaml())
    return path


@pytest.mark.usefixtures("mini_data")
def test_the_command_leaves_a_run_folder_and_prints_it(
    config_file: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a run"
    arguments = ["train", str(config_file), "--set", "train.epochs=1", "--out", str(out), "--cache", str(cache)]
    assert run([*arguments, "--json", "--seed", "3"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == str(out)
    assert json.loads((out / "run_record.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epoch=1", "did you mean 'epochs'"),
        ("projection.kind=r2gen", "must be linear"),
        ("oops", "a.b=value"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(
    config_file: Path, tmp_path: Path, override: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(config_file), "--set", override, "--out", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(("before", "then"), [(None, "ERROR"), ("INFO", "INFO")])
def test_pytorch_does_not_warn_of_what_several_processes_cost_unless_it_is_asked_to(
    before: str | None, then: str, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the variable when it is imported, in this process and in those that it spawns."""
    monkeypatch.delenv("TORCH_CPP_LOG_LEVEL", raising=False)
    if before is not None:
        monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", before)
    heard: list[str | None] = []

    def train(*_: object, **__: object) -> RunFolder:
        heard.append(os.environ.get("TORCH_CPP_LOG_LEVEL"))
        return RunFolder(config_file.parent, {})

    monkeypatch.setattr(api, "train", train)
    assert run(["train", str(config_file)]) == 0
    assert heard == [then]


def test_help_does_not_import_torch_or_lightning() -> None:
    code = (
        "import sys; from contrastcxr.cli.main import run; run(['train', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout
