"""The canonical chest: where the lungs are, what is cut out, and what a checkpoint keeps of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.align.canonical import CanonicalChest, crop_matrix, lung_box, mean_picture
from contrastcxr.models.align.pose import warp


def chest(side: int = 128) -> np.ndarray:
    """A bright body with two dark lungs on a black ground that reaches the border."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    picture = np.where((np.abs(x - 0.5) < 0.45) & (y > 0.1), 0.8, 0.0)
    for middle in (0.32, 0.68):
        picture[((x - middle) / 0.12) ** 2 + ((y - 0.5) / 0.25) ** 2 < 1] = 0.3
    return picture


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_the_box_bounds_both_lungs_with_a_margin(margin: float) -> None:
    found, tight = np.array(lung_box(chest(), margin=margin)), np.array(lung_box(chest()))
    assert tight == pytest.approx([0.2, 0.25, 0.8, 0.75], abs=0.04)
    width, height = tight[2:] - tight[:2]
    assert found == pytest.approx((tight + margin * np.array([-width, -height, width, height])).clip(0, 1))


@pytest.mark.parametrize("picture", [np.zeros((64, 64)), np.linspace(0, 1, 64 * 64).reshape(64, 64)])
def test_a_picture_without_two_lungs_is_an_error_that_says_what_to_give(picture: np.ndarray) -> None:
    with pytest.raises(
        IncompatibleError, match=r"align\.canonical\.crop auto: expected two dark lungs.*give the box"
    ):
        lung_box(picture)


def test_a_crop_is_the_part_of_the_mean_at_its_size() -> None:
    mean = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    found = CanonicalChest.of_mean(mean, images=3, crop=(0.25, 0.5, 0.75, 1.0))
    assert found.picture.shape == (8, 8)
    halves = torch.nn.functional.interpolate(mean[None, None, 4:, 2:6], scale_factor=2, mode="bilinear")[0, 0]
    torch.testing.assert_close(found.picture[1:-1, 1:-1], halves[1:-1, 1:-1])  # away from the edge of the cut


def test_the_whole_picture_is_its_own_crop() -> None:
    mean = torch.rand(1, 1, 6, 6)
    torch.testing.assert_close(warp(mean, crop_matrix((0, 0, 1, 1)).float()[None]), mean)


def test_a_crop_without_an_inside_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="expected \\[x1, y1, x2, y2\\], x1 below x2"):
        CanonicalChest.of_mean(torch.zeros(8, 8), images=1, crop=(0.5, 0.1, 0.5, 0.9))


def test_metadata_and_the_picture_make_it_again() -> None:
    made = CanonicalChest(torch.rand(4, 4), (0.1, 0.2, 0.8, 0.9), 12)
    again = CanonicalChest.from_metadata(made.metadata(), made.picture)
    assert (again.crop, again.images, again.picture) == (made.crop, 12, made.picture)


def test_the_mean_is_of_all_pictures() -> None:
    pictures = [torch.rand(3, 3) for _ in range(5)]
    torch.testing.assert_close(mean_picture(pictures), torch.stack(pictures).mean(0))
