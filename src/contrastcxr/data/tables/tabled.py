"""Sources whose tables name the pictures: every study they name, whether its pictures are there or not."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from contrastcxr.data.presence import is_there, without_views
from contrastcxr.data.source import Inventory, OnMissing, Source, unheard
from contrastcxr.errors import ImageError
from contrastcxr.form import Study

T = TypeVar("T")


@dataclass
class _Survey:
    """What a whole pass over the studies found."""

    images: int = 0
    missing: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)


class TableSource(Source):
    """A folder whose tables are read whole, and whose pictures are only looked for.

    With `images="any"` every study is as the tables name it, its locators saying where the pictures would be.
    With `images="there"` absent views are dropped, and studies without any view with them; both are counted.
    Studies are made anew at each pass and not kept, since 200,000 of them fill a gigabyte.
    """

    def __init__(self, *, images: Literal["there", "any"] = "there") -> None:
        self.images = images
        self._surveyed: _Survey | None = None
        self._unreadable: dict[str, str] = {}

    @abstractmethod
    def _read(self) -> Iterable[Study]:
        """Return every study that the tables name, with locators where pictures are or would be."""

    def _tally(self, counted: Counter[str], study: Study) -> None:
        """Count what a study has, under any names; `_counts` and `_notes` take it up."""

    def _counts(self, counted: Counter[str]) -> Mapping[str, int]:
        """Return whatever else is worth counting, in words and in order."""
        del counted
        return {}

    def _notes(self, counted: Counter[str]) -> Iterable[str]:
        """Return what is there but left out, or wrong without being missing."""
        del counted
        return ()

    def _look(self, path: Path, into: Callable[[Path], T]) -> T | None:
        """Return what a picture says of itself; None of one that cannot be read, which counts as missing."""
        try:
            return into(path)
        except ImageError as error:
            self._unreadable[str(path)] = str(error)
            return None

    @property
    def _survey(self) -> _Survey:
        if self._surveyed is None:
            deque(self.stream(), maxlen=0)
        assert self._surveyed is not None
        return self._surveyed

    @property
    def missing(self) -> tuple[str, ...]:
        """Where pictures would be that are not there, and what is wrong with those that cannot be read."""
        return tuple(self._survey.missing)

    def inventory(self) -> Inventory:
        """Count what the tables name; never reads a pixel."""
        images, counted = self._survey.images, self._survey.counted
        notes = list(self._notes(counted))
        if images and len(self.missing) == images and self.images == "there":
            notes.append(f"none of the {images:,} images is there; ?images=any gives texts and labels alone")
        return Inventory(images=images, counts=dict(self._counts(counted)), notes=tuple(notes))

    def _load(self, split: str | None) -> Iterable[Study]:
        return self.stream(split)

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies as they are read, looking for their pictures one study at a time."""
        self.check_split(split)
        found = _Survey()
        for study in self._read():
            names = [view.locator or view.view_id for view in study.views]
            gone = [i for i, view in enumerate(study.views) if names[i] in self._unreadable or not is_there(view)]
            found.images += len(study.views)
            for i in gone:
                found.missing.append(self._unreadable.get(names[i], names[i]))
                on_missing(found.missing[-1])
            self._tally(found.counted, study)
            kept = study if self.images == "any" else without_views(study, gone)
            if kept is not None and (split is None or kept.split == split):
                yield kept
        self._surveyed = found
