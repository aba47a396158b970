"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

import pytest

from contrastcxr.errors import OutputError
from contrastcxr.files import atomic_write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_complete_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a" / "b.txt", "w") as stream:
        stream.write("ä\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "ä\n".encode()
    assert names(tmp_path / "a") == ["b.txt"]


def test_the_final_name_does_not_exist_while_writing(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "b.bin", "wb") as stream:
        stream.write(b"x")
        assert not (tmp_path / "b.bin").exists()


def _write_and_fail(path: Path, fault: BaseException) -> None:
    with atomic_write(path, "wb") as stream:
        stream.write(b"new")
        raise fault


@pytest.mark.parametrize("fault", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_inside_leaves_the_old_file_and_no_part(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "b.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(fault)):
        _write_and_fail(path, fault)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["b.bin"]


def test_a_full_disk_is_one_line_with_file_reason_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match=r"b\.bin.*No space left.*free some space") as caught,
        atomic_write(tmp_path / "b.bin", "wb") as stream,
    ):
        stream.write(b"new")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_while_writing_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_part: Path, _mode: str) -> IO[bytes]:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr("contrastcxr.files._open", full)
    with pytest.raises(OutputError, match="No space left"), atomic_write(tmp_path / "b.bin", "wb") as stream:
        stream.write(b"new")


def test_a_folder_name_taken_by_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(OutputError, match="taken"), atomic_write(tmp_path / "taken" / "b.bin"):
        pass


def test_an_unreadable_input_inside_the_block_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "b.bin", "wb") as stream:
        stream.write((tmp_path / "absent.jpg").read_bytes())
    assert names(tmp_path) == []
