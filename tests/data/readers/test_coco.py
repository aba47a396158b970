"""What a COCO file says, and what is said of one that departs from its layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from mini_coco import CATEGORIES, SECRET, box, coco, image, write_coco

from contrastcxr.data.readers.coco import CocoFile, read_coco
from contrastcxr.errors import DatasetError

A = image(1, "a.jpg")


def read(folder: Path, content: Any) -> CocoFile:
    return read_coco(write_coco(folder / "boxes.json", content))


def test_boxes_are_corners_by_stem_of_the_picture_and_canonical_name(tmp_path: Path) -> None:
    images = [image(4, "p10/p1/a.jpg"), image(7, "C:\\films\\b.png", 100, 200), image(8, "c.dcm.gz")]
    found = read(tmp_path, coco(images, [box(7, 2, [10, 20, 5.5, 6]), box(4, 1, [0, 0, 64, 48])]))
    assert list(found.pictures) == ["a", "b", "c"]
    assert found.pictures["a"].boxes == (("Pneumonia", (0, 0, 64, 48)),)
    assert found.pictures["b"].boxes == (("Pneumothorax", (10, 20, 15.5, 26)),)
    assert found.pictures["b"].size == (100, 200)
    assert found.pictures["c"].boxes == ()
    assert dict(found.categories) == {"Pneumonia": ("pneumonia",), "Pneumothorax": ("Pneumothorax",)}


def test_ids_may_be_texts(tmp_path: Path) -> None:
    content = coco([image("x1", "a.jpg")], [box("x1", "p", [1, 2, 3, 4])], [{"id": "p", "name": "Edema"}])
    assert read(tmp_path, content).pictures["a"].boxes == (("Edema", (1, 2, 4, 6)),)


@pytest.mark.parametrize("name", ["boxes.json", "boxes.json.gz"])
def test_the_author_is_a_person_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(coco([A])).encode()))
    author = read_coco(tmp_path / name).author
    assert (author.kind, author.name) == ("human", "coco boxes")


def test_two_categories_of_one_finding_are_one(tmp_path: Path) -> None:
    categories = [
        {"id": 1, "name": "Nodule/Mass"},
        {"id": 2, "name": "lung_lesion"},
        {"id": 3, "name": "Effusion"},
    ]
    found = read(tmp_path, coco([A], [box(1, 2, [1, 1, 2, 2]), box(1, 1, [3, 3, 2, 2])], categories))
    assert dict(found.categories) == {
        "Lung Lesion": ("Nodule/Mass", "lung_lesion"),
        "Pleural Effusion": ("Effusion",),
    }
    assert [name for name, _ in found.pictures["a"].boxes] == ["Lung Lesion", "Lung Lesion"]


def test_a_category_of_no_finding_is_left_out_where_it_has_no_box(tmp_path: Path) -> None:
    categories = [*CATEGORIES, {"id": 3, "name": "heart"}, {"id": 4, "name": "No finding"}]
    found = read(tmp_path, coco([A], [box(1, 1, [1, 1, 2, 2])], categories))
    assert found.left_out == ("heart", "No finding")
    assert set(found.categories) == {"Pneumonia", "Pneumothorax"}


def test_a_picture_that_its_tool_calls_not_annotated_says_nothing_without_a_box(tmp_path: Path) -> None:
    images = [
        image(1, "a.jpg", annotated=False),
        image(2, "b.jpg", annotated=False),
        image(3, "c.jpg", annotated=True),
    ]
    found = read(tmp_path, coco(images, [box(2, 1, [1, 1, 2, 2])])).pictures
    assert {name: picture.annotated for name, picture in found.items()} == {"a": False, "b": True, "c": True}


def test_a_box_is_clipped_to_its_picture(tmp_path: Path) -> None:
    images = [image(1, "a.jpg", 200, 100)]
    found = read(tmp_path, coco(images, [box(1, 1, [-1.5, -1, 20, 20]), box(1, 1, [190, 90, 12, 11])]))
    assert [corners for _, corners in found.pictures["a"].boxes] == [(0, 0, 18.5, 19), (190, 90, 200, 100)]


def test_no_text_of_the_file_is_kept(tmp_path: Path) -> None:
    found = read(tmp_path, coco([A], [box(1, 1, [1, 1, 2, 2], segmentation=[[1, 1, 3, 1, 3, 3]])]))
    assert SECRET not in repr(found)


LISTS = "an object with the lists images, annotations and categories"
BOX = "expected four numbers, [x, y, width, height]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
            f": holds a list; expected {LISTS} (COCO's results are a list, and name no picture); give a file",
        ),
        (7, f": holds a number; expected {LISTS}; give a file of annotations"),
        (coco([A], annotations=None), f": annotations is not there; expected {LISTS}; give a COCO file of boxes"),
        (coco([A], categories=None), f": categories is not there; expected {LISTS}"),
        (coco(images={"1": A}), f": images is an object; expected {LISTS}"),
        (coco([A, SECRET]), " images entry 2: holds a text; expected an object; correct the entry"),
        (coco([image(None, "a.jpg")]), " images entry 1: id null; expected an id, a file_name, width and height"),
        (coco([image(True, "a.jpg")]), " images entry 1: id true; expected an id"),
        (coco([image(1.5, "a.jpg")]), " images entry 1: id 1.5; expected an id"),
        (coco([image(1, None)]), " images entry 1: file_name null; expected the name of a picture; correct it"),
        (coco([image(1, "")]), ' images entry 1: file_name ""; expected the name of a picture'),
        (coco([image(1, 7)]), " images entry 1: file_name 7; expected the name of a picture"),
        (coco([A, image(1, "b.jpg")]), " images entry 2: id 1 is also that of entry 1; ids must differ"),
        (
            coco([A, image(2, "other/a.png")]),
            " images entry 2 (other/a.png): picture 'a' is also entry 1; pictures are known by their name without "
            "folder and ending, expected each once; join the two, or leave one out",
        ),
        (
            coco([image(1, "a.jpg", width=None)]),
            " images entry 1 (a.jpg): width null; expected that of the picture in whose pixels its boxes are, a "
            "whole number above 0; add it",
        ),
        (coco([image(1, "a.jpg", height=0)]), " images entry 1 (a.jpg): height 0; expected that of the picture"),
        (coco([image(1, "a.jpg", height=4.5)]), " images entry 1 (a.jpg): height 4.5; expected that"),
        (coco([image(1, "a.jpg", height="48")]), " images entry 1 (a.jpg): height 48; expected that"),
        (coco([image(1, "a.jpg", height=float("inf"))]), " images entry 1 (a.jpg): height Infinity; expected"),
        (coco([A], categories=[{"name": "Edema"}]), " categories entry 1: id null; expected an id and a name"),
        (coco([A], categories=[{"id": 1}]), " categories entry 1: name null; expected that of a finding, such as"),
        (
            coco([A], categories=[CATEGORIES[0], {"id": 1, "name": "Edema"}]),
            " categories entry 2 (Edema): id 1 is also that of entry 1; ids must differ; correct one",
        ),
        (
            coco([A], [box(1, 1, [1, 1, 2, 2])], [{"id": 1, "name": "Pneumothroax"}]),
            " categories entry 1: unknown finding 'Pneumothroax'; did you mean 'Pneumothorax'?; annotations entry "
            "1 has a box of it; rename the category, or leave it out with its boxes",
        ),
        (
            coco([A], [box(1, 1, [1, 1, 2, 2])], [{"id": 1, "name": "No finding"}]),
            " annotations entry 1 (a.jpg): a box of No finding; expected one of a finding that has a place; leave",
        ),
        (
            coco([A], [box(2, 1, [1, 1, 2, 2])]),
            " annotations entry 1: image_id 2; expected the id of one of the 1 images; correct it, or leave the",
        ),
        (
            coco([A], [box("1", 1, [1, 1, 2, 2])]),
            " annotations entry 1: image_id 1; expected the id of one of the 1 images, as numbers; correct it",
        ),
        (
            coco([A], [box(1, 1, [1, 1, 2, 2]), box(1, 3, [1, 1, 2, 2])]),
            " annotations entry 2: category_id 3; expected the id of one of the 2 categories; correct it, or",
        ),
        (coco([A], [box(1, None, [1, 1, 2, 2])]), " annotations entry 1: category_id null; expected the id of an"),
        (coco([A], [box(1, [1], [1, 1, 2, 2])]), " annotations entry 1: category_id [1]; expected the id of an"),
        (coco([A], [7]), " annotations entry 1: holds a number; expected an object"),
        (
            coco([A], [box(1, 1, None, segmentation={"counts": "x", "size": [48, 64]})]),
            f" annotations entry 1 (a.jpg): no bbox; {BOX} beside its segmentation, which is not read; correct",
        ),
        (coco([A], [box(1, 1, [])]), f" annotations entry 1 (a.jpg): bbox []; {BOX}; correct the box"),
        (coco([A], [box(1, 1, [1, 2, 3])]), f" annotations entry 1 (a.jpg): bbox [1, 2, 3]; {BOX}"),
        (coco([A], [box(1, 1, [1, 2, "3", 4])]), f' annotations entry 1 (a.jpg): bbox [1, 2, "3", 4]; {BOX}'),
        (coco([A], [box(1, 1, [1, 2, True, 4])]), f" annotations entry 1 (a.jpg): bbox [1, 2, true, 4]; {BOX}"),
        (
            coco([A], [box(1, 1, [1, float("nan"), 3, 4])]),
            f" annotations entry 1 (a.jpg): bbox [1, NaN, 3, 4]; {BOX}",
        ),
        (coco([A], [box(1, 1, [1, 2, 10**400, 4])]), " annotations entry 1 (a.jpg): bbox [1, 2, 1000000"),
        (
            coco([A], [box(1, 1, [1, 2, 0, 4])]),
            " annotations entry 1 (a.jpg): bbox [1, 2, 0, 4]; expected [x, y, width, height], the last two",
        ),
        (
            coco([A], [box(1, 1, [9, 9, -3, 4])]),
            " annotations entry 1 (a.jpg): bbox [9, 9, -3, 4]; expected [x, y",
        ),
        (
            coco([A], [box(1, 1, [60, 2, 5, 4])]),
            " annotations entry 1 (a.jpg): bbox [60, 2, 5, 4]; expected [x, y, width, height] inside the picture "
            "of 64×48 pixels; correct the box, or the size of the picture",
        ),
        (
            coco([A], [box(1, 1, [64, 2, 0.5, 4])]),
            " annotations entry 1 (a.jpg): bbox [64, 2, 0.5, 4]; expected [x",
        ),
        (
            coco([A], [box(1, 1, [2, -0.4, 5, 0.4])]),
            " annotations entry 1 (a.jpg): bbox [2, -0.4, 5, 0.4]; expected",
        ),
        (coco([image(1, "\ud800.jpg")]), ": holds half a character (one of two escapes"),
    ],
)
def test_a_file_that_departs_from_its_layout_is_refused_with_file_and_entry(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, content)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'boxes.json'}{message}")
    assert said.isprintable()
    assert SECRET not in said
    assert len(said) < len(str(tmp_path)) + 400


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_no_json_is_refused_and_says_what_was_expected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boxes.json").write_bytes(content)
    with pytest.raises(DatasetError, match=f"is not JSON; expected {LISTS}"):
        read_coco(tmp_path / "boxes.json")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone.json: cannot be read \(No such file"):
        read_coco(tmp_path / "gone.json")
