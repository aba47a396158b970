"""An epoch from cached features against one from pixels: the ratio of processor time, both measured in this run.

    python benchmarks/features.py [--config configs/cpu/phantom.yaml] [--decoder nic] [--studies 96] [--set a.b=c]

Both epochs see the same studies in the same order and take the same training steps.  From pixels each picture is
read (a phantom: drawn), resized and encoded again, as it would be without the cache. The ratio by the clock stands
beside, and means little on a busy machine; an epoch from the cache is short, so the least of three counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from contrastcxr.config import load_config
from contrastcxr.features.batch import Batch
from contrastcxr.features.samples import loader
from contrastcxr.training.order import epoch_batches
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.task import loss_terms, loss_weights, optimizer_of

ROOT = Path(__file__).resolve().parents[1]


def batches(prepared: PreparedRun) -> Iterable[Batch]:
    order = epoch_batches(len(prepared.train), batch_size=prepared.config.train.batch_size, seed=0, epoch=0)
    samples = prepared.samples(prepared.train, epoch=0)
    return loader(samples, order, pad=prepared.pad)


@dataclass(frozen=True)
class Seconds:
    """Of one epoch: of the processor, and of the clock."""

    processor: float
    clock: float


def epoch_seconds(prepared: PreparedRun, *, repeats: int = 1) -> Seconds:
    """Seconds of one epoch of training steps, the least of some repeats."""
    found = [_one_epoch(prepared) for _ in range(repeats)]
    return min(found, key=lambda seconds: seconds.processor)


def _one_epoch(prepared: PreparedRun) -> Seconds:
    optimizer = optimizer_of(prepared.config.train.optimizer, prepared.system)
    weights = loss_weights(prepared.config)
    prepared.system.train()
    processor, clock = time.process_time(), time.perf_counter()
    for batch in batches(prepared):
        terms = loss_terms(prepared.system, batch)
        optimizer.zero_grad()
        torch.stack([weights[name] * mean for name, (mean, _) in terms.items()]).sum().backward()
        optimizer.step()
    return Seconds(time.process_time() - processor, time.perf_counter() - clock)


def main() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("contrastcxr").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs/cpu/phantom.yaml")
    parser.add_argument("--decoder", default="nic", metavar="KIND")
    parser.add_argument("--studies", type=int, default=96)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="A.B=C")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    small = [
        f"decoder.kind={arguments.decoder}",
        f"data.train_limit={arguments.studies}",
        "data.validation_limit=1",
        "train.workers=0",
    ]
    config = load_config(arguments.config, overrides=[*small, *arguments.overrides])
    with tempfile.TemporaryDirectory() as folder:
        cached = prepare(config, cache=Path(folder))
        epoch_seconds(cached)  # warm up
        from_cache = epoch_seconds(cached, repeats=3)
        from_pixels = epoch_seconds(replace(cached, cache=None))
    print(
        json.dumps(
            {
                "config": config.name,
                "studies": len(cached.train),
                "threads": arguments.threads,
                "epoch_from_cache_seconds": round(from_cache.processor, 2),
                "epoch_from_pixels_seconds": round(from_pixels.processor, 2),
                "ratio": round(from_pixels.processor / from_cache.processor, 1),
                "clock_ratio": round(from_pixels.clock / from_cache.clock, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
