"""What a transformer keeps between steps, laid out so that moving beams about copies next to nothing.

Prefixes of one study (its beams) share a row of a grid. Keys and values of the patches are stored once per study;
those of a token stay in the slot they were written to, and every prefix remembers through which slots it came.
Attention then looks at all slots of its study, masked to its own path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class BeamGrid:
    """Where each of R prefixes stands in a grid of M studies and some slots.

    Attributes:
        studies: M.
        slots: the most prefixes that a study has had at once.
        owner: `[R]`, the study (row of M) of each prefix.
        place: `[R]`, `owner * slots + slot`.
        in_order: `place` is 0, 1, … up to every place there is, so that prefixes are the grid as they stand.
    """

    studies: int
    slots: int
    owner: Tensor
    place: Tensor
    in_order: bool

    @classmethod
    def of(cls, studies: int, device: torch.device) -> BeamGrid:
        """Return one prefix per study."""
        own = torch.arange(studies, device=device)
        return cls(studies, 1, own, own, in_order=True)

    @property
    def slot(self) -> Tensor:
        """`[R]`, the slot of each prefix."""
        slot: Tensor = self.place - self.owner * self.slots
        return slot

    def select(self, index: Tensor) -> tuple[BeamGrid, Tensor | None]:
        """Return the grid of the prefixes `index [R']`, and the studies it keeps (None for all, as they were)."""
        owner = self.owner.index_select(0, index)
        if torch.equal(owner, self.owner):
            return self, None
        kept, owner, counts = torch.unique(owner, return_inverse=True, return_counts=True)
        slots = max(self.slots, int(counts.max())) if len(counts) else self.slots
        place = owner * slots + _rank_within(owner, counts)
        every = torch.arange(len(kept) * slots, device=place.device)
        grid = BeamGrid(len(kept), slots, owner, place, in_order=torch.equal(place, every))
        return grid, None if len(kept) == self.studies else kept

    def spread(self, rows: Tensor) -> Tensor:
        """Return `rows [R, ...]` on the grid, `[M, slots, ...]`; empty places are 0."""
        if self.in_order:
            return rows.reshape(self.studies, self.slots, *rows.shape[1:])
        grid = rows.new_zeros(self.studies * self.slots, *rows.shape[1:])
        return grid.index_copy_(0, self.place, rows).view(self.studies, self.slots, *rows.shape[1:])

    def gather(self, grid: Tensor) -> Tensor:
        """Return the rows `[R, ...]` of `[M, slots, ...]`: the inverse of `spread`."""
        return grid.flatten(0, 1).index_select(0, self.place)


@dataclass
class _Claim:
    """How many places of the buffers have been written, shared by all caches that look at them."""

    used: int


@dataclass(frozen=True, eq=False)
class TokenCache:
    """Keys and values of the tokens so far; a value, although written in place where nobody has written before.

    Attributes:
        buffers: per layer `[M, room, slots, 2d]`.
        length: places written.
        path: `[R, length]`, the slot that each prefix was in at each place.
    """

    buffers: tuple[Tensor, ...]
    length: int
    path: Tensor
    claim: _Claim

    @classmethod
    def empty(cls, layers: int, studies: int, width: int, *, like: Tensor, room: int = 32) -> TokenCache:
        """Return a cache of no token, one prefix per study, with dtype and device of `like`."""
        buffers = tuple(like.new_empty(studies, room, 1, 2 * width) for _ in range(layers))
        path = torch.empty(studies, 0, dtype=torch.int64, device=like.device)
        return cls(buffers, 0, path, _Claim(0))

    def extended(self, grid: BeamGrid) -> TokenCache:
        """Return the cache with room for one more token of every prefix, which each layer then writes."""
        _, room, slots, _ = self.buffers[0].shape
        if self.claim.used != self.length or self.length == room or slots != grid.slots:
            more = room if self.length < room else 2 * room
            return self._moved(room=more, slots=grid.slots).extended(grid)
        self.claim.used += 1
        path = torch.cat([self.path, grid.slot.unsqueeze(1)], dim=1)
        return replace(self, length=self.length + 1, path=path)

    def write(self, layer: int, keys_values: Tensor) -> None:
        """Put `keys_values [M, slots, 2d]` at the place that `extended` made."""
        self.buffers[layer][:, self.length - 1] = keys_values

    def read(self, layer: int) -> Tensor:
        """Return keys and values `[M, length * slots, 2d]`."""
        return self.buffers[layer][:, : self.length].flatten(1, 2)

    def visible(self, grid: BeamGrid) -> Tensor | None:
        """Return True `[M, slots, length * slots]` on each prefix's own path; None when there is one slot only."""
        if grid.slots == 1:
            return None
        path = grid.spread(self.path).unsqueeze(-1)  # [M, slots, length, 1]
        return (path == torch.arange(grid.slots, device=path.device)).flatten(2)

    def select(self, index: Tensor, kept: Tensor | None) -> TokenCache:
        """Return the prefixes `index [R']`.

        Only their paths are copied, and the buffers when studies are dropped.
        """
        path = self.path.index_select(0, index)
        if kept is None:
            return replace(self, path=path)
        _, room, slots, _ = self.buffers[0].shape
        moved = self._moved(room=room, slots=slots, kept=kept)
        return replace(moved, path=path)

    def _moved(self, *, room: int, slots: int, kept: Tensor | None = None) -> TokenCache:
        buffers = tuple(self._copy(buffer, room, slots, kept) for buffer in self.buffers)
        return TokenCache(buffers, self.length, self.path, _Claim(self.length))

    def _copy(self, buffer: Tensor, room: int, slots: int, kept: Tensor | None) -> Tensor:
        written = buffer[:, : self.length]
        written = written if kept is None else written.index_select(0, kept)
        # Slots that did not exist then are masked, and must be finite all the same.
        copy = buffer.new_zeros(written.shape[0], room, slots, buffer.shape[3])
        copy[:, : self.length, : written.shape[2]] = written
        return copy


@dataclass(frozen=True, eq=False)
class PatchMemory:
    """Keys and values of the patches, computed once per study.

    Attributes:
        keys_values: per layer `[M, N, 2d]`.
        mask: `[M, N]` bool, True for real patches.
    """

    keys_values: tuple[Tensor, ...]
    mask: Tensor

    def select(self, kept: Tensor | None) -> PatchMemory:
        """Return the studies `kept [M']`; None keeps all."""
        if kept is None:
            return self
        return PatchMemory(
            tuple(part.index_select(0, kept) for part in self.keys_values), self.mask.index_select(0, kept)
        )


def _rank_within(owner: Tensor, counts: Tensor) -> Tensor:
    """Return for each row how many rows of its owner come before it, `[R]`."""
    order = torch.argsort(owner, stable=True)
    starts = counts.cumsum(0) - counts  # [M]
    rank = torch.empty_like(owner)
    rank[order] = torch.arange(len(owner), device=owner.device) - starts[owner[order]]
    return rank
