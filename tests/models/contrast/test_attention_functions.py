"""The attention functions of paper A against their formulas, pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastcxr.errors import UnknownNameError
from contrastcxr.models.contrast.attention_functions import (
    AdditiveScores,
    BilinearScores,
    DotScores,
    build_scores,
)

D, REPEATS = 6, 3


def _pair(scores: torch.nn.Module, repeat: int, x: Tensor, y: Tensor) -> Tensor:
    """The score of one query against one key, by the formula."""
    part = slice(repeat * D, (repeat + 1) * D)
    if isinstance(scores, DotScores):
        query = scores.query.weight[part] @ x + scores.query.bias[part]
        return query @ (y @ scores.key[repeat]) / math.sqrt(D)
    if isinstance(scores, BilinearScores):
        return x @ scores.between[repeat] @ y
    assert isinstance(scores, AdditiveScores)
    query = scores.query.weight[part] @ x + scores.query.bias[part]
    return scores.weight[repeat] @ torch.tanh(query + scores.key.weight[part] @ y)


@pytest.mark.parametrize("name", ["dot", "additive", "bilinear"])
@pytest.mark.parametrize("shared", [True, False], ids=["one set of keys", "keys per study"])
def test_scores_equal_the_formula_for_every_pair(name: str, shared: bool) -> None:
    torch.manual_seed(0)
    scores = build_scores(name, width=D, repeats=REPEATS)
    x, y = torch.randn(2, 70, D), torch.randn(5, D) if shared else torch.randn(2, 5, D)
    found = scores(x, y)
    assert found.shape == (2, REPEATS, 70, 5)
    for b, n, i, j in [(0, 0, 0, 0), (1, 2, 69, 4), (0, 1, 33, 2)]:
        torch.testing.assert_close(found[b, n, i, j], _pair(scores, n, x[b, i], y[j] if shared else y[b, j]))


def test_an_unknown_attention_function_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'additive'"):
        build_scores("aditive", width=4, repeats=1)
