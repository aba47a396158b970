from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.form import Finding
from contrastcxr.metrics.contrast_claim import compare_ratios, lesion_to_pose, swap_share, swapped_sides


def quadruples(lesion: float, pose: float, count: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(count, 8))
    moved, turned = rng.normal(size=(2, count, 8))
    return normal, normal + lesion * moved, normal + pose * turned


def test_ratio_is_that_of_the_distances() -> None:
    found = lesion_to_pose(np.zeros((1, 2)), np.asarray([[3.0, 4.0]]), np.asarray([[0.0, 2.0]]))
    assert found.tolist() == [2.5]


def test_ratio_without_a_change_by_pose_is_undefined() -> None:
    assert np.isnan(lesion_to_pose(np.zeros((1, 2)), np.ones((1, 2)), np.zeros((1, 2)))).all()


def test_claim_holds_where_the_difference_answers_more_to_the_lesion() -> None:
    pooled, difference = lesion_to_pose(*quadruples(0.5, 1.0)), lesion_to_pose(*quadruples(1.0, 1.0))
    found = compare_ratios([pooled], [difference], replicates=300)
    assert found.holds
    assert found.gain.value == pytest.approx(1.0)
    assert found.pooled.low < found.pooled.value < found.pooled.high


def test_claim_does_not_hold_for_the_same_feature_or_the_reverse() -> None:
    pooled, difference = lesion_to_pose(*quadruples(1.0, 1.0)), lesion_to_pose(*quadruples(0.5, 1.0))
    assert not compare_ratios([pooled], [pooled], replicates=100).holds
    assert compare_ratios([pooled], [difference], replicates=100).gain.high < 0


def test_seeds_are_averaged_before_quadruples_are_drawn() -> None:
    one, two = lesion_to_pose(*quadruples(0.5, 1.0)), lesion_to_pose(*quadruples(2.0, 1.0))
    both = compare_ratios([one, two], [one, two], replicates=50).pooled.value
    apart = [compare_ratios([part], [part], replicates=50).pooled.value for part in (one, two)]
    assert both == pytest.approx(np.sqrt(apart[0] * apart[1]))


def test_undefined_ratios_are_left_out() -> None:
    found = compare_ratios([np.asarray([1.0, np.nan])], [np.asarray([2.0, 3.0])], replicates=50)
    assert found.pooled.value == pytest.approx(1.0)


def present(name: str, side: str | None) -> Finding:
    return Finding(name=name, status="present", side=side)  # type: ignore[arg-type]


def test_a_side_word_swaps_or_stays_or_is_not_said() -> None:
    truth = [[present("Mass", "left")]] * 4
    lesion = [[present("Mass", "left")]] * 3 + [[]]
    mirrored = [[present("Mass", "right")], [present("Mass", "left")], [present("Mass", None)], []]
    counts = swapped_sides(truth, lesion, mirrored)
    assert counts.tolist() == [[1, 1], [0, 1], [0, 0], [0, 0]]
    share = swap_share(counts, replicates=50)
    assert (share.value, share.n) == (0.5, 2)


def test_findings_without_a_true_side_do_not_count() -> None:
    bilateral = [[present("Edema", "bilateral")]]
    assert swapped_sides(bilateral, bilateral, bilateral).tolist() == [[0, 0]]


def test_a_wrong_but_consistent_side_still_swaps() -> None:
    counts = swapped_sides([[present("Mass", "left")]], [[present("Mass", "right")]], [[present("Mass", "left")]])
    assert counts.tolist() == [[1, 1]]
