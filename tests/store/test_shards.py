from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.errors import OutputError
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


KEYS = st.integers(0, 30).map(key)
SHARDS = st.lists(st.lists(KEYS, max_size=6, unique=True), max_size=5)


@given(SHARDS, st.lists(KEYS, max_size=8))
def test_any_keys_are_found_where_a_dictionary_would_find_them(shards: list[list[str]], asked: list[str]) -> None:
    index, expected = ShardIndex(), {}
    for number, keys in enumerate(shards):
        index.add(keys)
        expected |= {each: (number, row) for row, each in enumerate(keys)}
        assert len(index) == len(expected)
    assert [index.find(each) for each in asked] == [expected.get(each) for each in asked]
    assert index.holds(packed(asked)).tolist() == [each in expected for each in asked]


@given(
    count=st.integers(0, 5),
    shape=st.lists(st.integers(1, 4), max_size=3),
    dtype=st.sampled_from(["float16", "uint8", "<i4", "float64"]),
    turned=st.booleans(),
)
def test_any_rows_that_are_written_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, count: int, shape: list[int], dtype: str, turned: bool
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    written = np.random.default_rng(0).integers(0, 200, (count, *shape)).astype(dtype)
    said = {"keys": [key(i) for i in range(count)], "place": ["é", 1]}
    write_shard(folder / "a", np.asfortranarray(written) if turned else written, said)
    shard = open_shard(folder / "a.json")
    assert shard is not None
    assert (shard.shape, shard.dtype, shard.said) == (written.shape, written.dtype, said)
    for row in range(count):
        assert shard.row(row).dtype == written.dtype
        np.testing.assert_array_equal(shard.row(row), written[row])


@given(st.data())
def test_a_file_cut_anywhere_is_seen_as_absent(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    write_shard(folder / "a", rows(), {"keys": [key(i) for i in range(3)]})
    path = folder / data.draw(st.sampled_from(["a.npy", "a.json"]))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert open_shard(folder / "a.json") is None


def test_a_shard_is_replaced_whole(tmp_path: Path) -> None:
    for count in (3, 2):
        write_shard(tmp_path / "a", rows(count), {"keys": [key(i) for i in range(count)]})
    shard = open_shard(tmp_path / "a.json")
    assert shard is not None
    assert shard.shape == (2, 2, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy"]


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_shard(tmp_path / "a", rows(), {"keys": [object()]})
    assert open_shard(tmp_path / "a.json") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        write_shard(tmp_path / "file" / "a", rows(), {"keys": []})
