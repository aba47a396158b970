"""How fast the labeler is from a cold start, and whether its memory stays flat.

    python benchmarks/label.py path/to/indiana_reports.csv [--stream 230000]

Cold: a new process, a new labeler, every report once, findings and impression whole; no sentence is known
beforehand. Time is the process's own, so that a busy machine disturbs it less; loading the rules is timed apart.
Flat: the same reports stream through again and again, each with two sentences that no other has, so that new
sentences never end.
"""

from __future__ import annotations

import argparse
import csv
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from contrastcxr.text.labeler import Labeler


def texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [f"{row['findings']}\n\n{row['impression']}" for row in csv.DictReader(file)]


def peak_megabytes() -> float:
    """Most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


def cold(reports: list[str]) -> str:
    start = time.process_time()
    labeler = Labeler()
    loaded = time.process_time()
    for report in reports:
        labeler.label(report)
    spent = time.process_time() - loaded
    return (
        f"cold   {len(reports):,} reports in {spent:.2f} s of one core: {len(reports) / spent:,.0f} reports/s "
        f"(rules loaded in {loaded - start:.2f} s)"
    )


def endless(reports: list[str], count: int) -> Iterator[str]:
    for number in range(count):
        report = reports[number % len(reports)]
        yield f"Image {number}. {report} Nodule {number} mm in size."


def stream(reports: list[str], count: int) -> Iterator[str]:
    labeler = Labeler()
    start = time.process_time()
    step = max(1, count // 10)
    for number, report in enumerate(endless(reports, count), start=1):
        labeler.label(report)
        if number % step == 0:
            yield f"stream {number:,} reports, peak memory {peak_megabytes():.0f} MB"
    spent = time.process_time() - start
    yield f"stream {count / spent:,.0f} reports/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, help="indiana_reports.csv")
    parser.add_argument("--stream", type=int, default=230_000, help="reports of the second part; 0 leaves it out")
    parser.add_argument("--processes", type=int, default=3, help="cold starts, each in a new process")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    reports = texts(arguments.reports)
    if arguments.once:
        print(cold(reports))
        return
    for _ in range(arguments.processes):
        subprocess.run([sys.executable, __file__, str(arguments.reports), "--once"], check=True)
    if arguments.stream:
        for line in stream(reports, arguments.stream):
            print(line, flush=True)


if __name__ == "__main__":
    main()
