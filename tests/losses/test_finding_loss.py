"""Masked binary cross-entropy against plain loops."""

from __future__ import annotations

import math

import torch

from contrastcxr.losses.findings import finding_bce

LOGITS = torch.tensor([[0.3, -2.0], [5.0, 0.1]])
TARGETS = torch.tensor([[1.0, 0.0], [float("nan"), 0.4]])
MASK = torch.tensor([[True, True], [False, True]])


def _one(logit: float, target: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def test_it_is_the_mean_over_known_labels() -> None:
    expected = (_one(0.3, 1) + _one(-2, 0) + _one(0.1, 0.4)) / 3
    assert math.isclose(finding_bce(LOGITS, TARGETS, MASK).item(), expected, rel_tol=1e-6)


def test_unknown_labels_give_no_gradient_and_no_nan() -> None:
    logits = LOGITS.clone().requires_grad_()
    finding_bce(logits, TARGETS, MASK).backward()
    assert logits.grad is not None
    assert logits.grad[1, 0] == 0
    assert logits.grad.isfinite().all()


def test_without_a_mask_all_labels_count() -> None:
    targets = TARGETS.nan_to_num(0.0)
    torch.testing.assert_close(finding_bce(LOGITS, targets), finding_bce(LOGITS, targets, torch.ones(2, 2).bool()))


def test_no_known_label_is_zero() -> None:
    assert finding_bce(LOGITS, TARGETS, torch.zeros(2, 2, dtype=torch.bool)) == 0
