"""The convolution of upsampled maps that are never made, against the one of those that are."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import conv2d

from contrastcxr.models.blocks.upsampling import upsampled_convolution, upsampled_maps


def maps(rows: int, columns: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weight(seed: int = 1) -> torch.Tensor:
    return torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("rows", "columns", "side"), [(4, 4, 32), (16, 16, 128), (3, 5, 7), (1, 3, 4), (6, 6, 6), (1, 1, 2)]
)
def test_the_order_of_convolution_and_upsampling_changes_nothing(rows: int, columns: int, side: int) -> None:
    small = maps(rows, columns)
    wanted = conv2d(upsampled_maps(small, side), weight(), padding=1)
    torch.testing.assert_close(upsampled_convolution(small, weight(), side).movedim(-1, 1), wanted)


def test_neither_do_its_gradients_change() -> None:
    found = []
    for apply in (
        lambda x, w: conv2d(upsampled_maps(x, 9), w, padding=1),
        lambda x, w: upsampled_convolution(x, w, 9).movedim(-1, 1),
    ):
        x, w = maps(4, 3).requires_grad_(), weight().requires_grad_()
        (apply(x, w) * torch.linspace(0, 1, 9)).square().sum().backward()
        found.append((x.grad, w.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_it_is_the_sum_over_taps_of_upsampled_cells_in_plain_loops() -> None:
    small, taps, side = maps(2, 3), weight(), 6
    found = upsampled_convolution(small, taps, side).movedim(-1, 1)

    def upsampled(channel: int, row: int, column: int) -> float:
        if not (0 <= row < side and 0 <= column < side):
            return 0.0  # the padding
        y = min(max((row + 0.5) * 2 / side - 0.5, 0), 1)
        x = min(max((column + 0.5) * 3 / side - 0.5, 0), 2)
        top, left = min(int(y), 0), min(int(x), 1)
        dy, dx = y - top, x - left
        near = small[0, channel]
        upper = (1 - dx) * near[top, left] + dx * near[top, left + 1]
        lower = (1 - dx) * near[top + 1, left] + dx * near[top + 1, left + 1]
        return float((1 - dy) * upper + dy * lower)

    for hidden, row, column in [(0, 0, 0), (1, 2, 3), (4, 5, 5), (2, 0, 4)]:
        wanted = sum(
            float(taps[hidden, channel, a, b]) * upsampled(channel, row + a - 1, column + b - 1)
            for channel, a, b in itertools.product(range(3), range(3), range(3))
        )
        assert float(found[0, hidden, row, column]) == pytest.approx(wanted)
