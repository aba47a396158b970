"""Studies as lines of JSON, in memory or in a file: a sequence that parses a study when it is asked for.

An object of a study takes 5 to 9 KB, a line in memory a tenth of that, one in a file a few bytes. Worker processes
share the lines instead of copying them object by object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from contrastcxr.errors import DatasetError
from contrastcxr.form import Study

T = TypeVar("T")
HELD = 10_000
"""So many studies are kept as objects, which are quicker (ours); more are packed."""


class StudyLines(Sequence[Study]):
    """Studies whose lines stand in memory or in a file, or some of them, in order."""

    def __init__(self, lines: bytes | Path, places: NDArray[np.int64]) -> None:
        """Take lines, or their file, and where each begins and ends, `places [n, 2]` in bytes."""
        self._lines = lines
        self._places = places

    @classmethod
    def packed(cls, studies: Iterable[Study]) -> StudyLines:
        """Put studies into memory one by one; pixels in memory are left behind."""
        lines, ends = bytearray(), [0]
        for study in studies:
            lines += study_line(study).encode()
            ends.append(len(lines))
        return cls(bytes(lines), _places(ends))

    @classmethod
    def stored(cls, path: Path) -> StudyLines:
        """Find where each line of a file begins.

        Raises:
            DatasetError: the file cannot be read.
        """
        ends = [0]
        try:
            with path.open("rb") as file:
                for line in file:
                    ends.append(ends[-1] + len(line))
        except OSError as error:
            raise DatasetError(
                f"{path}: {error.strerror or error}; run `contrastcxr data prepare` again"
            ) from None
        return cls(path, _places(ends))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> StudyLines: ...
    def __getitem__(self, index: int | slice) -> Study | StudyLines:
        """Return a study, parsed now, or some of them, still as lines."""
        if isinstance(index, slice):
            return StudyLines(self._lines, self._places[index])
        start, end = self._places[index]
        if isinstance(self._lines, bytes):
            return Study.model_validate_json(self._lines[start:end])
        with self._lines.open("rb") as file:
            return _parsed(file, start, end)

    def __iter__(self) -> Iterator[Study]:
        """Yield studies one by one, through one open file."""
        with BytesIO(self._lines) if isinstance(self._lines, bytes) else self._lines.open("rb") as file:
            for start, end in self._places:
                yield _parsed(file, start, end)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> StudyLines:
        """Return the studies at these indices, still as lines."""
        return StudyLines(self._lines, self._places[np.asarray(indices, dtype=np.int64)])


def _places(ends: Sequence[int]) -> NDArray[np.int64]:
    marks = np.array(ends, dtype=np.int64)
    return np.stack([marks[:-1], marks[1:]], axis=1)


def _parsed(file: BinaryIO, start: int, end: int) -> Study:
    file.seek(start)
    return Study.model_validate_json(file.read(end - start))


def study_line(study: Study) -> str:
    """Return the study as a line that a manifest takes, its line break included."""
    return study.model_dump_json(exclude_defaults=True) + "\n"


class MappedStudies(Sequence[T]):
    """What a function makes of each study, made when it is asked for and not kept."""

    def __init__(self, studies: Sequence[Study], make: Callable[[Study], T]) -> None:
        self._studies = studies
        self._make = make

    def __len__(self) -> int:
        return len(self._studies)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> MappedStudies[T]: ...
    def __getitem__(self, index: int | slice) -> T | MappedStudies[T]:
        """Return what is made of one study, or a sequence over some of them."""
        if isinstance(index, slice):
            return MappedStudies(self._studies[index], self._make)
        return self._make(self._studies[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._studies)


def held_or_packed(studies: Iterable[Study]) -> Sequence[Study]:
    """Return the studies as a list where they are few, else packed; they are gone through once."""
    rest = iter(studies)
    first = list(islice(rest, HELD + 1))
    return first if len(first) <= HELD else StudyLines.packed(chain(first, rest))


def some_of(studies: Sequence[Study], indices: Sequence[int]) -> Sequence[Study]:
    """Return the studies at these indices, as lines if they were."""
    return studies.take(indices) if isinstance(studies, StudyLines) else [studies[i] for i in indices]


def made_of(studies: Sequence[Study], make: Callable[[Study], T]) -> Sequence[T]:
    """Return what a function makes of each study: all at once, or, of lines, each when it is asked for."""
    return MappedStudies(studies, make) if isinstance(studies, StudyLines) else tuple(map(make, studies))
