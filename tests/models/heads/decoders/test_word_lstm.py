"""Teacher forcing of the real words alone against that of whole rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contrastcxr.models.heads.decoders.options import NicOptions
from contrastcxr.models.heads.decoders.word_lstm import WordInputs, WordLstm

V, E, WORDS = 9, 5, 7


def _case(lengths: list[int], *, shifted: bool) -> tuple[WordLstm, WordInputs, Tensor, Tensor]:
    """A writer of two layers, what its rows are told, tokens with anything behind each row's end, and the mask."""
    torch.manual_seed(0)
    writer = WordLstm(V, embedding=E, hidden=4, layers=2, options=NicOptions()).eval()
    rows = len(lengths)
    word_inputs = WordInputs(torch.randn(rows, E), torch.randn(rows, E) if shifted else None)
    mask = torch.arange(WORDS) < torch.tensor(lengths, dtype=torch.int64).unsqueeze(1)
    return writer, word_inputs, torch.randint(V, (rows, WORDS + 1)), mask


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("lengths", [[3, 7, 1, 5, 5, 2], [2, 0, 4], [1], [0]])
def test_real_words_are_told_the_same_alone_as_in_whole_rows(lengths: list[int], shifted: bool) -> None:
    writer, word_inputs, token_ids, mask = _case(lengths, shifted=shifted)
    torch.testing.assert_close(writer.forced(word_inputs, token_ids, mask), writer(word_inputs, token_ids)[mask])


def test_gradients_are_those_of_whole_rows() -> None:
    writer, word_inputs, token_ids, mask = _case([3, 7, 1], shifted=True)
    parameters = list(writer.parameters())
    alone = torch.autograd.grad(writer.forced(word_inputs, token_ids, mask).square().sum(), parameters)
    whole = torch.autograd.grad(writer(word_inputs, token_ids)[mask].square().sum(), parameters)
    for one, other in zip(alone, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_what_stands_behind_a_row_does_not_matter() -> None:
    writer, word_inputs, token_ids, mask = _case([3, 7, 1], shifted=False)
    other = token_ids.clone()
    other[:, 1:][~mask] = 0
    assert torch.equal(writer.forced(word_inputs, token_ids, mask), writer.forced(word_inputs, other, mask))


def test_no_row_says_nothing() -> None:
    writer, word_inputs, token_ids, mask = _case([], shifted=False)
    assert writer.forced(word_inputs, token_ids, mask).shape == (0, V)
