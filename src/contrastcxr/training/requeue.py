"""A SLURM job that is about to end is put back into the queue, whatever its run is doing at that moment."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from contrastcxr.training.placement import Placement

logger = logging.getLogger(__name__)


@contextmanager
def requeue_at_signal(placement: Placement) -> Iterator[None]:
    """Let SIGUSR1, as `#SBATCH --signal=SIGUSR1@120` has it sent to every task, requeue the job.

    The first process asks SLURM for it, and waits for no other, which may be waiting for it to validate. A process
    that has heard the signal ends at SIGTERM without waiting either: what is on disk is of the last whole epoch,
    where the job goes on. It does nothing without SLURM, in a thread, or where a program has its own handler.

    Lightning's own requeue saves a state first, which all processes have to take part in, between two steps.
    """
    by_slurm = isinstance(placement.environment, SLURMEnvironment)
    in_thread = threading.current_thread() is not threading.main_thread()
    if not by_slurm or in_thread or signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL:
        yield
        return
    own, term = os.getpid(), signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: object) -> None:
        del number, frame
        if os.getpid() != own:  # a process that reads pictures has inherited this
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Lightning's would wait for the other processes
        if placement.first:
            _requeue()

    signal.signal(signal.SIGUSR1, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if term is None else term)


def _requeue() -> None:
    job = os.environ["SLURM_JOB_ID"]
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):  # which is the job id of one of its tasks as well
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        error = done.stderr.strip() if done.returncode else None
    except OSError as failed:
        error = str(failed)
    if error is None:
        logger.info(f"SLURM: job {job} is back in the queue, and goes on from its last whole epoch")
    else:
        logger.warning(f"SLURM: job {job} could not be requeued ({error}); start it again with --resume")
