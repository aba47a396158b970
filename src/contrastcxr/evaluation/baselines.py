"""Readers beside every system: constant, commonest, neighbour, floor, and on grammar reports the ceiling.

Beside a localizer they mark places too, and the mean box joins them (`place_baselines`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.authors import is_normal
from contrastcxr.data.readers.nih_plain import oracle_readings, shuffled_readings
from contrastcxr.data.ref import DataRef
from contrastcxr.data.views import choose_views
from contrastcxr.errors import ContrastCXRError, DatasetError
from contrastcxr.evaluation.attribute_baselines import attribute_shares, geometry
from contrastcxr.evaluation.feature_extractor import FeatureExtractor
from contrastcxr.evaluation.place_baselines import (
    ceiling_places,
    mean_box_places,
    mean_boxes,
    neighbour_places,
    whole_pictures,
)
from contrastcxr.evaluation.references import References, answer_of, load_references, training_split
from contrastcxr.form import Finding, Study, View
from contrastcxr.metrics.baselines import COMMONEST, commonest_findings, constant_report, nearest_neighbours
from contrastcxr.metrics.bootstrap import divide
from contrastcxr.metrics.clinical import status_codes, targets
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.metrics.table import Answer, writes
from contrastcxr.metrics.text import tokenise
from contrastcxr.text.grammar.writing import write_report
from contrastcxr.vocab.labels import NO_FINDING

WORDS: Mapping[str, str] = {
    "constant": "the normal training report with the best BLEU-4 on {chosen_on}, said of every study (AUC .5)",
    "neighbour": "report and findings of the training study with the nearest picture (cosine of features)",
    "ceiling": "the true findings written again by the grammar in other words",
    "floor": "reports that move between studies, so that no picture is looked at",
}
"""What each baseline writes; `chosen_on` is validation, or training where validation is scored."""
PLACES: Mapping[str, str] = {
    "constant": "the whole picture marked for every finding",
    "neighbour": "the boxes of the training study with the nearest picture, in shares of the sides",
    "mean_box": "the mean of each finding's training boxes, in shares of the sides, whatever the picture",
    "ceiling": "a perfect labelling on the localizer's grid: every cell that overlaps a reference box",
}
"""What each baseline marks."""
PROBABILITIES: Mapping[str, str] = {
    "constant": "the frequency of each finding in training as its probability (AUC .5)",
    "neighbour": "the findings of the training study with the nearest picture as probabilities",
}
"""What each baseline says of findings where it writes nothing."""
ATTRIBUTES: Mapping[str, str] = {
    "constant": "how often training reports state each attribute",
    "neighbour": "the attributes of the training study with the nearest picture",
    "geometry": "side and zone of the box that the system weighs most, other attributes as often as in training",
}
"""What each baseline says of attributes."""
FINDINGS: Mapping[str, str] = {
    "commonest": f"the {COMMONEST} commonest findings of training, named of every study"
}
"""What each baseline states that has neither words nor probabilities."""
ORDER = ("constant", "commonest", "neighbour", "mean_box", "geometry", "ceiling", "floor")


@dataclass(frozen=True)
class Asked:
    """What baselines are asked for, beside what a system gives.

    Attributes:
        words: reports.
        findings: which are present, in words or as labels.
        places: boxes.
        grid: rows and columns of the localizer's map; None leaves out the perfect labelling.
        max_views: of a study that the localizer reads; None is all of them.
        marked: of each study what the system marks of the finding whose attributes are scored; none where it
            marks no place.
    """

    words: bool = True
    findings: bool = True
    places: bool = False
    grid: tuple[int, int] | None = None
    max_views: int | None = None
    marked: tuple[Finding | None, ...] = ()


def described(name: str, answers: Sequence[Answer]) -> str:
    """Return what a baseline is, by what its answers hold."""
    written = writes(answers)
    marks = any(answer.places is not None for answer in answers)
    parts = [WORDS.get(name)] if written else [PROBABILITIES.get(name) or FINDINGS.get(name)]
    parts += [PLACES.get(name)] if marks else []
    parts += [ATTRIBUTES.get(name)] if any(answer.attributes is not None for answer in answers) else []
    return "; ".join(part for part in parts if part)


Answers = Mapping[str, Sequence[Answer]]
"""By baseline, in the order of the studies."""


def baseline_answers(
    references: References,
    data: DataRef,
    *,
    author: str | None,
    extractor: FeatureExtractor | None,
    cache: Path,
    asked: Asked | None = None,
) -> tuple[dict[str, Sequence[Answer]], list[str]]:
    """Return what each baseline says of the studies, and a note for each that could not be had.

    Args:
        references: the studies that are scored.
        data: where `train` and `validation` are; nothing is picked on the scored split.
        author: of the references.
        extractor: None leaves out the neighbour.
        cache: the cache folder, where drawn studies are kept.
        asked: reports alone by default.
    """
    asked = asked or Asked()
    beside = _Beside(references, extractor, asked)
    answers: dict[str, Sequence[Answer]] = dict(bounds(references)) if asked.words else {}
    found, notes = _from_training(beside, data, author, cache)
    answers |= found
    if asked.places and asked.grid is not None:
        answers["ceiling"] = beside.ceiling(answers.get("ceiling"))
    return {name: answers[name] for name in ORDER if name in answers}, notes


def _from_training(
    beside: _Beside, data: DataRef, author: str | None, cache: Path
) -> tuple[dict[str, Sequence[Answer]], list[str]]:
    """Return the baselines that are made of the training split."""
    words, references = beside.asked.words, beside.references
    none = f"no baselines from training {'reports' if words else 'studies'}"
    try:
        training = load_references(
            data, training_split(data), author=author, cache=cache, attributes=references.attributes
        )
    except ContrastCXRError as error:
        return {}, [f"{none}: {error}"]
    if _overlap(training, references):
        return {}, [f"{none}: they are of the studies that are scored"]
    if words and not any(answer.words for answer in training.answers()):
        return {}, [f"{none}: none is written"]
    validation = _validation(data, author, cache) if words else None
    notes = []
    if validation is not None and _overlap(validation, references):
        validation = None
        notes.append("the constant report was chosen on training reports: those of validation are scored")
    said = constant(references, training, validation) if words else frequencies(references, training)
    answers: dict[str, Sequence[Answer]] = {"constant": beside.constant(said)}
    if beside.asked.findings:
        answers |= {"commonest": named} if (named := commonest(references, training)) else {}
    if beside.extractor is not None:
        try:
            answers["neighbour"] = beside.neighbour(training)
        except DatasetError as error:
            notes.append(f"no nearest neighbour: {error}")
    if references.attributes is not None and (shares := attribute_shares(training)) is not None:
        answers["constant"] = [replace(answer, attributes=shares) for answer in answers["constant"]]
        if beside.asked.marked:
            answers["geometry"] = geometry(references.studies, beside.asked.marked, shares)
    if beside.asked.places:
        found = beside.mean_box(training)
        answers |= {"mean_box": found} if found else {}
        notes += [] if found else ["no mean box: the training split has no boxes"]
    return answers, notes


@dataclass(frozen=True)
class _Beside:
    """Baselines on the studies that are scored, with places where those are asked for."""

    references: References
    extractor: FeatureExtractor | None
    asked: Asked

    @cached_property
    def extents(self) -> list[dict[int, Rectangle]]:
        """The pictures of the studies that are scored."""
        return self._pictures(self.references.studies)

    def _pictures(self, studies: Sequence[Study]) -> list[dict[int, Rectangle]]:
        """Return the pictures as the encoder has them; of those it has not, the known size of the original."""
        known = [_sizes(study, self.asked.max_views) for study in studies]
        if self.extractor is None:
            return known
        return [size | kept for size, kept in zip(known, self.extractor.extents(studies), strict=True)]

    def constant(self, said: Sequence[Answer]) -> Sequence[Answer]:
        """Return the constant, with the whole picture marked."""
        if not self.asked.places:
            return said
        return _with_places(said, whole_pictures(self.references.names, self.extents))

    def neighbour(self, training: References) -> Sequence[Answer]:
        """Return what the nearest training study says, and its boxes where it has any."""
        assert self.extractor is not None  # asked for only then
        near = nearest(self.references, training, self.extractor)
        said = neighbour(self.references, training, near)
        if not self.asked.words:
            said = [replace(answer, report=None, findings=None) for answer in said]
        if not (self.asked.places and training.boxing_authors()):
            return said
        extents = self._pictures(training.studies)
        triples = list(zip(training.studies, training.readings, extents, strict=True))
        return _with_places(
            said,
            [
                neighbour_places(None if k is None else triples[k], study, of, names=self.references.names)
                for k, study, of in zip(near, self.references.studies, self.extents, strict=True)
            ],
        )

    def mean_box(self, training: References) -> Sequence[Answer]:
        """Return the mean boxes; nothing where the training split has no boxes."""
        if not training.boxing_authors():
            return []
        boxed = training.of(r.study_id for r in training.readings if any(finding.boxes for finding in r.findings))
        means = mean_boxes(boxed, self._pictures(boxed.studies))
        places = mean_box_places(means, self.references.studies, self.extents)
        return _with_places([Answer(None)] * len(places), places)

    def ceiling(self, said: Sequence[Answer] | None) -> Sequence[Answer]:
        """Return a perfect labelling beside what the ceiling of the reports says, where there is one."""
        assert self.asked.grid is not None  # asked for only then
        pairs = zip(self.references.readings, self.extents, strict=True)
        turned = self.extractor.frames(self.references.studies) if self.extractor else [{}] * len(self.extents)
        places = [
            ceiling_places(reading, of, self.asked.grid, frames=frames)
            for (reading, of), frames in zip(pairs, turned, strict=True)
        ]
        return _with_places(said or [Answer(None)] * len(places), places)


def _sizes(study: Study, max_views: int | None) -> dict[int, Rectangle]:
    """Return the whole of each picture that enters and whose size is known."""
    chosen = choose_views(study, len(study.views) if max_views is None else max_views)
    sizes = ((i, _size(study.views[i])) for i in chosen)
    return {i: (0.0, 0.0, float(wide), float(tall)) for i, (wide, tall) in sizes if wide and tall}


def _size(view: View) -> tuple[int, int]:
    if view.pixels is not None:
        return view.pixels.shape[1], view.pixels.shape[0]
    return view.width or 0, view.height or 0


def _with_places(said: Sequence[Answer], places: Sequence[tuple[Finding, ...]]) -> list[Answer]:
    return [replace(answer, places=each) for answer, each in zip(said, places, strict=True)]


def constant(references: References, training: References, validation: References | None) -> list[Answer]:
    """Return the best normal report of the training set, with each finding's frequency there as its probability.

    Candidates are the reports of normal training studies; all training reports where none is known to be normal.
    A constant that names a finding invents it for everybody, and whether the best of a hundred wordings does is
    luck. Normal reports alone also score higher: more of them are tried.
    """
    said = [answer.words for answer in _normal(training).answers()]
    by_tokens = {tokenise(report): report for report in said}
    held_out = [tokenise(a.words) for a in validation.answers()] if validation else []
    report = by_tokens[constant_report([tokenise(r) for r in said], held_out)]
    stated = references.findings_in(report)
    return [replace(answer, report=report, findings=stated) for answer in frequencies(references, training)]


def frequencies(references: References, training: References) -> list[Answer]:
    """Return each finding's frequency in the training set as its probability, and no report."""
    wanted = _targets(training, references.names)
    known = np.isfinite(wanted)
    shares = divide(np.where(known, wanted, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64), undefined=0.0)
    probabilities = {name: float(share) for name, share in zip(references.names, shares, strict=True)}
    return [Answer(None, probabilities=probabilities)] * len(references.studies)


def commonest(references: References, training: References) -> list[Answer]:
    """Return the commonest findings of the training set, called present in every study; none if unknown.

    It writes no report and gives no probability.
    """
    names = [name for name in references.names if name != NO_FINDING]
    named = commonest_findings(_targets(training, names) == 1, names)
    said = tuple(Finding(name=name, status="present") for name in named)
    return [Answer(None, said)] * len(references.studies) if said else []


def _normal(training: References) -> References:
    """Return the studies that are normal and whose report says so; all of them where there is none."""
    triples = zip(training.studies, training.readings, training.answers(), strict=True)
    found = [
        study.study_id
        for study, reading, answer in triples
        if is_normal(study) and reading.present() <= {NO_FINDING} and answer.words
    ]
    return training.of(found) if found else training


def nearest(references: References, training: References, extractor: FeatureExtractor) -> list[int | None]:
    """Return the place of the nearest training study of each study; None where its picture cannot be read.

    Raises:
        DatasetError: no picture of one side can be read.
    """
    queries, readable = extractor.pooled(references.studies)
    memory, known = extractor.pooled(training.studies)
    if not readable or not known:
        raise DatasetError("no picture of the training studies, or of those that are scored, can be read")
    found = nearest_neighbours(
        queries,
        memory,
        query_patients=[references.patients[i] for i in readable],
        memory_patients=[training.patients[i] for i in known],
    )
    near: list[int | None] = [None] * len(references.studies)
    for i, place in zip(readable, found, strict=True):
        near[i] = known[int(place)]
    return near


def neighbour(references: References, training: References, near: Sequence[int | None]) -> list[Answer]:
    """Return the nearest training study's report; a study whose picture cannot be read gets an empty one."""
    given = training.answers()
    return [Answer("", ()) if k is None else _as_said(given[k], references) for k in near]


def _as_said(near: Answer, references: References) -> Answer:
    said = Answer(near.words, references.findings_in(near.words), _as_probabilities(near, references.names))
    if references.attributes is None:
        return said
    return replace(said, attributes=near.attributes or dict.fromkeys(references.attributes.attributes, 0.0))


def bounds(references: References, *, seed: int = 0) -> dict[str, list[Answer]]:
    """Return the floor, and the ceiling where the grammar wrote the references; nothing where nobody wrote any.

    Findings that are heard as one cannot be written again: then there is no ceiling.
    """
    if not references.written or len(references.studies) < 2:
        return {}
    if references.attributes is not None or not references.parses():
        return {"floor": _written(_moved([a.words for a in references.answers()], seed), references)}
    if references.readings[0].author.name == "nih-plain":
        ceiling = [answer_of(r, findings=()).words for r in oracle_readings(references.studies, seed=seed)]
        floor = [answer_of(r, findings=()).words for r in shuffled_readings(references.studies, seed=seed)]
    else:
        ceiling = [_again(r.findings, r.study_id, seed) for r in references.readings]
        floor = _moved([a.words for a in references.answers()], seed)
    return {"ceiling": _written(ceiling, references), "floor": _written(floor, references)}


def _again(findings: Sequence[Finding], study_id: str, seed: int) -> str:
    """Return the same truth by another reporter."""
    digest = hashlib.sha256(f"ceiling {study_id} {seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    asserted = [f for f in findings if f.status in ("present", "uncertain")]
    return write_report(asserted, rng=rng).report.findings


def _moved(reports: Sequence[str], seed: int) -> list[str]:
    """Return every report given to another study, along one random cycle."""
    order = np.random.default_rng(seed).permutation(len(reports))
    donor = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return [reports[donor[i]] for i in range(len(reports))]


def _written(reports: Sequence[str], references: References) -> list[Answer]:
    return [Answer(report, references.findings_in(report)) for report in reports]


def _overlap(one: References, other: References) -> bool:
    return not set(one.ids).isdisjoint(other.ids)


def _validation(data: DataRef, author: str | None, cache: Path) -> References | None:
    try:
        return load_references(data, "validation", author=author, cache=cache)
    except ContrastCXRError:
        return None


def _targets(training: References, names: Sequence[str]) -> NDArray[np.float64]:
    return targets(status_codes([answer.findings or () for answer in training.answers()], names))


def _as_probabilities(answer: Answer, names: Sequence[str]) -> dict[str, float]:
    present = {f.name for f in answer.findings or () if f.status == "present"}
    return {name: float(name in present) for name in names}
