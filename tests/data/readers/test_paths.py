from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from radiograph_files import ramp

from contrastcxr.data.pixels import with_pixels
from contrastcxr.data.readers.paths import studies_from_paths
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
    assert "study '1' is in two of the inputs" in failures[0].message


def test_ids_of_dicom_objects_are_kept_only_when_asked_for(dicom: Write) -> None:
    path = dicom(StudyInstanceUID="1.2.3")
    assert studies_from_paths([path])[0][0].study_id != "1.2.3"
    assert studies_from_paths([path], keep_ids=True)[0][0].study_id == "1.2.3"


def test_a_study_whose_views_all_fail_is_none(png: Write) -> None:
    black = png("black.png", np.zeros((64, 64), np.uint8))
    (study,), _ = studies_from_paths([black])
    assert with_pixels(study)[0] is None
    assert [f.where for f in with_pixels(study)[1]] == [str(black)]
