from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from iu_files import samples

from contrastcxr.data.readers.annotation import read_annotation
from contrastcxr.errors import DatasetError

Lists = dict[str, list[dict[str, Any]]]


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_r2gens_own_file_is_recognised(tmp_path: Path) -> None:
    annotation = read_annotation(written(tmp_path / "a.json", samples()))
    assert annotation.shape == "R2Gen annotation of IU X-ray, 2 images a sample"
    assert annotation.splits == ("train", "test")
    assert [(s.id, s.split, len(s.images)) for s in annotation.samples] == [
        ("CXR1_1_IM-0001", "train", 2),
        ("CXR2_IM-0652", "test", 2),
    ]


def test_other_names_of_the_validation_list_mean_the_same(tmp_path: Path) -> None:
    lists = samples()
    sample = lists["test"].pop()
    annotation = read_annotation(
        written(tmp_path / "a.json", {"train": lists["train"], "validation": [{**sample, "split": "val"}]})
    )
    assert annotation.splits == ("train", "validation")
    assert annotation.shape.endswith("; lists train, validation")


def test_one_list_with_the_split_in_each_sample_is_recognised(tmp_path: Path) -> None:
    flat = [sample for entries in samples().values() for sample in entries]
    annotation = read_annotation(written(tmp_path / "a.json", flat))
    assert annotation.splits == ("train", "test")
    assert annotation.shape.endswith("; one list, the split in each sample")


def test_a_single_path_and_further_keys_are_no_trouble(tmp_path: Path) -> None:
    lists = samples()
    lists["train"][0] |= {"image_path": "a/0.png", "labels": [0, 1], "clip_indices": [3]}
    annotation = read_annotation(written(tmp_path / "a.json", lists))
    assert annotation.samples[0].images == ("a/0.png",)
    assert "1 to 2 images a sample" in annotation.shape


def change(**values: object) -> Callable[[Lists], object]:
    def apply(lists: Lists) -> object:
        lists["train"][0] |= values
        return lists

    return apply


def flat_without_split(lists: Lists) -> object:
    return [{k: v for k, v in s.items() if k != "split"} for s in lists["train"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (change(report=None), r"train sample 1 \(CXR1_1_IM-0001\): report is nothing; expected text"),
        (change(image_path=[]), r"image_path is an empty list; expected a list with at least one path"),
        (change(image_path=[3]), r"image_path is a list; expected a list with at least one path"),
        (change(id=" "), r"train sample 1 \( \): id is empty; expected text"),
        (change(split="test"), r"split 'test' inside the list for train"),
        (change(id="CXR2_IM-0652"), r"test sample 1 \(CXR2_IM-0652\): the id is already in train sample 1"),
        (lambda lists: {**lists, "trian": []}, r"list 'trian'; expected train, val"),
        (lambda lists: {**lists, "test": {}}, r"'test' is an object; expected a list of samples"),
        (lambda lists: {**lists, "train": ["x"]}, r"train sample 1: text; expected an object with id"),
        (lambda _: "x", r"expected an object with the lists train, val, test, found text"),
        (lambda _: {}, r"expected an object with the lists train, val, test, found an object"),
        (lambda _: {"train": [], "test": []}, r"holds no sample"),
        (change(id="\n"), r"train sample 1 \(\\n\): id is empty; expected text"),
        (change(id="\u2028"), r"train sample 1 \(\\u2028\): id is empty; expected text"),
        (change(split="x\r\n" * 5_000), r"split 'x\\r\\nx.{,400}' inside the list for train; expected the same"),
        (lambda lists: {**lists, "trian" * 5_000: []}, r"list '(trian){16}'; expected train, val"),
        (
            lambda lists: {**lists, "test": [{**lists["train"][0], "id": "q" * 5_000, "report": 1}]},
            r"\(q{80}\): report",
        ),
        (flat_without_split, r"sample 1: split null; expected train, val, test"),
    ],
)
def test_another_shape_is_refused_in_one_line(
    tmp_path: Path, value: Callable[[Lists], object], message: str
) -> None:
    path = written(tmp_path / "a.json", value(samples()))
    with pytest.raises(DatasetError, match=message) as caught:
        read_annotation(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"train": [', "line 1: is not JSON"),
        (b'{"train": ["\xff"]}', r"line 1: is not UTF-8 text \(byte 0xff at 12\)"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "is nested too deep"),
        (rb'{"train": [{"id": "\ud83e"}]}', r"a.json: holds half a character"),
    ],
)
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_annotation(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_annotation(tmp_path / "b.json")
