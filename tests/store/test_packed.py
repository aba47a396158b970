from __future__ import annotations

import pickle

from contrastcxr.form import Author, Finding, Reading, Report, Study, View
from contrastcxr.store.packed import PackedStudies, held_or_packed, made_of, some_of

RULE = Author(kind="rule", name="rule")


def study(n: int) -> Study:
    finding = Finding(name="Edema", status="present", side="left")
    reading = Reading(study_id=f"s{n}", author=RULE, report=Report(findings=f"Ödem {n}."), findings=(finding,))
    return Study(study_id=f"s{n}", views=(View(view_id="v", locator=f"{n}.png"),), readings=(reading,))


STUDIES = [study(n) for n in range(7)]


def test_packed_studies_come_back_equal_by_index_slice_and_iteration() -> None:
    packed = PackedStudies.of(iter(STUDIES))
    assert list(packed) == STUDIES
    assert (packed[3], packed[-1], len(packed)) == (STUDIES[3], STUDIES[-1], 7)
    assert list(packed[1:6:2]) == STUDIES[1:6:2]
    assert list(pickle.loads(pickle.dumps(packed))) == STUDIES


def test_some_of_packed_studies_are_packed_and_of_a_list_a_list() -> None:
    packed = PackedStudies.of(STUDIES)
    assert isinstance(some_of(packed, [4, 0]), PackedStudies)
    assert list(some_of(packed, [4, 0])) == some_of(STUDIES, [4, 0]) == [STUDIES[4], STUDIES[0]]
    assert list(some_of(packed, [])) == []


def test_few_studies_are_held_as_they_are() -> None:
    held = held_or_packed(iter(STUDIES))
    assert all(one is other for one, other in zip(held, STUDIES, strict=True))


def test_what_is_made_of_studies_is_the_same_packed_or_not() -> None:
    names = made_of(PackedStudies.of(STUDIES), lambda s: s.study_id)
    assert (list(names), names[2], len(names)) == ([s.study_id for s in STUDIES], "s2", 7)
    assert made_of(STUDIES, lambda s: s.study_id) == tuple(names)
