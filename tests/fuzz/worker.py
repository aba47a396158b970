"""Tries inputs of one kind within limits of time and memory: `python tests/fuzz/worker.py KIND INPUTS SEED`.

An input may take 10 s of processor time and, on a machine that does other work too, 120 s by the clock; the whole
process may take 2 GiB beyond what it has when it starts. Exits 0 when nothing but errors of ours came out, else
prints the recipe of the input, reduced to what matters. The last input tried is kept as `last-recipe.txt`, in case
the process itself goes down.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS, BY_THE_CLOCK, MEMORY = 10.0, 120.0, 2 << 30
WITH_TORCH = ("checkpoints", "readings", "tables")
HERE = Path(__file__).resolve().parent


class HangError(Exception):
    """An input that takes too long."""


def main(kind: str, inputs: int, number: int) -> None:
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from fuzz.targets import KINDS, try_out

    warnings.simplefilter("error")
    signal.signal(signal.SIGPROF, _hangs)
    tried, longest = 0, 0.0
    settle = settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )

    @seed(number)
    @settle
    @given(KINDS[kind].recipes)
    def each(recipe: object) -> None:
        nonlocal tried, longest
        Path("last-recipe.txt").write_text(f"{kind}: {recipe!r}\n")
        begun = time.process_time()
        with TemporaryDirectory() as folder, _limited():
            try_out(kind, recipe, Path(folder))  # type: ignore[arg-type]
        tried, longest = tried + 1, max(longest, time.process_time() - begun)

    if kind in WITH_TORCH:
        import torch  # noqa: F401 — mapped before the limit, which counts what the process adds

        import contrastcxr.evaluation  # noqa: F401
    _limit_memory()
    each()
    most = max(_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) >> 10
    sys.stdout.write(f"{kind}: {tried} inputs, longest {longest:.1f} s of processor time, at most {most} MiB\n")
    assert most < MEMORY >> 20, f"{most} MiB"


def _hangs(*_: object) -> None:
    raise HangError(f"more than {SECONDS:g} s of processor time")


@contextmanager
def _limited() -> Iterator[None]:
    faulthandler.dump_traceback_later(BY_THE_CLOCK, exit=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def _own_peak() -> int:
    """Return the most memory of this program in KiB; `getrusage` counts what its process was before it too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / "data")]
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
