"""Regions, boxes and peaks in the original, there and back between pictures, and which regions are chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contrastcxr.data.transforms import invert, map_box, resize, resize_affine
from contrastcxr.features.box_cells import overlapping_cells
from contrastcxr.form import Attribute, Box, Point
from contrastcxr.metrics.detection import components
from contrastcxr.metrics.localization import covered_area
from contrastcxr.models.heads.localizers.maps import REGION_CUT, WANG_CUTS
from contrastcxr.reading.evidence import grids
from contrastcxr.reading.heat import Rectangle
from contrastcxr.reading.regions import (
    MarkedPlaces,
    RegionWords,
    StudyRegions,
    ViewHeat,
    cell_marks,
    chosen_regions,
    component_marks,
    covered,
    in_original,
    marks_of,
    region_marks,
    together,
    wang_marks,
)
from painted_regions import flooded, painted

STRAIGHT = resize_affine((128, 256), 64)


def turned(degrees: float, *, shape: tuple[int, int] = (128, 256)) -> np.ndarray:
    """The affine of a picture of 64 pixels that is turned about its middle, at the middle of the original."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = np.diag([shape[1] / 64, shape[0] / 64]) @ turn
    middle = np.array([shape[1] / 2, shape[0] / 2]) - linear @ (32.0, 32.0)
    return np.concatenate([linear, middle[:, None]], axis=1)


@pytest.mark.parametrize("value", [0.0, 0.4, -3.0, math.nan, math.inf])
def test_heat_that_is_the_same_everywhere_marks_nothing(value: float) -> None:
    heat, affine = np.full((7, 7), value), resize_affine((300, 400), 224)
    assert wang_marks(heat, view=0, affine=affine, size=224, cuts=WANG_CUTS) == MarkedPlaces()
    assert component_marks([ViewHeat(heat, 0, affine, None)], size=224, cut=REGION_CUT) == MarkedPlaces()


@pytest.mark.parametrize("seed", range(8))
def test_components_are_those_of_the_painted_union(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 30, size=(6, 2))
    sides = rng.integers(1, 8, size=(6, 2))
    region = tuple(
        (float(x), float(y), float(x + w), float(y + h)) for (x, y), (w, h) in zip(corners, sides, strict=True)
    )
    assert sorted(components(region)) == sorted(flooded(painted(region, (40, 40))))


def test_rectangles_that_share_an_edge_or_a_corner_are_connected_and_the_largest_comes_first() -> None:
    region = ((50.0, 50.0, 51.0, 51.0), (0.0, 0.0, 2.0, 2.0), (2.0, 2.0, 4.0, 3.0), (4.0, 0.0, 9.0, 2.0))
    assert components(region) == ((0.0, 0.0, 9.0, 3.0), (50.0, 50.0, 51.0, 51.0))
    assert components(()) == ()


def test_a_chain_of_rectangles_is_one_component() -> None:
    chain = tuple((float(i), 0.0, float(i) + 1.0, 1.0) for i in reversed(range(20)))
    assert components(chain) == ((0.0, 0.0, 20.0, 1.0),)


@pytest.mark.parametrize("shape", [(1024, 1024), (300, 400), (3000, 2500), (200, 224)])
def test_a_rectangle_goes_to_the_original_and_back(shape: tuple[int, int]) -> None:
    affine = resize_affine(shape, 224)
    region = ((0.0, 0.0, 224.0, 224.0), (10.0, 20.0, 30.0, 60.0), (223.0, 1.0, 224.0, 2.0))
    there = in_original(region, affine, shape)
    assert there[0] == (0.0, 0.0, float(shape[1]), float(shape[0]))
    for before, after in zip(region, there, strict=True):
        assert map_box(invert(affine), after) == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("shape", [(448, 448), (600, 900), (1024, 500)])
@pytest.mark.parametrize("place", [(0.2, 0.3), (0.71, 0.64), (0.9, 0.1)])
def test_what_is_drawn_in_the_original_is_marked_there_within_a_pixel_of_the_model(
    shape: tuple[int, int], place: tuple[float, float]
) -> None:
    """Draws a square, reduces the picture as for a model, takes the picture for heat, and marks the square."""
    tall, wide = shape
    x1, y1 = round(place[0] * wide), round(place[1] * tall)
    x2, y2 = x1 + wide // 12, y1 + tall // 12
    pixels = np.zeros(shape, dtype=np.float32)
    pixels[y1:y2, x1:x2] = 1
    affine = resize_affine(shape, 224)
    found = wang_marks(resize(pixels, 224), view=1, affine=affine, size=224, shape=shape, cuts=(127.5,))
    (box,) = found.boxes
    step = (wide / 224, tall / 224) * 2
    assert all(abs(a - b) <= s for a, b, s in zip(box.xyxy, (x1, y1, x2, y2), step, strict=True))
    assert found.region == (box,)
    assert box.view == 1
    assert found.peak is not None
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    assert all(abs(a - b) <= s for a, b, s in zip(found.peak.xy, middle, step[:2], strict=True))


def test_what_lies_outside_the_original_is_cut_off() -> None:
    padded = np.array([[2.0, 0.0, -40.0], [0.0, 2.0, 0.0]])  # 20 model pixels of padding on the left
    region = ((0.0, 0.0, 20.0, 50.0), (10.0, 10.0, 30.0, 30.0), (90.0, 90.0, 140.0, 140.0))
    assert in_original(region, padded, (200, 200)) == ((0.0, 20.0, 20.0, 60.0), (140.0, 180.0, 200.0, 200.0))


def test_the_covered_original_is_known_from_the_affine_in_single_precision_too() -> None:
    for shape in ((1024, 1024), (301, 477), (2991, 2504)):
        assert covered(resize_affine(shape, 224).astype(np.float32), 224) == shape


def test_the_marks_of_two_views_are_one_with_the_hotter_peak() -> None:
    affine = resize_affine((100, 100), 50)
    cold, hot = np.zeros((5, 5)), np.zeros((5, 5))
    cold[1, 1], hot[3, 3] = 1.0, 2.0
    views = [
        wang_marks(heat, view=i, affine=affine, size=50, cuts=WANG_CUTS) for i, heat in enumerate((hot, cold))
    ]
    both = together(views)
    assert both.peak == views[0].peak
    assert both.peak is not None
    assert both.peak.xy == pytest.approx((70, 70), abs=1)
    assert [box.view for box in both.region] == [0] * len(views[0].region) + [1] * len(views[1].region)
    assert both.boxes == (*views[0].boxes, *views[1].boxes)
    assert together([MarkedPlaces(), views[1]]).peak == views[1].peak
    assert together([]) == MarkedPlaces()


HEAT = np.zeros((4, 4))
HEAT[1, 1:3] = (0.9, 0.6)
HEAT[3, 3] = 0.7
HEAT[0, 0] = 0.5


def test_cells_above_the_cut_are_marked_and_the_highest_is_the_peak() -> None:
    found = cell_marks(HEAT, view=2, affine=resize_affine((128, 256), 64), size=64, cut=0.5)
    assert found.region == (
        Box(view=2, xyxy=(64.0, 32.0, 192.0, 64.0)),
        Box(view=2, xyxy=(192.0, 96.0, 256.0, 128.0)),
    )
    assert found.boxes == found.region
    assert found.peak == Point(view=2, xy=(96, 48))
    assert found.height == 0.9


@pytest.mark.parametrize("affine", [resize_affine((128, 256), 64), turned(20.0)], ids=["straight", "turned"])
def test_where_no_cell_is_above_the_cut_nothing_is_marked_but_there_is_a_peak(affine: np.ndarray) -> None:
    found = cell_marks(HEAT, view=0, affine=affine, size=64, cut=0.9)
    assert (found.region, found.boxes) == ((), ())
    assert found.peak is not None
    even = cell_marks(np.full((4, 4), 0.3), view=0, affine=affine, size=64)
    assert even == MarkedPlaces()
    full = cell_marks(np.full((4, 4), 0.6), view=0, affine=resize_affine((128, 256), 64), size=64)
    assert [box.xyxy for box in full.region] == [(0.0, 0.0, 256.0, 128.0)]


def test_cells_are_marked_by_their_own_height_and_ranges_by_theirs() -> None:
    places = grids(rows=4, columns=4, affines=np.stack([STRAIGHT] * 2), view_index=(1, 0), size=64)
    heat = {"Mass": np.concatenate([HEAT.ravel(), 0.5 * HEAT.ravel()])}
    affines = np.stack([STRAIGHT] * 3)  # the last view is padding
    by_cell = marks_of(heat, places, affines, size=64, cuts=(0.5,), marking="cells")["Mass"]
    assert {box.view for box in by_cell.region} == {1}
    assert by_cell == cell_marks(HEAT, view=1, affine=STRAIGHT, size=64)
    by_range = marks_of(heat, places, affines, size=64, cuts=WANG_CUTS, marking="range")["Mass"]
    assert {box.view for box in by_range.region} == {0, 1}


# Pictures that were rotated


def inside(region: tuple[Rectangle, ...], affine: np.ndarray, x: float, y: float) -> bool:
    """Whether a point of the original lies in a union of rectangles of the model's picture."""
    u, v = invert(affine) @ (x, y, 1.0)
    return any(a <= u < c and b <= v < d for a, b, c, d in region)


@pytest.mark.parametrize("degrees", [3.0, -17.0, 45.0, 91.0, 173.0])
@pytest.mark.parametrize("shape", [(600, 500), (120, 90)])
def test_a_region_of_a_rotated_picture_is_drawn_in_the_original(degrees: float, shape: tuple[int, int]) -> None:
    """Every place of the raster is what the model's picture has at its centre."""
    affine = turned(degrees, shape=shape)
    region = ((10.0, 12.0, 22.0, 40.0), (20.0, 30.0, 50.0, 36.0), (0.0, 60.0, 4.0, 64.0))
    found = in_original(region, affine, shape)
    step = max(max(shape) / 512, 1.0)
    rows, columns = (round(side / step) for side in shape)
    tall, wide = shape[0] / rows, shape[1] / columns
    for row, column in np.random.default_rng(1).integers((0, 0), (rows, columns), size=(400, 2)).tolist():
        x, y = (column + 0.5) * wide, (row + 0.5) * tall
        marked = any(a <= x < c and b <= y < d for a, b, c, d in found)
        assert marked is inside(region, affine, x, y), (x, y)
    assert all(0 <= a < c <= shape[1] and 0 <= b < d <= shape[0] for a, b, c, d in found)


@pytest.mark.parametrize("degrees", [0.0, 12.0, -30.0])
def test_cells_of_a_rotated_picture_come_back_within_a_cell(degrees: float) -> None:
    """A box of the original as cells of the model's picture, marked, and brought back: it is covered, and no more
    than a cell around it is."""
    shape, cells = (512, 512), 32
    affine, box = turned(degrees, shape=shape), (200.0, 240.0, 290.0, 300.0)
    heat = overlapping_cells(box, affine, cells, cells, 64).astype(np.float64)
    found = cell_marks(heat, view=0, affine=affine, size=64, shape=shape)
    region = [each.xyxy for each in found.region]
    step, diagonal = 512 / 512, math.hypot(512 / cells, 512 / cells)
    core = (box[0] + step, box[1] + step, box[2] - step, box[3] - step)
    assert covered_area(region, [core]) == pytest.approx(covered_area([core]))
    wide = (box[0] - diagonal - step, box[1] - diagonal - step, box[2] + diagonal + step, box[3] + diagonal + step)
    assert covered_area(region, [wide]) == pytest.approx(covered_area(region))
    assert len(found.boxes) == 1
    assert found.peak is not None
    assert box[0] < found.peak.xy[0] < box[2]
    assert box[1] < found.peak.xy[1] < box[3]


@pytest.mark.parametrize("degrees", [90.0, 180.0])
def test_a_quarter_turn_moves_cells_to_cells(degrees: float) -> None:
    affine = turned(degrees, shape=(256, 256))
    (found,) = in_original(((8.0, 16.0, 24.0, 20.0),), affine, (256, 256))
    corners = [affine @ (x, y, 1.0) for x, y in ((8.0, 16.0), (24.0, 20.0))]
    wanted = (*np.min(corners, axis=0), *np.max(corners, axis=0))
    assert found == pytest.approx(wanted, abs=1.0)


def test_an_affine_that_all_but_does_not_rotate_keeps_its_cells() -> None:
    region, affine = ((8.0, 8.0, 16.0, 32.0),), resize_affine((1000, 700), 64)
    near = affine + np.array([[0.0, 1e-7, 0.0], [-1e-7, 0.0, 0.0]])
    assert in_original(region, near, (1000, 700)) == in_original(region, affine, (1000, 700))


def test_the_bounds_of_a_rotated_box_are_those_of_all_its_corners() -> None:
    assert map_box(turned(45.0, shape=(64, 64)), (16.0, 16.0, 48.0, 48.0)) == pytest.approx(
        (32 - 16 * 2**0.5, 32 - 16 * 2**0.5, 32 + 16 * 2**0.5, 32 + 16 * 2**0.5)
    )


BOXES = np.array(
    [
        [0.0, 0.0, 10.0, 10.0],
        [1.0, 0.0, 11.0, 10.0],
        [30.0, 30.0, 50.0, 40.0],
        [5.0, 50.0, 9.0, 60.0],
        [20.0, 0.0, 30.0, 9.0],
    ]
)


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [
        ((0.9, 0.8, 0.5, 0.44, 0.0), [0, 2]),  # the second lies on the first, the fourth weighs too little
        ((0.8, 0.9, 0.5, 0.45, 0.6), [1, 4, 2]),  # three at most
        ((0.0, 0.0, 0.0, 0.0, 0.0), []),
        ((0.1, 0.0, 0.0, 0.0, 0.0), [0]),
    ],
)
def test_regions_are_chosen_by_one_rule(weights: tuple[float, ...], chosen: list[int]) -> None:
    views = np.zeros(len(BOXES), dtype=np.int64)
    assert chosen_regions(BOXES, np.array(weights), views).tolist() == chosen


def test_regions_of_two_views_do_not_stand_in_each_others_way() -> None:
    views = np.array([0, 1, 0, 0, 0])
    assert chosen_regions(BOXES, np.array([0.9, 0.8, 0.0, 0.0, 0.0]), views).tolist() == [0, 1]


def test_no_region_at_all_marks_nothing() -> None:
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64)
    assert chosen_regions(*nothing).tolist() == []
    regions = StudyRegions(*nothing)
    assert region_marks(regions, view_index=(0,), affines=STRAIGHT[None], size=64) == MarkedPlaces()


def test_chosen_regions_are_boxes_of_the_original_with_the_heaviest_first() -> None:
    regions = StudyRegions(BOXES, np.array([0.5, 0.0, 0.9, 0.0, 0.0]), np.array([0, 0, 1, 0, 0]))
    affines = np.stack([STRAIGHT, STRAIGHT])
    marks = region_marks(regions, view_index=(3, 5), affines=affines, size=64)
    first = Box(view=5, xyxy=(120.0, 60.0, 200.0, 80.0), score=1.0)
    assert marks.boxes == (first, Box(view=3, xyxy=(0.0, 0.0, 40.0, 20.0), score=0.5 / 0.9))
    assert marks.region == marks.boxes
    assert marks.peak == Point(view=5, xy=(160.0, 70.0))
    assert marks.height == 0.9
    assert marks.attributes == ()


def test_words_stand_in_the_boxes_in_the_order_of_these() -> None:
    attention = np.arange(10, dtype=np.float32).reshape(5, 2) / 10
    words = RegionWords(("left", "patchy"), np.array([0.25, 0.75], dtype=np.float32), attention)
    regions = StudyRegions(BOXES, np.array([0.5, 0.0, 0.9, 0.0, 0.0]), np.zeros(5, dtype=np.int64), words)
    marks = region_marks(regions, view_index=(0,), affines=STRAIGHT[None], size=64)
    assert marks.attributes == (
        Attribute(name="left", probability=0.25, weights=(0.4, 0.0)),
        Attribute(name="patchy", probability=0.75, weights=(0.5, 0.1)),
    )


def test_words_are_said_where_nothing_is_marked() -> None:
    words = RegionWords(("left",), np.array([0.25]), np.zeros((1, 1)))
    regions = StudyRegions(BOXES[:1], np.zeros(1), np.zeros(1, dtype=np.int64), words)
    marks = region_marks(regions, view_index=(0,), affines=STRAIGHT[None], size=64)
    assert marks == MarkedPlaces(attributes=(Attribute(name="left", probability=0.25),))


def test_a_region_of_a_turned_picture_has_one_box_round_its_pieces() -> None:
    regions = StudyRegions(BOXES, np.array([0.0, 0.0, 1.0, 0.0, 0.0]), np.zeros(5, dtype=np.int64))
    affine = turned(20.0)
    marks = region_marks(regions, view_index=(0,), affines=affine[None], size=64, shapes=[(128, 256)])
    (box,) = marks.boxes
    assert len(marks.region) > 1
    assert {piece.score for piece in marks.region} == {None}
    assert box.xyxy == pytest.approx(map_box(affine, tuple(BOXES[2])), abs=1.5)


def hills(*places: tuple[int, int, float]) -> np.ndarray:
    """Heat of 16×16 cells with a square of 3×3 cells of a height round each place (row, column, height)."""
    heat = np.zeros((16, 16))
    for row, column, height in places:
        heat[row - 1 : row + 2, column - 1 : column + 2] = height
    return heat


def middles(marks: MarkedPlaces) -> list[tuple[int, float, float]]:
    return [(b.view, (b.xyxy[0] + b.xyxy[2]) / 2, (b.xyxy[1] + b.xyxy[3]) / 2) for b in marks.region]


def test_components_of_all_views_are_chosen_together_by_their_mean_heat() -> None:
    """Each view in its own range: of five components above the cut the three with the highest means are marked."""
    first = hills((2, 2, 1.0), (2, 8, 0.9), (8, 8, 0.6), (13, 13, 0.4))
    second = 50 * hills((5, 5, 1.0), (12, 12, 0.7))
    views = [ViewHeat(first, 3, STRAIGHT, None), ViewHeat(second, 5, STRAIGHT, None)]
    marks = component_marks(views, size=64, cut=REGION_CUT)
    found = middles(marks)  # a cell is 16 by 8 pixels of the original
    assert [view for view, _, _ in found[:2]] == [3, 5]
    assert found == [(3, 40.0, 20.0), (5, 88.0, 44.0), (3, 136.0, 20.0)]
    assert marks.boxes == marks.region
    assert marks.height == 50.0
    assert marks.peak is not None
    assert (marks.peak.view, marks.peak.xy) == (5, pytest.approx((88, 44), abs=3))


def test_the_peak_is_the_highest_place_and_not_the_middle_of_the_heaviest_component() -> None:
    """A wide slope has the highest place; a flat hill has the higher mean."""
    heat = hills((3, 3, 0.9))
    heat[8:15, 8:10] = np.linspace(0.55, 1.0, 7)[:, None]
    marks = component_marks([ViewHeat(heat, 0, STRAIGHT, None)], size=64, cut=REGION_CUT)
    (_, x, y), *_ = middles(marks)
    assert (x, y) == (56.0, 28.0)
    assert marks.peak is not None
    assert marks.peak.xy == pytest.approx((9 * 16, 14.5 * 8), abs=4)


def test_a_lower_cut_leaves_out_what_weighs_less_than_half_of_the_heaviest() -> None:
    heat = hills((3, 3, 1.0), (12, 12, 0.3))
    both = component_marks([ViewHeat(heat, 0, STRAIGHT, None)], size=64, cut=30.0)
    assert middles(both) == [(0, 56.0, 28.0)]
    near = hills((3, 3, 1.0), (12, 12, 0.8))
    assert len(component_marks([ViewHeat(near, 0, STRAIGHT, None)], size=64, cut=30.0).region) == 2


def test_regions_are_marked_by_the_rule_of_their_name() -> None:
    places = grids(rows=16, columns=16, affines=np.stack([STRAIGHT] * 2), view_index=(1, 0), size=64)
    one, other = hills((3, 3, 1.0), (12, 12, 0.8)), hills((8, 8, 1.0))
    heat = {"Mass": np.concatenate([one.ravel(), other.ravel()])}
    affines = np.stack([STRAIGHT] * 3)  # the last view is padding
    found = marks_of(heat, places, affines, size=64, cuts=(127.5,), marking="regions")["Mass"]
    views = [ViewHeat(one, 1, STRAIGHT, places[0].shape), ViewHeat(other, 0, STRAIGHT, places[1].shape)]
    assert found == component_marks(views, size=64, cut=REGION_CUT)
    assert [box.view for box in found.region] == [1, 0, 1]
    assert component_marks([], size=64, cut=REGION_CUT) == MarkedPlaces()
