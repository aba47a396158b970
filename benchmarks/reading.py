"""What a reading of one picture costs beside its encoder: processor time over that of two forward passes.

    python benchmarks/reading.py RUN [RUN …] [--repeats 20] [--beside DETECTOR]

RUN is a run folder or checkpoint. The picture is a phantom in memory; one thread. `reading` goes from pixels to
the reading with all evidence, and holds the others: `encoder`, one forward pass; `features`, what the heads take,
aligned and compared with a negative whose map the checkpoint holds; `heads`, what they answer. Parts take turns,
so that a busy machine slows all alike; the least time of each counts. `--beside` takes the run of a detector, of
whose readings those of a system on its regions are so many times as long.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from contrastcxr.api import load_studies
from contrastcxr.features.batch import Batch, collate
from contrastcxr.features.extraction import aligned_batch, batch_features, raw_features
from contrastcxr.form import Study
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.samples import measured_sample

ALLOWED = 1.3
"""How many times two forward passes a reading with contrast-induced attention may cost."""
ALLOWED_BESIDE = 2.0
"""How many times a reading by the detector alone one by words of its regions may cost."""


def parts_of(reader: Reader, study: Study) -> Mapping[str, Callable[[], object]]:
    """Return the parts of reading a study, whose picture is in memory."""
    system = reader.system
    sample = reader.with_inputs(study, measured_sample(study, reader.preprocess, reader.max_views)[0])
    batch: Batch = collate([sample], pad=reader.pad)
    moved = aligned_batch(system, batch)
    features = batch_features(system, batch)
    return {
        "encoder": lambda: raw_features(system, moved),
        "features": lambda: batch_features(system, batch),
        "heads": lambda: [head.answer(features) for head in system.heads],
        "reading": lambda: reader.read_features(batch, evidence=True),
    }


def least(parts: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the least processor seconds of each part."""
    found = dict.fromkeys(parts, float("inf"))
    for _ in range(repeats):
        for name, run in parts.items():
            began = time.process_time()
            run()
            found[name] = min(found[name], time.process_time() - began)
    return found


def beside(runs: Sequence[str], detector: str, study: Study, repeats: int) -> bool:
    """Print how many times a reading by the detector those of the runs cost; False where that is too much."""
    readers = {run: Reader.from_checkpoint(run) for run in (detector, *runs)}
    for reader in readers.values():
        reader.system.eval()
    with torch.no_grad():
        parts = {run: parts_of(reader, study)["reading"] for run, reader in readers.items()}
        seconds = least(parts, repeats)
    times = {run: seconds[run] / seconds[detector] for run in runs}
    height, width = study.views[0].height, study.views[0].width
    for run in runs:
        took = f"{1000 * seconds[run]:.1f} ms, {times[run]:.2f} times {detector}"
        print(f"{run}: {took}, of a picture of {width}×{height} (aim: {ALLOWED_BESIDE})")
    return all(value <= ALLOWED_BESIDE for value in times.values())


def main() -> int:
    """Print what the readings of the runs cost; 1 where one costs more than its detector may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--beside", metavar="DETECTOR", help="run folder of the detector whose regions they read")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    study = load_studies("phantom:easy/test?limit=1")[0]
    if asked.beside:
        return 0 if beside(asked.runs, asked.beside, study, asked.repeats) else 1
    for run in asked.runs:
        reader = Reader.from_checkpoint(run)
        reader.system.eval()
        with torch.no_grad():
            seconds = least(parts_of(reader, study), asked.repeats)
        pairs = seconds["reading"] / (2 * seconds["encoder"])
        said = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items())
        print(f"{run}: {said}; a reading takes {pairs:.2f} times two forward passes (aim: {ALLOWED})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
