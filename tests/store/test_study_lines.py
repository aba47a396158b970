from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Finding, Reading, Report, Study, View
from contrastcxr.store.study_lines import StudyLines, held_or_packed, made_of, some_of, study_line

RULE = Author(kind="rule", name="rule")


def study(n: int) -> Study:
    finding = Finding(name="Edema", status="present", side="left")
    reading = Reading(
        study_id=f"s{n}", author=RULE, report=Report(findings=f"Ödem {n}.\n" * n), findings=(finding,)
    )
    return Study(study_id=f"s{n}", views=(View(view_id="v", locator=f"{n}.png"),), readings=(reading,))


STUDIES = [study(n) for n in range(7)]


@pytest.fixture(params=["memory", "file"])
def lines(request: pytest.FixtureRequest, tmp_path: Path) -> StudyLines:
    if request.param == "memory":
        return StudyLines.packed(iter(STUDIES))
    (tmp_path / "studies.jsonl").write_text("".join(map(study_line, STUDIES)), encoding="utf-8")
    return StudyLines.stored(tmp_path / "studies.jsonl")


def test_studies_come_back_equal_by_index_slice_and_iteration(lines: StudyLines) -> None:
    assert list(lines) == STUDIES
    assert (lines[3], lines[-1], len(lines)) == (STUDIES[3], STUDIES[-1], 7)
    assert list(lines[1:6:2]) == STUDIES[1:6:2]
    with pytest.raises(IndexError):
        lines[1:3][2]


def test_another_process_gets_the_same_studies(lines: StudyLines) -> None:
    assert list(pickle.loads(pickle.dumps(lines[2:]))) == STUDIES[2:]


def test_some_of_lines_are_lines_and_of_a_list_a_list(lines: StudyLines) -> None:
    assert isinstance(some_of(lines, [4, 0]), StudyLines)
    assert list(some_of(lines, [4, 0])) == some_of(STUDIES, [4, 0]) == [STUDIES[4], STUDIES[0]]
    assert list(some_of(lines, [])) == []


def test_what_is_made_of_studies_is_the_same_from_lines_or_objects(lines: StudyLines) -> None:
    names = made_of(lines, lambda s: s.study_id)
    assert (list(names), names[2], len(names)) == ([s.study_id for s in STUDIES], "s2", 7)
    assert list(names[1:3]) == ["s1", "s2"]
    assert made_of(STUDIES, lambda s: s.study_id) == tuple(names)


def test_few_studies_are_held_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    held = held_or_packed(iter(STUDIES))
    assert all(one is other for one, other in zip(held, STUDIES, strict=True))
    monkeypatch.setattr("contrastcxr.store.study_lines.HELD", 6)
    many = held_or_packed(iter(STUDIES))
    assert isinstance(many, StudyLines)
    assert list(many) == STUDIES


def test_a_file_that_is_gone_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="data prepare"):
        StudyLines.stored(tmp_path / "gone.jsonl")
