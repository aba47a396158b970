from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from contrastcxr.errors import OutputError
from contrastcxr.files import atomic_write, clear_parts, default_cache


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_takes_its_name_when_the_block_ends_well(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new" / "a.txt") as file:
        file.write("grün")
        assert names(tmp_path / "new") != ["a.txt"]
    assert names(tmp_path / "new") == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text("utf-8") == "grün"


def test_what_stood_there_stays_when_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a.txt") as file:
        file.write("half" * (1 // 0))
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"a\.bin") as caught, atomic_write(tmp_path / "a.bin", "wb") as file:
        file.write(b"1")
    assert "No space left" in str(caught.value)
    assert names(tmp_path) == []


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("CONTRASTCXR_CACHE")
    assert default_cache() == Path(".cache/contrastcxr")


def test_what_a_killed_process_left_is_cleared_and_what_a_running_one_writes_is_not(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with atomic_write(tmp_path / "killed.txt") as file:
            file.write("half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / ".someone.else.part").write_text("theirs")
    with atomic_write(tmp_path / "running.txt") as file:
        file.write("all of it")
        assert len(names(tmp_path)) == 3
        assert clear_parts(tmp_path) == 1
    assert names(tmp_path) == [".someone.else.part", "running.txt"]
