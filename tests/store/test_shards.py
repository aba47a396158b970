from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.store.shards import ShardIndex, open_shard, packed, write_shard


def key(name: object) -> str:
    return hashlib.blake2b(str(name).encode(), digest_size=16).hexdigest()


def rows(count: int = 3) -> np.ndarray:
    return np.arange(count * 6, dtype=np.float16).reshape(count, 2, 3)


def test_a_row_is_what_was_written(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", rows(), {"keys": [key(i) for i in range(3)], "more": "said"})
    shard = open_shard(tmp_path / "a.json")
    assert shard is not None
    assert shard.said["more"] == "said"
    for i in range(3):
        np.testing.assert_array_equal(shard.row(i), rows()[i])


@pytest.mark.parametrize("damage", ["no array", "no index", "cut array", "cut index", "other length", "no npy"])
def test_a_damaged_shard_is_as_if_it_were_not_there(tmp_path: Path, damage: str) -> None:
    array, index = tmp_path / "a.npy", tmp_path / "a.json"
    write_shard(tmp_path / "a", rows(), {"keys": [key(i) for i in range(2 if damage == "other length" else 3)]})
    if damage == "no npy":
        array.write_bytes(b"x" * 200)
    elif damage.startswith("no "):
        (array if damage == "no array" else index).unlink()
    elif damage.startswith("cut"):
        path = array if damage == "cut array" else index
        path.write_bytes(path.read_bytes()[:-1])
    assert open_shard(index) is None


def test_keys_are_found_over_several_shards() -> None:
    index = ShardIndex()
    assert index.find(key(0)) is None
    assert not index.holds(packed([key(0)])).any()
    for shard in range(3):
        index.add([key((shard, row)) for row in range(shard + 1)])
    assert len(index) == 6
    for shard in range(3):
        for row in range(shard + 1):
            assert index.find(key((shard, row))) == (shard, row)
    assert index.find(key("another")) is None
    assert index.holds(packed([key((2, 1)), key("another")])).tolist() == [True, False]


def test_a_key_that_ends_in_zeros_is_another_than_its_beginning() -> None:
    whole, zeros = "ab" * 16, "ab" * 8 + "00" * 8
    index = ShardIndex()
    index.add([zeros])
    assert index.find(whole) is None
    assert index.find(zeros) == (0, 0)


def test_of_a_key_added_twice_the_later_row_is_found() -> None:
    index = ShardIndex()
    index.add([key(1), key(2)])
    index.add([key(3), key(1)])
    assert index.find(key(1)) == (1, 1)
    assert len(index) == 3
