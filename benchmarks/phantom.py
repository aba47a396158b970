"""Time of one phantom view: 512 px (aim 60 ms, at most 150) and 2048 px (within a second); median over patients.

python benchmarks/phantom.py
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from contrastcxr.phantom import render, sample

VIEWS = {224: 20, 512: 20, 2048: 4}


def main() -> None:
    start = time.perf_counter()
    studies = [sample(seed) for seed in range(max(VIEWS.values()))]
    print(f"parameters of a study: {1e3 * (time.perf_counter() - start) / len(studies):.0f} ms")
    for size, count in VIEWS.items():
        seconds = []
        for parameters in studies[:count]:
            begin = time.process_time()
            render(parameters, size=size)
            seconds.append(time.process_time() - begin)
        print(f"{size} px: {1e3 * float(np.median(seconds)):.0f} ms a view (one core, median of {count})")


if __name__ == "__main__":
    main()
