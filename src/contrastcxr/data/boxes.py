"""Training with the boxes of some studies only: which ones, drawn so that a share holds the smaller ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set

from contrastcxr.errors import DatasetError
from contrastcxr.form import Reading, Study

TRAINED = ("train", "train_val")
"""Splits whose boxes are taken away; those of the others stay."""


def is_boxed(study: Study) -> bool:
    """Return True where anybody drew a box."""
    return any(finding.boxes for reading in study.readings for finding in reading.findings)


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
