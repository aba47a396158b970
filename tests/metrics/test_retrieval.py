"""Recall of retrieval with ties shared, against counting every order of what ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from contrastcxr.metrics.retrieval import RANKS, expected_hits


def by_every_order(row: list[float], own: int, k: int) -> float:
    """The share of the orders of a row's columns, most similar first, whose first k have the own one."""
    orders = [
        order
        for order in itertools.permutations(range(len(row)))
        if all(row[a] >= row[b] for a, b in itertools.pairwise(order))
    ]
    return sum(own in order[:k] for order in orders) / len(orders)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_share_of_the_orders_that_ties_allow(seed: int) -> None:
    similar = np.random.default_rng(seed).integers(0, 3, size=(6, 6)).astype(float)
    found = expected_hits(similar, (1, 2, 5))
    wanted = [[by_every_order(row, own, k) for k in (1, 2, 5)] for own, row in enumerate(similar.tolist())]
    assert found == pytest.approx(np.asarray(wanted))


def test_where_all_are_alike_it_is_chance_and_where_the_own_is_nearest_it_is_one() -> None:
    assert expected_hits(np.ones((20, 20))) == pytest.approx(np.tile([k / 20 for k in RANKS], (20, 1)))
    assert expected_hits(np.eye(20)) == pytest.approx(np.ones((20, len(RANKS))))


def test_of_fewer_reports_than_the_rank_the_own_one_is_always_found() -> None:
    assert expected_hits(np.zeros((3, 3)), (5,)) == pytest.approx(np.ones((3, 1)))
