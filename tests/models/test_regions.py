"""The detector: its rows, its losses with and without boxes, its anchors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contrastcxr.models.regions import PLACE_CHANNELS, RegionDetector

SIDE, WIDTH, COUNT = 128, 8, 12
GRIDS = (16, 8, 4)
CHANNELS = (4, 6, 10)
BOX = torch.tensor([[20.0, 24.0, 60.0, 70.0]])
NONE = torch.zeros(0, 4)


def detector(*, seed: int = 0, count: int = COUNT) -> RegionDetector:
    torch.manual_seed(seed)
    return RegionDetector(CHANNELS, image_size=SIDE, width=WIDTH, count=count, smallest_anchor=16).eval()


def maps(pictures: int = 2, *, seed: int = 1) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    sizes = zip(CHANNELS, GRIDS, strict=True)
    return [torch.randn(pictures, width, side, side, generator=draw) for width, side in sizes]


@torch.no_grad()
def test_a_region_is_what_is_seen_a_box_in_shares_of_the_sides_and_a_score() -> None:
    rows = detector()(maps())
    assert rows.shape == (2, COUNT, WIDTH + PLACE_CHANNELS)
    boxes, scores = rows[..., -5:-1], rows[..., -1]
    assert bool(((boxes >= 0) & (boxes <= 1)).all())
    assert bool((boxes[..., 2:] > boxes[..., :2]).all())
    assert bool((scores > 0).all())
    assert torch.equal(scores, scores.sort(dim=1, descending=True).values)


@torch.no_grad()
def test_rows_of_nothing_have_a_score_below_0() -> None:
    many = detector(count=5000)(maps(1))
    real = many[0, :, -1] > 0
    assert 0 < int(real.sum()) < 5000
    assert bool((many[0, ~real, -1] == -1).all())
    assert not many[0, ~real, :-1].any()


@torch.no_grad()
def test_a_picture_has_the_same_regions_alone() -> None:
    found, whole = detector(), maps(3)
    torch.testing.assert_close(found([each[1:2] for each in whole])[0], found(whole)[1], atol=1e-5, rtol=1e-4)


def test_a_picture_without_a_box_teaches_that_there_is_none() -> None:
    found = detector().losses(maps(1), [NONE])
    assert float(found["bbox_regression"].detach()) == 0.0
    assert float(found["classification"].detach()) > 0.0


def test_losses_are_means_over_pictures() -> None:
    both = detector().losses(maps(), [BOX, NONE])
    each = [
        detector().losses([level[i : i + 1] for level in maps()], [boxes]) for i, boxes in enumerate((BOX, NONE))
    ]
    for name, value in both.items():
        wanted = sum(float(one[name].detach()) for one in each) / 2
        assert float(value.detach()) == pytest.approx(wanted, rel=1e-4)


def test_it_learns_a_box() -> None:
    found, seen = detector().train(), maps(1)
    optimizer = torch.optim.Adam(found.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(found.losses(seen, [BOX]).values())).sum().backward()
        optimizer.step()
    with torch.no_grad():
        best = found.eval()(seen)[0, 0]
    assert (best[-5:-1] * SIDE).tolist() == pytest.approx(BOX[0].tolist(), abs=6.0)
    assert float(best[-1]) > 0.3


@pytest.mark.parametrize(("side", "fits"), [(16.0, True), (40.0, True), (3.0, False)])
def test_anchors_fit_boxes_of_their_sizes_and_no_smaller_ones(side: float, fits: bool) -> None:
    box = torch.tensor([[30.0, 40.0, 30.0 + side, 40.0 + side]])
    best = detector().best_anchors(box)
    assert best.shape == (1,)
    assert (float(best) > 0.5) is fits
