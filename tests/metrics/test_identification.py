from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from contrastcxr.metrics.bootstrap import study_weights
from contrastcxr.metrics.identification import Identification, auc, auc_statistic


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_auc_equals_scikit_learn_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores, targets = rng.integers(0, levels, 200) / levels, rng.integers(0, 2, 200)
    assert auc(scores, targets) == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)


def test_weighted_auc_equals_scikit_learn_on_the_repeated_studies() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.integers(0, 6, 60) / 6, rng.integers(0, 2, 60)
    weights = study_weights([str(k) for k in range(60)], replicates=25, seed=1)
    expected = [roc_auc_score(targets, scores, sample_weight=row) for row in weights]
    assert auc_statistic(scores, targets)(weights) == pytest.approx(np.asarray(expected), abs=1e-12)


def test_a_constant_score_has_auc_one_half() -> None:
    assert auc(np.full(10, 0.5), np.arange(10) % 2) == 0.5


def test_auc_is_undefined_with_one_class() -> None:
    assert np.isnan(auc([0.1, 0.9], [1, 1]))


def test_unknown_targets_are_left_out() -> None:
    assert auc([0.1, 0.9, 0.0], [0, 1, np.nan]) == 1.0


def table() -> Identification:
    targets = np.zeros((40, 3))
    targets[:15, 0] = 1
    targets[:12, 1] = 1
    targets[:2, 2] = 1
    probabilities = np.random.default_rng(0).random((40, 3))
    return Identification(("Mass", "Nodule", "Hernia"), probabilities, targets)


def test_findings_with_few_positives_are_not_averaged() -> None:
    assert table().scored() == ("Mass", "Nodule")
    assert table().scored(minimum=1) == ("Mass", "Nodule", "Hernia")
    assert table().positives() == {"Mass": 15, "Nodule": 12, "Hernia": 2}


def test_mean_auc_is_the_mean_of_the_named_findings() -> None:
    data = table()
    one = np.ones((1, 40))
    parts = [data.statistic(name)(one)[0] for name in ("Mass", "Nodule")]
    assert data.mean_statistic(("Mass", "Nodule"))(one)[0] == pytest.approx(np.mean(parts))


def test_a_replicate_without_positives_of_a_finding_averages_the_others() -> None:
    data = table()
    weights = np.ones((1, 40))
    weights[0, :2] = 0
    assert data.mean_statistic(("Mass", "Hernia"))(weights)[0] == pytest.approx(data.statistic("Mass")(weights)[0])


def test_mean_over_nothing_is_undefined() -> None:
    assert np.isnan(table().mean_statistic(())(np.ones((1, 40)))).all()
