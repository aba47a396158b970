from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.metrics.baselines import commonest_findings, constant_report, nearest_neighbours


def test_the_constant_report_is_the_one_that_scores_best_on_validation() -> None:
    normal = "the heart is normal in size . the lungs are clear ."
    training = ["effusion on the left ."] * 3 + [normal] + ["mass ."] * 2
    assert constant_report(training, [normal, normal, "the lungs are clear ."]) == normal


def test_without_validation_it_is_the_most_frequent_training_report() -> None:
    assert constant_report(["b .", "a .", "a .", ""], []) == "a ."


def test_rare_reports_are_tried_beyond_the_frequent_ones() -> None:
    rare = "the heart is normal in size and the lungs are clear ."
    training = [w for w in "abcdefghij" for _ in range(2)] + [rare]
    assert constant_report(training, [rare], candidates=6) == rare


def test_a_training_set_without_reports_is_refused() -> None:
    with pytest.raises(ValueError, match="no training report"):
        constant_report(["", ""], ["a"])


@pytest.mark.parametrize(
    ("counts", "count", "named"),
    [
        ((1, 4, 2, 3), 2, ["b", "d"]),
        ((2, 2, 3, 2), 3, ["c", "a", "b"]),  # ties in the order of names
        ((0, 1, 0, 2), 5, ["d", "b"]),  # what no study has is not named
        ((0, 0, 0, 0), 5, []),
    ],
)
def test_the_commonest_findings_are_those_of_most_studies(
    counts: tuple[int, ...], count: int, named: list[str]
) -> None:
    present = np.stack([np.arange(6) < n for n in counts], axis=1)
    assert commonest_findings(present, ["a", "b", "c", "d"], count=count) == named


def test_the_neighbour_has_the_highest_cosine_whatever_its_length() -> None:
    memory = np.asarray([[100.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert nearest_neighbours(np.asarray([[0.1, 0.0], [0.0, 9.0], [2.0, 1.9]]), memory).tolist() == [0, 1, 2]


def test_blocks_do_not_change_the_neighbours() -> None:
    rng = np.random.default_rng(0)
    queries, memory = rng.normal(size=(37, 8)), rng.normal(size=(50, 8))
    assert np.array_equal(nearest_neighbours(queries, memory, block=5), nearest_neighbours(queries, memory))


def test_images_of_the_same_patient_are_passed_over() -> None:
    memory = np.asarray([[1.0, 0.0], [0.9, 0.1]])
    found = nearest_neighbours(np.asarray([[1.0, 0.0]]), memory, query_patients=["p"], memory_patients=["p", "q"])
    assert found.tolist() == [1]
