"""What every source of studies offers: its splits, its studies, what is missing or unreadable, and its licence."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Literal

from contrastcxr.errors import (
    ContrastCXRError,
    ImageError,
    RequestError,
    UnknownNameError,
    is_out_of_memory,
    one_line,
)
from contrastcxr.form import Study


@dataclass(frozen=True)
class Licence:
    """On what terms a source may be used, and so what may be shipped that was made from it."""

    terms: str
    redistributable: bool
    contains_text: bool
    contains_pictures: bool
    where: str


@dataclass(frozen=True)
class Inventory:
    """What the tables of a source name, beside what the folder holds.

    Attributes:
        images: image files that the tables name, there or not.
        reports: texts that the tables name; None for a source without texts.
        counts: whatever else is worth knowing of this source, in words; a number, or numbers by name.
        notes: one line for each thing that is there but is left out, or is wrong without being missing.
    """

    images: int
    reports: int | None = None
    counts: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One input that was not read: where it is, and one line that says what was expected, found and to do.

    Its texts can be printed, also where the name of a file cannot.

    Attributes:
        where: a path, or what else names the input.
        message: the line; it names the path.
        study_id: of the study that the input belongs to, where that is known.
        other: another path that the message names.
    """

    where: str
    message: str
    study_id: str | None = None
    other: str | None = None

    def __post_init__(self) -> None:
        """Keep what is said one line each, as a terminal, a page and JSON can show it."""
        for name, text in vars(self).items():
            object.__setattr__(self, name, text and one_line(text))

    @classmethod
    def of(cls, where: object, error: ContrastCXRError, *, study_id: str | None = None) -> Failure:
        """Return the failure that an error of ours describes."""
        return cls(where=str(where), message=str(error), study_id=study_id)

    def without_path(self) -> Failure:
        """Return the failure as it may be passed on: a hash, or the study's id, in place of each path."""
        name = self.study_id or pseudonym("file", self.where)
        message = self.message.replace(self.where, name)
        if self.other is not None:
            message = message.replace(self.other, pseudonym("file", self.other))
        return Failure(where=name, message=message, study_id=self.study_id)

    def __str__(self) -> str:
        return self.message


def pseudonym(kind: str, value: str) -> str:
    """Return 16 hexadecimal digits that stand for an identifier, always the same ones."""
    return hashlib.sha256(f"contrastcxr {kind} {value}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@contextmanager
def one_input(where: object) -> Iterator[None]:
    """Raise whatever a library raises at one input as an `ImageError`, so that a batch lists it and goes on.

    The message names the kind of the exception and the line it came from, and quotes nothing, since libraries
    quote values, which may name the patient.

    Args:
        where: the path of the input, or what else names it.
    """
    try:
        yield
    except ContrastCXRError:
        raise
    except Exception as error:
        if is_out_of_memory(error):  # no fault of the input
            raise
        last = extract_tb(error.__traceback__)[-1]
        came_from = f"{type(error).__name__} at line {last.lineno} of {Path(last.filename).name}"
        raise ImageError(
            f"{where}: cannot be read ({came_from}), which was not foreseen; leave it out, and report it"
        ) from error


OnMissing = Callable[[str], None]
"""Takes the name of a picture that is not there."""


def unheard(name: str) -> None:
    """Take a name and say nothing."""
    del name


class Source(ABC):
    """Studies of one data set, in its splits."""

    name: str
    licence: Licence
    splits: tuple[str, ...]
    """Names of the splits that are there, in the order training, validation, test."""
    images: Literal["there", "any"] = "there"
    """`any`: views whose image file is absent stay in their studies, for work on texts and labels alone."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the tables name and the folder does not hold; their studies are left out."""
        return ()

    def inventory(self) -> Inventory:
        """Count what the tables name; never reads a pixel."""
        views = sum(len(study.views) for study in self._load(None))
        return Inventory(images=views + (len(self.missing) if self.images == "there" else 0))

    @abstractmethod
    def _load(self, split: str | None) -> Iterable[Study]:
        """Return the studies of one split, or all of them; whoever keeps them at hand may give all for one."""

    def studies(self, split: str | None = None) -> list[Study]:
        """Return the studies of one split, or all of them.

        Raises:
            UnknownNameError: no such split here.
            DatasetError: the folder or its tables depart from the published layout.
        """
        self.check_split(split)
        return [s for s in self._load(split) if split is None or s.split == split]

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the same studies one by one and tell what is missing; a source of very many keeps none."""
        for name in self.missing:
            on_missing(name)
        yield from self.studies(split)

    def check_split(self, split: str | None) -> None:
        """Raise unless the source has this split."""
        if split is not None and not self.splits:
            raise RequestError(f"{self.name} has no splits, '{split}' was asked for; leave the split out")
        if split is not None and split not in self.splits:
            raise UnknownNameError(f"split of {self.name}", split, self.splits)
