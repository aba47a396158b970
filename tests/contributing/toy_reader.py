"""A source of studies as CONTRIBUTING.md asks for one: `toy.csv` and the pictures that it names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Licence, Source
from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View
from contrastcxr.vocab.labels import NO_FINDING

TABLE = "toy.csv"
READER = Author(kind="human", name="toy reader")
LICENCE = Licence(
    terms="a toy, Apache-2.0", redistributable=True, contains_text=True, contains_pictures=True, where="here"
)
EFFUSION = "Pleural Effusion"


class Toy(Source):
    """A row for each study: `study_id,patient_id,split,image,report,box`, the box empty where there is nothing."""

    name = "toy"
    licence = LICENCE
    splits = ("train", "validation", "test")

    def __init__(self, root: Path) -> None:
        self._root = root
        if not (root / TABLE).is_file():
            raise DatasetError(f"{root}: no {TABLE}; give the folder that holds it")

    @property
    def missing(self) -> tuple[str, ...]:
        """Pictures that are not there."""
        return tuple(row["image"] for row in self._rows() if not (self._root / row["image"]).is_file())

    def _rows(self) -> list[dict[str, str]]:
        with (self._root / TABLE).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _load(self, split: str | None) -> Iterable[Study]:
        del split
        return [self._study(row) for row in self._rows() if (self._root / row["image"]).is_file()]

    def _study(self, row: Mapping[str, str]) -> Study:
        name = row["study_id"]
        view = View(view_id=f"{name}-0", locator=str(self._root / row["image"]), position="PA")
        reading = Reading(
            study_id=name, author=READER, report=Report(findings=row["report"]), findings=_findings(row["box"])
        )
        return Study(
            study_id=name, patient_id=row["patient_id"], views=(view,), readings=(reading,), split=row["split"]
        )


def _findings(box: str) -> tuple[Finding, ...]:
    if not box:
        return Finding(name=NO_FINDING, status="present"), Finding(name=EFFUSION, status="absent")
    x1, y1, x2, y2 = map(float, box.split())
    return (Finding(name=EFFUSION, status="present", boxes=(Box(xyxy=(x1, y1, x2, y2)),)),)


KIND = SourceKind(
    Toy,
    open=lambda ref: Toy(ref.path),
    summary="toy pictures with reports and boxes",
    splits=Toy.splits,
    params=("limit",),
    signs=(TABLE,),
)
