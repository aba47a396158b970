from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.data.pixels import file_size, load_pixels
from contrastcxr.errors import ImageError
from contrastcxr.form import View

GOOD = np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)


def test_pixels_in_memory_are_used_as_they_are() -> None:
    assert load_pixels(View(view_id="v", pixels=GOOD)) is GOOD
    assert load_pixels(View(view_id="v", pixels=GOOD.astype(np.float64))).dtype == np.float32


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.dstack([GOOD] * 3), r"shape \(40, 40, 3\)"),
        ((GOOD * 255).astype(np.uint8), "pixels are uint8"),
        (GOOD * 2, r"beyond \[0, 1\]"),
        (np.where(GOOD > 0.9, np.nan, GOOD), "not numbers"),
        (np.zeros((40, 40), np.float32), "every pixel is the same black"),
        (GOOD[:5], "40×5 pixels"),
    ],
)
def test_other_pixels_in_memory_are_refused(pixels: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        load_pixels(View(view_id="v7", pixels=pixels))
    assert "view 'v7'" in str(caught.value)


def test_files_are_read_by_their_content(png: Callable[..., Path], dicom: Callable[..., Path]) -> None:
    for path in (png("a.jpg"), png("b.png"), dicom("c"), dicom("d.dcm")):
        pixels = load_pixels(View(view_id="v", locator=str(path)))
        assert (pixels.shape, pixels.dtype) == ((48, 64), np.float32)
        assert file_size(path) == (64, 48)


def test_phantoms_are_drawn_again_from_their_locator() -> None:
    view = View(view_id="v", locator="phantom:smoke/train/000001?seed=0&view=frontal")
    pixels = load_pixels(view)
    assert pixels.dtype == np.float32
    assert float(np.ptp(pixels)) > 0.3
    np.testing.assert_array_equal(pixels, load_pixels(view))
