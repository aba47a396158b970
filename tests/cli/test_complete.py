from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contrastcxr.cli import complete
from contrastcxr.data.sources import SOURCES


def offered(offers: list[complete.Offer]) -> list[str]:
    return [value for value, _ in offers]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("nih", "notes", ".hidden"):
        (tmp_path / folder).mkdir()
    (tmp_path / "nih" / "images").mkdir()
    (tmp_path / "nine.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_typed_offers_every_source_with_its_colon() -> None:
    assert offered(complete.sources("")) == [f"{name}:" for name in SOURCES]


def test_the_beginning_of_a_name_offers_sources_and_paths(here: Path) -> None:
    assert here.is_dir()
    found = offered(complete.sources("ni"))
    assert {"nih14:", "nih-plain:", "nih/", "nine.png"} <= set(found)
    assert "phantom:" not in found
    assert "notes/" not in found


def test_after_the_colon_come_paths_or_levels(here: Path) -> None:
    assert offered(complete.sources(f"nih14:{here}/n")) == [
        f"nih14:{here}/nih/",
        f"nih14:{here}/nine.png",
        f"nih14:{here}/notes/",
    ]
    assert offered(complete.sources("nih14:nih/")) == ["nih14:nih/images/"]
    assert offered(complete.sources("phantom:s")) == ["phantom:smoke", "phantom:standard"]
    assert offered(complete.sources("nih14:/no/such/")) == []


def test_models_are_the_checkpoints_known_and_paths(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mine.safetensors").touch()
    monkeypatch.setenv("CONTRASTCXR_MODELS", str(here))
    assert {"mine", "phantom"} <= set(offered(complete.models("")))
    assert offered(complete.models("mi")) == ["mine", "mine.safetensors"]
    assert offered(complete.models(".h")) == [".hidden/"]


def completed(words: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """What the installed command answers a shell, and whether torch was imported for it."""
    code = (
        "import os, sys\n"
        f"os.environ.update(_CONTRASTCXR_COMPLETE='complete_{shell}', COMP_WORDS={words!r}, "
        f"COMP_CWORD=str(len({words!r}.split()) - 1), _TYPER_COMPLETE_ARGS={words!r})\n"
        "from contrastcxr.cli.main import run\n"
        "status = run([])\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("contrastcxr data check nih14", "nih14:"),
        ("contrastcxr data prepare phantom:sta", "phantom:standard"),
        ("contrastcxr evaluate --data mani", "manifest:"),
        ("contrastcxr read --model pha", "phantom"),
        ("contrastcxr dat", "data"),
    ],
)
def test_the_command_answers_the_shell_without_torch(words: str, expected: str) -> None:
    ran = completed(words)
    assert expected in ran.stdout.split()
    assert ran.stderr.split()[-1] == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str, command: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: (shell, f"/bin/{shell}"))
    ran = command("--show-completion")  # type: ignore[operator]
    assert ran.status == 0
    assert "_CONTRASTCXR_COMPLETE" in ran.out


def test_parts_are_offered_with_what_they_are() -> None:
    assert offered(complete.parts("co")) == ["contrast", "contrast.pool", "contrast.bank", "co_attention"]
    assert dict(complete.parts("ca")) == {
        "cam": "Class activation maps of a linear classifier (Zhou 2016, Wang 2017)."
    }
