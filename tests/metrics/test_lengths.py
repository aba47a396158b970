"""Lengths of reports: the bins of Figure 2 by hand, and the distance against SciPy's."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from contrastcxr.metrics.bootstrap import plain_weights, study_weights
from contrastcxr.metrics.lengths import EDGES, length_counts, length_distance, length_distribution
from contrastcxr.metrics.scores import score_table, statistics
from contrastcxr.metrics.sheet import LOWER_IS_BETTER, ROWS
from contrastcxr.metrics.table import Answer, StudyTable, tabulate

REFERENCES = ["The lungs are clear.", "There is a small left pleural effusion.", "Normal.", "No edema."]
SYSTEM = ["Clear lungs.", "", "The heart is normal in size.", "No edema."]
WORDS = ([4, 7, 1, 2], [2, 0, 6, 2])


def table(references: list[str] = REFERENCES, system: list[str] = SYSTEM) -> StudyTable:
    ids = [f"s{k}" for k in range(len(references))]
    wanted, said = ([Answer(text) for text in side] for side in (references, system))
    return tabulate(ids, ids, wanted, said, ())


def by_hand(lengths: list[int]) -> tuple[list[int], int]:
    counts, longer = [0] * 20, 0
    for length in lengths:
        if length > 100:
            longer += 1
        elif length == 100:
            counts[19] += 1
        else:
            counts[length // 5] += 1
    return counts, longer


def test_bins_hold_their_lower_end_and_the_last_one_both() -> None:
    assert EDGES == (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100)
    lengths = [0, 4, 5, 9, 10, 94, 95, 99, 100, 101, 250]
    counts, longer = length_counts(lengths)
    assert (counts, longer) == by_hand(lengths)
    assert (counts[0], counts[1], counts[2], counts[18], counts[19], longer) == (2, 2, 1, 1, 3, 2)
    assert length_counts([3.0, np.nan]) == by_hand([3])


def test_every_report_is_counted_once() -> None:
    lengths = np.random.default_rng(0).integers(0, 130, 500)
    counts, longer = length_counts(lengths)
    assert (counts, longer) == by_hand(lengths.tolist())
    assert sum(counts) + longer == 500


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_scipy_in_every_draw(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, written = rng.integers(0, 60, 40).astype(float), rng.integers(10, 130, 40).astype(float)
    weights = study_weights([f"p{k // 2}" for k in range(40)], replicates=20, seed=seed)
    found = length_distance(wanted, written)
    assert found(plain_weights(40))[0] == pytest.approx(wasserstein_distance(wanted, written))
    expected = [wasserstein_distance(wanted, written, drawn, drawn) for drawn in weights]
    assert found(weights) == pytest.approx(expected)
    assert len(set(np.round(expected, 9))) > 1


def test_whose_report_is_how_long_plays_no_part() -> None:
    wanted = np.asarray([3.0, 9.0, 40.0])
    assert length_distance(wanted, wanted[::-1])(plain_weights(3))[0] == 0
    assert length_distance(wanted, wanted + 7)(plain_weights(3))[0] == pytest.approx(7)


def test_studies_without_a_reference_count_nowhere() -> None:
    wanted, written = np.asarray([3.0, np.nan, 5.0]), np.asarray([4.0, np.nan, 9.0])
    found = length_distance(wanted, written)
    assert found(plain_weights(3))[0] == pytest.approx((1 + 4) / 2)
    assert np.isnan(found(np.asarray([[0.0, 1.0, 0.0]]))[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert length_distance(np.full(2, 6.0), np.full(2, 6.0))(plain_weights(2))[0] == 0


def test_lengths_are_of_the_words_that_are_scored() -> None:
    found = table().lengths
    assert found is not None
    assert [side.tolist() for side in found] == [list(side) for side in WORDS]
    value = statistics(table())["length_distance"](plain_weights(4))[0]
    assert value == pytest.approx(wasserstein_distance(*WORDS))
    assert value == (1 + 0 + 2 + 1) / 4  # in order of length: 1, 2, 4, 7 beside 0, 2, 2, 6


def test_a_reference_without_words_leaves_its_study_out() -> None:
    found = table([*REFERENCES, ""], [*SYSTEM, "Some words."])
    assert score_table(found, replicates=20)["length_distance"].n == 4
    assert found.lengths is not None
    assert [side[:4].tolist() for side in found.lengths] == [list(side) for side in WORDS]
    assert np.isnan(found.lengths).tolist() == [[False] * 4 + [True]] * 2
    assert length_distribution({"system": found.lengths})["references"] == {
        "counts": [3, 1] + [0] * 18,
        "longer": 0,
    }


def test_the_distribution_has_the_references_once_and_every_system_that_writes() -> None:
    silent = replace(table(), bleu=None)
    long = table(system=["a b " * 60] * 4)
    found = length_distribution({"system": table().lengths, "constant": long.lengths, "mean_box": silent.lengths})
    assert found == {
        "edges": list(EDGES),
        "references": {"counts": [3, 1] + [0] * 18, "longer": 0},
        "systems": {
            "system": {"counts": [3, 1] + [0] * 18, "longer": 0},
            "constant": {"counts": [0] * 20, "longer": 4},
        },
    }
    assert length_distribution({"system": silent.lengths, "constant": table().lengths}) == {}


def test_the_score_has_a_name_a_direction_and_a_reason_where_it_is_empty() -> None:
    assert "length_distance" in ROWS
    assert "length_distance" in LOWER_IS_BETTER
    empty = tabulate(["a"], ["a"], [Answer("Normal.")], [Answer(None)], ())
    score = score_table(empty, replicates=20)["length_distance"]
    assert (score.value, score.note) == (None, "no report is written")


def test_a_table_read_back_has_the_same_lengths(tmp_path: Path) -> None:
    table().save(tmp_path / "studies.npz")
    again = StudyTable.load(tmp_path / "studies.npz").lengths
    assert again is not None
    assert [side.tolist() for side in again] == [list(side) for side in WORDS]
