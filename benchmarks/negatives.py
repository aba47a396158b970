"""Milliseconds that the lookup of a negative takes, a picture, among many normals, on one thread.

    python benchmarks/negatives.py [--normals 60000] [--batch 256] [--repeats 5] [--center] [--sampling similar]

Thumbnails are random bytes, patients have three studies, positions are PA and AP, and each view leaves out its own
patient. Processor time stands beside the clock, since waiting for a busy machine is no work; the least of the
repeats counts. A naive search over the same bank, one picture at a time in float64, checks a few choices first.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from contrastcxr.models.contrast.bank import NegativeBank
from contrastcxr.models.contrast.options import BankOptions
from contrastcxr.models.contrast.pool import PoolRows

CELLS = 256
CHECKED = 8
POSITIONS = ("PA", "PA", "AP")


def bank_of(normals: int, options: BankOptions, generator: torch.Generator) -> NegativeBank:
    small = torch.randint(0, 256, (normals, 256), generator=generator, dtype=torch.uint8)
    rows = PoolRows(
        image_ids=tuple(f"image{n}" for n in range(normals)),
        study_ids=tuple(f"study{n}" for n in range(normals)),
        patient_ids=tuple(f"patient{n // 3}" for n in range(normals)),
        positions=tuple(POSITIONS[n % 3] for n in range(normals)),
        locators=(None,) * normals,
    )
    return NegativeBank(small, torch.zeros(normals, CELLS), rows, options, seed=0)


def check(bank: NegativeBank, queries: torch.Tensor, patients: list[str], positions: list[str]) -> None:
    """Compare a few choices with those of a search one by one."""
    studies = ["new"] * len(queries)
    found = bank.find(queries, study_ids=studies, patient_ids=patients, positions=positions).rows.tolist()
    pictures = bank.thumbnails.numpy().astype(np.float64)
    mean = np.round(pictures.mean(0)) if bank.options.center else 0.0
    lengths = np.linalg.norm(pictures - mean, axis=1)
    for n in range(min(CHECKED, len(queries))):
        scores = (pictures - mean) @ (queries[n].numpy().astype(np.float64) - mean) / lengths
        allowed = np.array(bank.rows.positions) == positions[n]
        allowed &= np.array(bank.rows.patient_ids) != patients[n]
        scores = np.where(allowed, scores, -np.inf)
        if scores[found[n]] < scores.max() * (1 - 1e-6):
            raise SystemExit(f"picture {n}: row {found[n]} is not the nearest, {int(scores.argmax())} is")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--normals", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--center", action="store_true")
    parser.add_argument("--sampling", choices=("similar", "random"), default="similar")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    bank = bank_of(asked.normals, BankOptions(center=asked.center, sampling=asked.sampling), generator)
    queries = torch.randint(0, 256, (asked.batch, 256), generator=generator, dtype=torch.uint8)
    patients = [f"patient{n * 7 % (asked.normals // 3)}" for n in range(asked.batch)]
    positions = [POSITIONS[n % 3] for n in range(asked.batch)]
    names = [f"new{n}" for n in range(asked.batch)]
    if asked.sampling == "similar":
        check(bank, queries, patients, positions)
    best = [float("inf")] * 2
    for _ in range(asked.repeats):
        processor, clock = time.process_time(), time.perf_counter()
        bank.find(queries, study_ids=names, patient_ids=patients, positions=positions)
        seconds = time.process_time() - processor, time.perf_counter() - clock
        best = [min(pair) for pair in zip(best, seconds, strict=True)]
    processor, clock = (1000 * value / asked.batch for value in best)
    print(
        f"{asked.sampling}{' centred' if asked.center else ''}: {asked.normals:,} normals, batch {asked.batch}: "
        f"{processor:.2f} ms a picture of processor time, {clock:.2f} ms by the clock"
    )


if __name__ == "__main__":
    main()
