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


def test_a_table_that_is_too_wide_comes_in_parts_with_the_names_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    scores = {f"score {n}": f".5{n} (.400–.600)" for n in range(4)}
    rows = [{"row": name, "seed": "0", **scores} for name in ("plain", "contrast [x]")]
    first, second = output.table(rows, names=2).split("\n\n")
    assert first.splitlines()[0].split() == ["row", "seed", "score", "0", "score", "1"]
    assert second.splitlines()[2].split("  ")[0] == "contrast [x]"
    assert all(f".5{n} (.400–.600)" in (first, second)[n // 2] for n in range(4))
    assert max(map(len, (first + "\n" + second).splitlines())) <= 60


def test_a_long_name_of_a_row_and_a_figure_with_its_deviation_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name, figure = "cross_attention@shuffled-none by votes", "1.000 (1.000–1.000) ± 0.000"
    for part in output.table([{"row": name, "one": figure, "other": figure}]).split("\n\n"):
        assert part.splitlines()[1].split("  ")[:2] == [name, figure]


def test_long_texts_are_folded_where_each_has_some_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    shown = output.table([{"row": "plain", "meaning": "word " * 20, "other": "word " * 20}])
    assert "\n\n" not in shown
    assert shown.count("word") == 40
    assert output.table([]) == ""
