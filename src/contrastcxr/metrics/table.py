"""The study table: per study, the few numbers from which every score of an evaluation is a weighted sum.

A score needs no text any more once the table is made, so that tables of several seeds are pooled, two systems
are compared on the same bootstrap draws, and what is kept of a long experiment is small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.errors import DatasetError
from contrastcxr.files import atomic_write
from contrastcxr.form import Finding
from contrastcxr.metrics import meteor, text
from contrastcxr.metrics.attributes import AttributeCounts, attribute_counts
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.clinical import Codes, agreement_counts, status_codes
from contrastcxr.metrics.lengths import Lengths
from contrastcxr.metrics.localization import place_counts
from contrastcxr.metrics.words import PLAIN, ScoredWords

if TYPE_CHECKING:
    from contrastcxr.metrics.learned import LearnedScores

_ARRAYS = (
    "bleu",
    "rouge_l",
    "cider",
    "meteor",
    "words",
    "truth",
    "claimed",
    "sides",
    "severities",
    "probabilities",
    "learned",
    "iou",
    "iobb",
    "pointing",
    "false_boxes",
    "boxes_marked",
    "boxes_wanted",
    "word_losses",
    "claimed_exchanged",
    "attributes_stated",
    "attributes_told",
)
OF_PLACES = ("iou", "iobb", "pointing")
"""Arrays `[S, L]` with a value where the reference has a box of the finding."""
_OF_DETECTIONS = ("boxes_marked", "boxes_wanted")
OF_FINDINGS = ("truth", "claimed", "claimed_exchanged", "probabilities", *OF_PLACES, *_OF_DETECTIONS)
"""Arrays `[S, L]`, and `[S, L, …]`."""


_LISTS = ("learned_names", "attribute_names")
"""Names of columns that not every table has."""
NO_REPORT = "no report is written"


@dataclass(frozen=True)
class Answer:
    """What one system says of one study; what it does not give at all is None.

    Attributes:
        report: as written; None of a system that writes none.
        findings: what the report states; None where that cannot be had (a language without a parser).
        probabilities: by name.
        places: findings with boxes or regions, as the form has them; None of an author who marks no places.
        attributes: of one list, probabilities, or 1 and 0 as they are stated; None of an author who states none.
    """

    report: str | None
    findings: tuple[Finding, ...] | None = None
    probabilities: Mapping[str, float] | None = None
    places: tuple[Finding, ...] | None = None
    attributes: Mapping[str, float] | None = None

    @property
    def words(self) -> str:
        """The report; empty of a system that writes none."""
        return self.report or ""


@dataclass(frozen=True)
class StudyTable:
    """Numbers of one system on `S` studies and `L` findings; None where a quantity does not apply.

    Attributes:
        names: the `L` findings.
        groups: patient of each study, or the study itself where none is known.
        studies: ids.
        bleu: `[S, 10]` sufficient statistics.
        rouge_l: `[S]`; NaN where the reference holds no word.
        cider: `[S]`, likewise; None where the references cannot weigh words.
        words: `[S]` tokens written.
        meteor: `[S, 23]` match counts.
        truth: `[S, L]` status codes of the reference.
        claimed: `[S, L]` status codes of the report.
        sides: `[S, 2]` agreeing and all findings that both call and the reference sides.
        severities: `[S, 2]` likewise.
        probabilities: `[S, L]`; NaN where none was given.
        learned: `[S, K]` scores of learned metrics.
        learned_names: of the K scores.
        iou: `[S, L]` overlap of what is marked with the reference boxes; NaN where there is none of the finding.
        iobb: `[S, L]` share of what is marked that lies on them, likewise.
        pointing: `[S, L]` 1 where the peak lies in one of them, else 0, likewise.
        false_boxes: `[S]` boxes shown that lie on no reference box; NaN where the author gives no boxes.
        boxes_marked: `[S, L, M, 1 + K]` score of each box marked, and where it is right, as `Detections` has it.
        boxes_wanted: `[S, L]` reference boxes; NaN where no box is judged.
        word_losses: `[S, 8]`, summed negative log-probability and number of words of the reference's sentences
            that name an abnormality, both of its other sentences, and all four again with another patient's
            picture; these are NaN where none is at hand.
        claimed_exchanged: `[S, L]` status codes of the report that is written from that picture.
        attributes_stated: `[S, A]`, of `AttributeCounts`.
        attributes_told: `[S, A]`, likewise.
        attribute_names: of the A attributes.
        notes: why a quantity is None; of a family of learned scores, which weights made it.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    studies: tuple[str, ...]
    bleu: Floats | None = None
    rouge_l: Floats | None = None
    cider: Floats | None = None
    words: Floats | None = None
    meteor: Floats | None = None
    truth: Codes | None = None
    claimed: Codes | None = None
    sides: NDArray[np.int64] | None = None
    severities: NDArray[np.int64] | None = None
    probabilities: Floats | None = None
    learned: Floats | None = None
    learned_names: tuple[str, ...] = ()
    notes: Mapping[str, str] | None = None
    iou: Floats | None = None
    iobb: Floats | None = None
    pointing: Floats | None = None
    false_boxes: Floats | None = None
    boxes_marked: Floats | None = None
    boxes_wanted: Floats | None = None
    word_losses: Floats | None = None
    claimed_exchanged: Codes | None = None
    attributes_stated: Floats | None = None
    attributes_told: Floats | None = None
    attribute_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def attributes(self) -> AttributeCounts | None:
        """What attributes are scored by."""
        if self.attributes_stated is None or self.attributes_told is None:
            return None
        return AttributeCounts(self.attribute_names, self.attributes_stated, self.attributes_told)

    @property
    def scored_texts(self) -> NDArray[np.bool_]:
        """True `[S]` for the studies whose words are scored: those with a reference that holds some."""
        if self.rouge_l is None:
            return np.zeros(len(self), dtype=bool)
        return np.isfinite(self.rouge_l)

    @property
    def lengths(self) -> Lengths | None:
        """Words `[S]` of each reference and of each report, as they are scored; None where texts are not compared.

        Both are NaN where the reference holds no word.
        """
        if self.bleu is None:
            return None
        written, wanted = np.where(self.scored_texts, self.bleu[:, -2:].T, np.nan)
        return wanted, written

    def save(self, path: Path) -> None:
        """Write the table as `.npz`; figures are kept in 32 bits, which loses nothing that is printed.

        Overlaps and scores of boxes keep all 64: in 32 bits an IoU of .3 would be greater than .3.
        """
        arrays: dict[str, Any] = {
            name: _small(name, getattr(self, name)) for name in _ARRAYS if getattr(self, name) is not None
        }
        said = {
            "names": self.names,
            "groups": self.groups,
            "studies": self.studies,
            "notes": dict(self.notes or {}),
            **{name: getattr(self, name) for name in _LISTS if getattr(self, name)},
        }
        with atomic_write(path, "wb") as file:
            np.savez_compressed(file, said=np.asarray(json.dumps(said)), **arrays)

    @classmethod
    def load(cls, path: Path) -> StudyTable:
        """Read what `save` wrote.

        Raises:
            DatasetError: the file is absent or not a study table.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                said = json.loads(str(stored["said"]))
                arrays: dict[str, Any] = {name: _whole(stored[name]) for name in _ARRAYS if name in stored}
        except (OSError, KeyError, ValueError) as error:
            raise DatasetError(f"{path}: expected a study table (.npz), found: {error}; evaluate again") from None
        lists: dict[str, Any] = {name: tuple(said[name]) for name in ("names", "groups", "studies")}
        lists |= {name: tuple(said.get(name, ())) for name in _LISTS}
        return cls(**lists, **arrays, notes=said["notes"])


def tabulate(
    studies: Sequence[str],
    groups: Sequence[str],
    references: Sequence[Answer],
    candidates: Sequence[Answer],
    names: Sequence[str],
    *,
    words: ScoredWords = PLAIN,
    meteor_counts: meteor.MeteorCounts | None = None,
    learned: LearnedScores | None = None,
) -> StudyTable:
    """Compare a system's answers with the reference answers, study by study.

    Args:
        studies: S ids.
        groups: patient of each study.
        references: what the reference author says.
        candidates: what the system says.
        names: canonical names of the findings that are scored.
        words: how reports become words.
        meteor_counts: of the same pairs, where they were made beforehand.
        learned: what learned metrics say of the same pairs.
    """
    table = StudyTable(names=tuple(names), groups=tuple(groups), studies=tuple(studies), notes={})
    table = _with_texts(table, references, candidates, words)
    table = _with_counted(table, meteor_counts, learned)
    table = _with_places(_with_findings(table, references, candidates), references, candidates)
    return _with_attributes(table, references, candidates)


def _with_texts(
    table: StudyTable, references: Sequence[Answer], candidates: Sequence[Answer], words: ScoredWords
) -> StudyTable:
    if not writes(references):
        return _noted(table, "text", "the references hold no report")
    if not writes(candidates):
        return _noted(table, "text", NO_REPORT)
    wanted = [words.reference(a.words) if a.words.strip() else "" for a in references]
    said = [words.candidate(a.words) for a in candidates]
    rows = [row for row, reference in enumerate(wanted) if reference]
    if not rows:
        return _noted(table, "text", "the references hold no word")
    pairs = [wanted[row] for row in rows], [said[row] for row in rows]
    weightless = _weightless(pairs[0])
    table = _noted(table, "cider", weightless) if weightless else table
    return replace(
        table,
        bleu=_at(rows, text.bleu_statistics(*pairs), len(said), other=0.0),
        rouge_l=_at(rows, text.rouge_l(*pairs), len(said)),
        cider=None if weightless else _at(rows, text.cider(*pairs), len(said)),
        words=np.asarray([len(report.split()) for report in said], np.float64),
    )


def _weightless(references: Sequence[str]) -> str | None:
    """Return why CIDEr weighs no word of these references, so that it is undefined; None where it weighs some."""
    if len(references) > 1 and len(set(references)) > 1:
        return None
    held = "one reference" if len(references) == 1 else "references that are all the same"
    return f"it weighs words by how few references hold them, and {held} cannot tell"


def _at(rows: Sequence[int], values: Floats, studies: int, *, other: float = np.nan) -> Floats:
    """Return values `[K, …]` of some of the studies as values of all, `[S, …]`."""
    whole = np.full((studies, *values.shape[1:]), other)
    whole[rows] = values
    return whole


def writes(answers: Sequence[Answer]) -> bool:
    """Return True for an author who writes reports, be they empty; without answers too."""
    return not answers or any(answer.report is not None for answer in answers)


def _with_counted(
    table: StudyTable, meteor_counts: meteor.MeteorCounts | None, learned: LearnedScores | None
) -> StudyTable:
    """Return the table with what was counted beforehand of the same texts."""
    if table.bleu is None:
        return table
    counted = meteor_counts or meteor.MeteorCounts(None, "METEOR was not asked for")
    noted = {**(table.notes or {}), **({"meteor": counted.reason} if counted.reason else {})}
    scored = table.scored_texts[:, None]
    counts = None if counted.counts is None else np.where(scored, counted.counts, 0)
    return with_learned(replace(table, meteor=counts, notes=noted), learned)


def with_learned(table: StudyTable, learned: LearnedScores | None) -> StudyTable:
    """Return the table with further learned scores, of studies whose texts are scored; None adds none."""
    if learned is None:
        return table
    values = np.where(table.scored_texts[:, None], learned.values, np.nan)
    if table.learned is not None:
        values = np.hstack([table.learned, values])
    noted = {**(table.notes or {}), **learned.signatures}
    return replace(table, notes=noted, learned=values, learned_names=(*table.learned_names, *learned.names))


def _with_findings(table: StudyTable, references: Sequence[Answer], candidates: Sequence[Answer]) -> StudyTable:
    truth = [a.findings for a in references]
    if any(findings is None for findings in truth):
        return _noted(table, "findings", "the reference states no findings")
    stated = [findings or () for findings in truth]
    table = replace(
        table,
        truth=status_codes(stated, table.names),
        probabilities=_probabilities([a.probabilities for a in candidates], table.names),
    )
    said = [a.findings for a in candidates]
    if any(findings is None for findings in said):
        unread = "no parser or labeler is at hand where the references are no reports"
        return _noted(table, "findings", unread if writes(candidates) else NO_REPORT)
    claimed = [findings or () for findings in said]
    return replace(
        table,
        claimed=status_codes(claimed, table.names),
        sides=agreement_counts(stated, claimed, "side"),
        severities=agreement_counts(stated, claimed, "severity"),
    )


def _with_places(table: StudyTable, references: Sequence[Answer], candidates: Sequence[Answer]) -> StudyTable:
    wanted, said = ([a.places for a in answers] for answers in (references, candidates))
    if all(places is None for places in wanted) or all(places is None for places in said):
        return table
    return replace(table, **vars(place_counts(wanted, said, table.names)))


def _with_attributes(table: StudyTable, references: Sequence[Answer], candidates: Sequence[Answer]) -> StudyTable:
    found = attribute_counts([a.attributes for a in references], [a.attributes for a in candidates])
    if found is None:
        return table
    return replace(table, attributes_stated=found.stated, attributes_told=found.told, attribute_names=found.names)


def _probabilities(given: Sequence[Mapping[str, float] | None], names: Sequence[str]) -> Floats | None:
    if all(row is None for row in given):
        return None
    return np.asarray([[(row or {}).get(name, np.nan) for name in names] for row in given], np.float64)


def _noted(table: StudyTable, about: str, reason: str) -> StudyTable:
    return replace(table, notes={**(table.notes or {}), about: reason})


def _small(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name in ("iou", "iobb", "boxes_marked"):
        return values
    if name in (
        "rouge_l",
        "cider",
        "probabilities",
        "learned",
        "pointing",
        "false_boxes",
        "boxes_wanted",
        "word_losses",
        "attributes_stated",
        "attributes_told",
    ):
        return values.astype(np.float32)
    return values if values.dtype == np.int8 else values.astype(np.int32)


def _whole(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype == np.int8 else values.astype(np.float64)
