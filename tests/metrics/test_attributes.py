"""Scores of attributes against plain loops, and what is scored at all."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.attributes import AttributeCounts, attribute_counts
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.scores import differences, score_table
from contrastcxr.metrics.table import Answer, StudyTable, tabulate

NAMES = ("left", "right", "patchy")


def drawn(seed: int, studies: int = 60) -> AttributeCounts:
    rng = np.random.default_rng(seed)
    stated = (rng.random((studies, 3)) < (0.5, 0.4, 0.05)).astype(np.float64)
    told = np.round(np.clip(0.4 * stated + 0.6 * rng.random((studies, 3)), 0, 1), 1)  # with ties
    stated[::7] = np.nan  # studies that state nothing
    return AttributeCounts(NAMES, stated, told)


def slow_auc(told: np.ndarray, stated: np.ndarray) -> float:
    known = np.isfinite(stated)
    yes, no = told[known & (stated == 1)], told[known & (stated == 0)]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(yes, no)]
    return float(np.mean(wins))


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_plain_loops(seed: int) -> None:
    counts = drawn(seed)
    found = {k: float(s(plain_weights(60))[0]) for k, s in counts.statistics(10).items()}
    assert found["attribute_auc"] == pytest.approx(slow_auc(counts.told, counts.stated))
    each = [slow_auc(counts.told[:, k], counts.stated[:, k]) for k in range(2)]
    assert found["attribute_auc/left"] == pytest.approx(each[0])
    assert found["attribute_auc_macro"] == pytest.approx(np.mean(each))
    cells = [(t, s) for t, s in zip(counts.told.flat, counts.stated.flat, strict=True) if np.isfinite(s)]
    assert found["attribute_accuracy"] == pytest.approx(np.mean([(t > 0.5) == (s == 1) for t, s in cells]))
    assert found["attribute_accuracy_none"] == pytest.approx(np.mean([s == 0 for _, s in cells]))


def test_a_word_with_too_few_studies_is_not_scored_alone() -> None:
    counts = drawn(0)
    assert "attribute_auc/patchy" not in counts.statistics(10)
    assert counts.reasons(10) == {"attribute_auc/patchy": "n < 10"}
    assert set(counts.reasons(100)) == {"attribute_auc_macro", *(f"attribute_auc/{name}" for name in NAMES)}


def test_drawing_a_study_twice_counts_all_its_cells_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.metrics.attributes.CELLS_TOGETHER", 200)  # one replicate at a time
    counts = drawn(1, studies=20)
    weights = np.array([[2.0] + [1.0] * 19, [1.0] * 20, [0.0] * 8 + [1.0] * 12])
    found = counts.statistics(1)["attribute_auc"](weights)
    rows = [np.r_[0, np.arange(20)], np.arange(20), np.arange(8, 20)]
    assert found == pytest.approx([slow_auc(counts.told[r], counts.stated[r]) for r in rows])


def answers(counts: AttributeCounts, values: np.ndarray) -> list[Answer]:
    rows = [None if np.isnan(row).any() else dict(zip(counts.names, row.tolist(), strict=True)) for row in values]
    return [Answer(None, (), attributes=row) for row in rows]


def table(counts: AttributeCounts, told: np.ndarray | None = None) -> StudyTable:
    ids = [f"s{i}" for i in range(len(counts.stated))]
    said = answers(counts, counts.told if told is None else told)
    return tabulate(ids, ids, answers(counts, counts.stated), said, ["Mass"])


def test_a_table_keeps_them_through_its_file_and_scores_studies_that_state_some(tmp_path: Path) -> None:
    counts = drawn(2)
    table(counts).save(tmp_path / "t.npz")
    again = StudyTable.load(tmp_path / "t.npz")
    assert again.attribute_names == NAMES
    scores = score_table(again, replicates=50)
    assert scores["attribute_auc"].value == pytest.approx(slow_auc(counts.told, counts.stated), abs=1e-6)
    assert scores["attribute_auc"].n == counts.studies == 51
    assert scores["attribute_auc/patchy"].note == "n < 10"
    low, high = scores["attribute_auc"].low, scores["attribute_auc"].high
    assert low is not None
    assert high is not None
    assert low < high


def test_two_systems_are_compared_on_the_same_draws() -> None:
    counts = drawn(3)
    shuffled = counts.told[::-1].copy()
    found = differences([table(counts)], [table(counts, shuffled)], ["attribute_auc"], replicates=100)
    expected = slow_auc(counts.told, counts.stated) - slow_auc(shuffled, counts.stated)
    assert found["attribute_auc"].value == pytest.approx(expected)


def test_attributes_of_another_list_are_not_compared() -> None:
    one, other = table(drawn(0)), table(AttributeCounts(("a", "b", "c"), drawn(0).stated, drawn(0).told))
    assert all(each.attributes is None for each in alike(one, other))
    assert all(each.attributes is not None for each in alike(one, one))


def test_nothing_stated_or_nothing_told_is_not_scored() -> None:
    assert attribute_counts([None, None], [{"left": 0.3}, None]) is None
    assert attribute_counts([{"left": 1.0}, None], [None, None]) is None


def test_a_side_is_told_where_one_alone_is_stated_and_a_tie_is_half_right() -> None:
    names = ("left", "right", "bilateral")
    stated = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1], [np.nan] * 3, [0, 0, 0]], np.float64)
    told = np.array(
        [[0.9, 0.1, 0], [0.2, 0.3, 0], [0.4, 0.4, 0], [0.9, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], float
    )
    counts = AttributeCounts(names, stated, told)
    assert float(counts.statistics(1)["attribute_side"](plain_weights(7))[0]) == pytest.approx(1.5 / 3)
    assert "attribute_side" not in AttributeCounts(("left", "lower", "upper"), stated, told).statistics(1)
    assert "attribute_side" not in AttributeCounts(names, stated[3:], told[3:]).statistics(1)
