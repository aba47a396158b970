"""Which skips are allowed in CI, where a test that skips for any other reason fails the run.

A tool may be missing where `.ci/run` could not install it: it names those that it has in CI_TOOLS.
"""

from __future__ import annotations

import os

import pytest

ALLOWED = (
    "real samples are not at ",
    "the NIH picture is not at ",
    "the answers of R2Gen's code are not at ",
    "not a row",
    "the extra test is without ",
    "ten thousand inputs take long",
)
"""How the reasons begin that hold on every machine, or where there are no samples beside the checkout.

`make test` installs the extra `test`, which leaves out what weighs much and few want.
"""

TOOLS = {
    "java": "METEOR needs Java",
    "dciodvfy": "no dciodvfy",
    "chromium": "no Chromium",
    "axe-core": "no axe-core",
}
"""By tool, how the reason begins of the tests that need it."""


def is_allowed(reason: str) -> bool:
    """Whether a test may skip for this reason in CI."""
    held = os.environ.get("CI_TOOLS", "").split()
    missing = tuple(said for tool, said in TOOLS.items() if tool not in held)
    return reason.removeprefix("Skipped: ").startswith(ALLOWED + missing)


def _refused(config: pytest.Config) -> list[str]:
    """Each skip of the run that is not allowed; none outside CI, nor in a worker, which reports to the run."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or terminal is None or hasattr(config, "workerinput"):
        return []
    said = [(report.nodeid, str(report.longrepr[2])) for report in terminal.stats.get("skipped", [])]
    return [f"{test}: {reason}" for test, reason in said if not is_allowed(reason)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that would have passed."""
    if _refused(session.config) and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that fail the run."""
    refused = _refused(terminalreporter.config)
    if refused:
        terminalreporter.section("skips that are not allowed in CI (tests/skips.py)", red=True)
        for line in refused:
            terminalreporter.line(line)
