"""Reports for NIH images, written by the grammar from the labels alone, with ceiling and floor of any score.

No public set pairs many images with many reports. These reports say which labels are present and deny some
others; they name no side, size, device or prior. A report depends on the image's name and the seed only, so that
every split, fold and machine sees the same text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from contrastcxr.data.authors import label_reading
from contrastcxr.data.readers.coco_boxed import with_coco
from contrastcxr.data.readers.nih14 import LICENCE, Nih14
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Inventory, Licence, Source
from contrastcxr.errors import RequestError
from contrastcxr.form import Author, Reading, Study
from contrastcxr.vocab.labels import NO_FINDING

PLAIN = Author(kind="rule", name="nih-plain")
ORACLE = Author(kind="rule", name="nih-plain oracle")
SHUFFLED = Author(kind="rule", name="nih-plain shuffled")

PLAIN_LICENCE = Licence(
    terms=f"reports by the grammar of this project (Apache-2.0); images and labels: {LICENCE.terms}",
    redistributable=True,
    contains_text=True,
    contains_pictures=True,
    where=LICENCE.where,
)


class NihPlain(Source):
    """NIH ChestX-ray14 with the grammar's report as the first reading of every study."""

    name = "nih-plain"
    licence = PLAIN_LICENCE

    def __init__(self, root: Path, *, seed: int = 0) -> None:
        self._images = Nih14(root)
        self._seed = seed
        self.splits = self._images.splits

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the tables name and the folder does not hold."""
        return self._images.missing

    def inventory(self) -> Inventory:
        """Count what the images' own source counts."""
        return self._images.inventory()

    def _load(self, split: str | None) -> Iterable[Study]:
        return with_plain_reports(self._images.studies(split), seed=self._seed)


def with_plain_reports(studies: Iterable[Study], *, seed: int = 0) -> list[Study]:
    """Return the studies with the grammar's reading in front of their own."""
    return [
        study.model_copy(update={"readings": (_write(study, labels_of(study), PLAIN, seed), *study.readings)})
        for study in studies
    ]


def oracle_readings(studies: Sequence[Study], *, seed: int = 0) -> list[Reading]:
    """Return what a system that knows every label would write: the same labels in other words (the ceiling)."""
    return [_write(study, labels_of(study), ORACLE, seed) for study in studies]


def shuffled_readings(studies: Sequence[Study], *, seed: int = 0) -> list[Reading]:
    """Return what a system that looks at no picture would write: labels moved between images (the floor).

    Every study takes the labels of another one, along one random cycle.

    Raises:
        RequestError: fewer than two studies.
    """
    if len(studies) < 2:
        raise RequestError(f"labels of {len(studies)} study cannot be shuffled; expected at least 2 studies")
    order = np.random.default_rng(seed).permutation(len(studies))
    donor = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return [_write(study, labels_of(studies[donor[i]]), SHUFFLED, seed) for i, study in enumerate(studies)]


def labels_of(study: Study) -> tuple[str, ...]:
    """Return names of the findings that the study's labels say are present, without No Finding."""
    reading = label_reading(study)
    names = (f.name for f in reading.findings if f.status == "present") if reading else ()
    return tuple(name for name in names if name != NO_FINDING)


def _write(study: Study, labels: Sequence[str], author: Author, seed: int) -> Reading:
    # Imported here: the grammar's wordings are not needed by those who only look at images.
    from contrastcxr.text.grammar.writing import write_from_labels

    written = write_from_labels(labels, rng=_stable_rng(author.name, study.study_id, seed))
    return Reading(study_id=study.study_id, author=author, report=written.report, findings=tuple(written.findings))


def _stable_rng(author: str, study_id: str, seed: int) -> np.random.Generator:
    """Return a generator that depends on these three alone, not on the order of studies or the process."""
    digest = hashlib.sha256(f"{author} {study_id} {seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


KIND = with_coco(
    SourceKind(
        NihPlain,
        open=lambda ref: NihPlain(ref.path, seed=ref.integer("seed", 0)),
        summary="NIH images with reports that the grammar wrote from their labels",
        splits=("train_val", "test"),
        params=("seed", "limit"),
    )
)
