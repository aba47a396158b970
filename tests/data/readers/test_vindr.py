from __future__ import annotations

from pathlib import Path

import pytest
from mini_vindr import BOX_HEADER, BOXES, LABEL_HEADER, LABELS, write_vindr
from published_files import beginning_of, needs_package, save_picture, write_table

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.readers.vindr import VinDr
from contrastcxr.data.tables.named import read_table
from contrastcxr.errors import DatasetError


def test_every_radiologist_is_an_author(tmp_path: Path) -> None:
    one, two = VinDr(write_vindr(tmp_path)).studies("train")
    assert [r.author.name for r in one.readings] == ["vindr R8", "vindr R9", "vindr R10"]
    assert {r.author.kind for r in one.readings} == {"human"}
    assert [r.author.name for r in two.readings] == ["vindr R1", "vindr R2", "vindr R3"]
    assert (one.patient_id, one.views[0].position, one.split) == (None, "PA", "train")


def test_boxes_and_labels_of_a_reader_become_canonical_findings(tmp_path: Path) -> None:
    one = VinDr(write_vindr(tmp_path)).studies("train")[0]
    r9 = one.reading_by("vindr R9")
    assert r9 is not None
    assert {f.name: (f.status, len(f.boxes)) for f in r9.findings} == {
        "Aortic Enlargement": ("absent", 0),
        "Cardiomegaly": ("present", 1),
        "Fracture": ("present", 1),
        "Lung Lesion": ("present", 2),
        "Chronic Obstructive Pulmonary Disease": ("absent", 0),
        "Other Disease": ("absent", 0),
        "No Finding": ("absent", 0),
    }
    fracture, lesion = r9.finding("Fracture"), r9.finding("Lung Lesion")
    assert fracture is not None
    assert lesion is not None
    assert (fracture.source, lesion.source) == ("vindr: Rib fracture", "vindr: Nodule/Mass")
    r10 = one.reading_by("vindr R10")
    assert r10 is not None
    heart = r10.finding("Cardiomegaly")
    assert heart is not None
    assert heart.boxes[0].xyxy == (4.0, 8.5, 40.0, 30.0)
    assert (one.views[0].width, one.views[0].height) == (64, 48)


def test_the_test_set_has_one_consensus(tmp_path: Path) -> None:
    (study,) = VinDr(write_vindr(tmp_path)).studies("test")
    (reading,) = study.readings
    assert (reading.author.name, reading.present()) == ("vindr consensus", {"Aortic Enlargement"})


def test_without_the_label_table_what_is_not_marked_is_unmentioned(tmp_path: Path) -> None:
    root = write_vindr(tmp_path)
    (root / "annotations/image_labels_train.csv").unlink()
    source = VinDr(root)
    reading = source.studies("train")[0].reading_by("vindr R9")
    assert reading is not None
    assert {f.status for f in reading.findings} == {"present"}
    assert (
        "no image_labels_train.csv: what a reader did not mark is unmentioned, not absent"
        in source.inventory().notes
    )


def kaggle(folder: Path, *rows: str, suffix: str = ".png", **size: int) -> Path:
    root = folder / "kaggle"
    save_picture(root / f"train/aaa{suffix}", **size)
    write_table(root / "train.csv", BOX_HEADER, *rows)
    return root


def test_boxes_of_resized_pictures_are_scaled_by_the_table_of_sizes(tmp_path: Path) -> None:
    root = kaggle(tmp_path, BOXES[0], width=32, height=48)
    with pytest.raises(DatasetError, match=r"row 2 \(aaa\): boxes are in pixels of the DICOM .* train_meta.csv"):
        VinDr(root).studies()
    write_table(root / "train_meta.csv", "image_id,dim0,dim1", "aaa,96,64")
    (study,) = VinDr(root).studies()
    assert study.readings[0].findings[0].boxes[0].xyxy == (2.0, 4.25, 20.0, 15.0)
    (same,) = load_studies(f"vindr:{kaggle(tmp_path, BOXES[0])}?boxes=file")
    assert same.readings[0].findings[0].boxes[0].xyxy == (4.0, 8.5, 40.0, 30.0)


def test_the_inventory_counts_boxes_by_reader_and_absent_pictures(tmp_path: Path) -> None:
    root = write_vindr(tmp_path)
    (root / "train/bbb.dicom").unlink()
    source = VinDr(root)
    held = source.inventory()
    assert (held.images, source.missing) == (3, (str(root / "train/bbb.dicom"),))
    assert (held.counts["boxes"], held.counts["boxes by vindr R9"], held.counts["boxes by vindr R8"]) == (6, 4, 0)
    assert held.counts["present No Finding"] == 4
    assert [s.study_id for s in source.studies("train")] == ["aaa"]
    assert [s.study_id for s in VinDr(root, images="any").studies("train")] == ["aaa", "bbb"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ("aaa,R9,Kardiomegaly,1,1,5,5",),
            r"row 2 \(aaa\): unknown VinDr-CXR class 'Kardiomegaly'; did you mean 'Card",
        ),
        (("aaa,R9,Cardiomegaly,1,1,66,5",), r"box \[1, 1, 66, 5\]; expected corners inside the image of 64×48"),
        (("aaa,R9,Cardiomegaly,-4,1,5,5",), "expected corners inside the image"),
        (("aaa,R9,Cardiomegaly,5,1,5,5",), "expected x_min < x_max and y_min < y_max"),
        (("aaa,R9,Cardiomegaly,one,1,5,5",), "x_min 'one'; expected a number"),
        (("aaa,R9,Cardiomegaly,,,,",), "x_min ''; expected a number"),
        (("aaa,,Cardiomegaly,1,1,5,5",), "no rad_id; expected the reader"),
    ],
)
def test_a_wrong_box_is_refused_with_its_row(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        VinDr(kaggle(tmp_path, *rows), boxes="file").studies()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("aaa,R9,0,2,0,0,0,0,0,0",), "Cardiomegaly '2'; expected 0 or 1"),
        ((LABELS[0], LABELS[0]), "row 3 .*: this reader's labels of the image are listed twice"),
    ],
)
def test_wrong_labels_are_refused_with_their_row(tmp_path: Path, labels: tuple[str, ...], message: str) -> None:
    root = write_vindr(tmp_path)
    write_table(root / "annotations/image_labels_train.csv", LABEL_HEADER, *labels)
    with pytest.raises(DatasetError, match=message):
        VinDr(root).studies()


def test_the_same_box_listed_twice_counts_once(tmp_path: Path) -> None:
    (study,) = VinDr(kaggle(tmp_path, BOXES[0], BOXES[0]), boxes="file").studies()
    assert len(study.readings[0].findings[0].boxes) == 1


def test_a_box_table_whose_first_column_is_not_the_image_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", "rad_id,image_id,class_name,x_min,y_min,x_max,y_max")
    with pytest.raises(DatasetError, match="image_id is not the first column"):
        VinDr(tmp_path).studies()


@needs_package
def test_the_beginning_of_the_packaged_table_is_read(tmp_path: Path) -> None:
    table = beginning_of("vinbigdata-train.csv.gz", tmp_path / "train.csv.gz", lines=1_001)
    source = VinDr(table, images="any")
    assert source.inventory().images == len({row.cell(0) for row in read_table(table, ("image_id",)).rows})
    assert {r.author.kind for study in source.studies() for r in study.readings} == {"human"}


@pytest.mark.slow
@needs_package
def test_the_packaged_table_names_the_published_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    source = open_source("vindr:torchxrayvision?images=any")
    held = source.inventory()
    assert (held.images, held.counts["boxes"], held.counts["present No Finding"]) == (15_000, 36_096, 31_818)
    assert {len(study.readings) for study in source.studies("train")} == {3}
