"""Sources whose tables name the pictures: every study they name, whether its pictures are there or not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

from contrastcxr.data.presence import is_there, without_views
from contrastcxr.data.source import Inventory, OnMissing, Source, unheard
from contrastcxr.form import Study


class Tabled(Source):
    """A folder whose tables are read whole, and whose pictures are only looked for.

    With `images="any"` every study is as the tables name it, its locators saying where the pictures would be.
    With `images="there"` absent views are dropped, and studies without any view with them; both are counted.
    """

    def __init__(self, *, images: Literal["there", "any"] = "there") -> None:
        self.images = images

    @abstractmethod
    def _read(self) -> Iterable[Study]:
        """Every study that the tables name, with locators where pictures are or would be."""

    def _counts(self) -> Mapping[str, int]:
        """Whatever else is worth counting."""
        return {}

    def _notes(self) -> Iterable[str]:
        """What is there but left out, or wrong without being missing."""
        return ()

    @cached_property
    def named(self) -> tuple[Study, ...]:
        """Every study that the tables name."""
        return tuple(self._read())

    @cached_property
    def _absent(self) -> Mapping[int, tuple[int, ...]]:
        """Study index -> indices of its views whose file is absent."""
        absent = {
            number: tuple(i for i, view in enumerate(study.views) if not is_there(view))
            for number, study in enumerate(self.named)
        }
        return {number: views for number, views in absent.items() if views}

    @property
    def missing(self) -> tuple[str, ...]:
        """Where the pictures would be that the tables name and the folder does not hold."""
        views = (self.named[n].views[i] for n, indices in self._absent.items() for i in indices)
        return tuple(view.locator or view.view_id for view in views)

    def inventory(self) -> Inventory:
        """Count what the tables name; never reads a pixel."""
        notes = list(self._notes())
        images = sum(len(study.views) for study in self.named)
        if images and len(self.missing) == images and self.images == "there":
            notes.append(f"none of the {images:,} images is there; ?images=any gives texts and labels alone")
        return Inventory(images=images, counts=dict(self._counts()), notes=tuple(notes))

    @cached_property
    def _kept(self) -> tuple[Study, ...]:
        if self.images == "any":
            return self.named
        cut = (without_views(study, self._absent.get(n, ())) for n, study in enumerate(self.named))
        return tuple(study for study in cut if study is not None)

    def _load(self) -> Iterable[Study]:
        return self._kept

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies as they are read, looking for their pictures one study at a time."""
        self.check_split(split)
        for study in self._read():
            gone = [i for i, view in enumerate(study.views) if not is_there(view)]
            for i in gone:
                on_missing(study.views[i].locator or study.views[i].view_id)
            kept = study if self.images == "any" else without_views(study, gone)
            if kept is not None and (split is None or kept.split == split):
                yield kept
