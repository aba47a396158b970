"""Differences over seeds: the formula in plain loops, and what it covers where there is no effect."""

from __future__ import annotations

import math
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from scipy import stats

from contrastcxr.metrics.bootstrap import study_weights
from contrastcxr.metrics.scores import differences
from contrastcxr.metrics.seeds import fold_differences, over_seeds, seed_differences
from contrastcxr.metrics.table import StudyTable

STUDIES = 60


def table(rouge: np.ndarray, *, fold: int | None = None) -> StudyTable:
    """A table whose one score that varies is ROUGE-L; a fold has patients of its own."""
    n, of = len(rouge), "" if fold is None else f"{fold}-"
    ids: Any = tuple(f"{of}s{k}" for k in range(n))
    return StudyTable((), ids, ids, np.ones((n, 10)), rouge, np.zeros(n), np.ones(n))


def both(effects: list[float], *, folds: bool = False, noise: float = 0.1) -> tuple[list[Any], list[Any]]:
    """Two systems whose mean difference on seed `k` is about `effects[k]`."""
    rng = np.random.default_rng(5)
    plain = [rng.random(STUDIES) for _ in effects]
    moved = [one + effect + rng.normal(0, noise, STUDIES) for one, effect in zip(plain, effects, strict=True)]
    return tuple([table(v, fold=k if folds else None) for k, v in enumerate(side)] for side in (moved, plain))


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("effects", [[0.1, -0.02], [0.1, 0.0, 0.05], [0.02, 0.03, 0.0, 0.05, 0.01]])
def test_the_interval_is_that_of_plain_loops(effects: list[float], folds: bool) -> None:
    first, second = both(effects, folds=folds)
    found = seed_differences(first, second, ["rouge_l"], replicates=300, seed=4)["rouge_l"]
    each = [a.rouge_l - b.rouge_l for a, b in zip(first, second, strict=True)]
    by_seed, count = [float(d.mean()) for d in each], len(effects)
    groups = [group for t in first for group in t.groups]
    draws = []
    for weights in study_weights(groups, replicates=300, seed=4):
        parts = np.split(weights, count)
        draws.append([float((w * d).sum() / w.sum()) for w, d in zip(parts, each, strict=True)])
    columns = list(zip(*draws, strict=True))
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    common = max(0.0, mean(float(np.cov(columns[a], columns[b])[0, 1]) for a, b in pairs))
    of_seeds = stdev(by_seed) ** 2 / count
    patients = stdev([mean(row) for row in draws]) ** 2

    def half(level: float) -> float:
        t, z = stats.t.ppf(1 - level / 2, count - 1), stats.norm.ppf(1 - level / 2)
        return math.sqrt(max(t**2 * of_seeds + z**2 * common, z**2 * patients))

    assert found.by_seed == pytest.approx(by_seed)
    assert (found.value, found.low, found.high) == pytest.approx(
        (mean(by_seed), mean(by_seed) - half(0.05), mean(by_seed) + half(0.05))
    )
    assert half(found.p) == pytest.approx(abs(mean(by_seed)), rel=1e-3)
    student = stats.t.ppf(0.975, count - 1) * stdev(by_seed) / math.sqrt(count)
    assert found.high - found.low >= 2 * student - 1e-12
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    over = differences(first, second, ["rouge_l"], replicates=300, seed=4)["rouge_l"]
    assert (found.patients.low, found.patients.high) == pytest.approx((over.low, over.high))
    assert found.high - found.low >= 0.95 * (found.patients.high - found.patients.low)


def simulated(count: int, spread: float, trials: int) -> tuple[float, float, float]:
    """How often intervals hold zero where there is no effect: two-level, patients alone, seeds drawn as they are.

    A seed moves its system by its own luck (`spread`); answers of a patient vary by 1, in part alike on all seeds.
    """
    rng, n = np.random.default_rng(count), 40
    weights = study_weights([str(k) for k in range(n)], replicates=200, seed=1)
    held = np.zeros(3)
    for _ in range(trials):
        luck, alike = rng.normal(0, spread, (count, 1)), rng.normal(0, 0.7, (1, n))
        each = luck + alike + rng.normal(0, 0.7, (count, n))
        draws = each @ weights.T / weights.sum(axis=1)  # [K, R]
        found = over_seeds(each.mean(axis=1), draws, n)
        over = found.patients
        drawn = rng.integers(0, count, (200, count))
        literal = np.percentile(draws[drawn, np.arange(200)[:, None]].mean(axis=1), [2.5, 97.5])
        held += [found.low <= 0 <= found.high, over.low <= 0 <= over.high, literal[0] <= 0 <= literal[1]]
    two, patients, literal_share = held / trials
    return float(two), float(patients), float(literal_share)


@pytest.mark.parametrize("spread", [0.3, 0.6])
@pytest.mark.parametrize("count", [3, 5])
def test_no_effect_is_covered_as_often_as_said_where_seeds_vary(count: int, spread: float) -> None:
    two, patients, literal = simulated(count, spread, 600)
    assert 0.935 <= two <= 0.985
    assert patients < 0.88
    assert patients < literal < two


def test_without_luck_of_seeds_the_interval_is_not_much_wider_than_that_over_patients() -> None:
    two, patients, _ = simulated(3, 0.0, 600)
    assert 0.92 <= patients <= 0.97
    assert 0.935 <= two <= 0.995


def test_one_seed_says_nothing_of_others() -> None:
    first, second = both([0.2])
    found = seed_differences(first, second, ["rouge_l"], replicates=50)["rouge_l"]
    assert not found.known
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.patients.low > 0


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_seeds_and_patients_that_all_agree_leave_no_doubt(shift: float, p: float) -> None:
    plain = [table(np.full(20, 0.5))] * 2
    found = seed_differences([table(np.full(20, 0.5 + shift))] * 2, plain, ["rouge_l"], replicates=50)["rouge_l"]
    assert (found.value, found.low, found.high) == pytest.approx((shift, shift, shift))
    assert found.p == pytest.approx(p, abs=1e-9)


def test_one_patient_has_no_interval() -> None:
    alone = StudyTable((), ("p",) * 9, tuple("abcdefghi"), rouge_l=np.linspace(0, 1, 9))
    found = seed_differences([alone] * 2, [alone] * 2, ["rouge_l"], replicates=50)["rouge_l"]
    assert (found.value, found.by_seed) == (0.0, (0.0, 0.0))
    assert np.isnan([found.low, found.high, found.p]).all()


def test_turned_round_it_is_the_other_minus_the_one() -> None:
    first, second = both([0.1, 0.0, 0.05])
    one, other = (
        seed_differences(*sides, ["rouge_l"], replicates=200)["rouge_l"]
        for sides in ((first, second), (second, first))
    )
    turned = one.turned()
    assert (turned.value, turned.low, turned.high, turned.p) == pytest.approx(
        (other.value, other.low, other.high, other.p)
    )
    assert turned.by_seed == pytest.approx(other.by_seed)


def test_other_studies_and_scores_that_one_side_lacks() -> None:
    first, second = both([0.1, 0.0])
    assert list(seed_differences(first, second, ["rouge_l", "auc_mean"], replicates=20)) == ["rouge_l"]
    with pytest.raises(ValueError, match="same studies"):
        seed_differences(first, both([0.1, 0.0], folds=True)[1], ["rouge_l"])


@pytest.mark.parametrize("folds", [False, True])
def test_what_two_changes_do_together_is_a_difference_of_differences(folds: bool) -> None:
    differ = fold_differences if folds else seed_differences
    (one, two), (three, four) = both([0.4, 0.5, 0.6], folds=folds), both([0.1, 0.2, 0.1], folds=folds, noise=0.2)
    found = differ(one, two, ["rouge_l"], beyond=(three, four), replicates=200)["rouge_l"]
    alone = [differ(*pair, ["rouge_l"], replicates=200)["rouge_l"] for pair in ((one, two), (three, four))]
    assert found.by_seed == pytest.approx([a - b for a, b in zip(*(each.by_seed for each in alone), strict=True)])
    assert found.value == pytest.approx(alone[0].value - alone[1].value)
    assert found.low < found.value < found.high
    same = differ(one, two, ["rouge_l"], beyond=(one, two), replicates=200)["rouge_l"]
    assert (same.value, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def marked(hits: list[list[float]], *, fold: int) -> StudyTable:
    """A fold whose images have a box of one finding each, localized or not: `hits[k]` of finding `k`."""
    images = [(k, hit) for k, found in enumerate(hits) for hit in found]
    iou = np.full((len(images), len(hits)), np.nan)
    for row, (k, hit) in enumerate(images):
        iou[row, k] = hit
    ids: Any = tuple(f"{fold}-{row}" for row in range(len(images)))
    return StudyTable(tuple("AB"[: len(hits)]), ids, ids, iou=iou, iobb=iou)


def test_a_difference_over_folds_is_that_of_all_images_with_the_jackknife_of_folds() -> None:
    one = [[[1, 1, 1], [0, 1, 1, 1]], [[1, 0, 1, 1], [1, 1, 0]], [[0, 1, 1], [1, 1, 1]]]
    two = [[[0, 1, 1], [0, 0, 1, 1]], [[1, 0, 0, 1], [1, 0, 0]], [[0, 0, 1], [1, 1, 0]]]
    tables = [[marked(hits, fold=k) for k, hits in enumerate(side)] for side in (one, two)]
    found = fold_differences(*tables, ["tiou_0.3"], replicates=200)["tiou_0.3"]

    def over(folds: list[int]) -> float:
        sides = [[np.mean([h for f in folds for h in side[f][k]]) for k in (0, 1)] for side in (one, two)]
        return float(np.mean(sides[0]) - np.mean(sides[1]))

    pseudo = [3 * over([0, 1, 2]) - 2 * over([f for f in range(3) if f != k]) for k in range(3)]
    assert found.by_seed == pytest.approx(pseudo)
    assert found.value == pytest.approx(mean(pseudo))
    assert found.value == pytest.approx(over([0, 1, 2]), abs=0.02)
    assert found.low < found.value < found.high
    assert found.high - found.value >= stats.t.ppf(0.975, 2) * stdev(pseudo) / math.sqrt(3) - 1e-9
    assert seed_differences(*tables, ["tiou_0.3"], replicates=20) == {}  # no fold alone has ten images of one


def test_one_fold_says_nothing_beyond_its_patients() -> None:
    sides = [[marked([[float(k > cut) for k in range(12)]], fold=0)] for cut in (3, 7)]
    found = fold_differences(*sides, ["tiou_0.3"], replicates=50)["tiou_0.3"]
    assert found.by_seed == pytest.approx((4 / 12,))
    assert not found.known
    with pytest.raises(ValueError, match="not scored on the same studies"):
        fold_differences(sides[0], [marked([[1.0] * 12], fold=1)], ["tiou_0.3"])
