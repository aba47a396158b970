"""Training with some boxes only: of one author, and of a share of the studies; a share holds the smaller ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set

from contrastcxr.errors import DatasetError, listed
from contrastcxr.form import Reading, Study

TRAINED = ("train", "train_val")
"""Splits whose boxes are taken away; those of the others stay."""


def is_boxed(study: Study) -> bool:
    """Return True where anybody drew a box."""
    return any(map(_draws, study.readings))


def trained_with_boxes(studies: Iterable[Study], percent: int, *, seed: int, where: object) -> Set[str]:
    """Return the ids of the training studies that keep their boxes: this share of those that have any.

    Raises:
        DatasetError: no training study has a box; `where` names the data.
    """
    boxed = [study.study_id for study in studies if study.split in TRAINED and is_boxed(study)]
    if not boxed:
        raise DatasetError(
            f"{where}: boxed={percent}, and no training study has a box; expected some to draw from; "
            "leave boxed out"
        )
    return frozenset(share(boxed, percent, seed=seed))


def with_boxes_by(studies: Iterable[Study], author: str, *, where: object) -> list[Study]:
    """Return studies with the boxes that this author drew, and no others.

    Raises:
        DatasetError: the author drew none on a training study; `where` names the data, the error who did.
    """
    given = list(studies)
    found = [_keeping(study, author) for study in given]
    if not any(study.split in TRAINED and is_boxed(study) for study in found):
        drew = sorted({r.author.name for s in given if s.split in TRAINED for r in s.readings if _draws(r)})
        raise DatasetError(
            f"{where}: boxed_by={author}, and no training study has a box by '{author}'; boxes are by "
            f"{listed(drew, near=author, none='nobody')}; name one of these, or take boxed_by away"
        )
    return found


def _draws(reading: Reading) -> bool:
    return any(finding.boxes for finding in reading.findings)


def _keeping(study: Study, author: str) -> Study:
    readings = tuple(r if r.author.name == author or not _draws(r) else _bare(r) for r in study.readings)
    return study.model_copy(update={"readings": readings})


def with_boxes_of(study: Study, kept: Set[str]) -> Study:
    """Return a study as it is trained with: without any box unless it is one of those that keep them."""
    trained = study.split in TRAINED and study.study_id not in kept
    return study.model_copy(update={"readings": tuple(map(_bare, study.readings))}) if trained else study


def _bare(reading: Reading) -> Reading:
    findings = (finding.model_copy(update={"boxes": ()}) for finding in reading.findings)
    return reading.model_copy(update={"findings": tuple(findings)})


def share(ids: Sequence[str], percent: float, *, seed: int) -> list[str]:
    """Return this share of the ids, to the nearest one, in their order; a larger share holds the smaller ones.

    Which they are depends on the seed and on the ids alone, not on their order or the machine.
    """
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"boxes {seed} {name}".encode()).digest())
    kept = set(ranked[: int(len(ranked) * percent / 100 + 0.5)])
    return [name for name in ids if name in kept]
