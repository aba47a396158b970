"""The experiments of localization on NIH ChestX-ray14: boxed images in five folds, beside images without a box.

Li et al. 2018 and CIA-Net (paper B, Tables 1 to 6) train with labels of images without a box and with boxes of a
share of the 880 boxed ones, and test on boxed images: on one fold of five, or without any box in training on all.
The corrected protocol keeps a patient's images together and leaves the official test list out of training, boxed
images apart; as published, images are parted one by one, so that patients are on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from contrastcxr.data.authors import label_reading
from contrastcxr.data.boxes import share
from contrastcxr.data.readers.nih14 import BOXES, LICENCE, Nih14
from contrastcxr.data.readers.nih14_cv import FOLD_SEED, FOLDS, view_and_labels
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Source
from contrastcxr.data.splits import Grouping, Strata, patient_folds
from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.form import Author, Finding, Reading, Study

JOINT = Author(kind="rule", name="nih14 labels and boxes")
"""The labels of an image and its boxes in one reading, so that a finding that is there without a box is known."""
HELD_OUT = 10
"""One part in ten of the images without a box, of patients without any, is for validation (ours)."""


@dataclass(frozen=True)
class BoxShares:
    """What is trained with.

    Attributes:
        fold: of the boxed images that is tested; None tests all, and trains with none.
        boxed: percent of all boxed images that are trained with their boxes, from the other folds; the others of
            them are left out (ours).
        unannotated: percent of the images without a box, those for validation apart, that are trained from labels.
        grouped: what is kept together.
        seed: draws both shares.
    """

    fold: int | None = None
    boxed: int = 0
    unannotated: int = 100
    grouped: Grouping = "patient"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fold is not None and not 0 <= self.fold < FOLDS:
            raise RequestError(f"fold {self.fold} of nih14-boxes; expected 0 to {FOLDS - 1}")
        most = 0 if self.fold is None else 100 - 100 // FOLDS
        if self.boxed > most:
            tested = "all boxed images are" if self.fold is None else "a fifth of the boxed images is"
            remedy = "name a fold, such as fold=0" if self.fold is None else f"set boxed={most} or less"
            raise RequestError(
                f"boxed={self.boxed} of nih14-boxes: {tested} tested, so at most {most}% can be trained with; "
                f"{remedy}"
            )


class Nih14Boxes(Source):
    """Images without a box to learn labels from, a share of the boxed ones, and the boxed ones that are tested."""

    name = "nih14-boxes"
    licence = LICENCE
    splits = ("train", "validation", "test")

    def __init__(self, root: Path, shares: BoxShares | None = None) -> None:
        self._images = Nih14(root)
        self._shares = shares or BoxShares()

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the tables name and the folder does not hold."""
        return self._images.missing

    def inventory(self) -> Inventory:
        """Count what the images' own source counts."""
        return self._images.inventory()

    def _load(self, split: str | None) -> Iterable[Study]:
        return [study for name in ((split,) if split else self.splits) for study in self._cut[name]]

    @cached_property
    def _cut(self) -> dict[str, list[Study]]:
        tested = self._tested
        away = {study.study_id for study in tested}
        others = [study for study in self._boxed if study.study_id not in away]
        grouped = self._shares.grouped == "patient"
        patients = {study.patient_id for study in tested} if grouped else set()
        plain = [study for study in self._plain if study.patient_id not in patients]
        taught = {study.patient_id for study in others} if grouped else set()
        free = [study for study in plain if study.patient_id not in taught]
        if len({study.patient_id for study in free} if grouped else free) < HELD_OUT:
            raise DatasetError(
                f"{self._images.root}: fewer than {HELD_OUT} patients without a boxed image are left, of which a "
                "tenth is for validation; give more of the images without a box"
            )
        validation, *_ = self._folds(free, HELD_OUT)
        held = {study.study_id for study in validation}
        kept = self._some([s for s in plain if s.study_id not in held], self._shares.unannotated)
        boxed = self._some(others, self._shares.boxed * FOLDS / (FOLDS - 1))  # the others are 80% of them all
        return {
            "train": [_as(study, "train") for study in (*kept, *boxed)],
            "validation": [_as(study, "validation") for study in validation],
            "test": [_as(study, "test") for study in tested],
        }

    @cached_property
    def _boxed(self) -> list[Study]:
        """The boxed images, their labels and boxes as the first reading.

        Raises:
            DatasetError: there is none.
        """
        found = [with_joint_reading(s) for s in self._images.studies() if s.reading_by(BOXES.name) is not None]
        if not found:
            raise DatasetError(
                f"{self._images.root}: no image has a box; expected BBox_List_2017.csv there, and its images; "
                "download them from the data set's page"
            )
        return found

    @property
    def _plain(self) -> list[Study]:
        """The images without a box: of the training list, or as published of both lists."""
        listed = self._images.studies("train_val") if self._shares.grouped == "patient" else self._images.studies()
        return [study for study in listed if study.reading_by(BOXES.name) is None]

    @property
    def _tested(self) -> Sequence[Study]:
        if self._shares.fold is None:
            return self._boxed
        return self._folds(self._boxed, FOLDS, strata=boxed_findings)[self._shares.fold]

    def _folds(
        self, studies: Sequence[Study], folds: int, strata: Strata = view_and_labels
    ) -> list[tuple[Study, ...]]:
        by = self._shares.grouped
        return patient_folds(studies, folds=folds, seed=FOLD_SEED, strata=strata, grouped=by)

    def _some(self, studies: Sequence[Study], percent: float) -> list[Study]:
        kept = set(share([study.study_id for study in studies], percent, seed=self._shares.seed))
        return [study for study in studies if study.study_id in kept]


def boxed_findings(study: Study) -> list[str]:
    """Return the findings that have a box."""
    reading = study.reading_by(BOXES.name)
    return [finding.name for finding in reading.findings] if reading else []


def with_joint_reading(study: Study) -> Study:
    """Return a study with its labels and its NIH boxes together as the first reading.

    What is labelled has the boxes of its finding, if any; a boxed finding that is not labelled is present.
    """
    labels, boxes = label_reading(study), study.reading_by(BOXES.name)
    assert labels is not None
    assert boxes is not None
    drawn = {finding.name: finding for finding in boxes.findings}
    stated = [_with_boxes(finding, drawn.pop(finding.name, None)) for finding in labels.findings]
    joint = Reading(study_id=study.study_id, author=JOINT, findings=(*stated, *drawn.values()))
    return study.model_copy(update={"readings": (joint, *study.readings)})


def _with_boxes(finding: Finding, drawn: Finding | None) -> Finding:
    return finding if drawn is None else finding.model_copy(update={"boxes": drawn.boxes, "source": JOINT.name})


def _as(study: Study, split: str) -> Study:
    return study.model_copy(update={"split": split})


def _open(ref: DataRef) -> Nih14Boxes:
    fold = ref.integer("fold", 0) if "fold" in dict(ref.params) else None
    shares = BoxShares(
        fold=fold,
        boxed=ref.percent("boxed", 0),
        unannotated=ref.percent("unannotated", 100),
        grouped=ref.choice("grouped", ("patient", "image")),
        seed=ref.integer("seed", 0),
    )
    return Nih14Boxes(ref.path, shares)


KIND = SourceKind(
    Nih14Boxes,
    open=_open,
    summary="NIH boxed images in five folds, beside images with labels alone (localization)",
    splits=Nih14Boxes.splits,
    params=("fold", "boxed", "unannotated", "grouped", "seed", "limit"),
    training=("boxed", "unannotated", "seed"),
)
