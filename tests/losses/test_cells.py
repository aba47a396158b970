"""Losses of cells against plain loops over float64, at few and many cells, and where p is all but 0 or 1."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastcxr.losses.cells import box_nll, log_kept, mil_logits
from plain_floats import sigmoid

CELLS = (256, 128 * 128)
FLOORS = (0.0, 0.5, 0.98)
SPREADS = {"even": (0.0, 1.0), "rare": (-6.0, 2.0), "all but none": (-40.0, 3.0), "all but all": (30.0, 3.0)}
"""Mean and deviation of the logits."""
cells = pytest.mark.parametrize("count", CELLS)
floors = pytest.mark.parametrize("floor", FLOORS)
spreads = pytest.mark.parametrize("spread", SPREADS)


def drawn(count: int, spread: str) -> Tensor:
    mean, deviation = SPREADS[spread]
    return mean + deviation * torch.randn(2, count, generator=torch.Generator().manual_seed(count))


def kept(logit: float, floor: float) -> float:
    """`log(floor + (1 − floor)(1 − p))` in float64."""
    if floor == 0:
        return -(max(logit, 0.0) + math.log1p(math.exp(-abs(logit))))
    return math.log1p(-(1 - floor) * sigmoid(logit))


def log_p_and_log_rest(logits: list[float], floor: float) -> tuple[float, float]:
    """`log p` and `log(1 − p)` of Eq. 5, in float64."""
    rest = math.fsum(kept(logit, floor) for logit in logits)
    return math.log(-math.expm1(rest)), rest


@cells
@floors
@spreads
def test_the_logit_of_a_study_is_that_of_eq_5(count: int, floor: float, spread: str) -> None:
    logits = drawn(count, spread)
    found = mil_logits(logits, torch.ones(2, count, dtype=torch.bool), floor=floor)
    for row, value in zip(logits.tolist(), found.tolist(), strict=True):
        log_p, log_rest = log_p_and_log_rest(row, floor)
        assert value == pytest.approx(log_p - log_rest, rel=1e-4, abs=1e-4)


@cells
@floors
@spreads
@pytest.mark.parametrize("present", [0.0, 1.0])
def test_its_cross_entropy_is_eq_5(count: int, floor: float, spread: str, present: float) -> None:
    logits = drawn(count, spread)
    found = mil_logits(logits, torch.ones(2, count, dtype=torch.bool), floor=floor)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        found, torch.full_like(found, present), reduction="none"
    )
    for row, value in zip(logits.tolist(), loss.tolist(), strict=True):
        log_p, log_rest = log_p_and_log_rest(row, floor)
        assert value == pytest.approx(-log_p if present else -log_rest, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -200.0, -88.0, -17.0, 0.0, 17.0, 88.0, 1e4])
@floors
@cells
def test_gradients_are_finite_whatever_the_logits(logit: float, floor: float, count: int) -> None:
    logits = torch.full((1, count), logit, requires_grad=True)
    mask = torch.ones(1, count, dtype=torch.bool)
    inside = torch.arange(count)[None] % 2 == 0
    found = mil_logits(logits, mask, floor=floor)
    both = torch.nn.functional.softplus(found).sum() + torch.nn.functional.softplus(-found).sum()
    total = both + box_nll(logits, inside, mask, floor=floor).sum()
    total.backward()
    assert total.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("logit", [-200.0, -60.0, -20.0])
def test_cells_that_are_all_but_impossible_still_learn_that_the_finding_is_there(logit: float) -> None:
    """`−log p` falls by the same, shared by the cells, however small p is."""
    logits = torch.full((1, 256), logit, requires_grad=True)
    torch.nn.functional.softplus(-mil_logits(logits, torch.ones(1, 256) > 0, floor=0.98)).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.full((1, 256), -1 / 256))


@floors
@pytest.mark.parametrize("spread", ["even", "rare"])
def test_gradients_are_those_of_float64(floor: float, spread: str) -> None:
    logits, mask = drawn(256, spread), torch.ones(2, 256, dtype=torch.bool)
    gradients = []
    for each in (logits.clone(), logits.double()):
        mil_logits(each.requires_grad_(), mask, floor=floor).sum().backward()
        assert each.grad is not None
        gradients.append(each.grad.double())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def test_with_the_floor_of_li_256_cells_at_one_half_do_not_saturate() -> None:
    """The losses that MIL adds to a negative study: 177 by Eq. 5, at most 5.2 with the floor."""
    even, mask = torch.zeros(1, 256), torch.ones(1, 256, dtype=torch.bool)
    assert float(torch.nn.functional.softplus(mil_logits(even, mask, floor=0.0))) == pytest.approx(177.4, abs=0.1)
    high = torch.full((1, 256), 50.0)
    assert float(torch.nn.functional.softplus(mil_logits(high, mask, floor=0.98))) == pytest.approx(5.17, abs=0.01)
    ones = torch.full((1, 256), -50.0)
    ones[:, :34] = 50.0  # half of it takes 34 of 256 cells
    assert float(mil_logits(ones, mask, floor=0.98).sigmoid()) == pytest.approx(0.5, abs=0.01)


@cells
@spreads
@pytest.mark.parametrize("floor", [0.0, 0.98])
def test_the_loss_of_a_box_is_that_of_its_cells(count: int, spread: str, floor: float) -> None:
    logits, inside = drawn(count, spread), torch.arange(count).expand(2, -1) % 5 == 0
    mask = torch.arange(count).expand(2, -1) % 7 != 0
    found = box_nll(logits, inside, mask, floor=floor)
    for row, value in zip(logits.tolist(), found.tolist(), strict=True):
        terms = []
        for j, logit in enumerate(row):
            if j % 7:
                right = sigmoid(logit) if j % 5 == 0 else sigmoid(-logit)  # y p + (1 − y)(1 − p)
                terms.append(-math.log(floor + (1 - floor) * right))
        assert value == pytest.approx(math.fsum(terms), rel=1e-4)


@floors
def test_masked_cells_say_nothing(floor: float) -> None:
    logits, inside = drawn(256, "even"), torch.arange(256).expand(2, -1) < 40
    mask = torch.rand(2, 256, generator=torch.Generator().manual_seed(1)) < 0.6
    noise = torch.where(mask, logits, 1e4)
    torch.testing.assert_close(mil_logits(noise, mask, floor=floor), mil_logits(logits, mask, floor=floor))
    for row in range(2):
        kept_cells = logits[row][mask[row]]
        alone = mil_logits(kept_cells, torch.ones_like(kept_cells) > 0, floor=floor)
        torch.testing.assert_close(alone, mil_logits(logits, mask, floor=floor)[row])
    loss = box_nll(noise, inside, mask, floor=floor)
    torch.testing.assert_close(loss, box_nll(logits, inside, mask, floor=floor))


@floors
def test_a_factor_never_goes_below_the_floor(floor: float) -> None:
    factors = log_kept(torch.linspace(-60, 60, 121), floor).exp()
    assert float(factors.min()) == pytest.approx(floor, abs=1e-6)
    assert float(factors.max()) == pytest.approx(1.0)
    assert (factors.diff() <= 0).all()
