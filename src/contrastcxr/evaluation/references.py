"""The studies that are scored, and what the reference author says of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from contrastcxr.data.authors import reading_of, report_text
from contrastcxr.data.sources import SOURCES, open_source, parse_spec, without_pictures
from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.form import Finding, Reading, Study
from contrastcxr.metrics.table import Answer
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import NAME, VERSION, default_labeler
from contrastcxr.vocab.labels import CHEXPERT, NIH14, NO_FINDING, PHANTOM

SECTIONS = ("findings",)
GRAMMAR, LABELER, NOBODY = "grammar", f"{NAME} {VERSION}", "none"
GRAMMAR_AUTHORS = ("phantom truth", "nih-plain")
"""Authors whose reports the phantom grammar wrote, so that `parse` reads them without a labeler."""


@dataclass(frozen=True, eq=False)
class References:
    """The studies that are scored, and what the reference author says of each.

    Attributes:
        studies: S studies.
        readings: of the reference author, one a study.
        names: the findings that are scored, in the order of their label set.
    """

    studies: tuple[Study, ...]
    readings: tuple[Reading, ...]
    names: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Study ids."""
        return tuple(study.study_id for study in self.studies)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each study, or the study where none is known."""
        return tuple(study.patient_id or study.study_id for study in self.studies)

    def answers(self) -> list[Answer]:
        """What the reference says, as scores take it; findings from its words where the labeler reads them."""
        if self.labelled_by == LABELER:
            said = [answer_of(r, findings=None) for r in self.readings]
            return [replace(answer, findings=self.findings_in(answer.report)) for answer in said]
        return [answer_of(r, findings=r.findings or None) for r in self.readings]

    def parses(self) -> bool:
        """True when the phantom grammar wrote the reports."""
        return all(reading.author.name in GRAMMAR_AUTHORS for reading in self.readings)

    @property
    def labelled_by(self) -> str:
        """What reads findings out of a report, on both sides; part of every signature."""
        if self.parses():
            return GRAMMAR
        return LABELER if any(_written(reading) for reading in self.readings) else NOBODY

    def findings_in(self, report: str) -> tuple[Finding, ...] | None:
        """The findings that a report states; None where nothing here can read it."""
        if self.labelled_by == GRAMMAR:
            return parse(report)
        return default_labeler().label(report) if self.labelled_by == LABELER else None

    def of(self, ids: Iterable[str]) -> References:
        """The references of these studies alone, in our order."""
        kept = set(ids)
        pairs = [(s, r) for s, r in zip(self.studies, self.readings, strict=True) if s.study_id in kept]
        return References(tuple(s for s, _ in pairs), tuple(r for _, r in pairs), self.names)


NO_SPLITS = "all"
"""What stands for the split of a source that has none."""


def data_and_split(data: str, split: str | None) -> tuple[str, str]:
    """The data name without a split, and the split that is scored: as asked for, as the name says, else `test`.

    Raises:
        RequestError: both are given and differ.
    """
    spec = parse_spec(data)
    if spec.split and split and spec.split != split:
        raise RequestError(f"{data} with --split {split}: two splits; name one of them")
    place, mark, query = data.partition("?")
    bare = place.removesuffix(f"/{spec.split}") + mark + query if spec.split else data
    return bare, (split or spec.split or "test") if open_source(bare).splits else NO_SPLITS


def load_references(data: str, split: str, *, author: str | None = None, limit: int | None = None) -> References:
    """The studies of a split with the readings they are scored against.

    Raises:
        DatasetError: no studies, or a study without a reading by the author.
    """
    studies = studies_of(data, split, limit=limit)
    if not studies:
        hint = "; add ?images=any for texts without pictures" if without_pictures(data) else ""
        raise DatasetError(f"{data}: no studies in '{split}'; expected at least one to evaluate on{hint}")
    readings = tuple(reading_of(study, author=author) for study in studies)
    found = References(tuple(studies), readings, finding_names(readings))
    return replace(found, names=CHEXPERT) if found.labelled_by == LABELER else found


def studies_of(data: str, split: str, *, limit: int | None = None) -> list[Study]:
    """The studies of one split (the one that `data` itself names goes first); all where there are no splits."""
    if limit is not None:  # said to the source, so that nothing is drawn in vain
        data = f"{data}{'&' if '?' in data else '?'}limit={limit}"
    spec, source = parse_spec(data), open_source(data)
    studies = source.studies((spec.split or split) if source.splits else None)
    return studies[: spec.integer("limit", 0) or None]


def finding_names(readings: Sequence[Reading]) -> tuple[str, ...]:
    """The findings that the readings speak of, in the order of the label sets."""
    spoken = {f.name for reading in readings for f in reading.findings if f.status != "unmentioned"} - {NO_FINDING}
    known = [name for name in dict.fromkeys((*PHANTOM, *NIH14, *CHEXPERT)) if name in spoken]
    return (*known, *sorted(spoken - set(known)))


def portable_name(data: str) -> str:
    """A data name without the folders of this machine: `nih14-cv:/home/me/nih?fold=1` is `nih14-cv?fold=1`."""
    spec = parse_spec(data)
    named = f"{spec.name}:{spec.root}" if SOURCES[spec.name].root == "level" else spec.name
    options = "&".join(f"{key}={value}" for key, value in spec.params.items())
    return named + (f"?{options}" if options else "")


def answer_of(reading: Reading, *, findings: Sequence[Finding] | None) -> Answer:
    """A reading as scores take it: its findings section (all of it where it has no such section)."""
    said = report_text(reading, sections=SECTIONS) or report_text(reading, sections=("findings", "impression"))
    given = {f.name: f.probability for f in reading.findings if f.probability is not None}
    return Answer(said, None if findings is None else tuple(findings), given or None)


def system_answers(readings: Sequence[Reading], references: References) -> list[Answer]:
    """What a system says, its findings taken from the words of its report."""
    plain = [answer_of(reading, findings=None) for reading in readings]
    return [Answer(a.report, references.findings_in(a.report), a.probabilities) for a in plain]


def _written(reading: Reading) -> bool:
    return bool(reading.report.findings or reading.report.impression)
