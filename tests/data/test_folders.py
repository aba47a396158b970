from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.data.folders import kind_in_words, passed_in_words, walk


def unheard(error: OSError) -> None:
    raise error


def listed(folder: Path) -> dict[str, str | None]:
    return {str(path.relative_to(folder)): reason for path, reason in walk(folder, unheard)}


def test_every_file_to_the_bottom_is_yielded_with_the_reason_it_is_passed_over_for(tmp_path: Path) -> None:
    names = ("b/1.png", "a.dcm", "DICOMDIR", "b/dicomdir", ".DS_Store", ".cache/x/1.png", "b/.x/y", ".x/DICOMDIR")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert listed(tmp_path) == {
        ".DS_Store": "hidden",
        ".cache/x/1.png": "hidden",
        ".x/DICOMDIR": "hidden",
        "DICOMDIR": "DICOMDIR",
        "a.dcm": None,
        "b/1.png": None,
        "b/.x/y": "hidden",
        "b/dicomdir": "DICOMDIR",
    }


def test_a_folder_below_a_hidden_one_that_was_named_is_not_hidden(tmp_path: Path) -> None:
    folder = tmp_path / ".export" / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").touch()
    assert listed(folder) == {"1.png": None}
    assert listed(tmp_path / ".export") == {"a/1.png": None}


def test_a_linked_folder_is_not_followed_so_that_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert listed(tmp_path) == {"a/1.png": None, "a/up": "linked to a folder", "b": "linked to a folder"}
    assert listed(tmp_path / "b") == {"1.png": None, "up": "linked to a folder"}


def test_a_folder_that_cannot_be_opened_is_told_of(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk(tmp_path / "gone", errors.append)) == []
    assert [error.filename for error in errors] == [str(tmp_path / "gone")]


def words(path: Path) -> None:
    path.write_text("words")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("notes.TXT", words, ".txt"),
        ("scan.nii.gz", words, ".gz"),
        ("README", words, "without a suffix"),
        ("1.2.840.4711", words, "without a suffix"),
        ("report of Doe.Jane 1957", words, "without a suffix"),
        ("a.txt", Path.touch, "empty"),
        ("a.txt", os.mkfifo, "not regular"),
        ("s", listening, "not regular"),
        ("a.txt", lambda path: path.symlink_to("gone"), "linked to nothing"),
        ("a.txt", lambda path: path.symlink_to("a.txt"), "linked to nothing"),
    ],
)
def test_what_a_file_is_that_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[Path], None], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    make(Path(name))
    assert kind_in_words(Path(name)) == reason


def test_reasons_are_said_by_their_number_and_rare_ones_together() -> None:
    assert passed_in_words(Counter(hidden=2, DICOMDIR=1)) == "2 hidden, 1 DICOMDIR"
    assert passed_in_words({".txt": 1, ".xml": 12_000}) == "12,000 .xml, 1 .txt"
    many = {f".{letter}": 1 for letter in "abcdefghijklmn"}
    assert passed_in_words(many).endswith("1 .k, 1 .l, 2 others")
    assert passed_in_words({}) == ""
