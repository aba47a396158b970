"""Worker processes that read pictures, the word for one that is gone, and threads that read beside a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from contrastcxr.errors import OutputError

T = TypeVar("T")
U = TypeVar("U")


class WorkerEndedError(OutputError):
    """A process that read pictures was ended from outside, or for want of memory."""


def from_workers(made: Iterable[T], *, into: object) -> Iterator[T]:
    """Yield what the processes of a `DataLoader` make.

    Args:
        made: the loader.
        into: the folder that keeps what was finished, for the message.

    Raises:
        WorkerEndedError: one of the processes is gone.
    """
    try:
        yield from made
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerEndedError(
            f"{into}: a worker process ended ({str(error).splitlines()[0]}); what was finished is kept; "
            "run the same command again, with fewer --workers if memory was short"
        ) from error


def ahead(make: Callable[[T], U], things: Iterable[T], *, device: str, threads: int = 1) -> Iterator[U]:
    """Yield what `make` gives of each thing, in order; the next ones are made while another device computes.

    What `make` raises is raised in its turn. The things themselves are taken by whoever asks for the next one.

    Args:
        make: called in threads, or on the CPU, which has nothing to spare, in this one.
        things: any number.
        device: the type of what computes, `cpu`, `cuda`, …
        threads: each has a thing in the making, or made and waiting.
    """
    if device == "cpu":
        yield from map(make, things)
        return
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[U]]()
    try:
        for thing in things:
            waiting.append(pool.submit(make, thing))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
