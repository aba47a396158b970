"""What a command shows of what is logged: our lines bare, those of other libraries behind their name."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from contrastcxr.cli import output
from contrastcxr.cli.main import run

OURS = logging.getLogger("contrastcxr.features.cache")
THEIRS = logging.getLogger("timm.models")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with output.as_found():
        yield


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error after one message of each kind."""
    OURS.debug("debug")
    OURS.info("features: 3 pictures, 100%")
    OURS.warning("ours")
    THEIRS.info("weights loaded")
    THEIRS.warning("theirs")
    return capsys.readouterr().err.splitlines()


def test_our_lines_have_no_prefix_but_that_of_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    output.begin(fresh=True)
    assert shown(capsys) == ["features: 3 pictures, 100%", "warning: ours", "timm.models: theirs"]


def test_quiet_leaves_failures(capsys: pytest.CaptureFixture[str]) -> None:
    output.begin(quiet=True, fresh=True)
    assert shown(capsys) == ["warning: ours", "timm.models: theirs"]


def test_verbose_shows_other_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    output.begin(verbose=True, fresh=True)
    assert shown(capsys) == [
        "features: 3 pictures, 100%",
        "warning: ours",
        "timm.models: weights loaded",
        "timm.models: theirs",
    ]


def test_options_before_and_after_the_verb_count_and_no_line_comes_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.begin(quiet=True, fresh=True)
    output.begin(verbose=True)
    assert shown(capsys) == ["warning: ours", "timm.models: weights loaded", "timm.models: theirs"]
    output.begin(fresh=True)
    assert shown(capsys) == ["features: 3 pictures, 100%", "warning: ours", "timm.models: theirs"]


def test_a_name_that_begins_like_ours_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    output.begin(fresh=True)
    logging.getLogger("contrastcxr_extra").warning("theirs")
    assert capsys.readouterr().err == "contrastcxr_extra: theirs\n"


@pytest.mark.parametrize("options", [["-q"], ["-v"], []])
def test_a_command_leaves_logging_as_it_was(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    root, package = logging.getLogger(), logging.getLogger("contrastcxr")
    before = (root.level, list(root.handlers), package.level)
    assert run([*options, "data", "list"]) == 0
    assert (root.level, root.handlers, package.level) == before
    capsys.readouterr()
    OURS.info("not shown")
    assert capsys.readouterr().err == ""


def test_a_library_that_nobody_configured_says_nothing() -> None:
    code = "import logging, contrastcxr; logging.getLogger('contrastcxr.features.cache').info('not shown')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize("option", ["--json", "--quiet", "--verbose"])
@pytest.mark.parametrize("words", [["data", "list"], ["data", "check", "nih14:absent"], ["models", "none"]])
def test_what_one_command_was_told_is_not_said_to_the_next(
    option: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = output.current()
    run([*words, option])
    run([option, *words])
    assert output.current() == before
    capsys.readouterr()
    assert run(["data", "list"]) == 0
    assert capsys.readouterr().out.startswith("phantom:")
