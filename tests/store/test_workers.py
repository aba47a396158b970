from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from contrastcxr.store.workers import WorkerEndedError, from_workers


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
