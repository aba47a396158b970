"""The lines of a run: all of them in its log file, those of a spawned process in the one that spawned it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from multiprocessing import get_context
from pathlib import Path

_PACKAGE = logging.getLogger("contrastcxr")


@contextmanager
def run_log(path: Path, *, earlier: Iterable[logging.LogRecord] = ()) -> Iterator[None]:
    """Append what the package logs to a file, whether or not it is shown elsewhere too, and first what it had."""
    handler = logging.FileHandler(path, encoding="utf-8")
    for record in earlier:
        handler.handle(record)
    with _heard_by(handler):
        yield


@contextmanager
def kept_lines() -> Iterator[Sequence[logging.LogRecord]]:
    """Keep what the package logs, for the log of a run that has no folder yet."""
    keeper = _Keeper()
    with _heard_by(keeper):
        yield keeper.records


@contextmanager
def _heard_by(handler: logging.Handler) -> Iterator[None]:
    level, propagate = _PACKAGE.level, _PACKAGE.propagate
    # This one needs INFO also where nobody asked to see it; the rest of the program must not see more for that.
    handlers = [handler, _Onward(_PACKAGE.getEffectiveLevel())]
    for handler in handlers:
        _PACKAGE.addHandler(handler)
    _PACKAGE.setLevel(logging.INFO)
    _PACKAGE.propagate = False
    try:
        yield
    finally:
        _PACKAGE.setLevel(level)
        _PACKAGE.propagate = propagate
        for handler in handlers:
            _PACKAGE.removeHandler(handler)
            handler.close()


@contextmanager
def silence() -> Iterator[None]:
    """Let the package log nothing but errors: of several processes only the first one speaks."""
    level = _PACKAGE.level
    _PACKAGE.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _PACKAGE.setLevel(level)


class _Onward(logging.Handler):
    """A handler that gives records to the root logger, as propagation does, from its own level on."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().handle(record)


class _Keeper(logging.Handler):
    """A handler that keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Relay:
    """A queue by which a spawned process logs in the process that spawned it; pickled on the way there."""

    def __init__(self) -> None:
        self._queue = get_context("spawn").Queue()

    def send(self) -> None:
        """Send what this process logs from now on; call it in the spawned one."""
        _PACKAGE.addHandler(QueueHandler(self._queue))
        _PACKAGE.setLevel(logging.INFO)

    @contextmanager
    def receive(self) -> Iterator[None]:
        """Log what arrives; all that was sent has been logged at the end."""
        listener = QueueListener(self._queue, _Here())
        listener.start()
        try:
            yield
        finally:
            listener.stop()


class _Here(logging.Handler):
    """A handler that gives a record from elsewhere to the logger of the same name here."""

    def emit(self, record: logging.LogRecord) -> None:
        here = logging.getLogger(record.name)
        if here.isEnabledFor(record.levelno):
            here.handle(record)
