"""Where the lines of a run go: its log file, whoever listens here, and back from a spawned process."""

from __future__ import annotations

import logging
from multiprocessing import get_context
from pathlib import Path

import pytest

from contrastcxr.training.messages import Relay, kept_lines, run_log

PACKAGE = logging.getLogger("contrastcxr")
LOGGER = logging.getLogger("contrastcxr.training.trainer")


def test_the_file_has_every_line_although_nothing_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING, logger="contrastcxr")
    with run_log(tmp_path / "log.txt"):
        LOGGER.info("epoch 1: 100%")
        LOGGER.warning("slow")
    assert (tmp_path / "log.txt").read_text() == "epoch 1: 100%\nslow\n"
    assert caplog.messages == ["slow"]
    assert capsys.readouterr().err == ""


def test_lines_are_shown_where_they_were_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="contrastcxr")
    with run_log(tmp_path / "log.txt"):
        LOGGER.info("epoch 1")
        LOGGER.debug("not of interest")
    assert caplog.messages == ["epoch 1"]


def test_what_was_said_before_there_was_a_file_stands_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="contrastcxr")
    with kept_lines() as earlier:
        LOGGER.info("attributes: 3 of 4 reports state one")
        LOGGER.warning("no training report has right")
    assert caplog.messages == ["no training report has right"]
    with run_log(tmp_path / "log.txt", earlier=earlier):
        LOGGER.info("epoch 1")
    said = ["attributes: 3 of 4 reports state one", "no training report has right", "epoch 1"]
    assert (tmp_path / "log.txt").read_text().splitlines() == said
    assert caplog.messages == ["no training report has right"]


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for line in ("epoch 1", "epoch 2"):
        with run_log(tmp_path / "log.txt"):
            LOGGER.info(line)
    assert (tmp_path / "log.txt").read_text() == "epoch 1\nepoch 2\n"


def test_loggers_are_left_as_they_were_also_after_an_error(tmp_path: Path) -> None:
    before = (PACKAGE.level, PACKAGE.propagate, list(PACKAGE.handlers))
    with pytest.raises(ValueError, match="stop"), run_log(tmp_path / "log.txt"):
        raise ValueError("stop")
    assert (PACKAGE.level, PACKAGE.propagate, PACKAGE.handlers) == before


def _spawned(relay: Relay) -> None:
    relay.send()
    LOGGER.info("from there")
    LOGGER.debug("not of interest")


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, ["from there"]), (logging.WARNING, [])])
def test_a_spawned_process_logs_here(level: int, shown: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(level, logger="contrastcxr")
    relay = Relay()
    with relay.receive():
        process = get_context("spawn").Process(target=_spawned, args=(relay,))
        process.start()
        process.join()
    assert process.exitcode == 0
    assert caplog.messages == shown
