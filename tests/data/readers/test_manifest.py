from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from contrastcxr.data.readers.manifest import Manifest, parse_manifest
from contrastcxr.data.readers.manifest_writing import write_manifest
from contrastcxr.errors import DatasetError

Png = Callable[..., Path]


def lines(path: Path, *records: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n")
    return path


def test_a_csv_of_simple_columns_gives_studies(png: Png, tmp_path: Path) -> None:
    png("x/a.png")
    png("x/b.png")
    table = tmp_path / "studies.csv"
    table.write_text(
        "study_id,patient_id,images,positions,report,labels,boxes,split,age,sex,acquired\n"
        '7,p1,x/a.png;x/b.png,PA;lateral,"FINDINGS: The heart is large. No effusion. IMPRESSION: Cardiomegaly.",'
        "Cardiomegaly;Effusion=absent;Edema=uncertain,"
        '"[{""finding"": ""Cardiomegaly"", ""xyxy"": [1, 2, 30, 40]}]",'
        "train,61,F,2024-01-31\n"
    )
    (study,) = Manifest(table).studies("train")
    assert (study.study_id, study.patient_id, study.age, study.sex) == ("7", "p1", 61, "F")
    assert study.acquired == date(2024, 1, 31)
    assert [(v.locator, v.position) for v in study.views] == [
        (str(tmp_path / "x/a.png"), "PA"),
        (str(tmp_path / "x/b.png"), "LATERAL"),
    ]
    reading = study.readings[0]
    assert reading.report.impression == "Cardiomegaly."
    assert {f.name: f.status for f in reading.findings} == {
        "Cardiomegaly": "present",
        "Pleural Effusion": "absent",
        "Edema": "uncertain",
    }
    assert reading.findings[0].boxes[0].xyxy == (1, 2, 30, 40)
    assert (study.views[0].width, study.views[0].height) == (64, 48)


def test_json_lines_take_the_same_columns(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = lines(
        tmp_path / "m.jsonl",
        {"study_id": "1", "image": "a.png", "findings": "Clear lungs.", "labels": {"No Finding": "present"}},
        "",
        {"study_id": 2, "image": str(tmp_path / "a.png"), "labels": ["Mass"], "split": None},
    )
    one, two = Manifest(path).studies()
    assert (one.readings[0].report.findings, one.readings[0].report.sentences) == (
        "Clear lungs.",
        ("Clear lungs.",),
    )
    assert (two.study_id, two.split, two.readings[0].present()) == ("2", None, {"Mass"})


def test_whole_studies_come_back_as_they_were_written(nih: Path) -> None:
    from contrastcxr.data.readers.nih14 import Nih14

    studies = Nih14(nih).studies()
    path = nih / "m.jsonl"
    assert write_manifest(studies, path) == len(studies)
    manifest = Manifest(path)
    assert manifest.studies() == studies
    assert manifest.splits == ("train_val", "test")


def test_splits_are_those_of_the_rows_in_the_usual_order(png: Png, tmp_path: Path) -> None:
    png("a.png")
    rows = [{"study_id": str(i), "image": "a.png", "split": s} for i, s in enumerate(("mine", "test", "train"))]
    assert Manifest(lines(tmp_path / "m.jsonl", *rows)).splits == ("train", "test", "mine")


def test_missing_images_are_listed_and_their_views_left_out_unless_any_will_do(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = lines(
        tmp_path / "m.jsonl",
        {"study_id": "1", "image": "a.png"},
        {"study_id": "2", "images": ["a.png", "b.png"]},
        {"study_id": "3", "image": "c.png"},
    )
    manifest = Manifest(path)
    assert [(s.study_id, len(s.views)) for s in manifest.studies()] == [("1", 1), ("2", 1)]
    assert manifest.missing == (str(tmp_path / "b.png"), str(tmp_path / "c.png"))
    kept = Manifest(path, images="any").studies()
    assert [(s.study_id, len(s.views)) for s in kept] == [("1", 1), ("2", 2), ("3", 1)]


def row(**columns: object) -> dict[str, object]:
    return {"study_id": "1", "image": "a.png", **columns}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (row(patient="p"), "unknown column 'patient'; did you mean 'patient_id'"),
        (row(labels=["Cardiomegali"]), "unknown finding 'Cardiomegali'; did you mean 'Cardiomegaly'"),
        (row(labels={"Mass": "maybe"}), "status 'maybe' of Mass; expected one of present"),
        (row(boxes=[{"finding": "Mass", "xyxy": [0, 0, 65, 40]}]), "leaves its image of 64×48 pixels"),
        (row(boxes=[{"finding": "Mass", "xyxy": [9, 0, 5, 40]}]), "a box is .x1, y1, x2, y2. with 0 <= x1 < x2"),
        (row(boxes=[{"finding": "Mass", "xyxy": [0, 0, 5, 4], "view": 1}]), "a box in view 1 of 1"),
        (row(boxes="[{]"), "boxes; expected JSON list"),
        (row(position="OBLIQUE"), "views.0.position"),
        (row(positions=["PA", "AP"]), "2 positions of 1 images"),
        (row(images=["a.png"]), "both 'image' and 'images'"),
        (row(report="Clear.", findings="Clear."), "both 'report' and 'findings'"),
        (row(age="old"), "age: "),
        ({"study_id": "1"}, "no image; expected a path"),
        ({"image": "a.png"}, "no study_id"),
        ({"study_id": "1", "views": []}, "views: "),
        (
            {"study_id": "1", "views": [{"view_id": "v", "locator": "a.png"}], "colour": 1},
            "colour: there is no such field",
        ),
        ("{not json", "is not JSON"),
        ("[1]", "is a JSON list; expected one object"),
    ],
)
def test_a_wrong_line_is_named_and_the_others_are_read(
    png: Png, tmp_path: Path, record: object, message: str
) -> None:
    png("a.png")
    path = lines(tmp_path / "m.jsonl", row(study_id="good"), record)
    parsed = parse_manifest(path)
    assert [s.study_id for s in parsed.studies] == ["good"]
    assert [f.where for f in parsed.failures] == [f"{path} line 2"]
    source = Manifest(path)
    assert [s.study_id for s in source.studies()] == ["good"]
    (said,) = source.missing
    assert re.search(message, said)
    assert said.startswith(f"{path} line 2")
    assert "\n" not in said


def test_a_manifest_whose_every_row_is_wrong_is_refused(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = lines(tmp_path / "m.jsonl", row(age=-1), row(study_id="b", age=-1))
    with pytest.raises(DatasetError, match=r"line 1: age: .* \(and 1 more\)"):
        Manifest(path)


def test_an_id_may_stand_only_once(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = lines(tmp_path / "m.jsonl", row(), row(), row())
    source = Manifest(path)
    assert [study.study_id for study in source.studies()] == ["1"]
    assert [line.partition(": ")[2].partition(";")[0] for line in source.missing] == [
        "study_id '1' is already in m.jsonl line 1"
    ] * 2


def test_a_box_on_a_damaged_picture_is_that_row_s_fault(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = lines(tmp_path / "m.jsonl", row(boxes=[{"finding": "Mass", "xyxy": [0, 0, 5, 4]}]))
    with pytest.raises(DatasetError, match=r"line 1: .*truncated or damaged"):
        Manifest(path).studies()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "study_id,image,imgae\n", "header: unknown column 'imgae'; did you mean 'image'"),
        ("m.csv", "study_id,image,image\n", "header: column 'image' appears twice"),
        ("m.csv", "", "is empty; a header row was expected"),
        ("m.csv", "study_id,image\n", "holds no study"),
        ("m.csv", "study_id,image\n1,a.png,extra\n", r"row 2 \(1\): 3 cells under 2 columns"),
        ("m.jsonl", "", "holds no study"),
        ("m.parquet", "study_id", "is no whole Parquet file"),
        ("m.xlsx", "", "expected a manifest that ends in .jsonl or .csv or .parquet"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        Manifest(tmp_path / name).studies()


def test_an_absent_manifest_and_binary_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        Manifest(tmp_path / "no.jsonl")
    (tmp_path / "m.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is not UTF-8 text"):
        Manifest(tmp_path / "m.jsonl")


def test_phantom_locators_need_no_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", row(image="phantom:smoke/train/000001?seed=0&view=frontal"))
    assert Manifest(path).studies()[0].views[0].locator == "phantom:smoke/train/000001?seed=0&view=frontal"
