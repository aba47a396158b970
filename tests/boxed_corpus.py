"""The small corpus with a box for each finding that is present, and localizers made by hand that read it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import small_corpus
from contrastcxr.form import Author, Box, Finding, Point, Reading, Report, Study

AUTHOR = Author(kind="model", name="localizer")
SILENT = {"model": {"name": "localizer", "decoder": None}}
"""Provenance of a model that writes no report."""
Rectangle = tuple[float, float, float, float]


def corpus(level: str = "smoke", *, split: str = "train", seed: int = 0, limit: int | None = None) -> list[Study]:
    """Pictures have 64 pixels a side; a box moves a little from study to study."""
    return [
        _boxed(study, index)
        for index, study in enumerate(small_corpus.corpus(level, split=split, seed=seed, limit=limit))
    ]


def box_of(index: int) -> Rectangle:
    left, upper = 8.0 + 3 * (index % 5), 10.0 + 2 * (index % 7)
    return left, upper, left + 20, upper + 16


def _boxed(study: Study, index: int) -> Study:
    (reading,) = study.readings
    box = Box(xyxy=box_of(index))
    findings = tuple(
        finding.model_copy(update={"boxes": (box,) if finding.status == "present" else ()})
        for finding in reading.findings
    )
    return study.model_copy(update={"readings": (reading.model_copy(update={"findings": findings}),)})


def localizer(
    study: Study, *, shift: float = 0.0, silent: bool = True, names: Iterable[str] = small_corpus.SIDED
) -> Reading:
    """A reading that marks the true box of each finding moved to the right; without one, the middle."""
    truth = {f.name: f for f in study.readings[0].findings}
    return Reading(
        study_id=study.study_id,
        author=AUTHOR,
        report=Report() if silent else study.readings[0].report,
        findings=tuple(_marked(truth[name], shift) for name in names),
        provenance=SILENT if silent else {},
    )


def _marked(truth: Finding, shift: float) -> Finding:
    corners = truth.boxes[0].xyxy if truth.boxes else (20.0, 20.0, 40.0, 40.0)
    x1, y1, x2, y2 = np.add(corners, (shift, 0, shift, 0)).tolist()
    box = Box(xyxy=(x1, y1, x2, y2))
    called = truth.status == "present"
    return Finding(
        name=truth.name,
        status=truth.status,
        probability=0.9 if called else 0.1,
        region=(box,),
        boxes=(box,) if called else (),
        peak=Point(xy=((x1 + x2) / 2, (y1 + y2) / 2)),
    )
