from __future__ import annotations

from pathlib import Path

import pytest
from mini_rsna import CLASSES, HEADER, LABELS, write_rsna
from published_files import needs_package, save_picture, write_table

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.readers.rsna import Rsna
from contrastcxr.errors import DatasetError


def test_classes_and_boxes_are_one_human_author(tmp_path: Path) -> None:
    other, opacity, normal = Rsna(write_rsna(tmp_path)).studies("train")
    (reading, nih) = opacity.readings
    assert (reading.author.name, reading.author.kind) == ("rsna", "human")
    pneumonia, no_finding = reading.findings
    assert (pneumonia.name, pneumonia.status, no_finding.status) == ("Pneumonia", "present", "absent")
    assert [box.xyxy for box in pneumonia.boxes] == [(264, 152, 477, 531), (562, 152, 818, 605)]
    assert (nih.author.name, nih.present()) == ("nih14 labels", {"Pneumonia"})
    assert [f.status for f in other.readings[0].findings] == ["absent", "absent"]
    assert [f.status for f in normal.readings[0].findings] == ["absent", "present"]


def test_the_match_with_nih_says_who_the_patients_are(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    assert [s.patient_id for s in Rsna(root).studies("train")] == ["00000007", "00000007", "00000008"]
    moved = (root / "pneumonia-challenge-dataset-mappings_2018.json").rename(tmp_path / "match.json")
    source = Rsna(root)
    assert [s.patient_id for s in source.studies("train")] == [None, None, None]
    assert any("one patient may stand on both sides" in note for note in source.inventory().notes)
    assert load_studies(f"rsna:{root},mapping={moved}/train")[0].patient_id == "00000007"


def test_headers_give_view_spacing_and_size_and_a_table_saves_opening_files(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    views = [study.views[0] for study in Rsna(root).studies()]
    assert [view.position for view in views] == ["PA", "AP", "PA", "AP"]
    assert (views[0].width, views[0].height, views[0].spacing_mm) == (1024, 1024, (0.2, 0.1))
    columns = "PatientID,PatientAge,PatientSex,PixelSpacing,ViewPosition"
    table = write_table(tmp_path / "headers.csv", columns, "a1,43,F,0.168,AP", "a2,151,M,,", "a3,20,M,0.1,PA")
    one, two, _ = Rsna(root, headers=table).studies("train")
    assert (one.age, one.sex, one.views[0].position, one.views[0].spacing_mm) == (43, "F", "AP", (0.168, 0.168))
    assert (two.age, two.views[0].position, two.views[0].spacing_mm) == (None, "unknown", None)


def test_the_test_images_have_no_reading(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    (study,) = Rsna(root).studies("test")
    assert (study.study_id, study.readings, study.split) == ("b1", (), "test")
    (root / "stage_2_sample_submission.csv").unlink()
    assert Rsna(root).studies("test") == [study]


def test_boxes_of_resized_copies_are_scaled(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    (root / "stage_2_train_images/a2.dcm").unlink()
    save_picture(root / "stage_2_train_images/a2.png", width=256, height=512)
    study = Rsna(root).studies("train")[1]
    assert study.readings[0].findings[0].boxes[0].xyxy == (66, 76, 119.25, 265.5)


def test_the_inventory_counts_classes_boxes_and_absent_pictures(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    (root / "stage_2_train_images/a1.dcm").unlink()
    source = Rsna(root)
    held = source.inventory()
    assert (held.images, source.missing) == (4, (str(root / "stage_2_train_images/a1.dcm"),))
    assert held.counts == {
        "rsna: Lung Opacity": 1,
        "rsna: No Lung Opacity / Not Normal": 1,
        "rsna: Normal": 1,
        "boxes by rsna": 2,
        "matched with nih14": 3,
    }
    (root / "stage_2_detailed_class_info.csv").unlink()
    assert Rsna(root).inventory().counts["rsna: Target 0"] == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ("a2,1,2,0,4,1",),
            r"stage_2_train_labels.csv row 2 \(a2\): width 0; a box needs width and height above 0",
        ),
        (
            ("a2,1000,2,30,4,1",),
            r"box \[1000, 2, 30, 4\]; expected x, y, width, height inside the 1024×1024 image",
        ),
        (("a2,1,2,3,4,1", "a2,1,2,3,4,1"), "row 3 .*: the same box is listed twice"),
        (("a2,x,2,3,4,1",), "x 'x'; expected a number"),
        (("a2,1,2,3,4,0",), r"Lung Opacity' of an image with Target 0"),
        (("a2,,,,,1",), "Lung Opacity with 0 boxes; only Lung Opacity has boxes"),
        (("a2,1,2,3,4,1", "a2,,,,,0"), "Target 0 and 1; expected 0 or 1, the same in all rows"),
        (("a1,,,,,0",), r"row 3 \(a2\): is not in stage_2_train_labels.csv; expected the same images"),
    ],
)
def test_wrong_labels_are_refused_with_their_row(tmp_path: Path, labels: tuple[str, ...], message: str) -> None:
    write_table(tmp_path / "stage_2_train_labels.csv", HEADER, *labels)
    classes = CLASSES[:3] if labels[0].startswith("a1") else CLASSES[1:3]
    write_table(tmp_path / "stage_2_detailed_class_info.csv", "patientId,class", *classes)
    with pytest.raises(DatasetError, match=message):
        Rsna(tmp_path, images="any").studies()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a1,Strange",), r"class 'Strange'; expected one of Normal, No Lung Opacity"),
        (("a1,Normal", "a1,Lung Opacity"), "class 'Lung Opacity' after 'Normal'; expected one class an image"),
    ],
)
def test_wrong_classes_are_refused_with_their_row(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    write_table(tmp_path / "stage_2_train_labels.csv", HEADER, LABELS[0])
    write_table(tmp_path / "stage_2_detailed_class_info.csv", "patientId,class", *classes)
    with pytest.raises(DatasetError, match=message):
        Rsna(tmp_path, images="any").studies()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not JSON; expected a list of matches"),
        ("{}", "is a JSON dict; expected a list"),
        ('[{"img_id": "x"}]', "entry 0: expected subset_img_id and img_id"),
        (
            '[{"subset_img_id": "a1", "img_id": "1_0.png", "orig_labels": ["Efusion"]}]',
            r"\(a1\): unknown NIH finding",
        ),
    ],
)
def test_a_wrong_match_is_refused(tmp_path: Path, text: str, message: str) -> None:
    root = write_rsna(tmp_path)
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        Rsna(root).studies()


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no stage_2_train_labels.csv"):
        Rsna(tmp_path)


def test_a_damaged_file_is_listed_and_the_others_are_read(tmp_path: Path) -> None:
    root = write_rsna(tmp_path)
    before = Rsna(root).studies()
    (root / "stage_2_train_images/a1.dcm").write_bytes(b"no picture")
    source = Rsna(root)
    assert source.studies() == [study for study in before if study.study_id != "a1"]
    assert [line for line in source.missing if line.startswith(f"{root}/stage_2_train_images/a1.dcm: ")]


@pytest.mark.slow
@needs_package
def test_the_packaged_tables_name_the_published_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    source = open_source("rsna:torchxrayvision,headers=torchxrayvision?images=any")
    held = source.inventory()
    assert (held.images, held.counts["rsna: Lung Opacity"], held.counts["boxes by rsna"]) == (26_684, 6_012, 9_555)
    positions = [study.views[0].position for study in source.studies()]
    assert (positions.count("PA"), positions.count("AP")) == (14_511, 12_173)
