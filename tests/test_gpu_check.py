"""The script that measures a GPU: what it says where there is none, and a rehearsal on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.config import load_config
from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]
SHELL = ROOT / "scripts" / "gpu_check.sh"


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("gpu_check")


def test_without_an_interpreter_it_says_what_to_set() -> None:
    environment = {**os.environ, "PYTHON": "no-such-python"}
    ran = subprocess.run(["sh", SHELL], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "gpu_check: no no-such-python; set PYTHON to an interpreter with PyTorch\n"


def test_a_device_that_is_not_there_ends_in_one_line(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--device", "cuda:77"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("gpu_check: device cuda:77: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_packages_that_are_missing_are_named(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "NEEDED", ("torch", "no_such_package", "nor_this"))
    assert script.main(["--device", "cpu"]) == 2
    assert capsys.readouterr().err.startswith("gpu_check: missing: no_such_package, nor_this; ")


def test_every_row_is_a_published_setting_that_takes_its_overrides(script: Any) -> None:
    papers = {row.config for row in script.ROWS.values()}
    assert papers < {path.name for path in (ROOT / "configs" / "paper").glob("*.yaml")}
    for row in script.ROWS.values():
        config = load_config(ROOT / "configs" / "paper" / row.config, overrides=[*row.overrides, *script.DRAWN])
        assert config.data.source == "phantom:smoke"


def test_losses_that_differ_fail(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = {"losses": {"cpu": [1.0], "cuda": [2.0]}, "equal": False}
    monkeypatch.setattr(script, "checks", lambda *_: iter([("equality with the CPU", figures)]))
    assert script.main(["--device", "cpu", "--out", str(tmp_path / "gpu.json")]) == 1
    assert json.loads((tmp_path / "gpu.json").read_text())["equality with the CPU"] == figures


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu_has_every_figure(script: Any, tmp_path: Path) -> None:
    row = "A: contrast on features, transformer"
    out = tmp_path / "gpu.json"
    assert script.main(["--device", "cpu", "--small", "--steps", "1", "--rows", row, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found[f"training, {row}"]["steps_per_second"] > 0
    assert "hours" not in found[f"training, {row}"]
    assert found["decoding, r2gen"]["reports_per_second"] > 0
    assert found["encoder, pictures a second"]["pictures_per_second"]["32"] > 0
    assert found["equality with the CPU"]["equal_reports"] == found["equality with the CPU"]["reports"]
