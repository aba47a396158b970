"""Filters against plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.decode.filters import block_trigrams, forbid, keep_nucleus, or_end

LOG_PROBS = torch.log_softmax(torch.randn(50, 5, generator=torch.Generator().manual_seed(0)), dim=-1)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 9])
def test_trigrams_are_blocked_as_loops_would(length: int) -> None:
    history = torch.randint(0, 3, (50, length), generator=torch.Generator().manual_seed(length))
    found = block_trigrams(LOG_PROBS, history)
    for row in range(50):
        words = history[row].tolist()
        seen = {tuple(words[i : i + 3]) for i in range(length - 2)}
        for token in range(5):
            blocked = length >= 2 and (*words[-2:], token) in seen
            assert (found[row, token] == -math.inf).item() == blocked
            assert blocked or found[row, token] == LOG_PROBS[row, token]


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.8, 1.0])
def test_the_nucleus_is_the_fewest_tokens_that_reach_p(top_p: float) -> None:
    found = keep_nucleus(LOG_PROBS, top_p)
    for row in range(50):
        kept, total = set(), 0.0
        for token in LOG_PROBS[row].argsort(descending=True).tolist():
            kept.add(token)
            total += LOG_PROBS[row, token].exp().item()
            if total >= top_p:
                break
        assert {t for t in range(5) if found[row, t] > -math.inf} == kept


def test_forbidden_tokens_are_blocked_and_the_others_stay() -> None:
    found = forbid(LOG_PROBS, (0, 3))
    assert found[:, [0, 3]].eq(-math.inf).all()
    assert torch.equal(found[:, [1, 2, 4]], LOG_PROBS[:, [1, 2, 4]])
    assert forbid(LOG_PROBS, ()) is LOG_PROBS


def test_only_a_row_with_nothing_left_may_end() -> None:
    blocked = forbid(LOG_PROBS[:2], (2,)).clone()
    blocked[1] = -math.inf
    found = or_end(blocked, LOG_PROBS[:2], eos=2)
    assert found[0, 2] == -math.inf
    assert found[1, 2] == LOG_PROBS[1, 2]
    assert found[1, [0, 1, 3, 4]].eq(-math.inf).all()
