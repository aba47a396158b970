"""A view follows from its parameters alone, and boxes from what was drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from contrastcxr.errors import RequestError
from contrastcxr.phantom import PhantomParameters, render, sample
from contrastcxr.phantom.grid import make_grid, pixel_affine
from contrastcxr.phantom.placing import PLACERS
from contrastcxr.phantom.sampling import without_lesions
from contrastcxr.phantom.twins import mirror

SIZE = 128


def visible(finding: str) -> PhantomParameters:
    drawn = (sample(seed, level="easy", findings=(finding,)) for seed in range(40, 60))
    return next(p for p in drawn if p.lesions[0].visible)


def test_the_same_parameters_give_the_same_pixels() -> None:
    first, second = render(sample(7), size=SIZE), render(sample(7), size=SIZE)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.boxes == second.boxes


def test_pixels_are_float32_in_unit_range_and_use_it() -> None:
    pixels = render(sample(8), size=SIZE).pixels
    assert pixels.shape == (SIZE, SIZE)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < 0.05
    assert 0.8 < pixels.max() <= 1


@pytest.mark.parametrize("finding", sorted(PLACERS))
def test_every_finding_changes_the_picture_where_its_mask_is(finding: str) -> None:
    parameters = visible(finding)
    quiet = dataclasses.replace(
        parameters.technique, photons_per_mm2=1e9, sharpen=0.0, collimation_mm=(0.0, 0.0, 0.0, 0.0)
    )
    parameters = dataclasses.replace(parameters, technique=quiet)
    drawn, bare = render(parameters, size=SIZE), render(without_lesions(parameters), size=SIZE)
    change = np.abs(drawn.pixels - bare.pixels)
    mask = np.logical_or.reduce(list(drawn.masks.values()))
    assert change[mask].mean() > 2 * np.median(change[~mask])
    assert change[mask].mean() > 0.004


@pytest.mark.parametrize("seed", range(6))
def test_boxes_lie_inside_the_picture_and_tightly_around_their_masks(seed: int) -> None:
    drawn = render(sample(seed, normal=False), size=SIZE)
    for index, (x1, y1, x2, y2) in drawn.boxes.items():
        mask = drawn.masks[index]
        assert 0 <= x1 < x2 <= SIZE
        assert 0 <= y1 < y2 <= SIZE
        inside = mask[int(y1) : int(y2), int(x1) : int(x2)]
        assert inside.sum() == mask.sum()
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_a_box_keeps_its_place_at_another_size() -> None:
    parameters = sample(3, findings=("Mass",))
    small, large = render(parameters, size=128).boxes[0], render(parameters, size=384).boxes[0]
    np.testing.assert_allclose(np.array(large) / 3, small, atol=1.5)


def test_exposure_and_window_change_pixels_and_not_truth() -> None:
    parameters = sample(9, findings=("Nodule",))
    other = dataclasses.replace(parameters.technique, photons_per_mm2=2e5, gamma=1.3, black=0.2, noise_seed=1)
    jittered = dataclasses.replace(parameters, technique=other)
    first, second = render(parameters, size=SIZE), render(jittered, size=SIZE)
    assert np.abs(first.pixels - second.pixels).mean() > 0.01
    assert first.boxes == second.boxes


def test_a_mirrored_chest_is_the_flipped_picture_but_for_the_marker() -> None:
    parameters = sample(11, findings=("Pleural Effusion",))
    marker = dataclasses.replace(parameters.technique, marker_mm=(150.0, -190.0))
    parameters = dataclasses.replace(parameters, technique=marker)
    plain, flipped = render(parameters, size=SIZE), render(mirror(parameters), size=SIZE)
    below = slice(SIZE // 3, None)
    np.testing.assert_allclose(flipped.pixels[below], plain.pixels[below, ::-1], atol=2e-3)
    x1, y1, x2, y2 = plain.boxes[0]
    np.testing.assert_allclose(flipped.boxes[0], (SIZE - x2, y1, SIZE - x1, y2), atol=1)


def test_the_affine_says_where_a_point_of_the_body_is() -> None:
    parameters = sample(12)
    grid = make_grid(parameters.pose, size=SIZE)
    row, column = 70, 41
    point = np.array([grid.x[row, column], grid.y[row, column], 1.0])
    np.testing.assert_allclose(pixel_affine(parameters.pose, size=SIZE) @ point, (column, row), atol=1e-2)


def test_a_lateral_view_shows_a_lesion_at_its_depth() -> None:
    parameters = sample(3, findings=("Mass",))
    drawn = render(parameters, size=SIZE, view="lateral")
    bare = render(without_lesions(parameters), size=SIZE, view="lateral")
    change = np.abs(drawn.pixels - bare.pixels)
    assert change[drawn.masks[0]].mean() > 3 * change[~drawn.masks[0]].mean()


def test_a_lesion_outside_the_collimator_has_no_box() -> None:
    parameters = sample(3, findings=("Nodule",))
    closed = dataclasses.replace(parameters.technique, collimation_mm=(370.0, 0.0, 0.0, 0.0))
    assert render(dataclasses.replace(parameters, technique=closed), size=SIZE).boxes == {}


@pytest.mark.parametrize("size", [16, 5000])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(RequestError, match="expected 32 to 4096"):
        render(sample(1), size=size)


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(RequestError, match="expected 'frontal' or 'lateral'"):
        render(sample(1), size=64, view="oblique")  # type: ignore[arg-type]
