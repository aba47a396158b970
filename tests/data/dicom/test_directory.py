from __future__ import annotations

from pathlib import Path

import pytest
from radiograph_files import directory

from contrastcxr.data.dicom.directory import listed_files
from contrastcxr.errors import ImageError


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("on_disk", ["IMAGES/IM1", "images/im1", "Images/Im1", "images/IM1"])
@pytest.mark.parametrize("name", [r"IMAGES\IM1", r"images\im1"])
def test_a_named_file_is_found_whatever_its_case(tmp_path: Path, name: str, on_disk: str) -> None:
    touched(tmp_path, on_disk)
    assert listed_files(directory(tmp_path / "DICOMDIR", name)) == ([tmp_path / on_disk], [])


def test_of_two_files_that_differ_in_case_the_one_named_counts(tmp_path: Path) -> None:
    touched(tmp_path, "IM1", "im1")
    assert listed_files(directory(tmp_path / "DICOMDIR", "im1"))[0] == [tmp_path / "im1"]


def test_files_come_in_the_order_of_the_directory_each_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/2", "a/1", "3")
    made = directory(tmp_path / "x.dcm", r"A\2", "3", None, r"a\1", r"a\2")
    assert listed_files(made) == ([tmp_path / "a" / "2", tmp_path / "3", tmp_path / "a" / "1"], [])


def test_a_file_that_is_not_there_is_listed_and_the_others_are_found(tmp_path: Path) -> None:
    touched(tmp_path, "IM1")
    (tmp_path / "IM3").mkdir()
    made = directory(tmp_path / "DICOMDIR", "IM1", r"IMAGES\IM2", "IM3", "Doe^Jane")
    found, failures = listed_files(made)
    assert found == [tmp_path / "IM1"]
    assert [(f.where, f.message) for f in failures] == [
        (str(made), f"{made}: names {name}, which is not below its folder; copy the whole medium")
        for name in ("IMAGES/IM2", "IM3", "a file")
    ]


@pytest.mark.parametrize(
    "name", [r"..\IM1", "../IM1", "/IM1", r".\IM1", r"\IM1", r"C:\IM1", r"a/../..\IM1", r"OUT\IM1"]
)
def test_no_name_leads_out_of_the_folder_of_the_directory(tmp_path: Path, name: str) -> None:
    touched(tmp_path, "IM1")
    made = directory(tmp_path / "disc" / "DICOMDIR", name)
    (tmp_path / "disc" / "a").mkdir()
    (tmp_path / "disc" / "OUT").symlink_to(tmp_path)
    found, (failure,) = listed_files(made)
    assert found == []
    assert failure.message.startswith(f"{made}: names ")
    assert "\n" not in failure.message


@pytest.mark.parametrize("names", [(), (None,)])
def test_a_directory_without_files_is_an_error(tmp_path: Path, names: tuple[None, ...]) -> None:
    with pytest.raises(ImageError, match="DICOMDIR: names no file"):
        listed_files(directory(tmp_path / "DICOMDIR", *names))


@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_a_directory_that_is_cut_off_is_an_error(tmp_path: Path, keep: float) -> None:
    made = directory(tmp_path / "DICOMDIR", "IM1", "IM2")
    made.write_bytes(made.read_bytes()[: int(keep * made.stat().st_size)])
    with pytest.raises(ImageError, match="DICOMDIR: ") as caught:
        listed_files(made)
    assert "Secretive" not in str(caught.value)


@pytest.mark.parametrize("on_disk", ["IM1.dcm", "im1.DCM", "IM1;1", "IM1.;1", "IM1.", "im1.dcm;1", "IM1.dicom"])
@pytest.mark.parametrize("name", [r"DIR\IM1", r"DIR\IM1.;1", r"dir\im1"])
def test_a_name_may_have_got_a_suffix_or_a_version(tmp_path: Path, name: str, on_disk: str) -> None:
    touched(tmp_path, f"DIR/{on_disk}", "DIR/IM10", "DIR/IM1.txt")
    assert listed_files(directory(tmp_path / "DICOMDIR", name)) == ([tmp_path / "DIR" / on_disk], [])


def test_the_name_itself_goes_before_its_other_forms(tmp_path: Path) -> None:
    touched(tmp_path, "IM1", "IM1.dcm", "IM1;1", "IM2.dcm", "im2;1")
    found, failures = listed_files(directory(tmp_path / "DICOMDIR", "IM1", "IM1.DCM", "IM2;1"))
    assert ([path.name for path in found], failures) == (["IM1", "IM1.dcm", "im2;1"], [])


@pytest.mark.parametrize("name", ["DIR/IM1", r"\DIR\IM1", "/DIR/IM1", r".\DIR\IM1", "./DIR/IM1", r"DIR \ IM1"])
def test_names_are_parted_in_other_ways_too(tmp_path: Path, name: str) -> None:
    touched(tmp_path, "DIR/IM1")
    assert listed_files(directory(tmp_path / "DICOMDIR", name)) == ([tmp_path / "DIR" / "IM1"], [])


@pytest.mark.parametrize("on_disk", [r"DIR\IM1", r"dir\im1.dcm", r"DIR\IM1;1"])
def test_folders_may_have_become_part_of_the_name(tmp_path: Path, on_disk: str) -> None:
    touched(tmp_path, on_disk)
    assert listed_files(directory(tmp_path / "DICOMDIR", r"DIR\IM1")) == ([tmp_path / on_disk], [])
