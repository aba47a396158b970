"""Five patient-grouped folds of the NIH training list, the protocol of every figure on real images.

The published test list was drawn for its boxes, so it is for localization only. Folds are stratified by view and
label with a fixed seed: fold f is `test`, the next one `validation`, the other three `train`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from contrastcxr.data.authors import label_reading
from contrastcxr.data.boxes import trained_with_boxes, with_boxes_by, with_boxes_of
from contrastcxr.data.readers.box_reports import with_box_reports
from contrastcxr.data.readers.chestx_det import CHESTX_DET_AUTHOR, add_counts
from contrastcxr.data.readers.coco_boxed import COCO, CocoAuthor, CocoBoxed, coco_author
from contrastcxr.data.readers.nih14 import LICENCE, RSNA, Nih14, heeds_rsna
from contrastcxr.data.readers.nih_plain import PLAIN_LICENCE, with_plain_reports
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Licence, Source
from contrastcxr.data.splits import fold_split, patient_folds
from contrastcxr.errors import RequestError
from contrastcxr.form import Study

FOLDS = 5
FOLD_SEED = 0
LEARNT = ("train", "validation")
"""Splits whose boxes are those of one author where one is named: they teach, and cuts are chosen on them."""


Report = Literal["none", "plain", "boxes"]
BOXING = (CHESTX_DET_AUTHOR.name, RSNA.name)
"""Whose boxes are put into words, the first in front."""


class Nih14Folds(Source):
    """One of the five cuts of the NIH training list into train, validation and test."""

    name = "nih14-cv"
    licence = LICENCE
    splits = ("train", "validation", "test")

    def __init__(
        self,
        root: Path,
        *,
        fold: int = 0,
        report: Report = "none",
        seed: int = 0,
        boxed: int = 100,
        boxed_by: str | None = None,
        rsna: bool = True,
        coco: CocoAuthor | None = None,
    ) -> None:
        if not 0 <= fold < FOLDS:
            raise RequestError(f"fold {fold} of nih14-cv; expected 0 to {FOLDS - 1}")
        learns_rsna = boxed_by == RSNA.name or (report == "boxes" and rsna and boxed_by is None)
        terms = _terms(PLAIN_LICENCE if report == "plain" else self.licence, learns_rsna=learns_rsna)
        self.licence = coco.terms(terms) if coco else terms
        self._nih = Nih14(root, rsna=rsna)
        self._images = CocoBoxed(self._nih, coco) if coco else self._nih
        self._coco = coco
        self._fold = fold
        self._report = report
        self._seed = seed
        self._boxed = boxed
        self._boxed_by = boxed_by

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the tables name and the folder does not hold."""
        return self._images.missing

    def inventory(self) -> Inventory:
        """Count what the tables name, and what ChestX-Det and a COCO file marked on the pictures of the folds."""
        there = {study.study_id for study in self._images.studies("train_val")}
        held = add_counts(super().inventory(), self._nih.chestx_det, there)
        return self._coco.counted(held) if self._coco else held

    def _load(self, split: str | None) -> Iterable[Study]:
        chosen = [study for name in ((split,) if split else self.splits) for study in self._cut[name]]
        if self._report == "boxes":
            return with_box_reports(chosen, [self._boxed_by] if self._boxed_by else BOXING)
        return with_plain_reports(chosen, seed=self._seed) if self._report == "plain" else chosen

    @cached_property
    def _cut(self) -> dict[str, list[Study]]:
        folds = patient_folds(
            self._images.studies("train_val"), folds=FOLDS, seed=FOLD_SEED, strata=view_and_labels
        )
        cut = fold_split(folds, self._fold)
        where = f"{self._nih.root}, fold {self._fold}"
        if self._boxed_by is not None:
            kept_by = with_boxes_by([study for name in LEARNT for study in cut[name]], self._boxed_by, where=where)
            cut |= {name: [study for study in kept_by if study.split == name] for name in LEARNT}
        if self._boxed != 100:
            kept = trained_with_boxes(cut["train"], self._boxed, seed=self._seed, where=where)
            cut["train"] = [with_boxes_of(study, kept) for study in cut["train"]]
        return cut


def _terms(licence: Licence, *, learns_rsna: bool) -> Licence:
    """Return the terms of what learns these boxes: weights that learnt RSNA's may not be passed on."""
    if not learns_rsna:
        return licence
    terms = (
        f"taught with RSNA's boxes (non-commercial terms of the challenge): not to be passed on; {licence.terms}"
    )
    return replace(licence, terms=terms, redistributable=False)


def view_and_labels(study: Study) -> list[str]:
    """Return the strata of a study: its view, and each of its labels within that view."""
    position = study.views[0].position
    reading = label_reading(study)
    return [position, *(f"{position} {name}" for name in sorted(reading.present() if reading else ()))]


def _open(ref: DataRef) -> Nih14Folds:
    return Nih14Folds(
        ref.path,
        fold=ref.integer("fold", 0),
        report=ref.choice("report", ("none", "plain", "boxes")),
        seed=ref.integer("seed", 0),
        boxed=ref.percent("boxed", 100),
        boxed_by=dict(ref.params).get("boxed_by"),
        rsna=heeds_rsna(ref),
        coco=coco_author(ref),
    )


KIND = SourceKind(
    Nih14Folds,
    open=_open,
    summary="five patient-grouped folds of the NIH training list",
    splits=Nih14Folds.splits,
    params=("fold", "report", "seed", "boxed", "boxed_by", "rsna", "limit"),
    training=("boxed", "boxed_by", "rsna"),
    options=(COCO,),
    authors=(COCO,),
)
