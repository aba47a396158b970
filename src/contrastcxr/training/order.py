"""The order of an epoch: seed and epoch alone decide it, so resumed runs and any number of processes agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

GROUPED_BATCHES = 32
"""Batches among whose reports those of similar length are brought together; their order stays random."""


def epoch_batches(
    count: int, *, batch_size: int, seed: int, epoch: int, lengths: Sequence[int] | None = None
) -> list[list[int]]:
    """Return the indices of each global batch of an epoch.

    A permutation is cut into equal batches, and the ragged rest is left out.

    A set smaller than one batch is one batch.  Only `seed` and `epoch` decide, so that a resumed run and any
    number of processes see the same batches.  With the `lengths` of all reports, every `GROUPED_BATCHES` batches
    share out their studies by length, and the batches come in an order of their own.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator).tolist()
    whole = max(count // batch_size, 1)
    if lengths is not None:
        order = order[: whole * batch_size]
        group = GROUPED_BATCHES * batch_size
        groups = (order[start : start + group] for start in range(0, len(order), group))
        order = [i for members in groups for i in sorted(members, key=lengths.__getitem__)]
    batches = [order[i * batch_size : (i + 1) * batch_size] for i in range(whole)]
    if lengths is not None:
        batches = [batches[i] for i in torch.randperm(whole, generator=generator).tolist()]
    return batches


@dataclass(frozen=True)
class Share:
    """Which part of each global batch a process takes."""

    rank: int = 0
    world: int = 1

    def of(self, batch: Sequence[int]) -> list[int]:
        """Return every `world`-th index from `rank` on."""
        return list(batch[self.rank :: self.world])


def donors(count: int, *, seed: int) -> list[int]:
    """Return for each of so many places another one, along one random cycle, so that nobody keeps its own."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    found = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [found[place] for place in range(count)]
