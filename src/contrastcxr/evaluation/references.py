"""The studies that are scored, and what the reference author says of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contrastcxr.data.authors import as_one, one_finding, reading_of, report_text
from contrastcxr.data.ref import DataRef
from contrastcxr.data.tables.files import split_named
from contrastcxr.errors import DatasetError, RequestError, listed
from contrastcxr.form import Finding, Reading, Study
from contrastcxr.metrics.table import Answer
from contrastcxr.store.studies import open_source
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import NAME, VERSION, default_labeler
from contrastcxr.vocab.attribute_words import AttributeList
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
        silent: ids of studies of the split that the author did not read, which are left out.
        attributes: the list whose findings are heard as one; None hears each by its name.
    """

    studies: tuple[Study, ...]
    readings: tuple[Reading, ...]
    names: tuple[str, ...]
    silent: tuple[str, ...] = ()
    attributes: AttributeList | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Study ids."""
        return tuple(study.study_id for study in self.studies)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each study, or the study where none is known."""
        return tuple(study.patient_id or study.study_id for study in self.studies)

    def answers(self) -> list[Answer]:
        """Return what the reference says, as scores take it.

        Findings from its words where the labeler reads them, as labelled where there is none; boxes of authors
        who give any.
        """
        said = [answer_of(r, findings=r.findings or None) for r in self.readings]
        if not self.written:
            said = [replace(answer, report=None) for answer in said]
        if self.labelled_by == LABELER:
            said = [replace(a, findings=self._stated(a)) for a in said]
        if self.attributes is not None:
            reader = AttributeReader(self.attributes)
            said = [
                replace(answer, attributes=_stated_attributes(r, reader))
                for answer, r in zip(said, self.readings, strict=True)
            ]
        boxing = self.boxing_authors()
        return [
            replace(answer, places=r.findings) if r.author.name in boxing else answer
            for answer, r in zip(said, self.readings, strict=True)
        ]

    def _stated(self, answer: Answer) -> tuple[Finding, ...] | None:
        return self.findings_in(answer.words) if answer.words.strip() else answer.findings or ()

    def boxing_authors(self) -> frozenset[str]:
        """Return the authors who give a box in at least one study."""
        return frozenset(r.author.name for r in self.readings if any(f.boxes for f in r.findings))

    def parses(self) -> bool:
        """Return True when the phantom grammar wrote the reports."""
        return all(reading.author.name in GRAMMAR_AUTHORS for reading in self.readings)

    @property
    def labelled_by(self) -> str:
        """What reads findings out of a report, on both sides; part of every signature."""
        if self.parses():
            return GRAMMAR
        return LABELER if any(_written(reading) for reading in self.readings) else NOBODY

    @property
    def written(self) -> bool:
        """True when there are reports to compare with, not labels or boxes alone."""
        return self.labelled_by != NOBODY

    def findings_in(self, report: str) -> tuple[Finding, ...] | None:
        """Return the findings that a report states; None where nothing here can read it.

        Those of a list are one.
        """
        if self.labelled_by == NOBODY:
            return None
        said = parse(report) if self.labelled_by == GRAMMAR else default_labeler().label(report)
        if self.attributes is None:
            return said
        return one_finding(said, {*self.attributes.boxed, *self.attributes.mentioned}, self.attributes)

    def of(self, ids: Iterable[str]) -> References:
        """Return the references of these studies alone, in our order."""
        kept = set(ids)
        pairs = [(s, r) for s, r in zip(self.studies, self.readings, strict=True) if s.study_id in kept]
        return replace(self, studies=tuple(s for s, _ in pairs), readings=tuple(r for _, r in pairs))


TRAINING = ("train", "train_val")
"""Splits that a system, or a reader beside it, is made of: NIH's published list is not parted further."""
NO_SPLITS = "all"
"""What stands for the split of a source that has none."""


def scored_split(data: DataRef, split: str | None) -> tuple[DataRef, str]:
    """Return the data without a split, and the split that is scored: as asked for, as its name says, else `test`.

    Raises:
        RequestError: both are given and differ.
    """
    split = split and (split_named(split) or split)
    if data.split and split and data.split != split:
        raise RequestError(f"{data} with --split {split}: two splits; name one of them")
    whole = data.of_split(None)
    return whole, (split or data.split or "test") if open_source(whole).splits else NO_SPLITS


def training_split(data: DataRef) -> str:
    """Return the training split of the data; `all` of a source without splits.

    Raises:
        DatasetError: it has splits, and none for training.
    """
    splits = open_source(data).splits
    found = next((split for split in TRAINING if split in splits), None)
    if splits and found is None:
        raise DatasetError(f"{data.source} has no split for training, only {listed(splits)}")
    return found or NO_SPLITS


def load_references(
    data: DataRef,
    split: str,
    *,
    author: str | None = None,
    limit: int | None = None,
    cache: Path | None = None,
    attributes: AttributeList | None = None,
) -> References:
    """Return the studies of a split with the readings they are scored against.

    An author may have read some of them only, as ChestX-Det and RSNA did of the NIH pictures: the others are left
    out, and `silent` names them.

    Args:
        data: the source; the split that it names itself goes before `split`.
        split: of it.
        author: of the readings; None is each study's first.
        limit: the first so many studies only.
        cache: the cache folder, where drawn studies are kept.
        attributes: a list whose findings are one; None keeps each by itself.

    Raises:
        DatasetError: no studies, none with a reading by the author, or one without any reading.
    """
    studies = studies_of(data, split, limit=limit, cache=cache)
    if not studies:
        hint = "; add ?images=any for texts without pictures" if data.without_pictures() else ""
        raise DatasetError(f"{data}: no studies in '{split}'; expected at least one to evaluate on{hint}")
    read = [study for study in studies if author is None or study.reading_by(author)]
    if not read:
        raise _unread(studies, author, f"{data}, '{split}'")
    readings = tuple(reading_of(study, author=author) for study in read)
    if attributes is not None:
        readings = tuple(as_one(reading, attributes) for reading in readings)
    silent = tuple(study.study_id for study in studies if author and not study.reading_by(author))
    found = References(tuple(read), readings, finding_names(readings), silent, attributes)
    if attributes is not None:
        return replace(found, names=(attributes.finding,))
    return replace(found, names=CHEXPERT) if found.labelled_by == LABELER else found


def _unread(studies: Sequence[Study], author: str | None, where: str) -> DatasetError:
    every = sorted({r.author.name for study in studies for r in study.readings})
    known = listed(every, near=author or "", none="nobody")
    return DatasetError(
        f"{where}: expected a reading by '{author}', found none among {len(studies)} studies, which are read by "
        f"{known}; name one of these with --reference, or score more studies"
    )


def studies_of(data: DataRef, split: str, *, limit: int | None = None, cache: Path | None = None) -> list[Study]:
    """Return the studies of one split (the one that `data` names goes first); all where there are no splits."""
    data = data.limited(limit)  # said to the source, so that nothing is drawn in vain
    source = open_source(data, cache=cache)
    return source.studies((data.split or split) if source.splits else None)[: data.limit]


def finding_names(readings: Sequence[Reading]) -> tuple[str, ...]:
    """Return the findings that the readings speak of, in the order of the label sets."""
    spoken = {f.name for reading in readings for f in reading.findings if f.status != "unmentioned"} - {NO_FINDING}
    known = [name for name in dict.fromkeys((*PHANTOM, *NIH14, *CHEXPERT)) if name in spoken]
    return (*known, *sorted(spoken - set(known)))


def answer_of(reading: Reading, *, findings: Sequence[Finding] | None) -> Answer:
    """Return a reading as scores take it: its findings section (all of it where it has no such section)."""
    said = report_text(reading, sections=SECTIONS) or report_text(reading, sections=("findings", "impression"))
    given = {f.name: f.probability for f in reading.findings if f.probability is not None}
    return Answer(said, None if findings is None else tuple(findings), given or None)


def _stated_attributes(reading: Reading, reader: AttributeReader) -> dict[str, float] | None:
    """Return 1 for each attribute that a report states and 0 for the others; None where it states none."""
    stated = reader.stated(reading.report)
    return {name: float(name in stated) for name in reader.attributes.attributes} if stated else None


def attributes_said(readings: Sequence[Reading], attributes: AttributeList) -> list[Mapping[str, float] | None]:
    """Return the attributes that a system gives the finding of a list.

    They are probabilities of a localizer that has some, else 1 and 0 as its reports state them.
    """
    own = [reading.finding(attributes.finding) for reading in readings]
    if any(finding is not None and finding.attributes for finding in own):
        return [None if f is None else {each.name: each.probability for each in f.attributes} for f in own]
    if not writes_reports(readings):
        return [None] * len(readings)
    reader, none = AttributeReader(attributes), dict.fromkeys(attributes.attributes, 0.0)
    return [_stated_attributes(reading, reader) or none for reading in readings]


def system_answers(readings: Sequence[Reading], references: References) -> list[Answer]:
    """Return what a system says: its findings from the words of its report, its places from the form.

    Labels that somebody states without a word are its findings as they are.
    """
    plain = [answer_of(reading, findings=None) for reading in readings]
    if writes_reports(readings):
        plain = [replace(a, findings=references.findings_in(a.words)) for a in plain]
    else:
        stated = states_labels(readings)
        plain = [
            replace(a, report=None, findings=reading.findings if stated else None)
            for a, reading in zip(plain, readings, strict=True)
        ]
    if references.attributes is not None:
        words = attributes_said(readings, references.attributes)
        plain = [replace(a, attributes=each) for a, each in zip(plain, words, strict=True)]
    if not marks_places(readings):
        return plain
    return [replace(a, places=reading.findings) for a, reading in zip(plain, readings, strict=True)]


def writes_reports(readings: Sequence[Reading]) -> bool:
    """Return False for a model without a decoder, and for readings of places or labels that hold no word."""
    if readings and all(_has_no_decoder(reading) for reading in readings):
        return False
    labels = marks_places(readings) or states_labels(readings)
    return any(_written(reading) for reading in readings) or not labels


def states_labels(readings: Sequence[Reading]) -> bool:
    """Return True for readings that no model of ours made, with findings and without a word."""
    ours = any("model" in reading.provenance for reading in readings)
    return not ours and any(r.findings for r in readings) and not any(_written(r) for r in readings)


def marks_places(readings: Sequence[Reading]) -> bool:
    """Return True for readings of a localizer, by their provenance or because one has a region or a peak."""
    if any(_has_localizer(reading) for reading in readings):
        return True
    return any(f.region or f.peak is not None for reading in readings for f in reading.findings)


def places_known(answers: Sequence[Answer]) -> frozenset[str]:
    """Return the findings that a system looks for: those that it marks, points at or gives a probability."""
    found = [finding for answer in answers for finding in answer.places or ()]
    return frozenset(f.name for f in found if f.region or f.peak is not None or f.probability is not None)


def _has_localizer(reading: Reading) -> bool:
    model = reading.provenance.get("model")
    return isinstance(model, Mapping) and model.get("localizer") is not None


def _has_no_decoder(reading: Reading) -> bool:
    model = reading.provenance.get("model")
    return isinstance(model, Mapping) and "decoder" in model and model["decoder"] is None


def _written(reading: Reading) -> bool:
    return bool(reading.report.findings.strip() or reading.report.impression.strip())
