from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.data.authors import is_normal
from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.nih14_cv import Nih14Folds
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.form import Study


def by_id(source: Nih14) -> dict[str, Study]:
    return {study.study_id: study for study in source.studies()}


def boxes(study: Study, author: str) -> dict[str, list[tuple[float, ...]]]:
    reading = study.reading_by(author)
    assert reading is not None
    return {f.name: [b.xyxy for b in f.boxes] for f in reading.findings if f.boxes}


def test_every_image_is_a_study_with_its_patient_split_and_view(nih: Path) -> None:
    studies = by_id(Nih14(nih))
    first = studies["00000001_000"]
    assert (first.patient_id, first.split, first.age, first.sex) == ("00000001", "train_val", 57, "M")
    assert (first.views[0].position, first.views[0].width, first.views[0].height) == ("PA", 64, 64)
    assert Counter(s.split for s in studies.values()) == {"train_val": 4, "test": 2}
    assert [s.study_id for s in Nih14(nih).studies("test")] == ["00000004_000", "00000004_001"]


def test_spacing_is_that_of_the_resized_pixels(nih: Path) -> None:
    view = by_id(Nih14(nih))["00000001_000"].views[0]
    assert view.spacing_mm == pytest.approx((0.2 * 2048 / 64, 0.1 * 2048 / 64))


def test_ages_of_both_editions_are_understood_and_impossible_ones_dropped(nih: Path) -> None:
    studies = by_id(Nih14(nih))
    assert studies["00000001_001"].age == 58
    assert studies["00000003_000"].age is None


def test_labels_are_one_author_with_canonical_names(nih: Path) -> None:
    reading = by_id(Nih14(nih))["00000003_000"].reading_by("nih14 labels")
    assert reading is not None
    assert reading.present() == {"Pleural Effusion", "Pleural Thickening"}
    assert reading.author.kind == "rule"


def test_boxes_are_scaled_from_the_published_grid_and_clipped_to_the_image(nih: Path) -> None:
    study = by_id(Nih14(nih))["00000004_000"]
    assert boxes(study, "nih14 boxes") == {
        "Pneumonia": [(32, 16, 48, 48), (0, 0, 4, 4)],
        "Infiltration": [(0, 0, 64, 6.25)],
    }


def test_boxes_are_counted_and_those_of_pictures_that_are_not_there_noted(nih: Path) -> None:
    held = Nih14(nih).inventory()
    counted = {name: count for name, count in held.counts.items() if "nih14 boxes" in name}
    assert counted == {"pictures in nih14 boxes": 1, "boxes by nih14 boxes": 3}
    assert held.notes == ("BBox_List_2017.csv: 1 of 2 pictures are no study here, such as 00000099_000.png",)


def test_rsna_is_another_author_that_says_pneumonia_or_normal(nih: Path) -> None:
    studies = by_id(Nih14(nih))
    assert boxes(studies["00000004_000"], "rsna") == {
        "Pneumonia": [(6.25, 12.5, 25, 37.5), (31.25, 12.5, 50, 37.5)]
    }
    said = {
        name: {f.name: f.status for f in reading.findings}
        for name, study in studies.items()
        if (reading := study.reading_by("rsna"))
    }
    assert said == {
        "00000001_001": {"Pneumonia": "absent", "No Finding": "present"},
        "00000002_000": {"Pneumonia": "absent", "No Finding": "absent"},
        "00000004_000": {"Pneumonia": "present", "No Finding": "absent"},
    }


def test_a_normal_image_that_radiologists_called_abnormal_is_not_normal(nih: Path) -> None:
    normal = [name for name, study in by_id(Nih14(nih)).items() if is_normal(study)]
    assert normal == ["00000001_001", "00000004_001"]


def test_without_rsna_its_word_counts_for_nothing(nih: Path) -> None:
    studies = list(parse_data(f"nih14:{nih}?rsna=unread").open().studies())
    assert not any(study.reading_by("rsna") for study in studies)
    normal = [study.study_id for study in studies if is_normal(study)]
    assert normal == ["00000001_001", "00000002_000", "00000004_001"]
    with pytest.raises(UnknownNameError, match="rsna of nih14"):
        parse_data(f"nih14:{nih}?rsna=no").open()


def test_one_folder_of_jpegs_under_the_names_of_the_table_reads_the_same(nih: Path, tmp_path: Path) -> None:
    before = by_id(Nih14(nih))
    (tmp_path / "images").mkdir()
    for path in sorted(tmp_path.glob("images_*/images/*.png")):
        Image.open(path).save(tmp_path / "images" / f"{path.stem}.jpg")
        path.unlink()
    after = by_id(Nih14(nih))
    assert {n: s.readings for n, s in after.items()} == {n: s.readings for n, s in before.items()}
    assert after["00000001_000"].views[0].locator == str(tmp_path / "images" / "00000001_000.jpg")


def test_missing_and_unlisted_images_are_counted_and_the_rest_is_read(nih: Path) -> None:
    moved = nih / "images_001" / "images" / "00000001_000.png"
    moved.rename(moved.with_name("00000077_000.png"))
    with (nih / "test_list.txt").open("a") as file:
        file.write("00000088_000.png\n")
    source = Nih14(nih)
    assert len(source.studies()) == 5
    assert source.missing == ("00000001_000.png", "00000088_000.png")
    assert source.unlisted == ("00000077_000.png",)


def test_a_folder_without_lists_has_no_splits(nih: Path) -> None:
    (nih / "train_val_list.txt").unlink()
    (nih / "test_list.txt").unlink()
    source = Nih14(nih)
    assert source.splits == ()
    assert {s.split for s in source.studies()} == {None}
    with pytest.raises(RequestError, match="has no splits"):
        source.studies("test")


def test_an_unknown_split_names_the_nearest(nih: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'train_val'"):
        Nih14(nih).studies("trainval")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "BBox_List_2017.csv",
            "512,256,256,512",
            "512,256,0,512",
            r"row 2 \(00000004_000.png\): width 0; a box",
        ),
        (
            "BBox_List_2017.csv",
            "512,256,256,512",
            "900,256,256,512",
            r"row 2 .*inside the 1024×1024 grid",
        ),
        (
            "BBox_List_2017.csv",
            "512,256,256,512",
            "nan,256,256,512",
            r"row 2 .*: x 'nan'; expected a number",
        ),
        ("BBox_List_2017.csv", "512,256,256,512", "-9,256,256,512", r"row 2 .*inside the 1024×1024 grid"),
        ("BBox_List_2017.csv", "512,256,256,512", "512,256,256,-1", r"row 2 .*height -1; a box needs width"),
        ("BBox_List_2017.csv", "512,256,256,512", "x,256,256,512", r"row 2 .*: x 'x'; expected a number"),
        ("BBox_List_2017.csv", "Infiltrate", "Infilt", r"row 3 .*unknown NIH finding 'Infilt'; did you mean"),
        ("Data_Entry_2017_v2020.csv", "Cardiomegaly|", "Cardiomegali|", r"row 2 .*did you mean 'Cardiomegaly'"),
        ("Data_Entry_2017_v2020.csv", "Pneumonia", "No Finding|Mass", r"row 6 .*No Finding cannot stand beside"),
        ("Data_Entry_2017_v2020.csv", "00000001_001", "00000001_000", r"row 2 .*listed 2 times; keep one row"),
        ("Data_Entry_2017_v2020.csv", "PA", "\udcff", "line 2: is not UTF-8 text"),
        (
            "rsna_pneumonia.csv",
            "Normal,,,,\n00000004",
            "Abnormal,,,,\n00000004",
            "class Abnormal; expected one",
        ),
        ("rsna_pneumonia.csv", "Normal,,,,\n00000004", "Normal,1,2,3,4\n00000004", "only Lung Opacity has boxes"),
        ("test_list.txt", "00000004_001", "00000001_000", "00000001_000.png is also in the list train_val"),
    ],
)
def test_a_table_that_departs_from_its_layout_is_refused_with_its_row(
    nih: Path, file: str, old: str, new: str, message: str
) -> None:
    path = nih / file
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=message) as caught:
        Nih14(nih).studies()
    assert str(caught.value).startswith(str(path))


def test_a_folder_without_tables_or_images_says_what_to_fetch(nih: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a folder"):
        Nih14(tmp_path / "nowhere")
    shutil.rmtree(nih / "images_001")
    shutil.rmtree(nih / "images_002")
    with pytest.raises(DatasetError, match=r"none of the 6 images .* unpack"):
        Nih14(nih).studies()
    (nih / "Data_Entry_2017_v2020.csv").unlink()
    with pytest.raises(DatasetError, match=r"holds no Data_Entry_2017_v2020.csv or Data_Entry_2017.csv"):
        Nih14(nih).studies()


def test_folds_outside_the_five_are_refused(nih: Path) -> None:
    with pytest.raises(RequestError, match=r"fold 5 of nih14-cv; expected 0 to 4"):
        Nih14Folds(nih, fold=5)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Nih14:
    return Nih14(shared_data / "nih14")


@pytest.mark.data
def test_the_real_sample_has_the_counts_of_its_description(real: Nih14) -> None:
    studies = real.studies()
    assert Counter(s.split for s in studies) == {"train_val": 1439, "test": 144}
    assert (real.missing, real.unlisted) == ((), ())
    boxed = [s for s in studies if s.reading_by("nih14 boxes")]
    counts = Counter(name for s in boxed for name, found in boxes(s, "nih14 boxes").items() for _ in found)
    assert (len(boxed), {s.split for s in boxed}, counts.total(), counts["Pneumonia"]) == (31, {"test"}, 36, 27)
    opaque = Counter(s.split for s in studies if s.reading_by("rsna") and boxes(s, "rsna"))
    assert opaque == {"train_val": 106, "test": 35}


@pytest.mark.data
def test_radiologists_take_34_of_the_real_training_normals_out_of_the_pool(real: Nih14) -> None:
    unlabelled = [s for s in real.studies("train_val") if "No Finding" in s.readings[0].present()]
    assert (len(unlabelled), sum(map(is_normal, unlabelled))) == (601, 567)


@pytest.mark.data
def test_real_folds_share_no_patient_and_are_alike_in_views_and_labels(shared_data: Path) -> None:
    tests = [Nih14Folds(shared_data / "nih14", fold=f).studies("test") for f in range(5)]
    assert sum(map(len, tests)) == 1439
    assert max(map(len, tests)) - min(map(len, tests)) <= 3
    patients = [{s.patient_id for s in t} for t in tests]
    assert len(set.union(*patients)) == sum(map(len, patients))
    for name, slack in (("No Finding", 3), ("Pneumonia", 4), ("Pleural Effusion", 3), ("Hernia", 2)):
        held = [sum(name in s.readings[0].present() for s in t) for t in tests]
        assert max(held) - min(held) <= slack
    ap = [np.mean([s.views[0].position == "AP" for s in t]) for t in tests]
    assert max(ap) - min(ap) < 0.01


FOLD_DIGESTS = (
    "7c729b38801693ee",
    "452d2868bc5e9aa5",
    "f06fdeee87ee902e",
    "5e4b6753e9727e58",
    "32fe1d7810728452",
)
"""Of the names in each test fold as first cut; other folds would make every recorded figure another experiment."""


@pytest.mark.data
@pytest.mark.parametrize("fold", range(5))
def test_the_folds_stay_those_that_figures_were_measured_on(shared_data: Path, fold: int) -> None:
    names = " ".join(s.study_id for s in Nih14Folds(shared_data / "nih14", fold=fold).studies("test"))
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == FOLD_DIGESTS[fold]


@pytest.mark.data
def test_each_real_cut_uses_every_training_image_once(shared_data: Path) -> None:
    cut = Nih14Folds(shared_data / "nih14", fold=4)
    assert {s.split for s in cut.studies("validation")} == {"validation"}
    ids = [s.study_id for split in cut.splits for s in cut.studies(split)]
    assert (len(ids), len(set(ids))) == (1439, 1439)
    next_cut = Nih14Folds(shared_data / "nih14", fold=0)
    assert [s.study_id for s in cut.studies("validation")] == [s.study_id for s in next_cut.studies("test")]


def test_a_box_on_a_picture_that_is_no_copy_of_the_published_square_is_refused(nih: Path) -> None:
    (picture,) = nih.rglob("00000004_000.png")
    Image.fromarray(np.zeros((128, 64), dtype=np.uint8)).save(picture)
    with pytest.raises(DatasetError, match=r"BBox_List_2017\.csv row 2 .*a box on an image of 64×128 pixels"):
        Nih14(nih).studies()
