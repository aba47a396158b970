"""`.ci/run` installs what is missing where it can, goes on where it cannot, and says what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "run"
NEEDED = ("bash", "env", "dirname", "timeout", "cat", "mkdir", "touch", "chmod")
TARGETS = ["test", "fuzz", "lint", "types", "package", "demo"]
INSTALLS = """
cd "$(dirname "$0")"
for word; do
  case $word in
    default-jre-headless) made=java ;;
    dicom3tools) made=dciodvfy ;;
    chromium | npm) made=$word ;;
    *) continue ;;
  esac
  cat > $made < npm-later
  chmod +x $made
done
"""
NPM = """#!/bin/bash
mkdir -p .cache/axe/node_modules/axe-core && touch .cache/axe/node_modules/axe-core/axe.min.js
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the script beside programs of which only `make` is ours: it writes down what it is asked for."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "run")
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or pytest.fail(name))
    program(tmp_path, "make", 'echo "$1 CI=$CI CI_TOOLS=$CI_TOOLS" >> made')
    (tmp_path / "bin" / "npm-later").write_text(NPM)
    return tmp_path


def program(checkout: Path, name: str, script: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def run(checkout: Path, **environment: str) -> tuple[int, str, list[str]]:
    """Its exit status, what it says, and what it made."""
    path = {"PATH": str(checkout / "bin"), "HOME": str(checkout)}
    done = subprocess.run(
        [checkout / ".ci" / "run"],
        env={**path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    made = checkout / "made"
    return done.returncode, done.stdout + done.stderr, made.read_text().splitlines() if made.exists() else []


def test_where_nothing_can_be_installed_every_target_runs(checkout: Path) -> None:
    status, said, made = run(checkout)
    assert status == 0
    assert made == [f"{target} CI=true CI_TOOLS=" for target in TARGETS]
    tools = ("java", "dciodvfy", "chromium", "axe-core")
    assert said.splitlines() == [f"no {tool}: its tests will skip" for tool in tools]


def test_a_network_that_fails_is_no_failure(checkout: Path) -> None:
    program(checkout, "sudo", 'shift; exec "$@"')
    program(checkout, "apt-get", "echo 'Temporary failure resolving' >&2; exit 100")
    program(checkout, "npm", "exit 1")
    program(checkout, "dciodvfy", "")
    status, said, made = run(checkout)
    assert status == 0
    assert made[0] == "test CI=true CI_TOOLS=dciodvfy"
    assert "no axe-core: its tests will skip" in said


def test_what_is_missing_is_installed_once(checkout: Path) -> None:
    program(checkout, "sudo", '[ "$1" = -n ] && shift; exec "$@"')
    program(checkout, "apt-get", f'echo "$@" >> apt\n{INSTALLS}')
    assert run(checkout) == (0, "", [f"{t} CI=true CI_TOOLS=java dciodvfy chromium axe-core" for t in TARGETS])
    assert (checkout / ".cache/axe/node_modules/axe-core/axe.min.js").is_file()
    asked = (checkout / "apt").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == [
        "update",
        "default-jre-headless",
        "dicom3tools",
        "chromium",
        "npm",
    ]
    assert run(checkout)[0] == 0
    assert (checkout / "apt").read_text().splitlines() == asked


def test_a_user_who_may_not_become_root_goes_on_and_root_asks_nobody(checkout: Path) -> None:
    program(checkout, "sudo", "echo 'a password is required' >&2; exit 1")
    program(checkout, "apt-get", "echo asked >> apt")
    assert run(checkout)[0] == 0
    assert (checkout / "apt").exists() is (os.geteuid() == 0)


def test_axe_core_may_lie_elsewhere_and_a_browser_have_another_name(checkout: Path) -> None:
    (checkout / "axe.min.js").touch()
    program(checkout, "google-chrome", "")
    _, _, made = run(checkout, AXE_CORE="axe.min.js")
    assert made[0] == "test CI=true CI_TOOLS=chromium axe-core"


def test_a_target_that_fails_ends_the_run(checkout: Path) -> None:
    program(checkout, "make", '[ "$1" != types ] || exit 2\necho "$1" >> made')
    status, _, made = run(checkout)
    assert (status, made) == (2, ["test", "fuzz", "lint"])
