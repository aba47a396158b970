"""Worker processes that read pictures, and the word for one that is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from contrastcxr.errors import OutputError

T = TypeVar("T")


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
