"""What every source of studies offers: its splits, its studies, what is missing, and what may be done with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.form import Study


@dataclass(frozen=True)
class Licence:
    """On what terms a source may be used, and so what may be shipped that was made from it."""

    terms: str
    redistributable: bool
    contains_text: bool
    contains_pictures: bool
    where: str


class Source(ABC):
    """Studies of one data set, in its splits."""

    name: str
    licence: Licence
    splits: tuple[str, ...]
    """Names of the splits that are there, in the order training, validation, test."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the tables name and the folder does not hold; their studies are left out."""
        return ()

    @abstractmethod
    def _load(self) -> Iterable[Study]:
        """All studies, each with its split."""

    def studies(self, split: str | None = None) -> list[Study]:
        """Return the studies of one split, or all of them.

        Raises:
            UnknownNameError: no such split here.
            DatasetError: the folder or its tables depart from the published layout.
        """
        self.check_split(split)
        return [s for s in self._load() if split is None or s.split == split]

    def check_split(self, split: str | None) -> None:
        """Raise unless the source has this split."""
        if split is not None and not self.splits:
            raise RequestError(f"{self.name} has no splits, '{split}' was asked for; leave the split out")
        if split is not None and split not in self.splits:
            raise UnknownNameError(f"split of {self.name}", split, self.splits)
