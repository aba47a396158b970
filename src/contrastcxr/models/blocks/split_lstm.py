"""An LSTM cell that takes in its inputs part by part: what is known of all words is multiplied once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SplitLstmCell(nn.LSTMCell):
    """`torch.nn.LSTMCell` over `[x_1; x_2; …]`, with the same weights under the same names.

    `W x = Σ_i W_i x_i`: the part of words whose whole sequence is known (teacher forcing) is one large product
    instead of a small one per word.

    Args:
        parts: widths of x_1, x_2, …
        hidden: width of the state.
    """

    def __init__(self, parts: tuple[int, ...], hidden: int) -> None:
        super().__init__(sum(parts), hidden)
        self.parts = parts

    def of(self, part: int, x: Tensor) -> Tensor:
        """Return `W_i x_i`, `[..., 4h]` of `x [..., parts[i]]`."""
        start = sum(self.parts[:part])
        return F.linear(x, self.weight_ih[:, start : start + self.parts[part]])

    def advance(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the state after `inputs [R, 4h]`, the sum of the parts.

        `state` is hidden and cell, `[R, h]` each.
        """
        hidden, cell = state
        gates = inputs + F.linear(hidden.to(self.weight_hh.dtype), self.weight_hh, self.bias_ih + self.bias_hh)
        enter, forget, new, show = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(show) * torch.tanh(cell), cell
