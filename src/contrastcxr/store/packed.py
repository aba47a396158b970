"""Studies as lines of JSON in one piece of memory: a sequence that parses a study when it is asked for.

As objects a study takes 5 to 9 KB, as a line a tenth of that, and worker processes share the piece instead of
copying it object by object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from contrastcxr.form import Study
from contrastcxr.store.stored_studies import MappedStudies

T = TypeVar("T")
HELD = 10_000
"""So many studies are kept as objects, which are quicker (ours); more are packed."""


class PackedStudies(Sequence[Study]):
    """Studies that were packed, or some of them, in order."""

    def __init__(self, lines: bytes, places: NDArray[np.int64]) -> None:
        """Take studies as JSON, and where each begins and ends, `places [n, 2]` in bytes."""
        self._lines = lines
        self._places = places

    @classmethod
    def of(cls, studies: Iterable[Study]) -> PackedStudies:
        """Pack studies one by one; pixels in memory are not packed."""
        lines, ends = bytearray(), [0]
        for study in studies:
            lines += study.model_dump_json(exclude_defaults=True).encode()
            ends.append(len(lines))
        marks = np.array(ends, dtype=np.int64)
        return cls(bytes(lines), np.stack([marks[:-1], marks[1:]], axis=1))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> PackedStudies: ...
    def __getitem__(self, index: int | slice) -> Study | PackedStudies:
        """A study, parsed now, or some of them, still packed."""
        if isinstance(index, slice):
            return PackedStudies(self._lines, self._places[index])
        start, end = self._places[index]
        return Study.model_validate_json(self._lines[start:end])

    def __iter__(self) -> Iterator[Study]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Sequence[int]) -> PackedStudies:
        """The studies at these indices."""
        return PackedStudies(self._lines, self._places[np.asarray(indices, dtype=np.int64)])


def held_or_packed(studies: Iterable[Study]) -> Sequence[Study]:
    """The studies as a list where they are few, else packed; they are gone through once."""
    rest = iter(studies)
    first = list(islice(rest, HELD + 1))
    return first if len(first) <= HELD else PackedStudies.of(chain(first, rest))


def some_of(studies: Sequence[Study], indices: Sequence[int]) -> Sequence[Study]:
    """The studies at these indices, packed if they were."""
    return studies.take(indices) if isinstance(studies, PackedStudies) else [studies[i] for i in indices]


def made_of(studies: Sequence[Study], make: Callable[[Study], T]) -> Sequence[T]:
    """What a function makes of each study: all at once, or, where they are packed, each when it is asked for."""
    return MappedStudies(studies, make) if isinstance(studies, PackedStudies) else tuple(map(make, studies))
