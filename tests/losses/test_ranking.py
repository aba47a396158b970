"""The hinge of pairs and their negatives against plain loops."""

from __future__ import annotations

from statistics import fmean
from typing import get_args

import pytest
import torch

from contrastcxr.losses.options import Negatives
from contrastcxr.losses.ranking import ranking_hinge
from plain_floats import close

SCORES = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
OTHERS = ~torch.eye(5, dtype=torch.bool)
BOTH = pytest.mark.parametrize("negatives", get_args(Negatives))


def _plainly(scores: list[list[float]], negative: list[list[bool]], margin: float, negatives: Negatives) -> float:
    """Mean over pairs of the worst, or the mean, sentence for its image and image for its sentence."""
    K, total = len(scores), 0.0
    over = max if negatives == "hardest" else fmean
    for i in range(K):
        own = scores[i][i]
        total += over([max(0.0, margin + scores[i][j] - own) for j in range(K) if negative[i][j]] or [0.0])
        total += over([max(0.0, margin + scores[j][i] - own) for j in range(K) if negative[j][i]] or [0.0])
    return total / K


@BOTH
@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_it_is_what_plain_loops_give(margin: float, negatives: Negatives) -> None:
    mean, count = ranking_hinge(SCORES, OTHERS, margin=margin, negatives=negatives)
    close(mean, _plainly(SCORES.tolist(), OTHERS.tolist(), margin, negatives))
    assert count == 5


@BOTH
def test_pairs_that_may_not_stand_against_each_other_do_not(negatives: Negatives) -> None:
    """Two images of one sentence: neither is the other's negative; the mask need not be symmetric."""
    negative = OTHERS.clone()
    negative[0, 1] = negative[1, 0] = negative[3, 2] = False
    mean, _ = ranking_hinge(SCORES, negative, negatives=negatives)
    close(mean, _plainly(SCORES.tolist(), negative.tolist(), 0.2, negatives))
    assert ranking_hinge(SCORES, torch.zeros_like(OTHERS), negatives=negatives)[0] == 0


@BOTH
def test_pairs_apart_by_the_margin_cost_nothing(negatives: Negatives) -> None:
    assert ranking_hinge(2 * torch.eye(4), OTHERS[:4, :4], negatives=negatives)[0] == 0


def test_the_own_finding_in_other_words_is_all_that_the_hardest_negative_tells() -> None:
    """Of three findings in two wordings each, scores that know every finding cost as much as equal ones."""
    finding = torch.tensor([0, 0, 1, 1, 2, 2])
    others = ~torch.eye(6, dtype=torch.bool)
    known, equal = (finding[:, None] == finding).float(), torch.ones(6, 6)
    close(ranking_hinge(known, others, negatives="hardest")[0], 0.4)
    close(ranking_hinge(equal, others, negatives="hardest")[0], 0.4)
    close(ranking_hinge(known, others, negatives="all")[0], 0.4 / 5)
    close(ranking_hinge(equal, others, negatives="all")[0], 0.4)


def test_no_pair_costs_nothing_and_keeps_the_gradient() -> None:
    scores = torch.zeros(0, 0, requires_grad=True)
    mean, count = ranking_hinge(scores, torch.zeros(0, 0, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    assert count == 0
