"""Synthetic chests as a source: drawn from seeds, never from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from contrastcxr.data.boxes import TRAINED, trained_with_boxes, with_boxes_of
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Licence, Source
from contrastcxr.errors import UnknownNameError
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


Draw = Callable[..., Sequence[Study]]
"""Gives the studies of `draw(level, split=…, seed=…, limit=…)`."""


def draw_now(level: str, *, split: str, seed: int, limit: int | None) -> Sequence[Study]:
    """Draw studies, which places every lesion and measures where it shows: minutes for thousands."""
    # Imported here: drawing needs SciPy, which those who read files do not wait for.
    from contrastcxr.phantom import draw_studies

    return draw_studies(level, split=split, seed=seed, limit=limit)


class Phantoms(Source):
    """Phantom studies of one level; all of them are its train, validation and test splits."""

    name = "phantom"
    licence = LICENCE
    splits = SPLITS

    def __init__(
        self, level: str, *, seed: int = 0, limit: int | None = None, boxed: int = 100, draw: Draw | None = None
    ) -> None:
        self.level = level
        self._seed = seed
        self._limit = limit
        self._boxed = boxed
        self._draw = draw or draw_now

    def drawn_by(self, draw: Draw) -> Phantoms:
        """Return the same studies from another function, such as one that keeps what it drew."""
        return Phantoms(self.level, seed=self._seed, limit=self._limit, boxed=self._boxed, draw=draw)

    def _load(self, split: str | None) -> Iterable[Study]:
        return [study for name in ((split,) if split else OWN_SPLITS) for study in self._drawn(name)]

    def _drawn(self, split: str) -> list[Study]:
        studies = self._draw(self.level, split=split, seed=self._seed, limit=self._limit)
        drawn = [s if s.split == split else s.model_copy(update={"split": split}) for s in studies]
        if self._boxed == 100 or split not in TRAINED:
            return drawn
        where = f"{self.name}:{self.level}/{split}"
        kept = trained_with_boxes(drawn, self._boxed, seed=self._seed, where=where)
        return [with_boxes_of(study, kept) for study in drawn]


def _open(ref: DataRef) -> Phantoms:
    if ref.root not in LEVELS:
        raise UnknownNameError("phantom level", ref.root, LEVELS)
    boxed = ref.percent("boxed", 100)
    return Phantoms(ref.root, seed=ref.integer("seed", 0), limit=ref.limit, boxed=boxed)


KIND = SourceKind(
    Phantoms,
    open=_open,
    summary="synthetic chests with exact truth, drawn from seeds",
    root="level",
    splits=SPLITS,
    params=("seed", "boxed", "limit"),
    training=("boxed",),
)
