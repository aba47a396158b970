"""The lines of a run: all of them in its log file; those of another process, and its errors, in this one."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from contrastcxr import errors
from contrastcxr.errors import ContrastCXRError, OutputError, RequestError

_PACKAGE = logging.getLogger("contrastcxr")


@contextmanager
def run_log(path: Path, *, earlier: Iterable[logging.LogRecord] = ()) -> Iterator[None]:
    """Append what the package logs to a file, whether or not it is shown elsewhere too, and first what it had.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another --out") from error
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


def error_line(error: Exception) -> str:
    """Return an error as the last line of its traceback has it, by which another process can tell what it was."""
    return "".join(traceback.format_exception_only(error)).strip()


def error_of(line: str) -> Exception | None:
    """Return the error that a line of another process says: one of ours, or of memory; None of any other."""
    name, _, message = line.partition(": ")
    if name == f"torch.{torch.OutOfMemoryError.__name__}":
        return torch.OutOfMemoryError(message)
    kind = getattr(errors, name.rpartition(".")[2], None) if name.startswith(f"{errors.__name__}.") else None
    if not (isinstance(kind, type) and issubclass(kind, ContrastCXRError)):
        return None
    return kind(message) if kind.__init__ is ContrastCXRError.__init__ else RequestError(message)


def silence_lightning() -> None:
    """Let Lightning say nothing of hardware, loaders and loggers but errors."""
    for name in LIGHTNING:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")


LIGHTNING = ("lightning.pytorch", "lightning.fabric")
"""Its loggers."""


class Relay:
    """A queue by which a spawned process logs in the process that spawned it; pickled on the way there."""

    def __init__(self) -> None:
        self._queue = get_context("spawn").Queue()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a spawned process, before Lightning has said anything in it."""
        self.__dict__.update(state)
        silence_lightning()

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
