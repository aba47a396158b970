"""Boxes as cells, against a polygon clip in plain loops, and whose boxes of which views they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from contrastcxr.data.transforms import resize_affine
from contrastcxr.features.batch import Sample, collate, rows_of
from contrastcxr.features.box_cells import BoxReader, overlapping_cells
from contrastcxr.features.samples import StudySamples, Target
from contrastcxr.form import Author, Box, Finding, Reading, Study, View
from polygon_clip import by_clipping

SIZE = 64


def rotated(
    degrees: float, *, scale: tuple[float, float] = (2.0, 3.0), shift: tuple[float, float] = (20, -9)
) -> np.ndarray:
    """An affine that turns the model's picture about its corner."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.concatenate([np.diag(scale) @ turn, np.array(shift, np.float64)[:, None]], axis=1)


def random_box(rng: np.random.Generator, affine: np.ndarray) -> tuple[float, float, float, float]:
    x, y = affine @ (*rng.uniform(0, SIZE, 2), 1.0)
    wide, tall = rng.uniform(1, 60, 2)
    return float(x), float(y), float(x + wide), float(y + tall)


@pytest.mark.parametrize("degrees", [0.0, 7.0, -23.0, 45.0, 90.0, 133.0])
@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (5, 11)])
def test_cells_of_a_rotated_picture_are_those_of_a_polygon_clip(degrees: float, rows: int, columns: int) -> None:
    rng, affine = np.random.default_rng(3), rotated(degrees)
    for _ in range(20):
        box = random_box(rng, affine)
        found = overlapping_cells(box, affine, rows, columns, SIZE)
        assert (found == by_clipping(box, affine, rows, columns, size=SIZE)).all(), box


def test_a_box_beside_a_rotated_picture_overlaps_no_cell_though_their_bounds_meet() -> None:
    affine = rotated(45.0, scale=(1.0, 1.0), shift=(50.0, 0.0))  # a diamond: its bounds begin at 50 - 45
    assert not overlapping_cells((6.0, 1.0, 16.0, 9.0), affine, 4, 4, SIZE).any()
    assert overlapping_cells((45.0, 1.0, 55.0, 9.0), affine, 4, 4, SIZE).any()


def test_any_overlap_counts_and_an_edge_on_an_edge_is_none() -> None:
    affine = resize_affine((128, 128), SIZE)  # cells of 32 pixels of the original
    one = np.zeros((4, 4), dtype=bool)
    one[1, 2] = True
    assert (overlapping_cells((64, 32, 96, 64), affine, 4, 4, SIZE) == one).all()
    assert overlapping_cells((63.9, 32, 96, 64.1), affine, 4, 4, SIZE).sum() == 4
    assert (overlapping_cells((80, 40, 80.1, 40.1), affine, 4, 4, SIZE) == one).all()


def test_float32_affines_move_no_edge_over_another() -> None:
    """A third of 1,000 pixels is no float32: a box that ends with a cell must not reach the next one."""
    affine = torch.from_numpy(resize_affine((1000, 1000), 96)).float().double().numpy()
    found = overlapping_cells((0, 0, 500, 1000), affine, 6, 6, 96)
    assert found[:, :3].all()
    assert not found[:, 3:].any()


# Whose boxes


NAMES = ("Mass", "Nodule")


def reading(author: str, **boxes: Sequence[Box]) -> Reading:
    findings = tuple(Finding(name=name, status="present", boxes=tuple(each)) for name, each in boxes.items())
    return Reading(study_id="s", author=Author(kind="human", name=author), findings=findings)


def study(*readings: Reading, views: int = 2) -> Study:
    made = tuple(View(view_id=f"v{i}", locator="phantom:none", width=SIZE, height=SIZE) for i in range(views))
    return Study(study_id="s", views=made, readings=readings)


def read(made: Study, view_index: tuple[int, ...] = (0, 1)) -> np.ndarray:
    affines = torch.eye(2, 3).repeat(len(view_index), 1, 1)
    found = BoxReader(NAMES, 4, 4, SIZE).boxes(made, view_index).cells(affines)
    assert found.dtype == torch.bool
    return found.unflatten(2, (4, 4)).numpy()


def test_boxes_of_all_findings_may_be_of_one() -> None:
    """Cells of both findings, and of no third one, in one row of one finding."""
    made = study(
        reading(
            "a",
            Mass=[Box(xyxy=(0, 0, 10, 10))],
            Nodule=[Box(xyxy=(40, 50, 50, 60))],
            Edema=[Box(xyxy=(60, 0, 64, 4))],
        )
    )
    reader = BoxReader(NAMES, 4, 4, SIZE, as_one=True)
    found = reader.boxes(made, (0, 1)).cells(torch.eye(2, 3).repeat(2, 1, 1))
    assert found.shape == (2, 1, 16)
    assert torch.equal(found[:, 0], torch.from_numpy(read(made)).flatten(2).any(dim=1))
    assert bool(found[0].any())


def test_each_view_has_the_union_of_a_findings_boxes_in_it() -> None:
    first, second, other = (0, 0, 10, 10), (40, 50, 50, 60), (20, 0, 30, 10)
    boxes = [Box(xyxy=first), Box(xyxy=second), Box(view=1, xyxy=other)]
    found = read(study(reading("a", Mass=boxes)))
    wanted = np.zeros((2, 2, 4, 4), dtype=bool)
    wanted[0, 0, 0, 0] = wanted[0, 0, 3, 2:4] = wanted[1, 0, 0, 1] = True
    assert (found == wanted).all()


def test_the_views_that_are_shown_have_theirs_in_their_order() -> None:
    made = study(reading("a", Mass=[Box(xyxy=(0, 0, 9, 9))], Nodule=[Box(view=1, xyxy=(50, 50, 60, 60))]))
    found = read(made, (1,))
    assert found.shape == (1, 2, 4, 4)
    assert not found[0, 0].any()
    assert found[0, 1, 3, 3]


def test_boxes_of_whoever_drew_them_and_of_findings_that_are_learnt_alone() -> None:
    labels = Reading(
        study_id="s",
        author=Author(kind="rule", name="nih14 labels"),
        findings=(Finding(name="Mass", status="absent"),),
    )
    drawn = reading("nih14 boxes", Mass=[Box(xyxy=(0, 0, 9, 9))], Hernia=[Box(xyxy=(50, 50, 60, 60))])
    found = read(study(labels, drawn))
    assert found.sum() == found[0, 0, 0, 0] == 1
    assert not read(study(labels)).any()
    assert not read(study()).any()


def sample(views: int, **fields: torch.Tensor) -> Sample:
    return Sample("s", None, torch.eye(2, 3).repeat(views, 1, 1), ("PA",) * views, tuple(range(views)), **fields)


def test_samples_have_the_boxes_where_they_are_given_a_reader() -> None:
    made = study(reading("a", Mass=[Box(xyxy=(0, 0, 9, 9))]), views=1)
    one = sample(1)
    with_boxes = StudySamples([made], [Target()], lambda *_: one, boxes=BoxReader(NAMES, 4, 4, SIZE))
    assert with_boxes[0].box_cells is not None
    assert with_boxes[0].box_cells.shape == (1, 2, 16)
    assert StudySamples([made], [Target()], lambda *_: one)[0].box_cells is None


def test_a_batch_pads_views_without_boxes_and_its_rows_lose_them_again() -> None:
    full = torch.ones(2, 3, 4, dtype=torch.bool)
    batch = collate([sample(2, box_cells=full), sample(1, box_cells=full[:1])])
    assert batch.box_cells is not None
    assert batch.box_cells.shape == (2, 2, 3, 4)
    assert batch.box_cells[0].all()
    assert batch.box_cells[1, 0].all()
    assert not batch.box_cells[1, 1].any()
    alone = rows_of(batch, [1]).box_cells
    assert alone is not None
    assert alone.shape == (1, 1, 3, 4)


# Corners


def corners(made: Study, affine: np.ndarray, view_index: tuple[int, ...] = (0, 1)) -> torch.Tensor:
    affines = torch.from_numpy(affine).float().repeat(len(view_index), 1, 1)
    return BoxReader(NAMES, 1, 1, SIZE, as_corners=True).boxes(made, view_index).corners(affines)


def test_corners_are_those_of_the_models_picture_and_nan_behind_them() -> None:
    made = study(reading("a", Mass=[Box(xyxy=(0, 0, 20, 30)), Box(xyxy=(64, 64, 128, 96))], Nodule=[]))
    found = corners(made, resize_affine((128, 128), SIZE))
    assert found.shape == (2, 2, 4)
    assert found[0].tolist() == [[0.0, 0.0, 10.0, 15.0], [32.0, 32.0, 64.0, 48.0]]
    assert bool(found[1].isnan().all())


def test_corners_are_cut_at_the_sides_and_what_is_outside_or_thin_is_none() -> None:
    boxes = [(10.0, 10.0, 38.0, 20.0), (100.0, 0.0, 120.0, 9.0), (33.0, 3.0, 33.5, 30.0)]
    made = study(reading("a", Mass=[Box(xyxy=xyxy) for xyxy in boxes]), views=1)
    found = corners(made, np.array([[1.0, 0.0, 30.0], [0.0, 1.0, 0.0]]), (0,))
    assert found.tolist() == [[[0.0, 10.0, 8.0, 20.0]]]


def test_a_box_in_a_turned_picture_has_the_corners_that_bound_it() -> None:
    made = study(reading("a", Mass=[Box(xyxy=(20.0, 20.0, 40.0, 30.0))]), views=1)
    found = corners(made, rotated(90.0, scale=(1.0, 1.0), shift=(64.0, 0.0)), (0,))
    assert found[0, 0].tolist() == pytest.approx([20.0, 24.0, 30.0, 44.0], abs=1e-4)


def test_samples_have_corners_where_the_reader_gives_them() -> None:
    made = study(reading("a", Mass=[Box(xyxy=(0, 0, 9, 9))]), views=1)
    one = sample(1)
    samples = StudySamples([made], [Target()], lambda *_: one, boxes=BoxReader(NAMES, 4, 4, SIZE, as_corners=True))
    assert samples[0].box_cells is None
    assert samples[0].box_corners is not None
    assert samples[0].box_corners.tolist() == [[[0.0, 0.0, 9.0, 9.0]]]


def test_a_batch_pads_corners_with_nan_and_its_rows_lose_absent_views() -> None:
    batch = collate([sample(2, box_corners=torch.ones(2, 1, 4)), sample(1, box_corners=torch.ones(1, 3, 4))])
    assert batch.box_corners is not None
    assert batch.box_corners.shape == (2, 2, 3, 4)
    assert batch.box_corners.isfinite().all(dim=3).sum(dim=2).tolist() == [[1, 1], [3, 0]]
    alone = rows_of(batch, [1]).box_corners
    assert alone is not None
    assert alone.shape == (1, 1, 3, 4)
