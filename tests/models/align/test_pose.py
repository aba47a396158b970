"""Poses: the affine in plain loops, sampling, the cells inside, bounds, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastcxr.data.transforms import invert, map_points
from contrastcxr.models.align.pose import (
    beyond,
    cells_inside,
    compose,
    pixel_matrix,
    pose_matrix,
    pose_of,
    warp,
    why_beyond,
    within_bounds,
    without_pose,
)
from contrastcxr.models.features import GridPlaces

POSES = [
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (0.1, -0.2, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.3, -0.4, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.35),
    (-0.3, 0.25, -0.2, 0.15, -0.6),
]


def random_poses(count: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([0.5, 0.5, math.log(2), math.log(2), math.pi / 4])
    return (torch.rand(count, 5, generator=generator, dtype=torch.float64) * 2 - 1) * spread


def plain_place(pose: tuple[float, ...], x: float, y: float) -> tuple[float, float]:
    """Equation 1 of paper B, as printed."""
    tx, ty, ux, uy, angle = pose
    sx, sy = math.exp(ux), math.exp(uy)
    return (
        sx * math.cos(angle) * x - sy * math.sin(angle) * y + tx,
        sx * math.sin(angle) * x + sy * math.cos(angle) * y + ty,
    )


@pytest.mark.parametrize("pose", POSES)
def test_a_pose_is_the_affine_of_equation_1(pose: tuple[float, ...]) -> None:
    matrix = pose_matrix(torch.tensor(pose, dtype=torch.float64))
    for x, y in [(-1.0, -1.0), (0.3, -0.8), (1.0, 0.5)]:
        found = matrix @ torch.tensor([x, y, 1.0], dtype=torch.float64)
        assert found.tolist() == pytest.approx(plain_place(pose, x, y))


@pytest.mark.parametrize("pose", POSES)
def test_a_picture_is_sampled_where_the_pose_says(pose: tuple[float, ...]) -> None:
    picture = torch.rand(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = warp(picture[None, None], pose_matrix(torch.tensor([pose], dtype=torch.float64)))[0, 0]
    height, width = picture.shape
    for row in range(height):
        for column in range(width):
            x, y = plain_place(pose, (2 * column + 1) / width - 1, (2 * row + 1) / height - 1)
            at_x, at_y = (x + 1) * width / 2 - 0.5, (y + 1) * height / 2 - 0.5
            wanted = 0.0
            for r in range(height):
                for c in range(width):
                    near = max(0.0, 1 - abs(at_y - r)) * max(0.0, 1 - abs(at_x - c))
                    wanted += near * float(picture[r, c])
            assert float(found[row, column]) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("size", [8, 64, 512])
def test_pixels_move_as_places_between_minus_1_and_1_do(size: int) -> None:
    matrix = pose_matrix(random_poses(20))
    places = torch.rand(20, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1
    moved = torch.einsum("nij,nj->ni", matrix[..., :2], places) + matrix[..., 2]
    pixels, own = (places + 1) * size / 2, pixel_matrix(matrix, size)
    found = torch.einsum("nij,nj->ni", own[..., :2], pixels) + own[..., 2]
    torch.testing.assert_close(found, (moved + 1) * size / 2)


def test_a_place_comes_back_from_the_original_to_where_it_was() -> None:
    affine = torch.tensor([[3.1, 0.0, 4.0], [0.0, 2.7, -2.0]], dtype=torch.float64)
    places = np.random.default_rng(0).uniform(0, 128, (50, 2))
    for pose in random_poses(40):
        there = compose(affine, pose, 128).float()  # as a batch holds it
        original = map_points(there.double().numpy(), places)
        back = map_points(invert(there.double().numpy()), original)
        assert np.abs(back - places).max() < 1e-9
        exact = map_points(invert(compose(affine, pose, 128).numpy()), original)
        assert np.abs(exact - places).max() < 0.01  # far below a pixel
        torch.testing.assert_close(without_pose(compose(affine, pose, 128), pose, 128), affine)


def test_a_matrix_that_is_a_pose_gives_it_back() -> None:
    poses = random_poses(50)
    torch.testing.assert_close(pose_of(pose_matrix(poses)), poses)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        ((0.0, 0.0, math.log(2), -math.log(2), 0.0), ""),
        ((0.5, -0.5, 0.0, 0.0, math.pi / 4), ""),
        ((0.0, 0.0, 0.7, 0.0, 0.0), "scale 2.01 and 1.00, outside of 0.5 to 2"),
        ((0.0, 0.0, 0.0, -0.8, 0.0), "scale 1.00 and 0.45, outside of 0.5 to 2"),
        ((0.0, 0.7, 0.0, 0.0, 0.0), "shift 0.00 and 0.35 of a side, beyond 0.25"),
        ((0.0, 0.0, 0.0, 0.0, -1.0), "turn -57°, beyond 45°"),
        ((0.0, 0.0, math.nan, 0.0, 0.0), "scale nan and 1.00, outside of 0.5 to 2"),
        ((0.0, 0.0, 1e9, 0.0, 2.0), "outside of 0.5 to 2; turn 115°, beyond 45°"),
    ],
)
def test_a_pose_beyond_its_bounds_moves_nothing_and_says_why(pose: tuple[float, ...], words: str) -> None:
    given = torch.tensor(pose, dtype=torch.float64)
    assert bool(beyond(given)) == bool(words)
    assert within_bounds(given).tolist() == ([0.0] * 5 if words else list(pose))
    assert why_beyond(given).endswith(words)


@pytest.mark.parametrize("pose", [*POSES, (0.5, 0.5, 0.69, 0.69, 0.7)])
@pytest.mark.parametrize("grid", [GridPlaces(7, 7), GridPlaces(16, 12), GridPlaces(2, 2)])
def test_cells_count_whose_centre_is_inside_of_the_picture(pose: tuple[float, ...], grid: GridPlaces) -> None:
    found = cells_inside(torch.tensor(pose, dtype=torch.float64), grid).reshape(grid.rows, grid.columns)
    inside = 0
    for row in range(grid.rows):
        for column in range(grid.columns):
            place = plain_place(pose, (2 * column + 1) / grid.columns - 1, (2 * row + 1) / grid.rows - 1)
            wanted = max(map(abs, place)) <= 1
            inside += wanted
            assert bool(found[row, column]) == wanted or (wanted is False and not inside)
    assert bool(found.any())


def test_every_study_keeps_a_cell_and_lost_pictures_keep_all() -> None:
    assert cells_inside(random_poses(500), GridPlaces(4, 4)).any(dim=-1).all()
    assert cells_inside(torch.full((3, 5), 9.0), GridPlaces(4, 4)).all()
