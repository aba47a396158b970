"""Pictures that `contrastcxr data prepare` has read and resized, found again by the identity of their files.

A folder `pictures-SIDE` holds shards of squares, uint8 `[n, SIDE, SIDE]`.  Row r of shard i is picture i·n + r of
the source, so that the same source gives the same bytes however many processes write them.  A square is the whole
view, both axes resized on their own; with the size of the original it leads to the same affine as the original.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.pixels import Picture, original
from contrastcxr.errors import ImageError
from contrastcxr.form import View
from contrastcxr.store.keys import view_key
from contrastcxr.store.shards import Shard, ShardIndex, open_shard, packed

FOLDER = "prepared"
"""Below the cache folder; one folder per source."""
SIDE = 256
"""Default side: training at 224 crops from 256, so that its crops start from these very pictures."""
SHARD_BYTES = 16 << 20
"""At most this much in one array (ours): what is lost when a run is killed, and what a process holds at once."""
VERSION = 1


def pictures_folder(folder: Path, side: int) -> Path:
    """Return where a prepared source keeps its pictures of one side."""
    return folder / f"pictures-{side}"


def aligned_folder(folder: Path, side: int, aligner: str) -> Path:
    """Return where a prepared source keeps its pictures as an aligner moved them; no training looks there."""
    return folder / f"aligned-{side}-{aligner}"


def shard_rows(side: int) -> int:
    """Return the number of pictures in a shard."""
    return max(1, SHARD_BYTES // (side * side))


class PictureCache:
    """Squares of one side from any number of prepared sources, read one at a time."""

    def __init__(self, folders: Sequence[Path], side: int) -> None:
        self.folders = tuple(folders)
        self.side = side
        self._shards: list[Shard] = []
        self._shapes: list[NDArray[np.int32]] = []
        self._index = ShardIndex()
        for folder in self.folders:
            for path in sorted(folder.glob("*.json")):
                self._open(path)

    def _open(self, path: Path) -> None:
        shard = open_shard(path)
        if shard is None or shard.shape[1:] != (self.side, self.side):
            return
        self._shards.append(replace(shard, said={"unreadable": shard.said["unreadable"]}))
        self._shapes.append(np.asarray(shard.said["shapes"], dtype=np.int32))
        self._index.add(shard.said["keys"])

    def __reduce__(self) -> tuple[type[PictureCache], tuple[tuple[Path, ...], int]]:
        """Return how another process makes the cache: it opens the shards again."""
        return PictureCache, (self.folders, self.side)

    @property
    def name(self) -> str:
        """What these pixels are: they belong to the identity of whatever is made from them."""
        return f"prepared {self.side} uint8/{VERSION}"

    def __len__(self) -> int:
        return len(self._index)

    def holds(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Return which of these view keys have been prepared, readable or not, `[n]`."""
        return self._index.holds(packed(keys))

    def __call__(self, view: View) -> Picture:
        """Return the view's square; of a view that was never prepared, the original.

        Raises:
            ImageError: the view could not be read when it was prepared, or cannot be now.
        """
        place = self._index.find(view_key(view))
        if place is None:
            return original(view)
        shard, row = place
        message = self._shards[shard].said["unreadable"].get(str(row))
        if message is not None:
            raise ImageError(message)
        height, width = self._shapes[shard][row].tolist()
        return Picture(self._shards[shard].row(row).astype(np.float32) / 255, (height, width))


def find_pictures(root: Path, views: Iterable[View], *, side: int) -> PictureCache | None:
    """Return the smallest prepared pictures that serve a transform, or None.

    All of the views or none: a run in which some pixels come from files and others from squares could not be
    repeated elsewhere.

    Args:
        root: the cache folder.
        views: all that will be read; those whose file is gone do not count.
        side: the picture to which the transform resizes; smaller squares do not serve it.
    """
    found = _folders(root)
    if not any(known >= side for known in found):
        return None
    keys = list(dict.fromkeys(_keys(views)))
    for known in sorted(k for k in found if k >= side):
        cache = PictureCache(found[known], known)
        if keys and cache.holds(keys).all():
            return cache
    return None


def _folders(root: Path) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = defaultdict(list)
    for path in sorted((root / FOLDER).glob("*/pictures-*")):
        if match := re.fullmatch(r"pictures-(\d+)", path.name):
            found[int(match[1])].append(path)
    return found


def _keys(views: Iterable[View]) -> Iterable[str]:
    for view in views:
        try:
            yield view_key(view)
        except ImageError:
            continue
