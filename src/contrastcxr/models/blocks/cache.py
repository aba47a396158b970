"""What a transformer keeps between steps: keys and values of the tokens so far, and of the patches.

Patches are stored once per study whatever the number of beams, and tokens are written into room made beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class _Claim:
    """How far a buffer has been written, shared by all caches that look at it."""

    used: int


@dataclass(frozen=True, eq=False)
class TokenCache:
    """Keys and values of the tokens so far, `[R, room, 2d]`, of which `length` are written.

    `append` writes in place where nobody has written before and into a copy otherwise, so a cache is a value
    although it is not copied at every step.
    """

    buffer: Tensor
    length: int
    claim: _Claim

    @classmethod
    def empty(cls, rows: int, width: int, *, like: Tensor, room: int = 32) -> TokenCache:
        """A cache of no token for `rows` prefixes, with dtype and device of `like`."""
        return cls(like.new_empty(rows, room, 2 * width), 0, _Claim(0))

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return self.buffer.shape[0]

    def append(self, keys_values: Tensor) -> TokenCache:
        """The cache with `keys_values [R, 2d]` of one more token."""
        room = self.buffer.shape[1]
        if self.claim.used != self.length or self.length == room:
            return self._copy(room=max(room, 2 * self.length)).append(keys_values)
        self.buffer[:, self.length] = keys_values
        self.claim.used += 1
        return TokenCache(self.buffer, self.length + 1, self.claim)

    def select(self, index: Tensor) -> TokenCache:
        """The rows `index [R']`; only what is written is copied."""
        _, room, width = self.buffer.shape
        buffer = self.buffer.new_empty(len(index), room, width)
        buffer[:, : self.length] = self.written().index_select(0, index)
        return TokenCache(buffer, self.length, _Claim(self.length))

    def written(self) -> Tensor:
        """Keys and values `[R, length, 2d]`."""
        return self.buffer[:, : self.length]

    def _copy(self, room: int) -> TokenCache:
        buffer = self.buffer.new_empty(self.rows, room, self.buffer.shape[2])
        buffer[:, : self.length] = self.written()
        return TokenCache(buffer, self.length, _Claim(self.length))


@dataclass(frozen=True, eq=False)
class PatchMemory:
    """Keys and values of the patches, computed once per study and shared by its rows.

    Attributes:
        keys_values: per layer `[M, N, 2d]`.
        mask: `[M, N]` bool, True for real patches.
        owner: `[R]`, the study (row of M) of each prefix.
        place: `[R]`, position of each prefix in a `[M, slots]` grid.
        slots: the most prefixes that one study has.
    """

    keys_values: tuple[Tensor, ...]
    mask: Tensor
    owner: Tensor
    place: Tensor
    slots: int = field(default=1)

    @classmethod
    def of(cls, keys_values: tuple[Tensor, ...], mask: Tensor) -> PatchMemory:
        """Memory with one row per study."""
        own = torch.arange(len(mask), device=mask.device)
        return cls(keys_values, mask, own, own)

    def select(self, index: Tensor) -> PatchMemory:
        """The rows `index [R']`; studies that no row belongs to any more are dropped."""
        owner = self.owner.index_select(0, index)
        if torch.equal(owner, self.owner):
            return self
        studies, owner, counts = torch.unique(owner, return_inverse=True, return_counts=True)
        slots = int(counts.max()) if len(counts) else 0
        place = owner * slots + _rank_within(owner, counts)
        if len(studies) == len(self.mask):
            return PatchMemory(self.keys_values, self.mask, owner, place, slots)
        kept = tuple(kv.index_select(0, studies) for kv in self.keys_values)
        return PatchMemory(kept, self.mask.index_select(0, studies), owner, place, slots)

    def spread(self, rows: Tensor) -> Tensor:
        """`rows [R, ...]` on the grid of their studies, `[M, slots, ...]`; empty places are 0."""
        grid = rows.new_zeros(len(self.mask) * self.slots, *rows.shape[1:])
        return grid.index_copy(0, self.place, rows).view(len(self.mask), self.slots, *rows.shape[1:])

    def gather(self, grid: Tensor) -> Tensor:
        """The inverse of `spread`: `[M, slots, ...]` to `[R, ...]`."""
        return grid.flatten(0, 1).index_select(0, self.place)


def _rank_within(owner: Tensor, counts: Tensor) -> Tensor:
    """For each row, how many rows of its owner come before it, `[R]`."""
    order = torch.argsort(owner, stable=True)
    starts = counts.cumsum(0) - counts  # [M]
    rank = torch.empty_like(owner)
    rank[order] = torch.arange(len(owner), device=owner.device) - starts[owner[order]]
    return rank
