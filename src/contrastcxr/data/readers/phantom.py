"""Synthetic chests as a source: drawn from seeds, never from files."""

from __future__ import annotations

from collections.abc import Iterable

from contrastcxr.data.drawn import drawn
from contrastcxr.data.source import Licence, Source
from contrastcxr.form import Study

LICENCE = Licence(
    terms="made by this project, Apache-2.0",
    redistributable=True,
    contains_text=True,
    contains_pictures=True,
    where="drawn on the spot",
)

LEVELS = ("smoke", "easy", "standard", "hard")
OWN_SPLITS = ("train", "validation", "test")
SPLITS = (*OWN_SPLITS, "twins", "shift", "heldout")


class Phantoms(Source):
    """Phantom studies of one level; all of them are its train, validation and test splits."""

    name = "phantom"
    licence = LICENCE
    splits = SPLITS

    def __init__(self, level: str, *, seed: int = 0, limit: int | None = None) -> None:
        self.level = level
        self._seed = seed
        self._limit = limit

    def studies(self, split: str | None = None) -> list[Study]:
        """Return the studies of one split, or those of train, validation and test."""
        self.check_split(split)
        return [study for name in ((split,) if split else OWN_SPLITS) for study in self._drawn(name)]

    def _load(self) -> Iterable[Study]:
        return self.studies()

    def _drawn(self, split: str) -> list[Study]:
        # Imported here: drawing needs SciPy, which those who read files do not wait for.
        from contrastcxr.phantom import draw_studies

        studies = drawn(draw_studies, self.level, split=split, seed=self._seed, limit=self._limit)
        return [s if s.split == split else s.model_copy(update={"split": split}) for s in studies]
