"""Which views of a study enter a system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from contrastcxr.form import Study, View


def can_be_aligned(position: str) -> bool:
    """Return whether an aligner is for views of a position: for any that is not known to be lateral."""
    return position != "LATERAL"


def choose_views(study: Study, max_views: int) -> tuple[int, ...]:
    """Return indices of at most `max_views` views: frontal ones first, otherwise in the study's order."""
    order = sorted(range(len(study.views)), key=lambda i: (study.views[i].position == "LATERAL", i))
    return tuple(order[:max_views])


def chosen_views(studies: Sequence[Study], *, max_views: int) -> list[View]:
    """Return the views that enter, study by study."""
    return [study.views[i] for study in studies for i in choose_views(study, max_views)]


@dataclass(frozen=True, eq=False)
class ChosenViews:
    """The views of several parts that enter, found anew at each pass and not kept."""

    parts: Sequence[Sequence[Study]]
    max_views: int

    def __iter__(self) -> Iterator[View]:
        """Yield views study by study, part by part."""
        for study in chain.from_iterable(self.parts):
            yield from (study.views[i] for i in choose_views(study, self.max_views))
