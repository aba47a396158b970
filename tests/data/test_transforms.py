from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.data.transforms import invert, map_box, resize, resize_affine


def test_resizing_averages_instead_of_skipping() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2).astype(np.float32)
    assert np.abs(resize(checkers, 32)[1:-1, 1:-1] - 0.5).max() < 0.01


def test_boxes_come_back_from_the_model_picture() -> None:
    affine = resize_affine((300, 500), 256, top=9, left=20)
    box = (20.0, 30.0, 200.0, 90.0)
    assert map_box(affine, map_box(invert(affine), box)) == pytest.approx(box)
