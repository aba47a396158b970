"""In CI a skip for a reason that is not on the list fails the run; elsewhere it is a skip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skips import ALLOWED, TOOLS, is_allowed

CONFTEST = "from skips import pytest_sessionfinish, pytest_terminal_summary\n"
UNKNOWN = "the moon is not full"
PASSES = "def test_passes(): pass\n"
FAILS = "def test_fails(): assert False\n"
IN_CI = {"CI": "true"}
WORKERS = ("-n", "2", "--dist", "loadfile")
"""As `make test` has them."""


def run(
    folder: Path, *sources: str, words: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit status and output of a pytest of its own over files with these tests."""
    (folder / "conftest.py").write_text(CONFTEST)
    for number, source in enumerate(sources):
        (folder / f"test_{number}.py").write_text(f"import pytest\n{source}")
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "CI_TOOLS") and not k.startswith("PYTEST")}
    own = {"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    alone = ("-q", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-c", os.devnull, "--rootdir", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *alone, *words, str(folder)],
        env={**kept, **own, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def in_a_test(reason: str) -> str:
    return f"{PASSES}def test_skips(): pytest.skip({reason!r})\n"


def by_a_mark(reason: str) -> str:
    return f"{PASSES}@pytest.mark.skip(reason={reason!r})\ndef test_skips(): pass\n"


def in_a_fixture(reason: str) -> str:
    return f"{PASSES}@pytest.fixture\ndef f(): pytest.skip({reason!r})\ndef test_skips(f): pass\n"


def of_a_module(reason: str) -> str:
    return f"pytest.importorskip('no_such_package', reason={reason!r})\n{PASSES}"


WAYS = (in_a_test, by_a_mark, in_a_fixture, of_a_module)


@pytest.mark.parametrize("words", [(), WORKERS], ids=["one process", "workers"])
def test_an_unknown_skip_fails_the_run_in_ci_and_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    status, said = run(
        tmp_path, *(way(UNKNOWN) for way in WAYS), in_a_test(ALLOWED[0]), words=words, environment=IN_CI
    )
    assert status == 1, said
    named = [line for line in said.splitlines() if line.endswith(f": Skipped: {UNKNOWN}")]
    assert sorted(line.split(": ")[0] for line in named) == [
        "test_0.py::test_skips",
        "test_1.py::test_skips",
        "test_2.py::test_skips",
        "test_3.py",
    ], said


@pytest.mark.parametrize(
    ("reason", "environment", "status"),
    [
        (UNKNOWN, {}, 0),
        (f"{ALLOWED[0]}/somewhere", IN_CI, 0),
        (TOOLS["chromium"], {"CI": "true", "CI_TOOLS": "java"}, 0),
        (TOOLS["chromium"], {"CI": "true", "CI_TOOLS": "java chromium"}, 1),
    ],
)
def test_a_skip_elsewhere_or_for_a_reason_on_the_list_is_a_skip(
    reason: str, environment: dict[str, str], status: int, tmp_path: Path
) -> None:
    found, said = run(tmp_path, in_a_test(reason), environment=environment)
    assert found == status, said
    assert ("not allowed in CI" in said) is bool(status)


def test_a_failure_stays_a_failure(tmp_path: Path) -> None:
    status, said = run(tmp_path, in_a_test(UNKNOWN) + FAILS, environment=IN_CI)
    assert status == 1
    assert "1 failed, 1 passed, 1 skipped" in said


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_may_be_missing_only_where_it_was_not_installed(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = f"Skipped: {TOOLS[tool]} on this machine"
    monkeypatch.delenv("CI_TOOLS", raising=False)
    assert is_allowed(reason)
    monkeypatch.setenv("CI_TOOLS", " ".join(set(TOOLS) - {tool}))
    assert is_allowed(reason)
    monkeypatch.setenv("CI_TOOLS", " ".join(TOOLS))
    assert not is_allowed(reason)


@pytest.mark.parametrize("reason", ["", "Skipped: ", "torchxrayvision is not installed", "notarow"])
def test_what_the_test_extra_installs_may_not_be_missing(reason: str) -> None:
    assert not is_allowed(reason)
