from __future__ import annotations

from pathlib import Path

import pytest
from mini_chexpert import HEADER, HEALTHY, SICK, TRAIN, labels, write_chexpert
from published_files import beginning_of, needs_package, save_picture, write_table

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.authors import label_reading
from contrastcxr.data.readers.chexpert import LABELER, RADIOLOGISTS, CheXpert
from contrastcxr.errors import DatasetError


def test_views_of_a_study_stand_together_with_position_age_and_sex(tmp_path: Path) -> None:
    study, later, odd = CheXpert(write_chexpert(tmp_path)).studies("train")
    assert (study.study_id, study.patient_id, study.age, study.sex) == (
        "patient00001-study1",
        "patient00001",
        68,
        "F",
    )
    assert [view.position for view in study.views] == ["AP", "LATERAL"]
    assert Path(study.views[1].locator or "").name == "view2_lateral.jpg"
    assert (later.patient_id, later.views[0].position) == ("patient00001", "PA")
    assert (odd.sex, odd.views[0].position) == (None, "unknown")


def test_training_labels_are_a_rules_and_a_blank_is_unmentioned(tmp_path: Path) -> None:
    study, _, odd = CheXpert(write_chexpert(tmp_path)).studies("train")
    reading = study.readings[0]
    assert reading.author == LABELER
    assert reading.author.kind == "rule"
    assert {f.name: f.status for f in reading.findings} == {
        "Cardiomegaly": "present",
        "Edema": "uncertain",
        "Pneumothorax": "absent",
    }
    assert odd.readings[0].findings == ()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_validation_and_test_labels_are_radiologists(tmp_path: Path, split: str) -> None:
    (study,) = CheXpert(write_chexpert(tmp_path)).studies(split)
    reading = label_reading(study)
    assert reading is not None
    assert reading.author == RADIOLOGISTS
    assert reading.author.kind == "human"
    assert (reading.present(), len(reading.findings), study.split) == ({"Edema"}, 14, split)


def test_the_folder_above_and_a_table_alone_are_found(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    assert CheXpert(tmp_path).studies() == CheXpert(root).studies()
    alone = CheXpert(root / "train.csv")
    assert alone.splits == ("train",)
    assert alone.studies() == CheXpert(root).studies("train")


def test_the_full_size_release_is_found_in_its_batches(tmp_path: Path) -> None:
    tables = tmp_path / "CheXpert-v1.0 batch 1 (validate & csv)"
    write_table(tables / "train.csv", HEADER, *(row.replace("-small", "") for row in TRAIN[:3]))
    picture = tmp_path / "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg"
    save_picture(picture)
    source = CheXpert(tables)
    (study,) = source.studies()
    assert [view.locator for view in study.views] == [str(picture)]
    assert len(source.missing) == 2


def test_an_absent_picture_is_listed_and_kept_on_request(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    gone = root / "train/patient00001/study1/view1_frontal.jpg"
    gone.unlink()
    source = CheXpert(root)
    assert [view.position for view in source.studies("train")[0].views] == ["LATERAL"]
    assert source.missing == (str(gone),)
    assert source.inventory().images == 6
    whole = load_studies(f"chexpert:{root}/train?images=any")
    assert [len(study.views) for study in whole] == [2, 1, 1]


def test_the_inventory_counts_views_statuses_and_what_is_odd(tmp_path: Path) -> None:
    root = write_chexpert(tmp_path)
    (root / "test_labels.csv").unlink()
    held = CheXpert(root).inventory()
    assert held.counts == {
        "studies of 1 view": 3,
        "studies of 2 views": 1,
        "present findings": 3,
        "absent findings": 14,
        "uncertain findings": 1,
    }
    assert held.notes == (
        "no test.csv: there is no split test",
        "1 frontal views are neither PA nor AP in the table (LL, RL or blank): position unknown",
    )


def test_without_any_picture_a_request_for_studies_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", HEADER, *TRAIN)
    assert "none of the 4 images is there" in CheXpert(tmp_path).inventory().notes[-1]
    with pytest.raises(
        DatasetError, match=r"none of 4 images is there, such as .*view1_frontal.jpg; .*images=any"
    ):
        load_studies(f"chexpert:{tmp_path}")


ROW = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEADER,), "train.csv: has no rows; one row an image was expected"),
        ((HEADER.replace("Edema", "Oedema"),), "train.csv header: no column 'Edema'; the nearest is 'Oedema'"),
        (
            (HEADER, ROW + labels(Edema="2")),
            r"train.csv row 2 \(.*view1_frontal.jpg\): Edema '2'; expected 1, 0, -1",
        ),
        ((HEADER, ROW + SICK, ROW + SICK), r"row 3 .*: the image is already in row 2"),
        ((HEADER, ROW + SICK, ROW.replace("view1", "view2") + HEALTHY), "row 3 .*: other labels than row 2"),
        ((HEADER, ROW.replace("patient00001", "p1") + SICK), "Path 'CheXpert-v1.0-small/train/p1/study1/view1"),
        ((HEADER, ROW + SICK[:-1]), r"row 2 .*: 18 cells under 19 columns"),
        ((HEADER, ROW + SICK + ",1"), r"row 2 .*: 20 cells under 19 columns"),
    ],
)
def test_a_wrong_table_is_refused_with_file_row_and_remedy(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    write_table(tmp_path / "train.csv", *lines)
    with pytest.raises(DatasetError, match=message) as refused:
        CheXpert(tmp_path, images="any").studies()
    assert "\n" not in str(refused.value)


def test_a_folder_or_file_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no train.csv, valid.csv or test.csv"):
        CheXpert(tmp_path)
    with pytest.raises(DatasetError, match="nowhere: is not there"):
        CheXpert(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"expected a table named train.csv"):
        CheXpert(write_table(tmp_path / "labels.csv", HEADER))


@needs_package
def test_the_beginning_of_the_packaged_table_is_read(tmp_path: Path) -> None:
    table = beginning_of("chexpert_train.csv.gz", tmp_path / "train.csv.gz", lines=1_001)
    source = CheXpert(table, images="any")
    studies = source.studies("train")
    assert sum(len(study.views) for study in studies) == source.inventory().images == 1_000
    assert studies[0].readings[0].present() == {"No Finding", "Support Devices"}


@pytest.mark.slow
@needs_package
def test_the_packaged_table_names_the_published_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no folder has the package's name
    source = open_source("chexpert:torchxrayvision?images=any")
    held = source.inventory()
    assert held.images == 223_414
    studies = source.studies()
    assert (len(studies), len({study.patient_id for study in studies})) == (187_641, 64_540)
    assert all(study.readings[0].author == LABELER for study in studies)
    assert held.counts["uncertain findings"] == 117_974
