"""The order of an epoch, which seed and epoch alone decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.training.order import Share, donors, epoch_batches


@given(count=st.integers(1, 60), size=st.integers(1, 9), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_an_epoch_takes_each_study_at_most_once_in_equal_batches(
    count: int, size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(count, batch_size=size, seed=seed, epoch=epoch)
    taken = [i for batch in batches for i in batch]
    assert len(set(taken)) == len(taken)
    assert {len(batch) for batch in batches} == {min(size, count)}
    assert len(taken) > count - size


def test_only_seed_and_epoch_decide_the_order() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return epoch_batches(20, batch_size=5, seed=seed, epoch=epoch)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=90), size=st.integers(1, 9), seed=st.integers(0, 5)
)
def test_batches_by_length_take_the_same_studies_with_no_more_padding(
    lengths: list[int], size: int, seed: int
) -> None:
    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    plain = epoch_batches(len(lengths), batch_size=size, seed=seed, epoch=0)
    grouped = epoch_batches(len(lengths), batch_size=size, seed=seed, epoch=0, lengths=lengths)
    assert sorted(i for batch in grouped for i in batch) == sorted(i for batch in plain for i in batch)
    assert {len(batch) for batch in grouped} == {len(batch) for batch in plain}
    assert padded(grouped) <= padded(plain)


def test_batches_by_length_do_not_come_in_the_order_of_length() -> None:
    lengths = [i % 50 for i in range(4000)]
    batches = epoch_batches(4000, batch_size=4, seed=0, epoch=0, lengths=lengths)
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches]
    assert sum(spread) / len(spread) < 5  # of 50 lengths


@given(batch=st.lists(st.integers(), max_size=9), world=st.integers(1, 4))
def test_the_shares_of_a_batch_are_the_batch(batch: list[int], world: int) -> None:
    shares = [Share(rank, world).of(batch) for rank in range(world)]
    assert sorted(i for share in shares for i in share) == sorted(batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("count", [2, 3, 50])
def test_donors_are_one_cycle_through_all_places(count: int) -> None:
    found = donors(count, seed=3)
    seen, place = [], 0
    for _ in range(count):
        seen.append(place)
        place = found[place]
    assert sorted(seen) == list(range(count))
    assert place == 0
    assert donors(count, seed=3) == found
