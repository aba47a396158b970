"""The experiments of localization on NIH: who is trained with what, and that no patient is on both sides."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mini_nih import HEADER
from PIL import Image

from contrastcxr.api import load_studies
from contrastcxr.data.authors import boxed_reading, label_reading
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import ContrastCXRError, DatasetError, RequestError, UnknownNameError
from contrastcxr.evaluation.protocols import AS_PUBLISHED, CORRECTED, in_words, protocol_of, words_of
from contrastcxr.evaluation.references import load_references
from contrastcxr.form import Study
from contrastcxr.metrics.words import PLAIN

PATIENTS, BOXED = 30, 20
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 images of 30 patients, 20 on the training list, 10 on the other with two boxed images of three each."""
    root = tmp_path_factory.mktemp("nih")
    (root / "images").mkdir()
    rows, boxes = [], []
    for patient in range(PATIENTS):
        for number in range(3 if patient >= BOXED else 2):
            name = f"{patient:08d}_{number:03d}.png"
            Image.fromarray(np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)).save(
                root / "images" / name
            )
            label = "Mass|Effusion" if patient % 2 else "Atelectasis"
            rows.append(f"{name},{label},0,{patient},50,F,{'PA' if number else 'AP'},1024,1024,0.1,0.1")
            if patient >= BOXED and number < 2:
                boxes.append(f"{name},{'Mass' if patient % 2 else 'Nodule'},{64 * number},0,128,256,,,")
    names = [row.partition(",")[0] for row in rows]
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (root / "train_val_list.txt").write_text("\n".join(n for n in names if int(n[:8]) < BOXED))
    (root / "test_list.txt").write_text("\n".join(n for n in names if int(n[:8]) >= BOXED))
    (root / "BBox_List_2017.csv").write_text("\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxes]))
    return root


def cut(folder: Path, query: str = "") -> dict[str, list[Study]]:
    return {split: load_studies(f"nih14-boxes:{folder}/{split}{query}") for split in SPLITS}


def ids(studies: list[Study]) -> set[str]:
    return {study.study_id for study in studies}


def boxed(studies: list[Study]) -> list[Study]:
    return [study for study in studies if study.reading_by("nih14 boxes")]


def test_without_a_fold_all_boxed_images_are_tested_and_none_is_trained_with(folder: Path) -> None:
    found = cut(folder)
    assert len(found["test"]) == len(boxed(found["test"])) == 20
    assert boxed(found["train"]) == boxed(found["validation"]) == []
    assert (len(found["train"]), len(found["validation"])) == (36, 4)
    assert all(int(name[:8]) < BOXED for split in SPLITS[:2] for name in ids(found[split]))
    assert {s.split for s in found["train"]} == {"train"}


@pytest.mark.parametrize("grouped", ["patient", "image"])
def test_the_five_folds_hold_every_boxed_image_once(folder: Path, grouped: str) -> None:
    tests = [cut(folder, f"?fold={k}&grouped={grouped}")["test"] for k in range(5)]
    assert sorted(name for test in tests for name in ids(test)) == sorted(ids(cut(folder)["test"]))
    patients = [{s.patient_id for s in test} for test in tests]
    shared = sum(map(len, patients)) - len(set.union(*patients))
    assert (shared == 0) == (grouped == "patient")


@pytest.mark.parametrize(("share", "count"), [(80, 16), (40, 8), (0, 0)])
@pytest.mark.parametrize("fold", [0, 3])
def test_a_share_of_all_boxed_images_is_trained_with_from_the_other_folds(
    folder: Path, share: int, count: int, fold: int
) -> None:
    found = cut(folder, f"?fold={fold}&boxed={share}")
    assert len(boxed(found["train"])) == count
    assert len(found["test"]) == 4
    patients = {s.patient_id for s in found["test"]}
    assert not patients & {s.patient_id for split in SPLITS[:2] for s in found[split]}
    assert len(found["train"]) == 36 + count  # the boxed images beyond the share are left out


def test_no_patient_is_learnt_from_and_validated_on(tmp_path: Path, folder: Path) -> None:
    mixed = tmp_path / "nih"
    shutil.copytree(folder, mixed)
    lines = (folder / "BBox_List_2017.csv").read_text().splitlines()
    more = [
        f"{patient:08d}_000.png,Nodule,0,0,128,256,,," for patient in range(0, BOXED, 2)
    ]  # of the training list
    (mixed / "BBox_List_2017.csv").write_text("\n".join([*lines, *more]))
    for fold in range(5):
        found = cut(mixed, f"?fold={fold}&boxed=80")
        sides = [{s.patient_id for s in found[split]} for split in SPLITS]
        assert found["validation"]
        assert not sides[0] & sides[2]
        assert not sides[1] & (sides[2] | {s.patient_id for s in boxed(found["train"])})


def test_a_larger_share_holds_the_smaller_one_and_the_seed_draws_it(folder: Path) -> None:
    of = {
        (share, seed): ids(boxed(cut(folder, f"?fold=0&boxed={share}&seed={seed}")["train"]))
        for share in (80, 40, 20)
        for seed in (0, 1)
    }
    assert of[20, 0] < of[40, 0] < of[80, 0]
    assert of[80, 0] == of[80, 1]
    assert of[40, 0] != of[40, 1]
    assert of[40, 0] == ids(boxed(cut(folder, "?fold=0&boxed=40")["train"]))


def test_a_share_of_the_images_without_a_box_is_trained_from_labels(folder: Path) -> None:
    whole, half = cut(folder, "?fold=0&boxed=80"), cut(folder, "?fold=0&boxed=80&unannotated=50")
    assert len(half["train"]) == 18 + 16
    assert ids(half["train"]) < ids(whole["train"])
    assert ids(half["validation"]) == ids(whole["validation"])


def test_as_published_the_images_without_a_box_are_of_both_lists(folder: Path) -> None:
    found = cut(folder, "?fold=0&boxed=80&grouped=image")
    plain = [s for split in SPLITS[:2] for s in found[split] if not s.reading_by("nih14 boxes")]
    assert len(plain) == 50
    assert any(int(s.study_id[:8]) >= BOXED for s in plain)


def test_labels_and_boxes_are_one_reading_that_is_scored_against(folder: Path) -> None:
    found = {s.study_id: s for s in cut(folder)["test"]}
    one, other = found["00000021_001"], found["00000022_000"]
    joint = one.readings[0]
    assert joint.author.name == "nih14 labels and boxes"
    assert {f.name: [b.xyxy for b in f.boxes] for f in joint.findings} == {
        "Mass": [(2.0, 0.0, 6.0, 8.0)],
        "Pleural Effusion": [],
    }
    assert other.readings[0].present() == {"Atelectasis", "Nodule"}
    labels = label_reading(one)
    assert labels is not None
    assert labels.author.name == "nih14 labels"
    assert boxed_reading(one, ["Mass"]) == joint
    references = load_references(parse_data(f"nih14-boxes:{folder}"), "test")
    assert references.boxing_authors() == {"nih14 labels and boxes"}


def test_the_protocol_is_how_images_are_parted(folder: Path) -> None:
    by_patient, by_image = (parse_data(f"nih14-boxes:{folder}?grouped={g}") for g in ("patient", "image"))
    assert (protocol_of(by_patient), protocol_of(by_image)) == (CORRECTED, AS_PUBLISHED)
    assert protocol_of(parse_data("phantom:smoke")) == CORRECTED
    assert words_of(AS_PUBLISHED, by_image, author=None) is PLAIN
    assert in_words(AS_PUBLISHED, by_image) == "folds of images"
    for data, protocol in ((by_patient, AS_PUBLISHED), (by_image, CORRECTED)):
        with pytest.raises(RequestError, match=rf"is protocol {protocol_of(data)}, and {protocol} was asked for"):
            words_of(protocol, data, author=None)


def test_what_changes_training_alone_is_not_in_the_name_of_what_is_scored(folder: Path) -> None:
    data = parse_data(f"nih14-boxes:{folder}?fold=1&boxed=40&unannotated=50&seed=2&grouped=image")
    assert data.scored().portable() == "nih14-boxes?fold=1&grouped=image"
    assert parse_data("phantom:smoke?boxed=80&seed=1").scored().portable() == "phantom:smoke?seed=1"


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("?fold=5", RequestError, "fold 5 of nih14-boxes; expected 0 to 4"),
        ("?boxed=80", RequestError, "boxed=80 of nih14-boxes: all boxed images are tested, .* name a fold"),
        ("?fold=0&boxed=90", RequestError, "boxed=90 .* at most 80% can be trained with; set boxed=80 or less"),
        ("?fold=0&boxed=101", RequestError, "boxed=101; expected a whole number from 0 to 100"),
        ("?fold=0&unannotated=half", RequestError, "unannotated=half; expected a whole number from 0 to 100"),
        ("?grouped=study", UnknownNameError, "grouped of nih14-boxes 'study'"),
    ],
)
def test_a_wrong_share_is_refused(folder: Path, query: str, error: type[ContrastCXRError], message: str) -> None:
    with pytest.raises(error, match=message):
        load_studies(f"nih14-boxes:{folder}/test{query}")


def test_a_folder_without_boxes_says_what_to_fetch(nih: Path) -> None:
    (nih / "BBox_List_2017.csv").unlink()
    with pytest.raises(DatasetError, match=r"no image has a box; expected BBox_List_2017.csv there"):
        load_studies(f"nih14-boxes:{nih}/test")


@pytest.mark.data
def test_the_real_boxes_are_in_folds_that_share_no_patient(shared_data: Path) -> None:
    root = shared_data / "nih14"
    found = [cut(root, f"?fold={k}&boxed=80") for k in range(5)]
    assert sum(len(each["test"]) for each in found) == 31
    for each in found:
        assert len(boxed(each["train"])) + len(each["test"]) == 31
        assert not {s.patient_id for s in each["test"]} & {s.patient_id for s in each["train"]}
