"""Readers of places that cannot see, and the perfect labelling of a grid, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import boxed_corpus
from contrastcxr.evaluation.place_baselines import (
    Frame,
    ceiling_places,
    ceiling_region,
    mean_box_places,
    mean_boxes,
    neighbour_places,
    turned_region,
    whole_pictures,
)
from contrastcxr.evaluation.references import References, finding_names
from contrastcxr.form import Author, Box, Finding, Reading, Study, View
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.metrics.localization import Overlap, covered_area
from contrastcxr.models.align.pose import compose
from polygon_clip import by_clipping

PICTURE: Rectangle = (0, 0, 64, 64)
HUMAN = Author(kind="human", name="radiologist")


def study(name: str, *findings: Finding, views: tuple[str, ...] = ("PA",)) -> Study:
    made = tuple(
        View(view_id=f"{name}-{k}", locator=f"{name}-{k}.png", position=position)  # type: ignore[arg-type]
        for k, position in enumerate(views)
    )
    reading = Reading(study_id=name, author=HUMAN, findings=findings)
    return Study(study_id=name, views=made, readings=(reading,))


def boxed(name: str, *corners: Rectangle, view: int = 0) -> Finding:
    return Finding(name=name, status="present", boxes=tuple(Box(view=view, xyxy=c) for c in corners))


def references(*studies: Study) -> References:
    readings = tuple(s.readings[0] for s in studies)
    return References(studies, readings, finding_names(readings))


@pytest.mark.parametrize("seed", range(8))
def test_a_perfect_labelling_marks_every_cell_that_a_box_overlaps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(n) for n in rng.integers(2, 9, 2))
    extent = (3.0, 5.0, 3.0 + 10 * columns, 5.0 + 7 * rows)
    boxes: list[Rectangle] = []
    for _ in range(3):
        x1, y1 = rng.uniform(0, 10 * columns), rng.uniform(0, 7 * rows)
        boxes.append((x1, y1, x1 + rng.uniform(0.5, 20), y1 + rng.uniform(0.5, 20)))
    expected: list[Rectangle] = []
    for row in range(rows):
        for column in range(columns):
            cell = (3.0 + 10 * column, 5.0 + 7 * row, 13.0 + 10 * column, 12.0 + 7 * row)
            if any(b[0] < cell[2] and b[2] > cell[0] and b[1] < cell[3] and b[3] > cell[1] for b in boxes):
                expected.append(cell)
    found = ceiling_region(boxes, rows, columns, extent)
    assert covered_area(found) == pytest.approx(covered_area(expected))
    assert covered_area(found, expected) == pytest.approx(covered_area(expected))
    assert sum(covered_area([r]) for r in found) == pytest.approx(covered_area(found))  # none overlaps another


def test_a_box_that_ends_on_an_edge_does_not_reach_the_next_cell() -> None:
    assert ceiling_region([(0, 0, 16, 16)], 4, 4, PICTURE) == ((0, 0, 16, 16),)
    assert ceiling_region([], 4, 4, PICTURE) == ()
    assert ceiling_region([(1, 1, 40, 2)], 4, 4, PICTURE) == ((0, 0, 48, 16),)


def test_the_finer_the_grid_the_higher_the_ceiling() -> None:
    box = (11.0, 23.0, 30.0, 41.0)
    found = []
    for side in (2, 8, 32, 128):
        region = [Box(xyxy=r) for r in ceiling_region([box], side, side, PICTURE)]
        found.append(Overlap.of(region, [Box(xyxy=box)]).iou)
    assert found == sorted(found)
    assert found[0] < 0.5 < 0.95 < found[-1]


def test_the_ceiling_marks_the_views_that_are_read_and_points_into_the_box() -> None:
    reading = study("a", boxed("Mass", (20, 20, 40, 40)), Finding(name="Edema", status="present")).readings[0]
    (only,) = ceiling_places(reading, {0: PICTURE, 1: PICTURE}, (8, 8))
    assert (only.name, {box.view for box in only.region}) == ("Mass", {0})
    assert only.peak is not None
    assert only.peak.xy == (28, 28)
    assert ceiling_places(reading, {1: PICTURE}, (8, 8))[0].region == ()


POSES = [(0.0,) * 5, (0.1, -0.05, 0.2, 0.1, 0.3), (-0.1, 0.1, -0.1, 0.1, -0.5)]


def frame_of(pose: tuple[float, ...]) -> Frame:
    base = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.5, 0.0]], dtype=torch.float64)  # 96 high, 128 wide
    return Frame(compose(base, torch.tensor(pose, dtype=torch.float64), 64).numpy(), 64, (96, 128))


@pytest.mark.parametrize("pose", POSES)
def test_the_ceiling_of_an_aligned_picture_marks_the_cells_that_a_polygon_clip_finds(
    pose: tuple[float, ...],
) -> None:
    box, frame, rows, columns = (40.0, 30.0, 70.0, 61.0), frame_of(pose), 6, 8
    marked = by_clipping(box, frame.affine, rows, columns, size=64)
    region = turned_region([box], rows, columns, frame)
    inverse = np.linalg.inv(np.vstack([frame.affine, (0, 0, 1)]))
    for y, x in np.random.default_rng(0).integers(0, (96, 128), size=(400, 2)).tolist():
        place = (x + 0.5, y + 0.5)  # of the raster
        column, row, _ = np.floor(inverse @ (*place, 1.0) / (64 / columns, 64 / rows, 1.0)).astype(int).tolist()
        inside = 0 <= row < rows and 0 <= column < columns and bool(marked[row, column])
        assert any(a <= place[0] < c and b <= place[1] < d for a, b, c, d in region) is inside
    overlap = Overlap.of([Box(xyxy=r) for r in region], [Box(xyxy=box)])
    assert overlap.iou > 0.3
    assert covered_area(region, [box]) == pytest.approx(covered_area([box]), rel=0.03)


@pytest.mark.parametrize("pose", POSES)
def test_the_ceiling_points_into_a_box_of_an_aligned_picture(pose: tuple[float, ...]) -> None:
    box = (40.0, 30.0, 80.0, 70.0)
    reading = study("a", boxed("Mass", box)).readings[0]
    whole = (0.0, 0.0, 128.0, 96.0)
    (found,) = ceiling_places(reading, {0: whole}, (8, 8), frames={0: frame_of(pose)})
    assert found.peak is not None
    assert box[0] < found.peak.xy[0] < box[2]
    assert box[1] < found.peak.xy[1] < box[3]
    if not any(pose):
        (plain,) = ceiling_places(reading, {0: whole}, (8, 8))
        assert covered_area([b.xyxy for b in found.region]) == covered_area([b.xyxy for b in plain.region])


def test_the_constant_marks_all_of_every_picture() -> None:
    (first,) = whole_pictures(["Mass", "Edema"], [{0: (0, 0, 30, 20), 1: (0, 0, 10, 10)}])
    assert [f.name for f in first] == ["Mass", "Edema"]
    assert [(box.view, box.xyxy) for box in first[0].region] == [(0, (0, 0, 30, 20)), (1, (0, 0, 10, 10))]
    assert first[0].peak is not None
    assert first[0].peak.xy == (15, 10)
    assert first[0].boxes == ()  # nothing is shown, for nothing is called


def test_the_mean_box_is_the_mean_in_shares_of_the_sides() -> None:
    training = references(
        study("a", boxed("Mass", (0, 0, 32, 32))),
        study("b", boxed("Mass", (50, 100, 100, 200))),
        study("c", Finding(name="Mass", status="absent")),
    )
    means = mean_boxes(training, [{0: PICTURE}, {0: (0, 0, 100, 200)}, {0: PICTURE}])
    assert means == {("Mass", False): (0.25, 0.25, 0.75, 0.75)}
    (places,) = mean_box_places(means, [study("d")], [{0: (0, 0, 80, 40)}])
    assert places[0].region[0].xyxy == (20, 10, 60, 30)


def test_the_mean_box_keeps_frontal_and_lateral_views_apart() -> None:
    views = ("PA", "LATERAL")
    one = study("a", boxed("Mass", (0, 0, 32, 32), view=1), views=views)
    means = mean_boxes(references(one), [{0: PICTURE, 1: PICTURE}])
    (places,) = mean_box_places(means, [study("d", views=views)], [{0: PICTURE, 1: PICTURE}])
    assert [box.view for box in places[0].region] == [1]


def test_the_neighbour_lends_its_boxes_to_the_view_of_the_same_kind() -> None:
    near = study("a", boxed("Mass", (16, 16, 32, 32), view=1), boxed("Edema"), views=("LATERAL", "PA"))
    mine = study("b", views=("PA", "LATERAL"))
    triple = (near, near.readings[0], {0: PICTURE, 1: PICTURE})
    found = neighbour_places(triple, mine, {0: (0, 0, 128, 64), 1: PICTURE}, names=["Mass"])
    assert [(f.name, f.status) for f in found] == [("Mass", "present")]
    assert [(box.view, box.xyxy) for box in found[0].boxes] == [(0, (32, 16, 64, 32))]
    assert found[0].region == found[0].boxes
    assert neighbour_places(None, mine, {0: PICTURE}, names=["Mass"]) == ()


def test_the_corpus_of_these_tests_has_a_box_for_each_finding_that_is_present() -> None:
    findings = [f for s in boxed_corpus.corpus(split="test") for f in s.readings[0].findings]
    assert {len(f.boxes) for f in findings if f.status == "present"} == {1}
    assert not any(f.boxes for f in findings if f.status != "present")
