"""Has compressed pixel data decoded by a process of its own, within limits of time and memory.

One worker a process is started at the first compressed picture and kept. A worker that dies at a picture (out of
time, out of memory, or brought down by damaged data) is replaced at the next one.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from contrastcxr.data.dicom.codestream import BadStreamError
from contrastcxr.data.dicom.shared_pages import SharedPages
from contrastcxr.data.dicom.worker import LIMITS_TIME, READY

BASE_SECONDS = 1.0
SECONDS_PER_MEGAPIXEL = 0.75
MOST_SECONDS = 8.0
"""Processor time that a picture may take (ours); JPEG 2000, the slowest, takes up to 0.4 s a megapixel."""
_PATIENCE = 10.0 if LIMITS_TIME else 1.5
"""How much longer than that we wait by the clock: long on a busy machine, if the worker limits itself."""


class WorkerError(Exception):
    """The worker that decodes could not be started."""


@dataclass(frozen=True)
class _Worker:
    """A process that decodes, and the memory shared with it, where there is such."""

    process: subprocess.Popen[bytes]
    shared: SharedPages | None


@dataclass
class _GuardedDecoder:
    """The worker of this process, and whose turn it is."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    worker: _Worker | None = None


_DECODERS: dict[int, _GuardedDecoder] = {}
"""By process id, because a forked process must not talk to its parent's worker."""


def decode_guarded(header: dict[str, Any], data: bytes, *, syntax: str, plugin: str) -> np.ndarray:
    """Return the stored values `[H, W]` of encapsulated pixel data; arguments as of `decode_worker.decode`.

    Raises:
        BadStreamError: damaged data, or data that takes more time or memory than a radiograph does.
        WorkerError: no process could be started.
    """
    seconds = min(BASE_SECONDS + SECONDS_PER_MEGAPIXEL * header["Rows"] * header["Columns"] / 1e6, MOST_SECONDS)
    job = {"header": header, "syntax": syntax, "plugin": plugin, "seconds": seconds, "bytes": len(data)}
    decoder = _decoder()
    with decoder.turn:
        if decoder.worker is not None and decoder.worker.process.poll() is not None:
            _stop(decoder)
        decoder.worker = worker = decoder.worker or _started()
        wait = threading.Timer(_PATIENCE * seconds, worker.process.kill)
        wait.daemon = True
        wait.start()
        try:
            answer, values = _ask(worker, json.dumps(job).encode() + b"\n", data)
        except (OSError, ValueError) as error:  # it died, in the middle of an answer or before
            _stop(decoder)
            raise BadStreamError("is damaged: decoding it takes too much time or memory") from error
        except BaseException:  # interrupted: half an answer is still under way
            _stop(decoder)
            raise
        finally:
            wait.cancel()
    if "remedy" in answer:
        raise BadStreamError(answer["refused"], remedy=answer["remedy"])
    if "refused" in answer:
        raise BadStreamError(answer["refused"])
    return np.frombuffer(values, dtype=answer["dtype"]).reshape(answer["shape"])


def _decoder() -> _GuardedDecoder:
    decoder = _DECODERS.get(os.getpid())
    if decoder is None:
        decoder = _DECODERS.setdefault(os.getpid(), _GuardedDecoder())
        atexit.register(_stop, decoder)
    return decoder


def _ask(worker: _Worker, job: bytes, data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the answer, and the bytes of the decoded values."""
    jobs, answers = worker.process.stdin, worker.process.stdout
    assert jobs is not None
    assert answers is not None
    if worker.shared is not None:
        worker.shared.put(data)
        data = b""
    jobs.write(job + data)
    jobs.flush()
    answer = json.loads(answers.readline())
    size = int(answer.get("bytes", 0))
    values = answers.read(size) if worker.shared is None else worker.shared.get(size)
    if len(values) < size:
        raise ValueError("the answer ends early")
    return answer, values


def _started() -> _Worker:
    shared = SharedPages.create()
    descriptors = () if shared is None else (shared.descriptor,)
    command = [sys.executable, "-m", "contrastcxr.data.dicom.worker", *map(str, descriptors)]
    # One thread: threads of a linear algebra library would take the address space that is limited.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **alone},
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C is for us; it ends when our end of its input closes
        )
    except OSError as error:
        raise WorkerError(f"{sys.executable} cannot be started ({error.strerror})") from error
    worker = _Worker(process, shared)
    assert process.stdout is not None
    if process.stdout.readline() != READY:
        _end(worker)
        raise WorkerError(f"{' '.join(command[:3])} does not start")
    return worker


def _stop(decoder: _GuardedDecoder) -> None:
    if decoder.worker is not None:
        _end(decoder.worker)
        decoder.worker = None


def _end(worker: _Worker) -> None:
    worker.process.kill()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was still to be sent cannot be
                pipe.close()
    worker.process.wait()
    if worker.shared is not None:
        worker.shared.close()
