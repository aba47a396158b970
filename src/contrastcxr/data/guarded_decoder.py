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
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, cast

import numpy as np

from contrastcxr.data.dicom_codestream import BadStreamError

BASE_SECONDS = 1.0
SECONDS_PER_MEGAPIXEL = 0.25
MOST_SECONDS = 8.0
"""Processor time that a picture may take: several times what the slowest decoder needs (ours)."""
_PATIENCE = 3.0
"""How much longer than that we wait by the clock, for a busy machine."""
_STARTING = 20.0
"""Seconds that a worker may take to start on a busy machine."""
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux: fewer, larger turns


class WorkerError(Exception):
    """The worker that decodes could not be started."""


@dataclass
class _Desk:
    """The worker of this process, and whose turn it is."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    worker: subprocess.Popen[bytes] | None = None


_DESKS: dict[int, _Desk] = {}
"""By process id, because a forked process must not talk to its parent's worker."""


def decode_guarded(header: dict[str, Any], data: bytes, *, syntax: str, plugin: str) -> np.ndarray:
    """Return the stored values `[H, W]` of encapsulated pixel data; arguments as of `decode_worker.decode`.

    Raises:
        BadStreamError: damaged data, or data that takes more time or memory than a radiograph does.
        WorkerError: no process could be started.
    """
    seconds = min(BASE_SECONDS + SECONDS_PER_MEGAPIXEL * header["Rows"] * header["Columns"] / 1e6, MOST_SECONDS)
    job = {"header": header, "syntax": syntax, "plugin": plugin, "seconds": seconds, "bytes": len(data)}
    desk = _DESKS.setdefault(os.getpid(), _Desk())
    with desk.turn:
        fresh = desk.worker is None or desk.worker.poll() is not None
        worker = desk.worker = _started() if fresh else desk.worker
        assert worker is not None
        wait = threading.Timer(_PATIENCE * seconds + (_STARTING if fresh else 0), worker.kill)
        wait.daemon = True
        wait.start()
        try:
            answer, values = _ask(worker, json.dumps(job).encode() + b"\n", data)
        except (OSError, ValueError) as error:  # it died, in the middle of an answer or before
            _stop(desk)
            raise BadStreamError("is damaged: decoding it takes too much time or memory") from error
        except BaseException:  # interrupted: half an answer is still under way
            _stop(desk)
            raise
        finally:
            wait.cancel()
    if "refused" in answer:
        raise BadStreamError(str(answer["refused"]))
    return np.asarray(values.view(answer["dtype"]).reshape(answer["shape"]))


def _ask(worker: subprocess.Popen[bytes], job: bytes, data: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Return the answer, and its bytes `[n]` uint8."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(job)
    worker.stdin.write(data)
    worker.stdin.flush()
    answer = json.loads(worker.stdout.readline())
    values: np.ndarray = np.empty(answer.get("bytes", 0), dtype=np.uint8)
    stream = cast(BufferedReader, worker.stdout)
    if stream.readinto(values.data) < values.nbytes:
        raise ValueError("the answer ends early")
    return answer, values


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "contrastcxr.data.decode_worker"]
    # One thread: threads of a linear algebra library would take the address space that is limited.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        worker = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **alone},
            start_new_session=True,  # Ctrl-C is for us; it ends when our end of its input closes
        )
    except OSError as error:
        raise WorkerError(f"{sys.executable} cannot be started ({error.strerror})") from error
    _widen(worker)
    atexit.register(_end, worker)
    return worker


def _widen(worker: subprocess.Popen[bytes]) -> None:
    if sys.platform != "linux":
        return
    import fcntl

    for pipe in (worker.stdin, worker.stdout):
        try:
            assert pipe is not None
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:  # above the system's limit: narrower works too
            continue


def _stop(desk: _Desk) -> None:
    if desk.worker is not None:
        atexit.unregister(_end)
        _end(desk.worker)
        desk.worker = None


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was still to be sent cannot be
                continue
    worker.wait()
