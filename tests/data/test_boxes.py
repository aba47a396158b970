"""Whose boxes are learnt, and shares of them: exact, nested, drawn by a seed; training loses nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.boxes import is_boxed, share, trained_with_boxes, with_boxes_of
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.form import Study
from nih_folds import write_nih_folds

IDS = [f"s{i}" for i in range(25)]


@pytest.mark.parametrize(("percent", "count"), [(0, 0), (50, 13), (80, 20), (1, 0), (2, 1), (100, 25)])
def test_a_share_is_exact_and_in_the_given_order(percent: int, count: int) -> None:
    found = share(IDS, percent, seed=0)
    assert len(found) == count
    assert found == [name for name in IDS if name in found]


def test_a_share_depends_on_seed_and_ids_alone_and_holds_the_smaller_ones() -> None:
    assert set(share(IDS, 40, seed=0)) < set(share(IDS, 80, seed=0))
    assert set(share(IDS[::-1], 40, seed=0)) == set(share(IDS, 40, seed=0))
    assert share(IDS, 40, seed=0) != share(IDS, 40, seed=1)


def manifest(folder: Path, *, boxes: bool = True) -> Path:
    Image.fromarray(np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)).save(folder / "a.png")
    rows = []
    for split in ("train", "validation", "test"):
        for number in range(10):
            row = {"study_id": f"{split}{number}", "image": "a.png", "split": split, "labels": {"Mass": "present"}}
            box = {"finding": "Mass", "xyxy": [1, 1, 9, 9]}
            rows.append({**row, "boxes": [box]} if boxes and number < 5 else row)
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def without_any(study: Study) -> Study:
    return with_boxes_of(study.model_copy(update={"split": "train"}), set())


def test_studies_of_a_manifest_beyond_the_share_lose_their_boxes_and_keep_their_labels(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    whole, some = (load_studies(f"manifest:{path}{query}") for query in ("", "?boxed=40"))
    assert [s.study_id for s in some] == [s.study_id for s in whole]
    counts = {
        split: sum(is_boxed(s) for s in some if s.split == split) for split in ("train", "validation", "test")
    }
    assert counts == {"train": 2, "validation": 5, "test": 5}
    for before, after in zip(whole, some, strict=True):
        assert after in (before, without_any(before))
        assert after.readings[0].present() == {"Mass"}
    assert load_studies(f"manifest:{path}?boxed=100") == whole


def test_a_manifest_without_boxes_refuses_a_share(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"studies.jsonl: boxed=40, and no training study has a box"):
        load_studies(f"manifest:{manifest(tmp_path, boxes=False)}?boxed=40")


def test_phantoms_beyond_the_share_stay_with_their_labels() -> None:
    of = {q: load_studies(f"phantom:smoke/train?limit=12{q}") for q in ("", "&boxed=50", "&boxed=0")}
    whole, half, none = of.values()
    boxed = [s.study_id for s in whole if is_boxed(s)]
    assert len(boxed) > 3
    assert sum(map(is_boxed, half)) == int(len(boxed) / 2 + 0.5)
    assert not any(map(is_boxed, none))
    for before, *after in zip(whole, half, none, strict=True):
        assert all(s.readings[0].present() == before.readings[0].present() for s in after)
        assert all(s.views == before.views and s.readings[0].report == before.readings[0].report for s in after)
    tests = [load_studies(f"phantom:smoke/test?limit=4{q}") for q in ("", "&boxed=0")]
    assert tests[0] == tests[1]


@pytest.mark.data
def test_real_folds_keep_a_share_of_the_boxes_of_radiologists(shared_data: Path) -> None:
    root = shared_data / "nih14"
    whole, half = (load_studies(f"nih14-cv:{root}/train?fold=0{q}") for q in ("", "&boxed=50"))
    count = sum(map(is_boxed, whole))
    assert sum(map(is_boxed, half)) == int(count / 2 + 0.5)
    assert [s.study_id for s in half] == [s.study_id for s in whole]


@pytest.mark.parametrize("name", ["iu_xray:/x?boxed=80", "chexpert:/x?boxed=80", "nih14:/x?boxed=80"])
def test_a_source_whose_boxes_are_not_parted_refuses_the_parameter(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"parameter of .* 'boxed'"):
        load_studies(name)


@pytest.mark.parametrize("share", ["120", "²", "-1", "8O"])
def test_what_is_no_share_is_refused(share: str) -> None:
    with pytest.raises(RequestError, match=rf"boxed={share}; expected a whole number from 0 to 100"):
        load_studies(f"phantom:smoke/train?boxed={share}")


def test_ids_of_the_kept_are_those_with_boxes_of_the_training_split() -> None:
    studies = load_studies("phantom:smoke/train?limit=6")
    boxed = {s.study_id for s in studies if is_boxed(s)}
    assert trained_with_boxes(studies, 100, seed=0, where="here") == boxed


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nih_folds(tmp_path_factory.mktemp("nih"))


def authors(studies: list[Study]) -> set[str]:
    return {r.author.name for s in studies for r in s.readings for f in r.findings if f.boxes}


@pytest.mark.parametrize("author", ["chestx-det", "rsna"])
def test_boxes_of_one_author_are_learnt_and_the_test_fold_keeps_all(nih: Path, author: str) -> None:
    whole, one = (load_studies(f"nih14-cv:{nih}?fold=1{query}") for query in ("", f"&boxed_by={author}"))
    assert [s.study_id for s in one] == [s.study_id for s in whole]
    for split in ("train", "validation"):
        assert authors([s for s in whole if s.split == split]) == {"chestx-det", "rsna"}
        assert authors([s for s in one if s.split == split]) == {author}
    assert [s for s in one if s.split == "test"] == [s for s in whole if s.split == "test"]
    for before, after in zip(whole, one, strict=True):
        assert [r.present() for r in after.readings] == [r.present() for r in before.readings]
        assert after.reading_by(author) == before.reading_by(author)


def test_a_share_is_of_the_studies_that_the_author_boxed(nih: Path) -> None:
    whole, half = (load_studies(f"nih14-cv:{nih}/train?boxed_by=rsna{query}") for query in ("", "&boxed=50"))
    count = sum(map(is_boxed, whole))
    assert count > 3
    assert sum(map(is_boxed, half)) == int(count / 2 + 0.5)


@pytest.mark.parametrize(("author", "near"), [("chestx-dat", "boxes are by chestx-det"), ("nih14 boxes", "by ")])
def test_an_author_without_a_box_in_training_is_refused_with_those_who_drew_some(
    nih: Path, author: str, near: str
) -> None:
    with pytest.raises(DatasetError, match=rf"fold 2: boxed_by={author}, and no training study has a box.*{near}"):
        load_studies(f"nih14-cv:{nih}/train?fold=2&boxed_by={author}")


def test_a_fold_without_boxes_says_so(tmp_path: Path) -> None:
    folder = write_nih_folds(tmp_path, det=False)
    (folder / "rsna_pneumonia.csv").unlink()
    with pytest.raises(DatasetError, match="boxes are by nobody"):
        load_studies(f"nih14-cv:{folder}/train?boxed_by=chestx-det")


def test_weights_that_learn_boxes_of_rsna_may_not_be_passed_on(nih: Path) -> None:
    assert not open_source(f"nih14-cv:{nih}?boxed_by=rsna").licence.redistributable
    assert open_source(f"nih14-cv:{nih}?boxed_by=chestx-det").licence.redistributable


@pytest.mark.data
@pytest.mark.parametrize("author", ["chestx-det", "rsna"])
def test_every_real_fold_has_boxes_of_the_author_to_learn_from_and_of_radiologists_to_be_scored_on(
    shared_data: Path, author: str
) -> None:
    tested = 0
    for fold in range(5):
        studies = load_studies(f"nih14-cv:{shared_data / 'nih14'}?fold={fold}&boxed_by={author}")
        assert authors([s for s in studies if s.split == "train"]) == {author}
        boxed = [s for s in studies if s.split == "test" and "chestx-det" in authors([s])]
        assert boxed
        tested += len(boxed)
    assert tested == 99
