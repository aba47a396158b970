"""Files that a table names as another system writes names."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

import pytest

from contrastcxr.data.tables.places import NamedFiles, file_name, stem_of

COMPOSED, DECOMPOSED = (normalize(form, "images/Müller é.png") for form in ("NFC", "NFD"))


def made(root: Path, *names: str) -> NamedFiles:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return NamedFiles(root)


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("images/x.png", "images/x.png"),
        ("images/x.png", "./images/x.png"),
        ("images/x.png", "images\\x.png"),
        ("images/x.png", ".\\images\\x.png"),
        ("images/deep/x y.png", "images\\deep/x y.png"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
        (DECOMPOSED, COMPOSED.replace("/", "\\")),
        ("images/患者.png", "images\\患者.png"),
        ("images/a b.png", "images/a%20b.png"),
        ("images/患 者.png", "images/%E6%82%A3%20%E8%80%85.png"),
        ("Images/X.PNG", "images/x.png"),
        (normalize("NFD", "Ärzte/ö.png"), normalize("NFC", "ärzte/Ö.PNG")),
        ("images/100%.png", "images\\100%.png"),
    ],
)
def test_a_name_written_elsewhere_finds_its_file(tmp_path: Path, there: str, name: str) -> None:
    assert made(tmp_path, there).find(name) == tmp_path / there


def test_an_address_of_a_file_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "images" / "a b.png"
    files = made(tmp_path, "images/a b.png")
    assert files.find(path.as_uri()) == path
    assert files.find(str(path)) == path
    assert NamedFiles(tmp_path / "elsewhere").find(path.as_uri()) == path


@pytest.mark.parametrize("name", ["images\\x.png", "a%20b.png", DECOMPOSED])
def test_the_file_that_is_called_exactly_so_goes_first(tmp_path: Path, name: str) -> None:
    files = made(tmp_path, name, "images/x.png", "a b.png", COMPOSED)
    assert files.find(name).read_text() == name


@pytest.mark.parametrize(
    ("there", "name"),
    [
        (("x.png", "X.png"), "x.PNG"),
        (("images/x.png",), "y.png"),
        (("images/x.png",), "images"),
        (("x.png",), "images\\x.png"),
        (("x.png",), "a\0b.png"),
        (("x.png",), "file://[x.png"),
        (("x.png",), "file:"),
        (("x.png",), "x" * 5_000),
    ],
)
def test_what_is_not_there_or_not_one_stays_as_it_is_written(
    tmp_path: Path, there: tuple[str, ...], name: str
) -> None:
    assert made(tmp_path, *there).find(name) == tmp_path / name


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = made(tmp_path, *(f"images/{n}.PNG" for n in range(5)))
    listed: list[str] = []
    list_names = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(str(folder)) or list_names(folder))
    assert [files.find(f"images\\{n}.png").name for n in range(7)] == [
        *(f"{n}.PNG" for n in range(5)),
        "images\\5.png",
        "images\\6.png",
    ]
    assert sorted(listed) == [str(tmp_path), str(tmp_path / "images")]


@pytest.mark.parametrize("name", ["00001_000.png", "images/00001_000.jpg", "C:\\nih\\00001_000.png"])
def test_the_stem_of_a_name_with_either_slash(name: str) -> None:
    assert stem_of(name) == "00001_000"
    assert file_name(name) == "00001_000" + name[-4:]
