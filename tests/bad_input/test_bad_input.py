"""Every kind of bad input in the tables beside this file: the message, exactly, and the exit status."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import pytest

from bad_input.case import DONE, SOME_FAILED, Case, filled
from bad_input.files import picture
from bad_input.objects import OBJECTS
from bad_input.pictures import PICTURES
from bad_input.systems import SYSTEMS, labels_alone
from bad_input.tables import TABLES
from contrastcxr.cli.main import run
from tiny_system import save_tiny

CASES = (*PICTURES, *OBJECTS, *TABLES, *SYSTEMS)
SAID = ("error: ", "failed: ", "missing: ", "unreadable: ")
LISTED = "  missing  "
"""How `data check` lists what is missing, on standard output."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("a good model"))


def size(path: Path) -> str:
    """Bytes of a file as messages write them; nothing where there is none."""
    return f"{path.stat().st_size:,}" if path.is_file() else ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_bad_input_is_named_in_one_line(
    case: Case, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out, good = tmp_path / "in", tmp_path / "out", picture()(tmp_path)
    folder.mkdir()
    bad = case.make(folder)
    places = {"bad": bad, "folder": folder, "out": out, "model": model, "picture": good}
    sizes = {"size": size(bad), "model size": size(model)}
    status = run([filled(word, places) for word in shlex.split(case.command)])
    said = capsys.readouterr()
    assert messages(said.err, said.out) == case.expected({**places, **sizes})
    assert status == case.status
    assert not list(out.rglob("*.part"))
    assert status == SOME_FAILED or not out.exists()
    assert "Traceback" not in said.err


def test_a_full_disk_is_said_and_leaves_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    good, out = picture()(tmp_path), tmp_path / "out"
    assert run(["read", str(good), "--model", str(model), "--out", str(out), "--format", "json"]) == SOME_FAILED
    said = capsys.readouterr()
    assert messages(said.err, said.out) == [
        f"{out}/chest.json: could not be written (No space left on device); nothing is left of it; "
        "free some space or choose another folder with --out"
    ]
    assert not list(out.iterdir())


def test_a_grid_and_findings_that_teach_little_are_warned_of_and_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = labels_alone("localizer: {kind: cam, labels: phantom}", status="present", stage="null")(tmp_path)
    command = ["train", str(made), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert run([*command, "--set", "train.epochs=1", "--set", "image.size=96"]) == DONE
    grid, findings = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: "))
    assert grid.startswith("warning: localizer.kind cam on a grid of 3×3 patches of a picture of 96 pixels: ")
    assert findings.startswith("warning: localizer.labels phantom with data.source manifest, 2 training studies: ")
    assert "none has Cardiomegaly, Pleural Effusion, Pneumothorax, Mass, " in findings


def test_there_are_forty_kinds_and_no_two_of_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def messages(err: str, out: str) -> list[str]:
    """What was said to be wrong, on either stream, without the words before it."""
    told = [line.removeprefix(start) for line in err.splitlines() for start in SAID if line.startswith(start)]
    return told + [line.removeprefix(LISTED) for line in out.splitlines() if line.startswith(LISTED)]
