"""Silence while a picture is read, since what libraries warn of quotes values, which may name the patient."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TURN = threading.RLock()


@contextmanager
def no_warnings() -> Iterator[None]:
    """Ignore all warnings inside of the block, one thread at a time: filters are those of the whole process."""
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
