"""Rows of equal shape by key, in files of bounded size: what the caches of pictures and of features are made of.

A shard is `NAME.npy` `[n, …]` and `NAME.json` with the n keys and one small value per row.  The JSON is renamed
into place after the array, so that a run that was stopped leaves only whole shards.  A row is read from its place
in the file and nothing is kept: memory stays flat however many rows are visited, which a map of the whole file,
whose visited pages count as the process's own, would not show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.files import atomic_write

KEY_BYTES = 16


@dataclass(frozen=True, eq=False)
class Shard:
    """One array on disk, `shape [n, …]`, whose values begin at `offset`, and what its index says."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    said: Mapping[str, Any]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def row(self, index: int) -> NDArray[Any]:
        """Return one row, read now."""
        count = int(np.prod(self.shape[1:], dtype=np.int64))
        place = self.offset + index * self.row_bytes
        values = np.fromfile(self.path, dtype=self.dtype, count=count, offset=place)
        return values.reshape(self.shape[1:])


def write_shard(stem: Path, rows: NDArray[Any], said: Mapping[str, Any]) -> None:
    """Write `rows [n, …]` and then their index, which holds `keys` and whatever else is said.

    Raises:
        OutputError: a file cannot be written; no half-written one is left.
    """
    with atomic_write(stem.with_suffix(".npy"), mode="wb") as file:
        np.save(file, np.ascontiguousarray(rows))
    with atomic_write(stem.with_suffix(".json")) as file:
        json.dump(said, file)


def open_shard(index: Path) -> Shard | None:
    """Return the shard of an index file, or None when either file is absent, damaged or of another length."""
    array = index.with_suffix(".npy")
    try:
        said = json.loads(index.read_text(encoding="utf-8"))
        with array.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
        whole = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize == array.stat().st_size
        keys = list(said["keys"])
    except (OSError, ValueError, TypeError, LookupError):
        return None
    if fortran or not whole or len(keys) != shape[0]:
        return None
    return Shard(array, offset, shape, dtype, said)


class ShardIndex:
    """Where each key's row is, over any number of shards, in about 24 bytes a row."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.bytes_]] = []
        self._sorted: NDArray[np.bytes_] | None = None
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._starts: list[int] = [0]

    def add(self, keys: Sequence[str]) -> None:
        """Note the keys of the next shard, row by row."""
        self._keys.append(packed(keys))
        self._starts.append(self._starts[-1] + len(keys))
        self._sorted = None

    def __len__(self) -> int:
        return len(np.unique(self._lookup()))

    def find(self, key: str) -> tuple[int, int] | None:
        """Return the shard and row of a key, or None; of a key that was added twice, the later."""
        known, wanted = self._lookup(), packed([key])
        after = int(np.searchsorted(known, wanted, side="right")[0])
        if not after or known[after - 1] != wanted[0]:
            return None
        position = int(self._order[after - 1])
        shard = int(np.searchsorted(self._starts, position, side="right")) - 1
        return shard, position - self._starts[shard]

    def holds(self, keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return which of the keys (as `packed` gives them) are here, `[n]`."""
        known = self._lookup()
        if not len(known):
            return np.zeros(len(keys), dtype=np.bool_)
        at = np.searchsorted(known, keys).clip(max=len(known) - 1)
        found: NDArray[np.bool_] = known[at] == keys
        return found

    def _lookup(self) -> NDArray[np.bytes_]:
        """Return all keys in order; sorted again after something was added."""
        if self._sorted is None:
            joined = np.concatenate(self._keys) if self._keys else packed([])
            self._order = np.argsort(joined, kind="stable")
            self._sorted = joined[self._order]
            self._keys = [joined]
        return self._sorted


def packed(keys: Sequence[str]) -> NDArray[np.bytes_]:
    """Return keys of 32 hexadecimal letters as `[n]` strings of 16 bytes."""
    return np.frombuffer(bytes.fromhex("".join(keys)), dtype=f"S{KEY_BYTES}")
