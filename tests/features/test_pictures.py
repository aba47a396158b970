from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastcxr.data.transforms import Preprocess, map_box, map_points
from contrastcxr.features.pictures import random_crop, whole_picture


def planes(height: int, width: int) -> np.ndarray:
    """A picture whose value is its own position: x rises by 1/width, y by 1/(4·height)."""
    y, x = np.mgrid[:height, :width] + 0.5
    return ((x / width + y / (4 * height)) / 1.25).astype(np.float32)


PLAIN = Preprocess(size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_test_transform_is_the_whole_picture_in_three_equal_normalised_channels() -> None:
    preprocess = Preprocess(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5))
    image, _ = whole_picture(preprocess, np.ones((40, 60), np.float32))
    assert image.shape == (3, 16, 16)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([1.0, 2.0, 1.0]))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 70), (33, 90)])
def test_test_affine_leads_from_model_pixels_to_where_their_value_came_from(height: int, width: int) -> None:
    image, affine = whole_picture(PLAIN, planes(height, width))
    assert_values_match(image, affine, height, width)


@pytest.mark.parametrize("seed", range(5))
def test_train_affine_leads_from_crops_to_where_their_value_came_from(seed: int) -> None:
    image, affine = random_crop(PLAIN, planes(90, 120), torch.Generator().manual_seed(seed))
    assert_values_match(image, affine, 90, 120)


def assert_values_match(image: torch.Tensor, affine: np.ndarray, height: int, width: int) -> None:
    inner = np.mgrid[4:28, 4:28].reshape(2, -1)[::-1].T + 0.5  # centres (x, y), away from the border
    x, y = map_points(affine, inner).T
    expected = (x / width + y / (4 * height)) / 1.25
    got = image[0, 4:28, 4:28].numpy().ravel()
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_training_never_flips() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        image, affine = random_crop(PLAIN, planes(64, 64), generator)
        assert bool((image[0].diff(dim=1) > 0).all())
        assert affine[0, 0] > 0


def test_training_crops_follow_their_generator() -> None:
    crops = [random_crop(PLAIN, planes(64, 64), torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])


def test_the_whole_model_picture_is_the_whole_original() -> None:
    _, affine = whole_picture(PLAIN, planes(300, 500))
    assert map_box(affine, (0, 0, 32, 32)) == pytest.approx((0, 0, 500, 300))
