from __future__ import annotations

import math

import torch

from contrastcxr.models.blocks.masked_softmax import masked_softmax


def test_masked_softmax_shares_among_what_is_kept() -> None:
    weights = masked_softmax(torch.tensor([[1.0, 2.0, 50.0]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(weights, torch.tensor([[1 / (1 + math.e), math.e / (1 + math.e), 0.0]]))


def test_masked_softmax_of_nothing_is_zero_with_a_finite_gradient() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    weights = masked_softmax(scores, torch.zeros(1, 3, dtype=torch.bool))
    weights.sum().backward()
    assert weights.eq(0).all()
    assert scores.grad is not None
    assert scores.grad.eq(0).all()


def test_masked_softmax_survives_bfloat16() -> None:
    weights = masked_softmax(torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16), torch.tensor([[True, False]]))
    assert weights.tolist() == [[1.0, 0.0]]
