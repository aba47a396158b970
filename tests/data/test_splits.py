from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.data.splits import fold_split, patient_folds
from contrastcxr.errors import RequestError
from contrastcxr.form import Study, View


def studies(count: int = 300, patients: int = 120, seed: int = 0) -> list[Study]:
    rng = np.random.default_rng(seed)
    view = View(view_id="v", locator="v.png")
    return [
        Study(study_id=f"{rng.choice(['a', 'b', 'c'], p=[0.7, 0.25, 0.05])}{i}", patient_id=str(p), views=(view,))
        for i, p in enumerate(rng.integers(0, patients, count).tolist())
    ]


def letter(study: Study) -> list[str]:
    return [study.study_id[0]]


def test_every_study_is_in_one_fold_and_every_patient_too() -> None:
    given = studies()
    folds = patient_folds(given, seed=0, strata=letter)
    assert sorted(s.study_id for f in folds for s in f) == sorted(s.study_id for s in given)
    owners = [{s.patient_id for s in f} for f in folds]
    assert len(set.union(*owners)) == sum(map(len, owners))


def test_folds_are_even_in_size_and_in_every_stratum() -> None:
    folds = patient_folds(studies(), seed=0, strata=letter)
    assert max(map(len, folds)) - min(map(len, folds)) <= 2
    for name in "abc":
        held = [sum(s.study_id[0] == name for s in f) for f in folds]
        assert max(held) - min(held) <= 2


def test_the_seed_decides_and_the_order_given_is_kept_inside_a_fold() -> None:
    given = studies()
    one, same, other = (patient_folds(given, seed=s, strata=letter) for s in (1, 1, 2))
    assert one == same
    assert one != other
    order = [given.index(s) for s in one[0]]
    assert order == sorted(order)


def test_studies_without_a_patient_are_their_own_patients() -> None:
    view = View(view_id="v", locator="v.png")
    given = [Study(study_id=f"a{i}", views=(view,)) for i in range(10)]
    assert [len(f) for f in patient_folds(given, seed=0, strata=letter)] == [2] * 5


@pytest.mark.parametrize("folds", [1, 4])
def test_impossible_numbers_of_folds_are_refused(folds: int) -> None:
    with pytest.raises(RequestError, match=f"{folds} folds of 3 patients"):
        patient_folds(studies(30, patients=3), folds=folds, seed=0, strata=letter)


def test_a_fold_is_the_test_set_and_the_next_one_validates() -> None:
    folds = patient_folds(studies(), seed=0, strata=letter)
    cut = fold_split(folds, 4)
    ids = {split: [s.study_id for s in members] for split, members in cut.items()}
    assert ids["test"] == [s.study_id for s in folds[4]]
    assert ids["validation"] == [s.study_id for s in folds[0]]
    assert ids["train"] == [s.study_id for f in folds[1:4] for s in f]
    assert all(s.split == split for split, members in cut.items() for s in members)
