"""Token cross-entropy against plain loops."""

from __future__ import annotations

import math

import torch

from contrastcxr.losses.language import real_tokens, token_cross_entropy

LOG_PROBS = torch.log_softmax(torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
TARGETS = torch.tensor([[3, 4, 2, 0], [4, 2, 0, 0]])


def test_it_is_the_mean_over_real_tokens_of_the_batch() -> None:
    losses = [
        -LOG_PROBS[b, t, TARGETS[b, t]].item() for b in range(2) for t in range(4) if TARGETS[b, t].item() != 0
    ]
    assert len(losses) == 5
    assert math.isclose(token_cross_entropy(LOG_PROBS, TARGETS, pad=0).item(), sum(losses) / 5, rel_tol=1e-6)


def test_padding_changes_nothing_even_where_its_probability_is_zero() -> None:
    longer = torch.cat([LOG_PROBS, torch.full((2, 3, 5), float("-inf"))], dim=1)
    padded = torch.cat([TARGETS, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    found = token_cross_entropy(longer, padded, pad=0)
    torch.testing.assert_close(found, token_cross_entropy(LOG_PROBS, TARGETS, pad=0))


def test_a_mask_serves_vocabularies_whose_end_is_their_padding() -> None:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    found = token_cross_entropy(LOG_PROBS, TARGETS, pad=0, mask=mask)
    expected = -LOG_PROBS.gather(-1, TARGETS.unsqueeze(-1)).squeeze(-1)[mask].mean()
    torch.testing.assert_close(found, expected)


def test_nothing_real_is_zero_with_a_gradient() -> None:
    log_probs = LOG_PROBS.clone().requires_grad_()
    loss = token_cross_entropy(log_probs, torch.zeros(2, 4, dtype=torch.int64), pad=0)
    loss.backward()
    assert loss == 0
    assert log_probs.grad is not None


def test_real_tokens_are_all_but_padding() -> None:
    assert real_tokens(TARGETS, 0).sum(dim=1).tolist() == [3, 2]
