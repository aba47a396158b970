"""Additive attention against plain loops, and what is kept when rows move about."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.models.blocks.additive_attention import AdditiveAttention, AttentionKeys
from plain_floats import attend, close

QUERY, ROWS, HIDDEN, STUDIES, N = 3, 4, 5, 3, 4


@pytest.fixture
def attention() -> AdditiveAttention:
    torch.manual_seed(0)
    return AdditiveAttention(QUERY, ROWS, HIDDEN).eval()


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(STUDIES, N, ROWS, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.tensor([[True] * 4, [True, True, False, False], [False, True, False, True]])


@torch.no_grad()
def test_it_equals_the_equations_over_the_real_rows(
    attention: AdditiveAttention, rows: torch.Tensor, mask: torch.Tensor
) -> None:
    query = torch.randn(STUDIES, QUERY)
    answer, weights = attention(query, attention.over(rows, mask))
    for study in range(STUDIES):
        real = mask[study].nonzero().flatten().tolist()
        expected, shares = attend(attention, query[study].tolist(), [rows[study, i].tolist() for i in real])
        close(answer[study], expected)
        close(weights[study, real], shares)
        assert weights[study][~mask[study]].tolist() == [0.0] * (N - len(real))


@torch.no_grad()
@pytest.mark.parametrize(
    "moves",
    [[[0, 1, 2]], [[2, 0, 1]], [[0, 0, 2, 2]], [[2], [0, 0]], [[1, 1, 2], [2, 0], [1, 0, 0, 1]]],
    ids=["stay", "order", "repeat", "drop", "tangle"],
)
def test_each_query_looks_at_its_own_study_however_rows_move(
    moves: list[list[int]], attention: AdditiveAttention, rows: torch.Tensor, mask: torch.Tensor
) -> None:
    seen, owner = attention.over(rows, mask), [0, 1, 2]
    for move in moves:
        seen, owner = seen.select(torch.tensor(move)), [owner[i] for i in move]
    assert seen.owner.tolist() == owner
    query = torch.randn(len(owner), QUERY)
    answer, weights = attention(query, seen)
    for row, study in enumerate(owner):
        alone = attention.over(rows[study : study + 1], mask[study : study + 1])
        expected, shares = attention(query[row : row + 1], alone)
        torch.testing.assert_close(answer[row], expected[0])
        torch.testing.assert_close(weights[row], shares[0])


def test_beams_that_stay_with_their_studies_copy_nothing(
    attention: AdditiveAttention, rows: torch.Tensor, mask: torch.Tensor
) -> None:
    seen = attention.over(rows, mask).select(torch.tensor([0, 0, 1, 1]))
    assert seen.select(torch.tensor([1, 0, 3, 2])) is seen


def test_rows_are_always_taken_from_what_every_study_has(rows: torch.Tensor, mask: torch.Tensor) -> None:
    """A study whose beams are all gone may not come back, but those that are left keep their own rows."""
    whole = AttentionKeys.of(rows, rows, mask)
    left = whole.select(torch.tensor([1, 2])).select(torch.tensor([1, 1]))
    assert left.whole is whole
    assert torch.equal(left.values, rows[[2, 2]])
