"""Boxes of a COCO file as the reading of a further author of the studies of several sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mimic_files import folder, write_mimic
from mini_coco import CATEGORIES, SECRET, box, coco, image, write_coco
from PIL import Image
from radiograph_files import ramp

from contrastcxr.api import check_data, load_studies, open_source, write_manifest
from contrastcxr.config import DataConfig
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.authors import label_reading
from contrastcxr.data.boxes import is_boxed
from contrastcxr.data.sources import SOURCES, parse_data
from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.form import Reading, Study
from nih_folds import write_nih_folds

AUTHOR = "coco marks"
TAKING = ("nih14", "nih14-cv", "nih-plain", "mimic_cxr", "mimic_abn", "manifest", "paths")
"""Sources that take a COCO file."""


@pytest.fixture
def mimic(tmp_path: Path) -> str:
    """The data name of a miniature MIMIC-CXR: pictures of 64×48 pixels."""
    write_mimic(tmp_path / "jpg", texts=tmp_path / "txt")
    return f"mimic_cxr:{tmp_path / 'jpg'},reports={tmp_path / 'txt'}"


@pytest.fixture
def marks(tmp_path: Path) -> Callable[..., str]:
    """Writes a COCO file and returns the option that names it."""
    return lambda *content, **further: f",coco={write_coco(tmp_path / 'marks.json', coco(*content, **further))}"


IMAGES = (
    image(1, "aaaa1111.jpg", 128, 96),
    image(2, "p10/p10000032/s50000002/bbbb1111.jpg"),
    image(3, "zzzz.jpg"),
    image(4, "dddd1111.jpg", annotated=False),
)
BOXES = (box(1, 1, [20, 10, 30, 40]), box(1, 1, [100, 50, 28, 46]))


def readings(name: str) -> dict[str, Reading]:
    return {s.study_id: found for s in load_studies(name) if (found := s.reading_by(AUTHOR))}


def said(reading: Reading) -> dict[str, tuple[str, list[tuple[int, Any]]]]:
    return {f.name: (f.status, [(b.view, b.xyxy) for b in f.boxes]) for f in reading.findings}


def test_a_study_whose_picture_is_listed_is_read_and_no_other(mimic: str, marks: Callable[..., str]) -> None:
    found = readings(mimic + marks(IMAGES, BOXES))
    assert set(found) == {"50000001", "50000002"}
    assert {reading.author.kind for reading in found.values()} == {"human"}


def test_boxes_are_in_pixels_of_the_picture_that_is_there(mimic: str, marks: Callable[..., str]) -> None:
    name = mimic + marks(IMAGES, BOXES)
    found = readings(name)["50000001"]
    assert said(found)["Pneumonia"] == ("present", [(0, (10, 5, 25, 25)), (0, (50, 25, 64, 48))])
    assert {f.source for f in found.findings} == {"coco marks: pneumonia", "coco marks: Pneumothorax"}
    view = next(s.views[0] for s in load_studies(name) if s.study_id == "50000001")
    assert (view.view_id, view.width, view.height) == ("aaaa1111", 64, 48)


def test_what_has_no_box_in_a_listed_picture_is_absent(mimic: str, marks: Callable[..., str]) -> None:
    found = readings(mimic + marks(IMAGES, BOXES))
    assert said(found["50000001"])["Pneumothorax"] == ("absent", [])
    assert said(found["50000002"]) == {"Pneumonia": ("absent", []), "Pneumothorax": ("absent", [])}


def test_a_study_of_two_listed_views_has_one_reading_and_each_box_its_view(
    mimic: str, marks: Callable[..., str]
) -> None:
    images = (image(1, "aaaa2222.jpg"), image(2, "aaaa1111.jpg"))
    option = marks(images, (box(1, 1, [1, 2, 3, 4]), box(2, 2, [5, 6, 7, 8])))
    study = load_studies(mimic + option)[0]
    assert [r.author.name for r in study.readings].count(AUTHOR) == 1
    assert said(readings(mimic + option)["50000001"]) == {
        "Pneumonia": ("present", [(1, (1, 2, 4, 6))]),
        "Pneumothorax": ("present", [(0, (5, 6, 12, 14))]),
    }
    of_images = readings(f"{mimic},unit=image{option}")
    assert said(of_images["aaaa2222"])["Pneumonia"] == ("present", [(0, (1, 2, 4, 6))])
    assert said(of_images["aaaa1111"])["Pneumonia"] == ("absent", [])


def test_all_else_of_a_study_stays_and_no_text_of_the_file_is_taken(mimic: str, marks: Callable[..., str]) -> None:
    before, after = load_studies(mimic), load_studies(mimic + marks(IMAGES, BOXES))
    assert [(s.study_id, s.split, label_reading(s)) for s in after] == [
        (s.study_id, s.split, label_reading(s)) for s in before
    ]
    others = [tuple(r for r in s.readings if r.author.name != AUTHOR) for s in after]
    assert others == [s.readings for s in before]
    assert not any(SECRET in s.model_dump_json() for s in after)


def test_splits_and_reading_of_one_split_are_those_of_the_source(mimic: str, marks: Callable[..., str]) -> None:
    name = mimic + marks(IMAGES, BOXES)
    assert open_source(name).splits == ("train", "validation", "test")
    assert set(readings(f"{name}/train")) == {"50000001", "50000002"}
    assert readings(f"{name}/test") == {}


def test_check_counts_pictures_boxes_and_what_is_no_study(mimic: str, marks: Callable[..., str]) -> None:
    option = marks(IMAGES, BOXES, (*CATEGORIES, {"id": 3, "name": "heart"}))
    counts = check_data(mimic + option)
    assert counts["read by"][AUTHOR] == 2
    assert (counts[f"pictures in {AUTHOR}"], counts["of these without a box"]) == (3, 2)
    assert counts[f"boxes by {AUTHOR}"] == {"Pneumonia": 2}
    assert [note for note in counts["notes"] if note.startswith("marks.json")] == [
        "marks.json: category heart is no finding here and is left out; it has no box",
        "marks.json: 1 of 4 pictures are not annotated, so that nobody read them",
        "marks.json: 1 of 4 pictures are no study here, such as zzzz.jpg",
    ]
    assert counts["licence"].endswith("on what terms the boxes of marks.json may be used is the user's to know")
    assert counts["missing"] == 0


def test_an_inventory_alone_goes_through_the_studies(mimic: str, marks: Callable[..., str]) -> None:
    held = open_source(mimic + marks(IMAGES, BOXES)).inventory()
    assert (held.images, held.counts[f"pictures in {AUTHOR}"]) == (6, 3)


def test_a_file_of_other_pictures_is_noted_with_a_name_as_expected(mimic: str, marks: Callable[..., str]) -> None:
    notes = check_data(mimic + marks([image(1, "1.jpg"), image(2, "2.jpg")]))["notes"]
    assert notes[-1] == (
        "marks.json: 2 of 2 pictures are no study here, such as 1.jpg; expected names such as aaaa1111"
    )


def test_a_boxed_picture_that_cannot_be_read_is_missing_with_its_view(
    mimic: str, marks: Callable[..., str], tmp_path: Path
) -> None:
    (folder(tmp_path / "jpg", "10000032", "50000001") / "aaaa1111.jpg").write_bytes(b"no picture")
    (folder(tmp_path / "jpg", "10000032", "50000002") / "bbbb1111.jpg").write_bytes(b"no picture")
    name = mimic + marks(IMAGES[:2], (*BOXES, box(2, 2, [1, 1, 2, 2])))
    source = open_source(name)
    told: list[str] = []
    studies = {s.study_id: s for s in source.stream(on_missing=told.append)}
    assert [v.view_id for v in studies["50000001"].views] == ["aaaa2222"]
    assert studies["50000001"].reading_by(AUTHOR) is None
    assert "50000002" not in studies
    assert told == list(source.missing)
    assert ["aaaa1111.jpg: is not a PNG" in told[0], "bbbb1111.jpg: is not a PNG" in told[1]] == [True, True]
    kept = {s.study_id: s for s in load_studies(f"{name}?images=any")}
    assert len(kept) == 5
    assert kept["50000001"].reading_by(AUTHOR) is None


def test_boxes_of_a_picture_that_is_absent_stay_on_the_grid_of_the_file(
    mimic: str, marks: Callable[..., str], tmp_path: Path
) -> None:
    (folder(tmp_path / "jpg", "10000032", "50000001") / "aaaa1111.jpg").unlink()
    name = mimic + marks(IMAGES, BOXES)
    assert "50000001" not in readings(name)
    found = readings(f"{name}?images=any")["50000001"]
    assert said(found)["Pneumonia"][1][0] == (0, (20, 10, 50, 50))


def test_a_turned_picture_is_refused(mimic: str, marks: Callable[..., str]) -> None:
    with pytest.raises(
        DatasetError, match=r"marks.json \(aaaa1111.jpg\): boxes on 96×128 pixels, and .* 64×48 when"
    ):
        load_studies(mimic + marks([image(1, "aaaa1111.jpg", 96, 128)], [box(1, 1, [1, 1, 2, 2])]))


def test_a_squashed_copy_is_scaled_on_both_axes_alone(mimic: str, marks: Callable[..., str]) -> None:
    option = marks([image(1, "aaaa1111.jpg", 640, 240)], [box(1, 1, [10, 10, 20, 20])])
    assert said(readings(mimic + option)["50000001"])["Pneumonia"][1] == [(0, (1, 2, 3, 6))]


def films(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp().astype("uint8")).save(path)
    return root


def test_a_folder_of_pictures_takes_a_file_too(tmp_path: Path, marks: Callable[..., str]) -> None:
    name = (
        f"{films(tmp_path / 'films', 'x/a.png', 'b.jpg')}{marks([image(1, 'a.jpg')], [box(1, 1, [1, 2, 3, 4])])}"
    )
    assert said(readings(name)["a"])["Pneumonia"] == ("present", [(0, (1, 2, 4, 6))])
    assert check_data(name)[f"pictures in {AUTHOR}"] == 1


def test_a_name_of_two_pictures_is_refused(tmp_path: Path, marks: Callable[..., str]) -> None:
    root = films(tmp_path / "films", "x/a.png", "y/a.png")
    with pytest.raises(
        DatasetError, match=r"marks.json: 'a' names two pictures of the data, .*x/a.png and .*y/a.png"
    ):
        load_studies(f"{root}{marks([image(1, 'a.jpg')])}")


def rows(path: Path, *studies: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in studies))
    return path


def test_a_manifest_takes_a_file_and_its_share_of_boxes_is_of_these_too(
    tmp_path: Path, marks: Callable[..., str]
) -> None:
    names = [f"{i}.png" for i in range(10)]
    films(tmp_path, *names)
    path = rows(tmp_path / "m.jsonl", *({"study_id": f"s{n}", "image": n, "split": "train"} for n in names))
    option = marks([image(i, n) for i, n in enumerate(names)], [box(i, 1, [1, 2, 3, 4]) for i in range(10)])
    assert len(readings(f"manifest:{path}{option}")) == 10
    some = load_studies(f"manifest:{path}{option}?boxed=30")
    assert sum(map(is_boxed, some)) == 3
    assert all(r is not None and r.present() == {"Pneumonia"} for r in (s.reading_by(AUTHOR) for s in some))
    counts = check_data(f"manifest:{path}{option}")
    assert (counts["images"], counts[f"boxes by {AUTHOR}"]) == (10, {"Pneumonia": 10})
    assert not open_source(f"manifest:{path}{option}").licence.redistributable


def test_a_manifest_whose_row_states_another_size_is_refused(tmp_path: Path, marks: Callable[..., str]) -> None:
    films(tmp_path, "a.png")
    view = {"view_id": "v", "locator": "a.png", "width": 640, "height": 480}
    path = rows(tmp_path / "m.jsonl", {"study_id": "s", "views": [view]})
    with pytest.raises(DatasetError, match=r"a.png: 64×48 pixels, and its study says 640×480; expected the size"):
        load_studies(f"manifest:{path}{marks([image(1, 'a.png')], [box(1, 1, [1, 1, 2, 2])])}")


def test_a_boxed_picture_of_a_manifest_that_cannot_be_read_is_missing(
    tmp_path: Path, marks: Callable[..., str]
) -> None:
    films(tmp_path, "a.png")
    (tmp_path / "b.png").write_text("no")
    path = rows(tmp_path / "m.jsonl", *({"study_id": n, "image": f"{n}.png"} for n in "ab"))
    option = marks([image(1, "a.png"), image(2, "b.png")], [box(1, 1, [1, 1, 2, 2]), box(2, 1, [1, 1, 2, 2])])
    counts = check_data(f"manifest:{path}{option}")
    assert (counts["studies"], counts["images"], counts["missing"]) == (1, 2, 1)
    assert "b.png: is not a PNG" in counts["first missing"][0]


def test_a_reading_that_was_written_to_a_manifest_is_replaced_by_that_of_the_file(
    mimic: str, marks: Callable[..., str], tmp_path: Path
) -> None:
    write_manifest(mimic + marks(IMAGES, BOXES), tmp_path / "m.jsonl")
    first = readings(f"manifest:{tmp_path / 'm.jsonl'}")
    assert said(first["50000001"])["Pneumonia"][0] == "present"
    again = readings(f"manifest:{tmp_path / 'm.jsonl'}{marks(IMAGES, [box(1, 2, [0, 0, 64, 48])])}")
    assert said(again["50000001"])["Pneumonia"] == ("absent", [])
    study = load_studies(f"manifest:{tmp_path / 'm.jsonl'}{marks(IMAGES, BOXES)}")[0]
    assert [r.author.name for r in study.readings].count(AUTHOR) == 1


def test_abnormal_sentences_of_mimic_are_read_beside_the_boxes(mimic: str, marks: Callable[..., str]) -> None:
    found = readings(mimic.replace("mimic_cxr:", "mimic_abn:") + marks(IMAGES, BOXES))
    assert said(found["50000001"])["Pneumonia"][0] == "present"


def nih_marks(nih: Path, marks: Callable[..., str]) -> str:
    names = [s.study_id for s in load_studies(f"nih14:{nih}")]
    images = [image(i, f"{name}.png", 128, 128) for i, name in enumerate(names)]
    return marks(images, [box(i, 1, [2, 4, 6, 8]) for i in range(len(names))])


@pytest.mark.parametrize("source", ["nih14", "nih-plain", "nih14-cv"])
def test_nih_pictures_take_a_file_beside_their_other_authors(
    tmp_path: Path, marks: Callable[..., str], source: str
) -> None:
    nih = write_nih_folds(tmp_path / "nih")
    name = f"{source}:{nih}{nih_marks(nih, marks)}"
    found = load_studies(name)
    assert found
    for study in found:
        reading = study.reading_by(AUTHOR)
        assert reading is study.readings[-1]
        assert said(reading)["Pneumonia"] == ("present", [(0, (1, 2, 4, 6))])
    counts = check_data(name)
    assert counts[f"pictures in {AUTHOR}"] == len(found)
    assert not open_source(name).licence.redistributable


def test_the_boxes_of_the_file_alone_are_learnt_where_its_author_is_named(
    tmp_path: Path, marks: Callable[..., str]
) -> None:
    nih = write_nih_folds(tmp_path / "nih")
    whole, one = (
        load_studies(f"nih14-cv:{nih}{nih_marks(nih, marks)}?fold=1{query}")
        for query in ("", f"&boxed_by={AUTHOR}")
    )

    def drew(studies: list[Study], split: str) -> set[str]:
        return {
            r.author.name for s in studies if s.split == split for r in s.readings for f in r.findings if f.boxes
        }

    assert drew(whole, "train") > {AUTHOR}
    assert drew(one, "train") == {AUTHOR}
    assert drew(one, "test") == drew(whole, "test")


def test_the_sources_that_take_a_file() -> None:
    assert tuple(name for name, kind in SOURCES.items() if "coco" in kind.options) == TAKING
    assert tuple(name for name, kind in SOURCES.items() if kind.authors) == TAKING
    with pytest.raises(RequestError, match="mimic_cxr has no option 'coc'; did you mean 'coco'"):
        parse_data("mimic_cxr:/jpg,coc=/boxes.json")


def test_the_file_is_named_in_a_signature_without_its_folder() -> None:
    ref = parse_data("mimic_cxr:/jpg,reports=/txt,coco=/home/me/marks.json/test?images=any")
    assert ref.scored().portable() == "mimic_cxr,coco=marks.json?images=any"
    assert parse_data("mimic_cxr:/jpg,coco=C:\\me\\a|b.json").portable() == "mimic_cxr,coco=a%7Cb.json"
    assert parse_data("mimic_cxr:/jpg,reports=/txt").portable() == "mimic_cxr"
    folds = parse_data(f"nih14-cv:/nih,coco=/x/marks.json?fold=1&boxed_by={AUTHOR}")
    assert folds.scored().portable() == "nih14-cv,coco=marks.json?fold=1"


def test_a_configuration_names_the_file_among_its_options() -> None:
    config = DataConfig(source="mimic_cxr", root="/jpg", options={"reports": "/txt", "coco": "/x/marks.json"})
    ref = data_ref(config, split="train")
    assert (ref.option("coco"), str(parse_data(str(ref)))) == ("/x/marks.json", str(ref))
