from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from contrastcxr.store.workers import WorkerEndedError, ahead, from_workers


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_process_is_an_error_of_ours_after_what_it_had_made(tmp_path: Path) -> None:
    made = from_workers(DataLoader(Numbers(), batch_size=None, num_workers=1, prefetch_factor=1), into=tmp_path)
    got = []
    with pytest.raises(WorkerEndedError, match=f"{tmp_path}: a worker process ended"):
        got.extend(made)
    assert got == list(range(len(got)))


def test_other_errors_of_a_loader_are_left_as_they_are() -> None:
    def failing() -> object:
        raise RuntimeError("shapes differ")
        yield

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(from_workers(failing(), into="here"))  # type: ignore[call-overload]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_is_made_ahead_comes_in_order(device: str, count: int) -> None:
    taken: list[int] = []
    made = ahead(lambda n: (n, threading.current_thread()), numbers(count, taken), device=device, threads=2)
    found = list(made)
    assert [number for number, _ in found] == taken == list(range(count))
    assert all((thread is threading.main_thread()) == (device == "cpu") for _, thread in found)


def numbers(count: int, taken: list[int]) -> Iterator[int]:
    for number in range(count):
        taken.append(number)
        yield number


def test_beside_a_gpu_the_next_one_is_made_while_the_first_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def make(number: int) -> int:
        begun[number].set()
        return number

    made = ahead(make, range(3), device="cuda")
    assert next(made) == 0
    assert begun[1].wait(60)
    assert not begun[2].is_set()
    made.close()  # type: ignore[attr-defined]
    assert not begun[2].is_set()


def test_on_the_cpu_nothing_is_made_before_it_is_asked_for() -> None:
    begun: list[int] = []
    made = ahead(lambda number: begun.append(number), range(3), device="cpu")
    next(made)
    assert begun == [0]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_fails_ahead_fails_in_its_turn(device: str) -> None:
    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(ahead(lambda number: 6 // number, [3, 2, 0, 1], device=device))
    assert found == [] or found == [2, 3]
