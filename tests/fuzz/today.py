"""A tenth of the ten thousand inputs, others each day: `python tests/fuzz/today.py [SEED]`.

The seed is the date unless it is given, so that what a day found can be tried again.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SHARE = 10


def main(seed: int) -> int:
    from fuzz.targets import KINDS

    sys.stdout.write(f"seed {seed}\n")
    failed = []
    for name, kind in KINDS.items():
        with TemporaryDirectory() as folder:
            command = [sys.executable, str(Path(__file__).with_name("worker.py").resolve())]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
            ran = subprocess.run(
                [*command, name, str(kind.inputs // SHARE), str(seed)], cwd=folder, env=environment, check=False
            )
            if ran.returncode != 0:
                failed.append(name)
                last = Path(folder, "last-recipe.txt")
                sys.stdout.write(f"last input: {last.read_text() if last.exists() else 'none'}\n")
    if failed:
        sys.stdout.write(f"failed: {', '.join(failed)}; again with: make fuzz SEED={seed}\n")
    return bool(failed)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here.parent), str(here.parent / "data")]
    sys.exit(main(int(sys.argv[1] if len(sys.argv) > 1 else f"{datetime.datetime.now(datetime.UTC):%Y%m%d}")))
