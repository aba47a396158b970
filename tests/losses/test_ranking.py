"""The hinge with the hardest negatives against plain loops."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.losses.ranking import hardest_hinge
from plain_floats import close

SCORES = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
OTHERS = ~torch.eye(5, dtype=torch.bool)


def _plainly(scores: list[list[float]], negative: list[list[bool]], margin: float) -> float:
    """Mean over pairs of the worst sentence for its image and the worst image for its sentence."""
    K, total = len(scores), 0.0
    for i in range(K):
        own = scores[i][i]
        total += max([0.0, *(margin + scores[i][j] - own for j in range(K) if negative[i][j])])
        total += max([0.0, *(margin + scores[j][i] - own for j in range(K) if negative[j][i])])
    return total / K


@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_it_is_what_plain_loops_give(margin: float) -> None:
    mean, count = hardest_hinge(SCORES, OTHERS, margin=margin)
    close(mean, _plainly(SCORES.tolist(), OTHERS.tolist(), margin))
    assert count == 5


def test_pairs_that_may_not_stand_against_each_other_do_not() -> None:
    """Two images of one sentence: neither is the other's negative; the mask need not be symmetric."""
    negative = OTHERS.clone()
    negative[0, 1] = negative[1, 0] = negative[3, 2] = False
    close(hardest_hinge(SCORES, negative)[0], _plainly(SCORES.tolist(), negative.tolist(), 0.2))
    assert hardest_hinge(SCORES, torch.zeros_like(OTHERS))[0] == 0


def test_pairs_apart_by_the_margin_cost_nothing() -> None:
    assert hardest_hinge(2 * torch.eye(4), ~torch.eye(4, dtype=torch.bool))[0] == 0


def test_no_pair_costs_nothing_and_keeps_the_gradient() -> None:
    scores = torch.zeros(0, 0, requires_grad=True)
    mean, count = hardest_hinge(scores, torch.zeros(0, 0, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    assert count == 0
