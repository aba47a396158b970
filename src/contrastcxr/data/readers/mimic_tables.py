"""The tables of MIMIC-CXR and MIMIC-CXR-JPG: which images a study has, when it was made, its split and its labels.

Everything is keyed by number (`50414267`), as the tables write it. What is kept of a study is a few hundred bytes,
because there are 227,835 of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from sys import intern

from contrastcxr.data.tables.files import split_named
from contrastcxr.data.tables.streamed import TableLine, stream_table
from contrastcxr.errors import DatasetError
from contrastcxr.form import Finding, Position, Status
from contrastcxr.vocab.labels import CHEXPERT

METADATA = ("mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.1.0-metadata.csv")
RECORDS = ("cxr-record-list.csv",)
SPLIT = ("mimic-cxr-2.0.0-split.csv", "mimic-cxr-2.1.0-split.csv")
LABELS: Mapping[str, tuple[str, ...]] = {
    "chexpert": ("mimic-cxr-2.0.0-chexpert.csv", "mimic-cxr-2.1.0-chexpert.csv"),
    "negbio": ("mimic-cxr-2.0.0-negbio.csv", "mimic-cxr-2.1.0-negbio.csv"),
}

_POSITIONS: Mapping[str, Position] = {
    "PA": "PA",
    "PA LLD": "PA",
    "PA RLD": "PA",
    "AP": "AP",
    "AP AXIAL": "AP",
    "AP LLD": "AP",
    "AP RLD": "AP",
    "LATERAL": "LATERAL",
    "LL": "LATERAL",
    "RL": "LATERAL",
    "XTABLE LATERAL": "LATERAL",
}
"""ViewPosition -> position; obliques and swimmer's views have none."""
_MEANINGS: Mapping[str, Position] = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "LATERAL",
    "left lateral": "LATERAL",
}

_STATUS: Mapping[str, str] = {"1": "1", "1.0": "1", "0": "0", "0.0": "0", "-1": "u", "-1.0": "u", "": " "}
_OF_CODE: Mapping[str, Status] = {"1": "present", "0": "absent", "u": "uncertain"}


@dataclass(slots=True)
class StudyRecord:
    """What the tables know of one study."""

    subject: str
    images: list[tuple[str, Position]] = field(default_factory=list)
    acquired: tuple[int, float] | None = None
    split: str | None = None


def read_metadata(path: Path) -> dict[str, StudyRecord]:
    """Return studies with their images, positions and time, by study number, from the JPG edition's metadata.

    Raises:
        DatasetError: a row is wrong, or an image is listed twice.
    """
    required = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime")
    found: dict[str, StudyRecord] = {}
    for line in stream_table(path, required, ("ViewCodeSequence_CodeMeaning",)):
        dicom, subject, study, stated, day, clock, meaning = line.cells
        held = _held(found, line, subject=subject, study=study)
        held.images.append((dicom, _position(stated, meaning)))
        held.acquired = held.acquired or _time(line, day, clock)
    return _checked(found, path)


def read_records(path: Path) -> dict[str, StudyRecord]:
    """Return the studies with their images, by study number, from the list of the DICOM edition.

    The list states no position or time.

    Raises:
        DatasetError: a row is wrong, or an image is listed twice.
    """
    found: dict[str, StudyRecord] = {}
    for line in stream_table(path, ("dicom_id", "subject_id", "study_id")):
        dicom, subject, study = line.cells
        _held(found, line, subject=subject, study=study).images.append((dicom, "unknown"))
    return _checked(found, path)


def read_splits(path: Path) -> dict[str, str]:
    """Return the split of every study.

    Raises:
        DatasetError: an unknown split, or a study or patient in two.
    """
    of_study: dict[str, str] = {}
    of_subject: dict[str, str] = {}
    for line in stream_table(path, ("dicom_id", "study_id", "subject_id", "split")):
        _, study, subject, stated = line.cells
        split = split_named(stated)
        if split is None:
            raise line.error(f"split '{stated}'; expected train, validate, test; correct the cell")
        for what, known, number in (("study", of_study, study), ("patient", of_subject, subject)):
            if known.setdefault(intern(number), split) != split:
                raise line.error(
                    f"{what} {number} is in {known[number]} and {split}; expected one; correct the row"
                )
    return of_study


def read_labels(path: Path) -> dict[str, str]:
    """Return the 14 labels of every study as a code, see `findings_of`.

    Raises:
        DatasetError: a value that is not 1, 0, -1 or blank, or a study listed twice.
    """
    found: dict[str, str] = {}
    for line in stream_table(path, ("study_id", *CHEXPERT)):
        study, *values = line.cells
        for name, value in zip(CHEXPERT, values, strict=True):
            if value not in _STATUS:
                raise line.error(f"{name} '{value}'; expected 1, 0, -1 or blank; correct the cell")
        if study in found:
            raise line.error(f"study {study} is listed twice; expected one row each; keep one")
        found[study] = intern("".join(_STATUS[value] for value in values))
    return found


@lru_cache(maxsize=100_000)
def findings_of(code: str, source: str) -> tuple[Finding, ...]:
    """Return what a row of labels says.

    A blank is unmentioned and not listed. Studies alike share these objects.
    """
    named = zip(CHEXPERT, code, strict=True)
    return tuple(_finding(name, _OF_CODE[mark], source) for name, mark in named if mark in _OF_CODE)


@lru_cache(maxsize=1000)
def _finding(name: str, status: Status, source: str) -> Finding:
    return Finding(name=name, status=status, source=source)


def previous_studies(held: Mapping[str, StudyRecord]) -> dict[str, str]:
    """Map each study to the last study of the same patient that was made before it, where both say when."""
    by_subject: dict[str, list[tuple[tuple[int, float], str]]] = defaultdict(list)
    for study, known in held.items():
        if known.acquired is not None:
            by_subject[known.subject].append((known.acquired, study))
    return dict(pair for studies in by_subject.values() for pair in _pairs(sorted(studies)))


def day_of(acquired: tuple[int, float] | None) -> date | None:
    """Return the date of a `(20260131, seconds)` time."""
    if acquired is None:
        return None
    day = acquired[0]
    return date(day // 10_000, day // 100 % 100, day % 100)


_Timed = tuple[tuple[int, float], str]


def _pairs(studies: Sequence[_Timed]) -> Iterator[tuple[str, str]]:
    """Yield each study with the last one of an earlier time; two of the same minute do not precede each other."""
    before: _Timed | None = None
    for i, study in enumerate(studies):
        if i and studies[i - 1][0] < study[0]:
            before = studies[i - 1]
        if before is not None:
            yield study[1], before[1]


def _held(found: dict[str, StudyRecord], line: TableLine, *, subject: str, study: str) -> StudyRecord:
    for name, number in (("subject_id", subject), ("study_id", study)):
        if not (number.isascii() and number.isdigit()):
            raise line.error(f"{name} '{number}'; expected a whole number; correct the cell")
    if not line.cells[0]:
        raise line.error("no dicom_id; expected the name of an image; correct the cell")
    held = found.setdefault(study, StudyRecord(intern(subject)))
    if held.subject != subject:
        raise line.error(
            f"study {study} is of patients {held.subject} and {subject}; expected one; correct the row"
        )
    return held


def _checked(found: dict[str, StudyRecord], path: Path) -> dict[str, StudyRecord]:
    if not found:
        raise DatasetError(f"{path}: lists no image; expected one a row; download the table again")
    for study, held in found.items():
        names = [name for name, _ in held.images]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise DatasetError(
                f"{path}: image {twice} of study {study} is listed twice; expected once; keep one row"
            )
    return found


def _position(stated: str, meaning: str) -> Position:
    return _POSITIONS.get(stated.upper()) or _MEANINGS.get(meaning.lower(), "unknown")


def _time(line: TableLine, day: str, clock: str) -> tuple[int, float] | None:
    """Return the date as a number and the time as hhmmss; the table leaves out leading zeros of the time."""
    if not day:
        return None
    try:
        acquired = int(float(day)), float(clock.replace(",", ".") or 0)
        day_of(acquired)
    except (ValueError, OverflowError) as error:
        raise line.error(
            f"StudyDate '{day}', StudyTime '{clock}'; expected 21800506 and 213014.531; correct the cells"
        ) from error
    return acquired
