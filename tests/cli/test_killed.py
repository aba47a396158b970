"""`read` that is killed leaves whole files, and the same command again gives the bytes of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contrastcxr.cli.main import run

KILL = """
import os, signal, sys
from pathlib import Path
from contrastcxr.cli.main import run

rename, left = Path.replace, int(sys.argv[1])

def counted(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)

Path.replace = counted
run(sys.argv[2:])
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(pictures: Path, model: Path, out: Path) -> list[str]:
    return ["--quiet", "read", str(pictures), "--model", str(model), "--out", str(out)]


@pytest.mark.parametrize("renames", [1, 4])
def test_a_killed_read_is_completed_to_the_same_bytes(
    pictures: Path, model: Path, tmp_path: Path, renames: int
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    ran = subprocess.run(
        [sys.executable, "-c", KILL, str(renames), *read(pictures, model, killed)],
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -9, ran.stderr
    left = files(killed)
    assert len([name for name in left if not name.endswith(".part")]) == renames
    assert any(name.endswith(".part") for name in left)
    assert run(read(pictures, model, whole)) == 0
    assert run(read(pictures, model, killed)) == 0
    assert files(killed) == files(whole)
