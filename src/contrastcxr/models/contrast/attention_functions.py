"""The three attention functions of paper A (Eq. 4 and footnote 2): scores of queries against keys, no value
projection.

The bias of the key map `W_y` is left out of `dot`: it adds one number to a whole row, which a softmax cannot see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contrastcxr.errors import UnknownNameError

AttentionName = Literal["dot", "additive", "bilinear"]


class Scores(nn.Module):
    """Base of the attention functions."""

    def scale_by(self, factors: Tensor) -> None:
        """Multiply all scores of repeat i by `factors[i]`, of `factors [n]`."""
        raise NotImplementedError


class DotScores(Scores):
    """`x W_x (y W_y)^T / sqrt(d)` with own weights per repeat (paper A, Eq. 4).

    It is computed as `((x W_x) W_y^T) y^T`: the keys, of which there are many, are never projected.
    """

    def __init__(self, width: int, repeats: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, repeats * width)
        self.key = nn.Parameter(_square(repeats, width))
        self.scale = 1.0 / math.sqrt(width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return scores `[..., n, X, Y]` of `x [..., X, d]` against `y [..., Y, d]`."""
        n, d, _ = self.key.shape
        query = self.query(x).unflatten(-1, (n, d)).transpose(-3, -2)  # [..., n, X, d]
        back = torch.einsum("...nxe,nde->...nxd", query, self.key)
        return _against(back, y) * self.scale

    def scale_by(self, factors: Tensor) -> None:
        """Multiply all scores of repeat i by `factors[i]`, half of it in each of the two maps."""
        root = factors.sqrt().to(self.key.dtype)
        self.key.mul_(root.view(-1, 1, 1))
        for parameter in self.query.parameters():
            parameter.mul_(root.repeat_interleave(self.key.shape[-1]).view(-1, *[1] * (parameter.ndim - 1)))


class BilinearScores(Scores):
    """`x U y^T` with own `U` per repeat (paper A names it in footnote 2; the formula is ours)."""

    def __init__(self, width: int, repeats: int) -> None:
        super().__init__()
        self.between = nn.Parameter(_square(repeats, width))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return scores `[..., n, X, Y]` of `x [..., X, d]` against `y [..., Y, d]`."""
        return _against(torch.einsum("...xd,nde->...nxe", x, self.between), y)

    def scale_by(self, factors: Tensor) -> None:
        """Multiply all scores of repeat i by `factors[i]`."""
        self.between.mul_(factors.to(self.between.dtype).view(-1, 1, 1))


class AdditiveScores(Scores):
    """`w^T tanh(x W_x + y W_y)` with own weights per repeat (paper A names it in footnote 2; the formula is ours).

    Every pair needs `d` numbers, so the queries are taken in blocks and recomputed for the gradient.
    """

    block = 64

    def __init__(self, width: int, repeats: int) -> None:
        super().__init__()
        self.width = width
        self.query = nn.Linear(width, repeats * width)
        self.key = nn.Linear(width, repeats * width, bias=False)
        self.weight = nn.Parameter(torch.empty(repeats, width).uniform_(-1, 1) / math.sqrt(width))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return scores `[..., n, X, Y]` of `x [..., X, d]` against `y [..., Y, d]`."""
        query = self.query(x).unflatten(-1, (-1, self.width)).transpose(-3, -2)  # [..., n, X, d]
        key = self.key(y).unflatten(-1, (-1, self.width)).transpose(-3, -2)  # [..., n, Y, d]
        blocks = [
            checkpoint(self._block, part, key, use_reentrant=False) for part in query.split(self.block, dim=-2)
        ]
        return torch.cat(blocks, dim=-2)

    def scale_by(self, factors: Tensor) -> None:
        """Multiply all scores of repeat i by `factors[i]`."""
        self.weight.mul_(factors.to(self.weight.dtype).unsqueeze(1))

    def _block(self, query: Tensor, key: Tensor) -> Tensor:
        pairs = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))  # [..., n, X, Y, d]
        return torch.einsum("...nxyd,nd->...nxy", pairs, self.weight)


ATTENTIONS: Mapping[str, type[DotScores] | type[AdditiveScores] | type[BilinearScores]] = {
    "dot": DotScores,
    "additive": AdditiveScores,
    "bilinear": BilinearScores,
}


def build_scores(name: str, *, width: int, repeats: int) -> nn.Module:
    """Return the attention function of that name, with `repeats` sets of weights.

    Raises:
        UnknownNameError: no such attention function.
    """
    if name not in ATTENTIONS:
        raise UnknownNameError("attention function", name, ATTENTIONS)
    return ATTENTIONS[name](width, repeats)


def _against(query: Tensor, keys: Tensor) -> Tensor:
    """Return `query [..., n, X, d]` times `keys [..., Y, d]`.

    Keys without leading axes are shared by the whole batch.
    """
    if keys.ndim == 2:
        return query @ keys.T  # [..., n, X, Y]
    return query @ keys.transpose(-2, -1).unsqueeze(-3)


def _square(repeats: int, width: int) -> Tensor:
    bound = math.sqrt(3.0 / width)  # Xavier, uniform
    return torch.empty(repeats, width, width).uniform_(-bound, bound)
