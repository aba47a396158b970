from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mini_chestx_det import ENTRIES, entry, write_chestx_det

from contrastcxr.api import check_data
from contrastcxr.data.authors import is_normal, label_reading
from contrastcxr.data.readers.chestx_det import FILE, read_chestx_det
from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.nih14_cv import Nih14Folds
from contrastcxr.data.readers.nih_plain import NihPlain
from contrastcxr.errors import DatasetError
from contrastcxr.form import Reading, Study
from contrastcxr.vocab.chestx_det import CHESTX_DET
from contrastcxr.vocab.labels import NO_FINDING

NAMES = tuple(one.name for one in CHESTX_DET if one.name)
DATA_PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"


@pytest.fixture
def marked(nih: Path) -> Path:
    write_chestx_det(nih)
    return nih


def readings(studies: list[Study]) -> dict[str, Reading]:
    return {s.study_id: found for s in studies if (found := s.reading_by("chestx-det"))}


def boxes(reading: Reading) -> dict[str, list[tuple[float, ...]]]:
    return {f.name: [box.xyxy for box in f.boxes] for f in reading.findings if f.boxes}


def statuses(reading: Reading) -> dict[str, str]:
    return {f.name: f.status for f in reading.findings}


def test_a_picture_in_the_list_has_a_reading_by_people_and_no_other_has_one(marked: Path) -> None:
    found = readings(Nih14(marked).studies())
    assert set(found) == {"00000001_000", "00000001_001", "00000003_000", "00000004_000"}
    assert {reading.author.kind for reading in found.values()} == {"human"}
    assert not any(reading.report.findings for reading in found.values())


def test_all_boxes_of_a_class_are_one_finding_in_pixels_of_the_file(marked: Path) -> None:
    found = readings(Nih14(marked).studies())
    assert boxes(found["00000001_000"]) == {
        "Cardiomegaly": [(16, 32, 48, 64)],
        "Pleural Effusion": [(0, 56, 8, 64)],
    }
    assert boxes(found["00000003_000"]) == {
        "Pleural Effusion": [(1, 50, 17, 60), (48, 50, 64, 60)],
        "Fracture": [(6.25, 6.25, 12.5, 10.25)],
    }


def test_what_has_no_box_is_absent_in_all_classes_and_nothing_more_is_said(marked: Path) -> None:
    found = readings(Nih14(marked).studies())
    assert statuses(found["00000001_001"]) == dict.fromkeys(NAMES, "absent")
    said = statuses(found["00000001_000"])
    assert {name for name, status in said.items() if status == "present"} == {"Cardiomegaly", "Pleural Effusion"}
    assert set(said.values()) == {"present", "absent"}
    assert not {NO_FINDING, "Pneumonia", "Infiltration", "Edema", "Hernia"} & set(said)


def test_neither_side_nor_zone_nor_severity_is_made_up(marked: Path) -> None:
    findings = [f for reading in readings(Nih14(marked).studies()).values() for f in reading.findings]
    assert {(f.side, f.zone, f.severity, f.probability) for f in findings} == {(None, None, None, None)}
    assert {f.source for f in findings if f.name == "Pleural Effusion"} == {"chestx-det: Effusion"}


def test_a_nodule_is_not_denied_beside_diffuse_nodules(marked: Path) -> None:
    found = readings(Nih14(marked).studies())
    assert set(statuses(found["00000003_000"])) == set(NAMES) - {"Nodule"}
    assert boxes(found["00000004_000"]) == {"Nodule": [(32, 16, 33, 17)]}


def test_labels_normals_and_the_first_reading_stay_what_they_were(nih: Path) -> None:
    before = Nih14(nih).studies()
    write_chestx_det(nih)
    after = Nih14(nih).studies()
    assert [(label_reading(s), is_normal(s), s.readings[0]) for s in before] == [
        (label_reading(s), is_normal(s), s.readings[0]) for s in after
    ]
    assert [tuple(r for r in s.readings if r.author.name != "chestx-det") for s in after] == [
        s.readings for s in before
    ]


def test_folds_and_plain_reports_carry_the_same_reading(marked: Path) -> None:
    expected = readings(Nih14(marked).studies())
    assert readings(NihPlain(marked).studies()) == expected
    assert NihPlain(marked).studies()[0].readings[0].author.name == "nih-plain"
    assert NihPlain(marked).inventory() == Nih14(marked).inventory()


def test_a_study_with_these_boxes_goes_to_json_and_back(marked: Path) -> None:
    for study in Nih14(marked).studies():
        assert Study.model_validate_json(study.model_dump_json(by_alias=True)) == study


def test_check_counts_pictures_boxes_and_what_is_left_out(marked: Path) -> None:
    said = check_data(f"nih14:{marked}")
    assert said["read by"]["chestx-det"] == 4
    assert (said["pictures in chestx-det"], said["of these without a box"]) == (4, 1)
    assert said["boxes by chestx-det"] == {"Cardiomegaly": 1, "Pleural Effusion": 3, "Fracture": 1, "Nodule": 1}
    left_out, unmatched = (note for note in said["notes"] if note.startswith(FILE))
    assert left_out.startswith(f"{FILE}: boxes of Diffuse Nodule are left out, 2 of them (")
    assert unmatched == f"{FILE}: 1 of 5 pictures are no study here, such as 00000077_000.png"
    assert said["missing"] == 0


def test_a_picture_that_is_not_on_the_disk_counts_as_no_study(marked: Path) -> None:
    (marked / "images_001" / "images" / "00000001_000.png").unlink()
    said = check_data(f"nih14:{marked}")
    assert said["pictures in chestx-det"] == 3
    assert said["notes"][-1] == f"{FILE}: 2 of 5 pictures are no study here, such as 00000001_000.png"


def test_without_the_file_nothing_is_said_of_it(nih: Path) -> None:
    assert read_chestx_det(nih / FILE) == {}
    assert not [name for name in Nih14(nih).inventory().counts if "chestx-det" in name]
    assert "chestx-det" not in check_data(f"nih14:{nih}")["read by"]


def test_the_numbers_of_the_release_in_place_of_nih_names_are_told_apart(nih: Path) -> None:
    write_chestx_det(nih, entry("36199.png"), entry("36200.png", ("Mass", [1, 2, 3, 4])))
    said = check_data(f"nih14:{nih}")
    assert said["boxes by chestx-det"] == {}
    assert [note for note in said["notes"] if note.startswith(FILE)] == [
        f"{FILE}: 2 of 2 pictures are no study here, such as 36199.png; expected names of NIH ChestX-ray14, "
        "such as 00000004_000.png"
    ]


def test_a_name_with_the_ending_of_the_resized_file_is_the_same_picture(nih: Path) -> None:
    write_chestx_det(nih, entry("00000001_000.jpg", ("Mass", [0, 0, 16, 8])))
    assert boxes(readings(Nih14(nih).studies())["00000001_000"]) == {"Mass": [(0, 0, 1, 0.5)]}


def test_an_empty_list_says_nothing(nih: Path) -> None:
    (nih / FILE).write_text("[]")
    assert readings(Nih14(nih).studies()) == {}
    assert not [name for name in Nih14(nih).inventory().counts if "chestx-det" in name]


GOOD = "00000001_000.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, ": holds an object; expected a list of pictures, each with file_name, syms and boxes"),
        ("text", ": holds a text; expected a list of pictures"),
        (None, ": holds null; expected a list of pictures"),
        (3, ": holds a number; expected a list of pictures"),
        ([ENTRIES[1], "x"], " entry 2: holds a text; expected file_name, syms and boxes; correct the entry"),
        ([{"syms": [], "boxes": []}], " entry 1: file_name null; expected a name such as 00000004_000.png"),
        ([entry(GOOD, file_name="")], ' entry 1: file_name ""; expected a name such as'),
        ([entry(GOOD, file_name=["a"])], ' entry 1: file_name ["a"]; expected a name such as'),
        (
            [{"file_name": GOOD, "boxes": []}],
            f" entry 1 ({GOOD}): syms is not there; expected a list, empty where",
        ),
        ([entry(GOOD, boxes=None)], f" entry 1 ({GOOD}): boxes is null; expected a list, empty where"),
        ([entry(GOOD, syms={})], f" entry 1 ({GOOD}): syms is an object; expected a list, empty where"),
        ([entry(GOOD, syms=["Mass"])], f" entry 1 ({GOOD}): 1 syms, 0 boxes; expected a class for each"),
        (
            [entry(GOOD, ("Efusion", [1, 2, 3, 4]))],
            f" entry 1 ({GOOD}): unknown ChestX-Det class 'Efusion'; did you mean 'Effusion'?; correct the class",
        ),
        (
            [entry(GOOD, syms=[7], boxes=[[1, 2, 3, 4]])],
            f" entry 1 ({GOOD}): unknown ChestX-Det class '7'; known:",
        ),
        (
            [entry(GOOD, syms=["Mass"], boxes=[[1, 2, 3]])],
            f" entry 1 ({GOOD}): box [1, 2, 3]; expected four numbers x1, y1, x2, y2; correct the box",
        ),
        ([entry(GOOD, syms=["Mass"], boxes=[7])], f" entry 1 ({GOOD}): box 7; expected four numbers"),
        ([entry(GOOD, ("Mass", [1, 2, "3", 4]))], f' entry 1 ({GOOD}): box [1, 2, "3", 4]; expected four numbers'),
        (
            [entry(GOOD, ("Mass", [1, 2, True, 4]))],
            f" entry 1 ({GOOD}): box [1, 2, true, 4]; expected four numbers",
        ),
        (
            [ENTRIES[1], entry(GOOD, ("Mass", [30, 2, 20, 4]))],
            f" entry 2 ({GOOD}): box [30, 2, 20, 4]; expected x1 < x2 and y1 < y2; correct the box",
        ),
        ([entry(GOOD, ("Mass", [1, 4, 3, 4]))], f" entry 1 ({GOOD}): box [1, 4, 3, 4]; expected x1 < x2"),
        (
            [entry(GOOD, ("Mass", [1, 2, 1100, 4]))],
            f" entry 1 ({GOOD}): box [1, 2, 1100, 4]; expected it inside the 1024×1024 grid; correct the box",
        ),
        ([entry(GOOD, ("Mass", [-2, 2, -1, 4]))], f" entry 1 ({GOOD}): box [-2, 2, -1, 4]; expected it inside"),
        ([entry(GOOD, ("Mass", [1, 2, float("nan"), 4]))], f" entry 1 ({GOOD}): box [1, 2, NaN, 4]; expected it"),
        ([entry(GOOD, ("Mass", [1, 2, 10**400, 4]))], f" entry 1 ({GOOD}): box [1, 2, 1000000000"),
        (
            [ENTRIES[0], ENTRIES[1], ENTRIES[0]],
            f" entry 3 ({GOOD}): the picture is also entry 1; expected it once; remove one of the two",
        ),
        ([entry("\ud800.png", ("Mass", [1, 2, 3]))], ": holds half a character (one of two escapes"),
    ],
)
def test_a_list_that_departs_from_its_layout_is_refused_with_file_and_entry(
    nih: Path, content: Any, message: str
) -> None:
    path = nih / FILE
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        Nih14(nih).studies()
    said = str(caught.value)
    assert said.startswith(f"{path}{message}")
    assert said.isprintable()
    assert len(said) < len(str(path)) + 400


@pytest.mark.parametrize("content", [b"[{", b"\xff\xfe", b"", b"[" * 100_000])
def test_what_is_no_json_is_refused_and_says_what_was_expected(nih: Path, content: bytes) -> None:
    (nih / FILE).write_bytes(content)
    with pytest.raises(DatasetError, match="is not JSON; expected a list of pictures"):
        Nih14(nih).studies()


@pytest.mark.parametrize("depth", [100, 500, 900, 950, 980, 990])
def test_a_box_that_is_a_deep_nest_is_refused_too(nih: Path, depth: int) -> None:
    nest = "[" * depth + "]" * depth
    (nih / FILE).write_text(f'[{{"file_name": "{GOOD}", "syms": ["Mass"], "boxes": [{nest}]}}]')
    with pytest.raises(DatasetError, match=r"expected four numbers|is not JSON"):
        Nih14(nih).studies()


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Nih14:
    return Nih14(shared_data / "nih14")


@pytest.mark.data
def test_the_real_sample_has_the_counts_of_its_description(real: Nih14) -> None:
    studies = real.studies()
    found = readings(studies)
    assert Counter(s.split for s in studies if s.study_id in found) == {"train_val": 126, "test": 20}
    pictures = Counter(name for reading in found.values() for name in reading.present())
    assert pictures == {
        "Consolidation": 70,
        "Pleural Effusion": 55,
        "Cardiomegaly": 17,
        "Fibrosis": 16,
        "Nodule": 12,
        "Fracture": 12,
        "Atelectasis": 10,
        "Emphysema": 8,
        "Calcification": 7,
        "Pleural Thickening": 7,
        "Pneumothorax": 6,
        "Mass": 4,
    }
    assert sum(len(b) for reading in found.values() for b in boxes(reading).values()) == 378 - 2
    assert sum(not reading.present() for reading in found.values()) == 34


@pytest.mark.data
def test_every_real_box_lies_inside_its_picture(real: Nih14) -> None:
    for study in real.studies():
        view, reading = study.views[0], study.reading_by("chestx-det")
        for _, _, right, bottom in (
            (xyxy for found in boxes(reading).values() for xyxy in found) if reading else ()
        ):
            assert right <= (view.width or 0)
            assert bottom <= (view.height or 0)


@pytest.mark.data
def test_real_folds_say_what_is_outside_them(shared_data: Path) -> None:
    said = check_data(f"nih14-cv:{shared_data / 'nih14'}")
    assert (said["read by"]["chestx-det"], said["pictures in chestx-det"]) == (126, 126)
    assert said["notes"][-1].startswith(f"{FILE}: 20 of 146 pictures are no study here, such as ")
    assert sum(len(readings(Nih14Folds(shared_data / "nih14", fold=f).studies("test"))) for f in range(5)) == 126


def agreement(studies: list[Study], name: str) -> tuple[int, int, int]:
    """Pictures on which ChestX-Det, the NIH label, and both call a finding present, of those that it has seen."""
    pairs = [(label_reading(s), s.reading_by("chestx-det")) for s in studies if s.reading_by("chestx-det")]
    said = [(name in marks.present(), name in labels.present()) for labels, marks in pairs if labels and marks]
    return sum(m for m, _ in said), sum(n for _, n in said), sum(m and n for m, n in said)


@pytest.mark.data
def test_the_agreement_that_the_data_page_states_is_measured(real: Nih14) -> None:
    page = DATA_PAGE.read_text(encoding="utf-8")
    studies = real.studies()
    for name in (one.nih for one in CHESTX_DET if one.nih):
        row = "| " + " | ".join(map(str, (name, *agreement(studies, name)))) + " |"
        assert row in page.splitlines(), f"{DATA_PAGE.name} lacks: {row}"


@pytest.mark.data
def test_what_the_data_page_says_of_the_sample_in_words_is_measured(real: Nih14) -> None:
    seen = [s for s in real.studies() if s.reading_by("chestx-det")]
    marks = [frozenset() if (r := s.reading_by("chestx-det")) is None else r.present() for s in seen]
    labels = [frozenset() if (r := label_reading(s)) is None else r.present() for s in seen]
    compared = {one.nih for one in CHESTX_DET if one.nih}
    pairs = list(zip(marks, labels, strict=True))
    assert (sum(len(m & compared) for m in marks), sum(len(m & n & compared) for m, n in pairs)) == (205, 55)
    dense = [n for m, n in pairs if "Consolidation" in m]
    words = [{"Pneumonia"}, {"Infiltration"}, {"Pneumonia", "Infiltration", "Consolidation"}]
    assert [len(dense), *(sum(bool(n & w) for n in dense) for w in words)] == [70, 58, 34, 65]
    unmarked = [n for m, n in pairs if not m]
    assert (len(unmarked), all(unmarked), sum("Pneumonia" in n for n in unmarked)) == (34, True, 27)
    assert (any(NO_FINDING in n for n in labels), sum("Pneumonia" in n for n in labels)) == (False, 109)
    read = [(r.present(), m) for s, m in zip(seen, marks, strict=True) if (r := s.reading_by("rsna"))]
    counts = Counter(("Pneumonia" in r, "Consolidation" in m) for r, m in read)
    assert counts == {(True, True): 21, (True, False): 3, (False, True): 14, (False, False): 35}
