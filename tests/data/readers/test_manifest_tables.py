"""Manifests as people write them with the programs that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest

from contrastcxr.data.readers.manifest import Manifest, parse_manifest
from contrastcxr.data.readers.paths import studies_from_paths
from contrastcxr.errors import DatasetError

Png = Callable[..., Path]
ROWS = [("004", "PA", 61.5, (0.143, 0.143), "train"), ("50414267", "LATERAL", None, None, "validation")]


def told(path: Path) -> list[object]:
    """What a manifest says of its two studies."""
    return [
        (s.study_id, s.views[0].position, s.age, s.views[0].spacing_mm, s.split) for s in Manifest(path).studies()
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "m.csv",
            b"study_id,image,position,age,spacing,split\n004,x/a.png,PA,61.5,0.143,train\n"
            b"50414267,x/b c.png,LATERAL,,,val\n",
        ),
        (
            "m.csv",
            b"\xef\xbb\xbfStudy ID;Image;Position;Age;Spacing;Split;;\r\n004;x\\a.png;PA;61,5;0,143;Train;;\r\n"
            b"50414267;x\\b c.png;LATERAL;;;VAL;;\r\n;;;;;;;\r\n",
        ),
        (
            "m.tsv",
            "STUDY_ID\tIMAGE\tPOSITION\tAGE\tSPACING\tSPLIT\n004\t./x/a.png\tPA\t61,5\t0,143;0,143\tTRAIN\n"
            "50414267\tx/b%20c.png\tlateral\t\t\tvalid\n".encode("utf-16"),
        ),
        (
            "m.csv",
            b'sep=;\r"study_id";"image";"position";"age";"spacing";"split"\r="004";x/A.PNG;pa;61.5;"0.143";train\r'
            b"'50414267;x/b c.png;LATERAL;;;Dev\r",
        ),
        (
            "m.csv",
            b",study_id,image,position,age,spacing,split\n0,004,x/a.png,PA,61.5,0.143,train\n"
            b"1,50414267,x/b c.png,LATERAL,,,val\n",
        ),
    ],
)
def test_a_table_is_read_whatever_wrote_it(png: Png, tmp_path: Path, name: str, content: bytes) -> None:
    png("x/a.png")
    png("x/b c.png")
    (tmp_path / name).write_bytes(content)
    assert told(tmp_path / name) == ROWS


ENTRIES = [
    {"study_id": "004", "image": "x\\a.png", "position": "PA", "age": 61.5, "spacing": 0.143, "split": "Train"},
    {"Study_ID": 50414267, "image": "x/b c.png", "position": "LATERAL", "split": "val"},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.json", json.dumps(ENTRIES)),
        ("m.json", json.dumps(ENTRIES, indent=2)),
        ("m.ndjson", "\n".join(map(json.dumps, ENTRIES))),
        ("m.jsonl", "\n".join(json.dumps(entry, indent=1) for entry in ENTRIES)),
        ("m.jsonl", "\r\n".join(map(json.dumps, ENTRIES))),
    ],
)
def test_json_is_read_over_any_number_of_lines(png: Png, tmp_path: Path, name: str, content: str) -> None:
    png("x/a.png")
    png("x/b c.png")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert told(tmp_path / name) == ROWS


@pytest.mark.parametrize("written", ["x/Müller é.png", "x\\Müller é.png", "X/MÜLLER É.PNG"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_in_both_forms_of_unicode_and_each_picture_is_read_once(
    png: Png, tmp_path: Path, written: str, form: str
) -> None:
    there = png(f"x/{normalize(form, 'Müller é')}.png")
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    path = tmp_path / "studies.jsonl"
    path.write_text(json.dumps({"study_id": 1, "image": normalize(other, written)}))
    (study,) = Manifest(path).studies()
    assert study.views[0].locator == str(there)
    found, failures = studies_from_paths([tmp_path])
    assert ([s.study_id for s in found], failures) == (["1"], [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"study_id,image;report\n1,a.png;x\n", "header: its names are separated by ',' and by ';'"),
        ("m.csv", b"study_id;image\treport\n", "header: its names are separated by .* and by "),
        ("m.csv", b"study_id,image,report\n1;a.png;x, y\n", "row 2 .*: its cells are separated by ';', those of"),
        ("m.csv", "study_id;image\n1;Größe.png\n".encode("cp1252"), "line 2: is not UTF-8 .*Windows-1252"),
        ("m.csv", b"Study ID,study-id,image\n1,2,a.png\n", "the columns 'Study ID' and 'study-id' are both read"),
        ("m.csv", b"study_id;image;age\n1;a.png;1.061,5\n", "row 2: age: "),
        ("m.csv", b'study_id,image,age\n1,a.png,"61,5"\n', "row 2: age: "),
        (
            "m.csv",
            b"study_id;image\n1;a.png;b\n",
            r"row 2 \(1\): 3 cells under 2 columns; quote cells that hold",
        ),
        (
            "m.json",
            b'[{"study_id": 4.0, "image": "a.png"}]',
            "line 1: study_id is 4.0; expected a text or a whole",
        ),
        ("m.json", b'{"study_id": 1, "image": "a.png", "prior": true}', "prior is true; expected a text or"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_cause(
    png: Png, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    png("a.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as refused:
        Manifest(tmp_path / name)
    assert "did you mean" not in str(refused.value)


def test_a_list_that_is_cut_off_is_read_as_far_as_it_goes_and_says_so(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = tmp_path / "m.json"
    path.write_text('[\n{"study_id": 4, "image": "a.png"},\n{"study')
    source = Manifest(path)
    assert [study.study_id for study in source.studies()] == ["4"]
    assert [line.partition("; ")[0] for line in source.missing] == [f"{path} line 3: is not JSON"]


def test_a_bad_object_of_a_list_is_named_by_its_line_and_the_rest_is_read(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = tmp_path / "m.json"
    lines = ('{"study_id": 4, "image": "a.png"},', '{"study_id": 5},', '{"study_id": "004", "image": "a.png"}')
    path.write_text("\n".join(("[", *lines, "]")))
    parsed = parse_manifest(path)
    assert [study.study_id for study in parsed.studies] == ["4", "004"]
    assert [failure.where for failure in parsed.failures] == [f"{path} line 3"]


def test_a_split_of_one_s_own_stays(png: Png, tmp_path: Path) -> None:
    png("a.png")
    path = tmp_path / "m.csv"
    path.write_text("study_id,image,split\n1,a.png,Mine\n2,a.png,TEST\n3,a.png,Val\n4,a.png,Train_Val\n")
    assert Manifest(path).splits == ("train_val", "validation", "test", "Mine")


@pytest.mark.parametrize("name", ["m.json", "m.jsonl", "m.csv"])
@pytest.mark.parametrize("study_id", [50414267, "50414267"])
@pytest.mark.parametrize("whole", [False, True])
def test_whole_numbers_are_ids_in_what_is_nested_too(
    png: Png, tmp_path: Path, name: str, study_id: int | str, whole: bool
) -> None:
    png("a.png")
    readings = [{"study_id": study_id, "author": {"kind": "human", "name": "x"}, "report": {"findings": "Clear."}}]
    pictures = {"views": [{"view_id": 7, "locator": "a.png"}]} if whole else {"image": "a.png"}
    fields = {"study_id": study_id, **pictures, "readings": readings}
    if name == "m.csv":
        cells = [value if isinstance(value, str) else json.dumps(value) for value in fields.values()]
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        (tmp_path / name).write_text(f"{','.join(fields)}\n{','.join(quoted)}\n")
    else:
        (tmp_path / name).write_text(json.dumps(fields))
    (study,) = Manifest(tmp_path / name).studies()
    assert (study.study_id, [r.study_id for r in study.readings]) == ("50414267", ["50414267"])
    assert study.views[0].view_id == ("7" if whole else "50414267-1")


def test_what_python_writes_for_an_empty_cell_is_none(png: Png, tmp_path: Path) -> None:
    png("a.png")
    rows = [{"study_id": 4, "image": "a.png", "age": float("nan"), "report": float("nan"), "split": None}]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    (study,) = Manifest(tmp_path / "m.json").studies()
    assert (study.age, study.readings, study.split) == (None, (), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"report": ["Clear.", "Normal."]}, r'report is \["Clear.", "Normal."\]; expected a text'),
        ({"findings": 7}, r"findings is 7; expected a text"),
        ({"impression": {"0": "Clear."}}, r'impression is \{"0": "Clear."\}; expected a text'),
        ({"labels": "Edema|Mass"}, r"labels 'Edema\|Mass'; expected ';' between findings, or a JSON list of them"),
        ({"labels": "Edema, Mass"}, r"labels 'Edema, Mass'; expected ';' between findings"),
        ({"labels": "['Edema', 'Mass']"}, r"labels '\['Edema', 'Mass'\]'; expected ';' between findings"),
        ({"labels": "Edema|Oedema"}, r"labels 'Edema\|Oedema'; expected ';' between findings"),
    ],
)
def test_what_holds_something_else_is_named_with_what_was_expected(
    png: Png, tmp_path: Path, row: dict[str, object], message: str
) -> None:
    png("a.png")
    good = {"study_id": "good", "image": "a.png"}
    lines = (json.dumps({**good, "study_id": "bad", **row}), json.dumps(good))
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    parsed = parse_manifest(tmp_path / "m.jsonl")
    assert [study.study_id for study in parsed.studies] == ["good"]
    assert len(parsed.failures) == 1
    assert re.search(f"line 1: {message}", parsed.failures[0].message)


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_quote_that_is_not_closed_hides_no_row(png: Png, tmp_path: Path, separator: str, end: str) -> None:
    png("a.png")
    rows = (
        ("study_id", "image", "report"),
        ("1", "a.png", "Clear."),
        ("2", "a.png", '"Clear.'),
        ("3", "a.png", "x"),
    )
    (tmp_path / "m.csv").write_text("\n".join(separator.join(row) for row in rows) + end)
    source = Manifest(tmp_path / "m.csv")
    assert [study.study_id for study in source.studies()] == ["1"]
    assert len(source.missing) == 1
    assert "row 4 (2): a quote opens its last cell and is not closed" in source.missing[0]
