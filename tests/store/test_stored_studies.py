from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Reading, Report, Study, View
from contrastcxr.store.stored_studies import StoredStudies, write_studies


def study(index: int) -> Study:
    reading = Reading(
        study_id=f"s{index}", author=Author(kind="human", name="r"), report=Report(findings="Grün\n" * index)
    )
    return Study(study_id=f"s{index}", views=(View(view_id="v", locator="/a.png"),), readings=(reading,))


@pytest.fixture
def stored(tmp_path: Path) -> StoredStudies:
    write_studies(tmp_path / "studies.jsonl", [study(i) for i in range(5)])
    return StoredStudies(tmp_path / "studies.jsonl")


def test_studies_come_back_one_by_one_in_any_order(stored: StoredStudies) -> None:
    assert len(stored) == 5
    assert stored[3] == study(3)
    assert stored[-1] == study(4)
    assert list(stored) == [study(i) for i in range(5)]


def test_a_part_of_them_is_a_table_too(stored: StoredStudies) -> None:
    assert list(stored[1:3]) == [study(1), study(2)]
    assert [s.study_id for s in stored.take([4, 0])] == ["s4", "s0"]
    with pytest.raises(IndexError):
        stored[1:3][2]


def test_another_process_gets_the_same_studies(stored: StoredStudies) -> None:
    assert list(pickle.loads(pickle.dumps(stored[2:]))) == list(stored[2:])


def test_a_table_that_is_gone_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="data prepare"):
        StoredStudies(tmp_path / "gone.jsonl")
