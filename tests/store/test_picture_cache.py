"""Squares that were prepared, found again by view."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.data.pixels import original
from contrastcxr.errors import ImageError
from contrastcxr.form import View
from contrastcxr.store.keys import view_key
from contrastcxr.store.picture_cache import (
    FOLDER,
    SHARD_BYTES,
    PictureCache,
    find_pictures,
    pictures_folder,
    shard_rows,
)
from contrastcxr.store.shards import write_shard

SIDE = 8


def picture(folder: Path, name: str, height: int = 40) -> View:
    pixels = np.random.default_rng(len(name) + height).integers(0, 255, (height, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return View(view_id=name, locator=str(folder / f"{name}.png"))


def keep(folder: Path, views: list[View], *, side: int = SIDE, unreadable: dict[str, str] | None = None) -> None:
    """Write a shard as preparing does: square r is all r."""
    squares = np.stack([np.full((side, side), row, np.uint8) for row in range(len(views))])
    said = {
        "keys": [view_key(view) for view in views],
        "shapes": [[40 + row, 50] for row in range(len(views))],
        "unreadable": unreadable or {},
    }
    write_shard(pictures_folder(folder, side) / "00000", squares, said)


@pytest.fixture
def views(tmp_path: Path) -> list[View]:
    return [picture(tmp_path, f"v{number}") for number in range(3)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / FOLDER / "manifest-0"


def test_a_square_comes_with_the_size_of_its_original(source: Path, views: list[View]) -> None:
    keep(source, views)
    cache = PictureCache([pictures_folder(source, SIDE)], SIDE)
    assert len(cache) == 3
    assert cache.holds([view_key(views[1]), "00" * 16]).tolist() == [True, False]
    for row, view in enumerate(views):
        found = cache(view)
        assert found.pixels.dtype == np.float32
        np.testing.assert_array_equal(found.pixels, np.full((SIDE, SIDE), np.float32(row) / 255))
        assert found.shape == (40 + row, 50)


def test_a_view_that_was_never_prepared_is_read_from_its_file(
    source: Path, views: list[View], tmp_path: Path
) -> None:
    keep(source, views[:1])
    other = picture(tmp_path, "other", 60)
    found = PictureCache([pictures_folder(source, SIDE)], SIDE)(other)
    np.testing.assert_array_equal(found.pixels, original(other).pixels)
    assert found.shape == (60, 50)


def test_a_view_that_could_not_be_read_says_so_again(source: Path, views: list[View]) -> None:
    keep(source, views, unreadable={"1": "v1.png: broken"})
    cache = PictureCache([pictures_folder(source, SIDE)], SIDE)
    with pytest.raises(ImageError, match=r"^v1\.png: broken$"):
        cache(views[1])
    assert cache(views[2]).shape == (42, 50)
    assert cache.holds([view_key(views[1])]).all()


def test_another_process_opens_the_same_squares(source: Path, views: list[View]) -> None:
    keep(source, views)
    cache = PictureCache([pictures_folder(source, SIDE)], SIDE)
    again = pickle.loads(pickle.dumps(cache))
    assert (again.name, len(again), again.folders) == (cache.name, 3, cache.folders)
    np.testing.assert_array_equal(again(views[2]).pixels, cache(views[2]).pixels)


def test_shards_of_another_side_and_damaged_ones_are_passed_over(source: Path, views: list[View]) -> None:
    keep(source, views)
    folder = pictures_folder(source, SIDE)
    assert len(PictureCache([folder], SIDE + 1)) == 0
    (folder / "00000.npy").write_bytes((folder / "00000.npy").read_bytes()[:-1])
    assert len(PictureCache([folder], SIDE)) == 0
    assert len(PictureCache([source / "nothing"], SIDE)) == 0


def test_the_smallest_side_that_serves_is_taken(source: Path, views: list[View], tmp_path: Path) -> None:
    keep(source, views, side=8)
    keep(source, views, side=16)
    for wanted, given in ((4, 8), (8, 8), (9, 16), (16, 16)):
        found = find_pictures(tmp_path, views, side=wanted)
        assert found is not None
        assert found.side == given
    assert find_pictures(tmp_path, views, side=17) is None


def test_a_larger_side_serves_where_the_smaller_lacks_a_view(
    source: Path, views: list[View], tmp_path: Path
) -> None:
    keep(source, views[:2], side=8)
    keep(source, views, side=16)
    found = find_pictures(tmp_path, views, side=8)
    assert found is not None
    assert found.side == 16


def test_views_whose_file_is_gone_do_not_count(source: Path, views: list[View], tmp_path: Path) -> None:
    keep(source, views)
    gone = View(view_id="gone", locator=str(tmp_path / "gone.png"))
    assert find_pictures(tmp_path, [*views, gone], side=SIDE) is not None
    assert find_pictures(tmp_path, [gone], side=SIDE) is None


def test_what_is_no_folder_of_pictures_is_passed_over(source: Path, views: list[View], tmp_path: Path) -> None:
    (source / "pictures-large").mkdir(parents=True)
    assert find_pictures(tmp_path, views, side=SIDE) is None


@pytest.mark.parametrize(("side", "rows"), [(256, 256), (4096, 1), (5000, 1)])
def test_a_shard_is_bounded_in_bytes_and_holds_at_least_one_picture(side: int, rows: int) -> None:
    assert shard_rows(side) == rows
    assert rows == 1 or rows * side * side <= SHARD_BYTES
