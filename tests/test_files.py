from __future__ import annotations

import errno
from pathlib import Path

import pytest

from contrastcxr.errors import OutputError
from contrastcxr.files import atomic_write


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
