from __future__ import annotations

import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from radiograph_files import data_set, directory, radiograph, ramp

from contrastcxr.api import open_source
from contrastcxr.data.check import check_source
from contrastcxr.data.pixels import with_pixels
from contrastcxr.data.readers.paths import Paths, studies_from_paths
from contrastcxr.data.source import Failure
from contrastcxr.errors import DatasetError
from contrastcxr.form import Study, View
from contrastcxr.phantom import write_studies

Write = Callable[..., Path]


def ct(ds: Dataset) -> None:
    ds.Modality, ds.SOPClassUID = "CT", CTImageStorage


def test_a_mixed_folder_gives_its_studies_and_names_the_rest(png: Write, dicom: Write, tmp_path: Path) -> None:
    dicom("pacs/1/a", StudyInstanceUID="1.2.3")
    dicom("pacs/2/b.dcm", StudyInstanceUID="1.2.3", ViewPosition="LL", PatientOrientation=["A", "F"])
    dicom("pacs/c.dcm", StudyInstanceUID="1.2.4", Modality="DX", PhotometricInterpretation="MONOCHROME1")
    dicom("pacs/ct.dcm", edit=ct)
    cut = png("pacs/cut.png", np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    cut.write_bytes(cut.read_bytes()[:500])
    png("pacs/photo.jpg", np.dstack([ramp(), ramp()[::-1], ramp() // 2]).astype(np.uint8))
    (tmp_path / "pacs" / "README.txt").write_text("how this was exported")
    (tmp_path / "pacs" / "DICOMDIR").write_text("directory")

    found, failures = studies_from_paths([tmp_path / "pacs"])
    read = [with_pixels(study) for study in found]
    good = [study for study, _ in read if study]
    failures += [f for _, some in read for f in some]
    assert sorted(len(s.views) for s in good) == [1, 2]
    assert all(v.pixels is not None for s in good for v in s.views)
    named = {Path(f.where).name: f.message for f in failures}
    assert set(named) == {"ct.dcm", "cut.png", "photo.jpg"}
    assert "CT Image Storage" in named["ct.dcm"]
    assert "truncated" in named["cut.png"]
    assert "coloured" in named["photo.jpg"]


def test_bad_inputs_are_listed_each_with_its_path_and_the_good_one_is_read(png: Write, tmp_path: Path) -> None:
    good = png("good.png")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    png("tiny.png", np.zeros((1, 1), np.uint8))
    bad = [tmp_path / n for n in ("empty.dcm", "text.jpg", "nothing", "notes.txt", "tiny.png", "absent.png")]
    studies, failures = studies_from_paths([*bad, good])
    assert [s.study_id for s in studies] == ["good"]
    assert sorted(f.where for f in failures) == sorted(map(str, bad))
    for failure in failures:
        assert failure.message.startswith(failure.where)
        assert "\n" not in failure.message


def test_a_picture_is_a_study_under_its_stem_with_its_size(png: Write) -> None:
    studies, _ = studies_from_paths([png("case 7.png")])
    assert studies == [
        Study(
            study_id="case 7",
            views=(View(view_id="case 7", locator=str(studies[0].views[0].locator), width=64, height=48),),
        )
    ]


def test_pictures_of_one_name_get_numbers(png: Write) -> None:
    studies, failures = studies_from_paths([png("x/a.png"), png("y/a.png"), png("z/a.png")])
    assert [s.study_id for s in studies] == ["a", "a-2", "a-3"]
    assert failures == []


def test_an_input_named_twice_is_read_once(png: Write, tmp_path: Path) -> None:
    path = png("x/a.png")
    (tmp_path / "x" / "link.png").symlink_to(path)
    studies, failures = studies_from_paths([path, tmp_path / "x", str(path)])
    assert ([s.study_id for s in studies], failures) == (["a"], [])


def test_a_manifest_gives_its_good_rows(png: Write, tmp_path: Path) -> None:
    png("a.png")
    rows = [
        {"study_id": "1", "image": "a.png"},
        {"study_id": "2", "image": "gone.png"},
        {"study_id": "3"},
    ]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    studies, failures = studies_from_paths([manifest])
    assert [s.study_id for s in studies] == ["1"]
    assert sorted("gone.png is not there" in f.message for f in failures) == [False, True]
    (tmp_path / "bad.csv").write_text("wrong\n1\n")
    studies, failures = studies_from_paths([tmp_path / "bad.csv", tmp_path / "a.png"])
    assert ([s.study_id for s in studies], len(failures)) == (["a"], 1)


def test_a_folder_with_a_manifest_gives_its_studies_and_the_pictures_that_none_of_them_names(
    png: Write, dicom: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    for name in ("front.png", "side.png", "third.png"):
        png(f"drawn/{name}")
    dicom("drawn/b.dcm")
    (folder / "broken.png").write_text("no picture")
    rows = [{"study_id": "1", "images": ["front.png", "side.png"]}, {"study_id": "2", "images": ["b.dcm"]}]
    (folder / "studies.jsonl").write_text("\n".join(map(json.dumps, rows)))
    studies, failures = studies_from_paths([folder, folder / "studies.jsonl", folder / "side.png"])
    assert [(s.study_id, len(s.views)) for s in studies] == [("1", 2), ("2", 1), ("third", 1)]
    assert [f.where for f in failures] == [str(folder / "broken.png")]


def test_a_folder_of_phantoms_is_read_as_its_studies(tmp_path: Path) -> None:
    write_studies(tmp_path, studies=2, level="smoke")
    studies, failures = studies_from_paths([tmp_path])
    assert [[v.position == "LATERAL" for v in s.views] for s in studies] == [[False, True], [False]]
    assert all(study.readings for study in studies)
    assert failures == []


def test_a_folder_whose_manifest_is_unusable_is_read_picture_by_picture(png: Write, tmp_path: Path) -> None:
    png("x/a.png")
    (tmp_path / "x" / "studies.jsonl").write_text("{")
    studies, failures = studies_from_paths([tmp_path / "x"])
    assert [s.study_id for s in studies] == ["a"]
    assert "studies.jsonl" in failures[0].message


def test_two_studies_of_one_id_are_not_both_read(png: Write, tmp_path: Path) -> None:
    png("a.png")
    for name in ("m.jsonl", "n.jsonl"):
        (tmp_path / name).write_text(json.dumps({"study_id": "1", "patient_id": "p", "image": "a.png"}))
    studies, failures = studies_from_paths([tmp_path / "m.jsonl", tmp_path / "n.jsonl"])
    assert len(studies) == 1
    first, second = tmp_path / "m.jsonl", tmp_path / "n.jsonl"
    assert failures[0].message == (
        f"{second}: study '1' is in two of the inputs, also in {first}; expected different ids; rename one"
    )
    assert str(tmp_path) not in failures[0].without_path().message


def test_many_pictures_of_one_name_get_numbers_in_their_order(png: Write, tmp_path: Path) -> None:
    for folder in range(9):
        png(f"{folder}/view.png")
    png("8/view-3.png")
    studies, failures = studies_from_paths([tmp_path])
    expected = ["view", "view-2", *(f"view-{n}" for n in range(3, 10)), "view-3-2"]
    assert sorted(study.study_id for study in studies) == sorted(expected)
    assert failures == []


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
@pytest.mark.parametrize("name", ["M\udcfcller.png", "M\udcfcller.dcm", "\udcff", "a\udc80\nb.jpg"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_file_whose_name_is_not_utf8_is_read_and_named_by_escapes(
    png: Write, dicom: Write, tmp_path: Path, name: str, alone: bool
) -> None:
    good = png("good.png")
    odd = tmp_path / name
    odd.write_bytes((dicom("chest.dcm") if name.endswith("dcm") else good).read_bytes())
    (tmp_path / "chest.dcm").unlink(missing_ok=True)
    studies, failures = studies_from_paths([odd, good] if alone else [tmp_path])
    assert failures == []
    assert sorted(study.views[0].locator for study in studies) == sorted(map(str, (odd, good)))
    assert all(study.study_id.encode() for study in studies)


def test_ids_of_dicom_objects_are_kept_only_when_asked_for(dicom: Write) -> None:
    path = dicom(StudyInstanceUID="1.2.3")
    assert studies_from_paths([path])[0][0].study_id != "1.2.3"
    assert studies_from_paths([path], keep_ids=True)[0][0].study_id == "1.2.3"


def test_a_study_whose_views_all_fail_is_none(png: Write) -> None:
    black = png("black.png", np.zeros((64, 64), np.uint8))
    (study,), _ = studies_from_paths([black])
    assert with_pixels(study)[0] is None
    assert [f.where for f in with_pixels(study)[1]] == [str(black)]


def passed_over(*paths: Path) -> tuple[list[Study], list[Failure], dict[str, int]]:
    passed = Counter[str]()
    studies, failures = studies_from_paths(paths, on_passed=lambda reason: passed.update([reason]))
    return studies, failures, dict(passed)


def test_every_file_of_a_folder_is_read_fails_or_is_counted(png: Write, dicom: Write, tmp_path: Path) -> None:
    png("in/a.png")
    dicom("in/b")
    folder = tmp_path / "in"
    for name in ("notes.txt", "more.TXT", "README", "table.csv", "other.jsonl", ".DS_Store", ".x/a.png", ".x/y/b"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("words")
    (folder / "nothing.log").touch()
    (folder / "words.dcm.gz").write_text("words")
    (folder / "words.nii.gz").write_bytes(gzip.compress(b"words"))
    (folder / "DICOMDIR").write_text("a directory")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.png")
    (folder / "gone").symlink_to("nowhere")
    (folder / "gone.dcm").symlink_to("nowhere")
    (folder / "circle").symlink_to(folder)
    (folder / "z").symlink_to("b")
    studies, failures, passed = passed_over(folder)
    assert len(studies) == 2
    assert sorted(Path(f.where).name for f in failures) == ["gone.dcm", "pipe.png", "words.dcm.gz"]
    assert passed == {
        ".csv": 1,
        ".gz": 1,
        ".jsonl": 1,
        ".txt": 2,
        "DICOMDIR": 1,
        "empty": 1,
        "hidden": 3,
        "linked to a folder": 1,
        "linked to nothing": 1,
        "not regular": 1,
        "read already": 1,
        "without a suffix": 1,
    }
    entries = sum(len(names) for _, _, names in os.walk(folder)) + 1  # the linked folder
    assert entries == len(studies) + len(failures) + sum(passed.values())


def test_a_file_of_a_manifest_is_read_and_a_second_name_of_it_counted(png: Write, tmp_path: Path) -> None:
    png("in/a.png")
    (tmp_path / "in" / "b.png").symlink_to("a.png")
    (tmp_path / "in" / "studies.jsonl").write_text(json.dumps({"study_id": "1", "image": "a.png"}))
    studies, failures, passed = passed_over(tmp_path / "in")
    assert ([s.study_id for s in studies], failures, passed) == (["1"], [], {"read already": 1})


def test_a_folder_named_twice_is_counted_by_its_reasons_and_its_pictures_are_no_second_names(
    png: Write, tmp_path: Path
) -> None:
    png("in/a.png")
    assert passed_over(tmp_path / "in", tmp_path / "in")[2] == {}
    assert passed_over(tmp_path / "in" / "a.png", tmp_path / "in")[2] == {}


@pytest.mark.parametrize("name", ["IM0001", "image.txt", "1.2.840.4711"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_alone_is_read_in_a_folder_as_by_its_name(tmp_path: Path, syntax: str, name: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(data_set(radiograph(ramp(top=4095), 12), syntax))
    found, failures, passed = passed_over(path.parent)
    assert (len(found), failures, passed) == (1, [], {})
    assert found == passed_over(path)[0]
    assert with_pixels(found[0])[1] == []


def test_an_ambiguous_data_set_of_a_folder_is_listed(tmp_path: Path) -> None:
    data = data_set(radiograph(ramp(top=4095), 12), ImplicitVRLittleEndian)
    (tmp_path / "IM0001").write_bytes(data[:400])
    studies, (failure,), passed = passed_over(tmp_path)
    assert (studies, passed) == ([], {})
    assert failure.message.startswith(f"{tmp_path / 'IM0001'}: is ambiguous or cut off")


@pytest.mark.parametrize("name", ["scan.gz", "notes.txt", "scan.png.gz"])
def test_packed_words_are_passed_over_in_a_folder_and_refused_by_name(
    png: Write, tmp_path: Path, name: str
) -> None:
    png("in/a.png")
    path = tmp_path / "in" / name
    path.write_bytes(gzip.compress(b"words"))
    assert passed_over(path.parent)[1:] == ([], {path.suffix: 1})
    _, (failure,), passed = passed_over(path)
    assert "is not a PNG, JPEG or DICOM file" in failure.message
    assert passed == {}


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "index.dcm"])
def test_a_directory_named_alone_gives_its_files_and_in_a_folder_is_counted(
    dicom: Write, tmp_path: Path, name: str
) -> None:
    dicom("disc/images/im1")
    dicom("disc/images/IM2")
    dicom("disc/other")
    made = directory(tmp_path / "disc" / name, r"IMAGES\IM1", r"IMAGES\IM2", r"IMAGES\IM3")
    studies, (failure,), passed = passed_over(made)
    assert [Path(s.views[0].locator or "").name for s in studies] == ["im1", "IM2"]
    assert failure.message == f"{made}: names IMAGES/IM3, which is not below its folder; copy the whole medium"
    assert passed == {}
    studies, failures, passed = passed_over(tmp_path / "disc")
    assert (len(studies), failures, passed) == (3, [], {"DICOMDIR": 1})
    assert len(passed_over(tmp_path / "disc", made)[0]) == 3


def test_a_damaged_directory_is_a_failure(dicom: Write, tmp_path: Path) -> None:
    made = directory(tmp_path / "DICOMDIR", "IM1")
    made.write_bytes(made.read_bytes()[:300])
    studies, (failure,), _ = passed_over(made, dicom())
    assert len(studies) == 1
    assert failure.where == str(made)


def test_the_inventory_of_a_folder_notes_what_was_passed_over(png: Write, tmp_path: Path) -> None:
    png("in/a.png")
    assert Paths(tmp_path / "in").inventory().notes == ()
    for name in ("a.txt", "b.txt", ".hidden"):
        (tmp_path / "in" / name).write_text("words")
    assert "passed over: 2 .txt, 1 hidden" in check_source(Paths(tmp_path / "in"))["notes"]


def test_a_directory_is_a_source_of_its_files(dicom: Write, tmp_path: Path) -> None:
    dicom("IM1")
    report = check_source(Paths(directory(tmp_path / "DICOMDIR", "IM1", "IM2")))
    assert (report["studies"], report["images"], report["missing"]) == (1, 2, 1)
    with pytest.raises(DatasetError, match="names no file"):
        Paths(directory(tmp_path / "x" / "DICOMDIR"))


def test_a_locked_file_of_a_folder_is_a_failure_whatever_its_name(
    png: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png("in/a.png")
    (tmp_path / "in" / "IM0001").write_text("words")
    opened = Path.open

    def locked(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "IM0001":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", locked)
    studies, (failure,), passed = passed_over(tmp_path / "in")
    assert (len(studies), passed) == (1, {})
    assert failure.message.endswith("IM0001: cannot be opened (Permission denied); check its permissions")


@pytest.mark.parametrize("name", ["m.csv.gz", "m.jsonl.gz", "M.CSV.GZ"])
def test_a_packed_manifest_is_a_manifest(png: Write, tmp_path: Path, name: str) -> None:
    png("a.png")
    text = "study_id;image\n004;a.png\n" if "csv" in name.lower() else '{"study_id": "004", "image": "a.png"}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    studies, failures = studies_from_paths([tmp_path / name])
    assert ([study.study_id for study in studies], failures) == (["004"], [])
    assert [study.study_id for study in open_source(str(tmp_path / name)).studies()] == ["004"]


UNWRITABLE = (b"latin\xe9", b"\xff\xfe", b"shift-jis \x8b\xb9")


def named(folder: Path, name: bytes, data: bytes) -> Path:
    path = folder / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", [*UNWRITABLE, b"two\nlines", b"\x1b[31mred"])
def test_a_file_of_any_name_is_read_or_listed_in_one_line(
    png: Write, dicom: Write, tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / "in"
    named(folder, name + b".dcm", dicom(StudyInstanceUID="1.2.3").read_bytes())
    named(folder, name + b".png", png().read_bytes())
    named(folder, name + b"_bad.dcm", b"words")
    found, failures = studies_from_paths([folder], keep_ids=True)
    assert [with_pixels(study)[1] for study in found] == [[], []]
    assert found[0].study_id == "1.2.3"
    for text in (found[1].study_id, failures[0].where, failures[0].message):
        assert text.encode().decode().isprintable()


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_source_leaves_out_what_no_table_can_name(png: Write, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "in"
    named(folder, name + b".png", png().read_bytes())
    named(folder, b"good.png", png().read_bytes())
    source = Paths(folder)
    assert [study.study_id for study in source.studies()] == ["good"]
    (missing,) = source.missing
    assert missing.endswith(": its name is no UTF-8, and no table can hold it; rename the file or its folder")


def test_an_image_called_dicomdir_is_an_image(dicom: Write, tmp_path: Path) -> None:
    passed = Counter[str]()
    dicom("in/DICOMDIR")
    dicom("in/a/dicomdir", StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.1")
    directory(tmp_path / "in" / "b" / "DICOMDIR", "IM1")
    found, failures = studies_from_paths([tmp_path / "in"], on_passed=lambda why: passed.update([why]))
    assert (len(found), failures, passed) == (2, [], {"DICOMDIR": 1})


def test_a_file_in_a_locked_folder_is_listed_when_it_is_named(
    png: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, stat = png("good.png"), Path.stat

    def locked(path: Path, **how: bool) -> os.stat_result:
        if path.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", locked)
    found, (failure,) = studies_from_paths([tmp_path / "locked.png", good])
    assert [study.study_id for study in found] == ["good"]
    assert failure.message == (
        f"{tmp_path}/locked.png: cannot be opened (Permission denied); check its permissions"
    )
