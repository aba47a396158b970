"""Studies as JSON lines on disk: a sequence that holds a few bytes a study and parses one when it is asked for.

A list of 377,110 `Study` objects takes gigabytes, and each worker process would copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from contrastcxr.errors import DatasetError
from contrastcxr.files import atomic_write
from contrastcxr.form import Study

T = TypeVar("T")


class StoredStudies(Sequence[Study]):
    """The studies of one file, or some of them, in order."""

    def __init__(self, path: Path, places: NDArray[np.int64] | None = None) -> None:
        """Find where each line begins, unless `places [n]` in bytes says which lines are meant.

        Raises:
            DatasetError: the file cannot be read.
        """
        self.path = path
        self._places = line_starts(path) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> StoredStudies: ...
    def __getitem__(self, index: int | slice) -> Study | StoredStudies:
        """A study, parsed now, or a table of some of them."""
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        with self.path.open("rb") as file:
            file.seek(int(self._places[index]))
            return Study.model_validate_json(file.readline())

    def __iter__(self) -> Iterator[Study]:
        """Studies one by one, through one open file."""
        with self.path.open("rb") as file:
            for place in self._places:
                file.seek(int(place))
                yield Study.model_validate_json(file.readline())

    def take(self, indices: Iterable[int] | NDArray[np.int64]) -> StoredStudies:
        """A table of the studies at these indices."""
        return StoredStudies(self.path, self._places[np.asarray(indices, dtype=np.int64)])


def line_starts(path: Path) -> NDArray[np.int64]:
    """Where each line of a file begins, in bytes, `[n]`.

    Raises:
        DatasetError: the file cannot be read.
    """
    starts, place = [], 0
    try:
        with path.open("rb") as file:
            for line in file:
                starts.append(place)
                place += len(line)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}; run `contrastcxr data prepare` again") from None
    return np.array(starts, dtype=np.int64)


def write_studies(path: Path, studies: Iterable[Study]) -> None:
    """Write one study a line, whole or not at all; views must have locators, as pixels do not go to JSON."""
    with atomic_write(path) as file:
        file.writelines(study_line(study) for study in studies)


def study_line(study: Study) -> str:
    """The study as a line that a manifest takes, its line break included."""
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
        """What is made of one study, or a sequence over some of them."""
        if isinstance(index, slice):
            return MappedStudies(self._studies[index], self._make)
        return self._make(self._studies[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._studies)
