"""Heat as rectangles and peaks of the model's picture, against plain loops and PyTorch's upsampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from contrastcxr.models.heads.localizers.maps import REGION_CUT, WANG_CUTS
from contrastcxr.reading.heat import (
    Rectangle,
    cells_region,
    components_above,
    peak,
    upsampled,
    wang_region,
)
from painted_regions import flooded, painted


def random_heat(seed: int, rows: int = 7, columns: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)) * 3 - 1


@pytest.mark.parametrize(("cells", "shape"), [((7, 7), (224, 224)), ((16, 16), (100, 130)), ((3, 5), (11, 4))])
def test_upsampling_is_that_of_pytorch(cells: tuple[int, int], shape: tuple[int, int]) -> None:
    heat = random_heat(0, *cells)
    wanted = interpolate(torch.from_numpy(heat)[None, None], shape, mode="bilinear", align_corners=False)[0, 0]
    assert upsampled(heat, shape) == pytest.approx(wanted.numpy(), abs=1e-12)


def test_upsampling_is_linear_between_the_centres_of_cells() -> None:
    heat = random_heat(1, 4, 3)
    tall, wide = 20, 18
    shown = upsampled(heat, (tall, wide))
    for row, column in itertools.product(range(tall), range(wide)):
        y = min(max((row + 0.5) * 4 / tall - 0.5, 0), 3)
        x = min(max((column + 0.5) * 3 / wide - 0.5, 0), 2)
        top, left = min(int(y), 2), min(int(x), 1)
        dy, dx = y - top, x - left
        wanted = (1 - dy) * ((1 - dx) * heat[top, left] + dx * heat[top, left + 1]) + dy * (
            (1 - dx) * heat[top + 1, left] + dx * heat[top + 1, left + 1]
        )
        assert shown[row, column] == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(6))
def test_a_wang_region_is_the_boxes_above_each_cut(seed: int) -> None:
    heat = random_heat(seed)
    scaled = upsampled(heat, (56, 56))
    scaled = (scaled - scaled.min()) / (scaled.max() - scaled.min()) * 255
    wanted = [box for cut in (60, 180) for box in flooded(scaled > cut)]
    assert sorted(wang_region(heat, (56, 56), cuts=WANG_CUTS)) == sorted(wanted)


def test_the_scale_of_the_heat_does_not_matter() -> None:
    heat = random_heat(3)
    assert wang_region(heat, (64, 64), cuts=WANG_CUTS) == wang_region(heat * 40 - 7, (64, 64), cuts=WANG_CUTS)


def test_a_grid_finer_than_the_picture_may_show_it_nothing() -> None:
    heat = np.zeros((9, 9))
    heat[0, 0] = 1.0
    assert wang_region(heat, (3, 3), cuts=WANG_CUTS) == ()
    assert peak(heat, (3, 3)) is not None


def test_cuts_may_be_others() -> None:
    heat = random_heat(3)
    assert set(wang_region(heat, (64, 64), cuts=(60,))) < set(wang_region(heat, (64, 64), cuts=WANG_CUTS))
    assert wang_region(heat, (64, 64), cuts=(255,)) == ()


def test_pixels_that_meet_at_a_corner_are_one_component() -> None:
    assert len(wang_region(np.eye(2), (2, 2), cuts=(100,))) == 1


@pytest.mark.parametrize("seed", range(8))
def test_cells_are_covered_once_and_no_others(seed: int) -> None:
    mask = np.random.default_rng(seed).random((9, 12)) < 0.2 + seed / 12
    region = cells_region(mask, (27, 48))
    wanted = mask.repeat(3, axis=0).repeat(4, axis=1)
    assert (painted(region, (27, 48)) == wanted).all()
    assert sum((c - a) * (d - b) for a, b, c, d in region) == wanted.sum()


def test_a_block_of_cells_is_one_rectangle() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:9, 2:14] = True
    assert cells_region(mask, (512, 512)) == ((64.0, 128.0, 448.0, 288.0),)
    mask[12, 5] = True
    assert cells_region(mask, (512, 512))[1:] == ((160.0, 384.0, 192.0, 416.0),)
    assert cells_region(np.zeros((16, 16), dtype=bool), (512, 512)) == ()


def test_the_peak_is_the_middle_of_the_highest_cell() -> None:
    heat = np.zeros((7, 7))
    heat[2, 5] = 1.0
    place = peak(heat, (224, 224))
    assert place is not None
    assert place == pytest.approx((5.5 * 32, 2.5 * 32), abs=0.5)


@pytest.mark.parametrize("cell", [(0, 0), (0, 6), (6, 0), (6, 6), (3, 0)])
def test_at_the_border_the_peak_is_the_middle_of_the_level_part(cell: tuple[int, int]) -> None:
    heat = np.zeros((7, 7))
    heat[cell] = 1.0
    picture = upsampled(heat, (224, 224))
    rows, columns = np.nonzero(picture > picture.max() - 1e-9)
    place = peak(heat, (224, 224))
    assert place is not None
    assert place == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5), abs=0.5)


def test_the_peak_is_never_beside_the_highest_place() -> None:
    heat = np.zeros((7, 7))
    heat[[1, 2, 3, 4, 5, 5, 5, 5], [1, 1, 1, 1, 1, 2, 3, 4]] = 1.0  # an L
    place = peak(heat, (77, 77))
    assert place is not None
    assert upsampled(heat, (77, 77))[int(place[1]), int(place[0])] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(6))
def test_the_peak_is_the_highest_pixel(seed: int) -> None:
    heat = random_heat(seed, 5, 6)
    picture = upsampled(heat, (61, 83))
    x, y = peak(heat, (61, 83)) or (0.0, 0.0)
    assert (x % 1, y % 1) == (0.5, 0.5)
    assert picture[int(y), int(x)] == pytest.approx(picture.max())


@pytest.mark.parametrize("value", [0.0, 0.4, -3.0, math.nan, math.inf])
def test_heat_that_is_the_same_everywhere_marks_nothing(value: float) -> None:
    heat = np.full((7, 7), value)
    assert wang_region(heat, (224, 224), cuts=WANG_CUTS) == ()
    assert peak(heat, (224, 224)) is None
    assert [len(each) for each in components_above(heat, (224, 224), cut=REGION_CUT)] == [0, 0]


def weighed(heat: np.ndarray, side: int, cut: float) -> list[tuple[Rectangle, float]]:
    """Boxes of components above a cut and their mean heat in shares of the range, pixel by pixel."""
    picture = upsampled(heat, (side, side))
    scaled = (picture - picture.min()) / (picture.max() - picture.min())
    found = []
    for y1, x1 in itertools.product(range(side), range(side)):
        lone = alone(scaled > cut / 255, y1, x1)
        if lone is not None:
            (box,) = flooded(lone)
            found.append((box, float(np.mean([scaled[y, x] for y, x in np.argwhere(lone)]))))
    return sorted(found)


def alone(mask: np.ndarray, y: int, x: int) -> np.ndarray | None:
    """The 8-connected component of a pixel, where that is the first of it from the top left; else None."""
    if not mask[y, x]:
        return None
    found, grown = np.zeros_like(mask), np.zeros_like(mask)
    grown[y, x] = True
    while (grown != found).any():
        found = grown.copy()
        for row, column in np.argwhere(found):
            grown[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
        grown &= mask
    return found if (int(np.argwhere(found)[0][0]), int(np.argwhere(found)[0][1])) == (y, x) else None


@pytest.mark.parametrize("cut", [60.0, REGION_CUT, 230.0])
@pytest.mark.parametrize("seed", range(3))
def test_components_weigh_their_mean_heat(seed: int, cut: float) -> None:
    heat = random_heat(seed)
    boxes, weights = components_above(heat, (20, 20), cut=cut)
    expected = weighed(heat, 20, cut)
    assert expected
    found = sorted(zip(map(tuple, boxes.tolist()), weights.tolist(), strict=True))
    assert [box for box, _ in found] == [box for box, _ in expected]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in expected])
    assert all(cut / 255 < weight <= 1 for weight in weights)


def test_the_components_are_the_boxes_of_one_cut_whatever_the_scale() -> None:
    heat = random_heat(3)
    boxes, weights = components_above(heat * 40 - 7, (64, 64), cut=60)
    assert tuple(map(tuple, boxes.tolist())) == wang_region(heat, (64, 64), cuts=(60,))
    assert weights == pytest.approx(components_above(heat, (64, 64), cut=60)[1])
    assert [len(each) for each in components_above(heat, (64, 64), cut=255)] == [0, 0]
