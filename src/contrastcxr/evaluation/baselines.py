"""Readers that stand beside every system: constant, neighbour, and on grammar reports ceiling and floor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.authors import is_normal
from contrastcxr.data.readers.nih_plain import oracle_readings, shuffled_readings
from contrastcxr.data.ref import DataRef
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import choose_views
from contrastcxr.errors import ContrastCXRError, DatasetError
from contrastcxr.evaluation.cached import encoded
from contrastcxr.evaluation.references import References, answer_of, load_references
from contrastcxr.features.cache import FeatureCache
from contrastcxr.features.readable import all_in
from contrastcxr.form import Finding, Study
from contrastcxr.metrics.baselines import constant_report, nearest_neighbours
from contrastcxr.metrics.clinical import status_codes, targets
from contrastcxr.metrics.table import Answer
from contrastcxr.metrics.text import tokenise
from contrastcxr.models.encoders import Encoder, build_encoder
from contrastcxr.store.keys import view_key
from contrastcxr.text.grammar.writing import write_report
from contrastcxr.vocab.labels import NO_FINDING

DESCRIPTIONS: Mapping[str, str] = {
    "constant": "the normal training report with the best BLEU-4 on validation, said of every study (AUC .5)",
    "neighbour": "report and findings of the training study with the nearest picture (cosine of features)",
    "ceiling": "the true findings written again by the grammar in other words",
    "floor": "reports that move between studies, so that no picture is looked at",
}


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """How baselines see a picture: a frozen encoder, its transform, the views that count and the feature cache."""

    encoder: Encoder
    preprocess: Preprocess
    max_views: int
    cache: Path

    @classmethod
    def stock(cls, cache: Path) -> FeatureExtractor:
        """Return EfficientNet-Lite0 as packaged, for readings that come without a system."""
        encoder = build_encoder("tf_efficientnet_lite0", weights="package")
        return cls(encoder, Preprocess(size=224, mean=_three(encoder.mean), std=_three(encoder.std)), 1, cache)

    def pooled(self, studies: Sequence[Study]) -> tuple[NDArray[np.float32], list[int]]:
        """Return the mean feature of each readable study `[K, C]` and the K indices of those studies."""
        kept, _ = encoded(studies, self.encoder, self.preprocess, max_views=self.max_views, cache=self.cache)
        readable = [i for i, study in enumerate(studies) if all_in(study, kept, self.max_views)]
        rows = [self._mean(studies[i], kept) for i in readable]
        return np.asarray(rows, np.float32).reshape(len(rows), self.encoder.channels), readable

    def _mean(self, study: Study, kept: FeatureCache) -> NDArray[np.float32]:
        views = [kept[view_key(study.views[i])].features for i in choose_views(study, self.max_views)]
        mean: NDArray[np.float32] = np.mean([np.asarray(v, np.float32).mean(axis=0) for v in views], axis=0)
        return mean


def baseline_answers(
    references: References,
    data: DataRef,
    *,
    author: str | None,
    extractor: FeatureExtractor | None,
    cache: Path,
) -> tuple[dict[str, list[Answer]], list[str]]:
    """Return what each baseline says of the studies, and a note for each that could not be had.

    Args:
        references: the studies that are scored.
        data: where `train` and `validation` are; nothing is picked on the scored split.
        author: of the references.
        extractor: None leaves out the neighbour.
        cache: the cache folder, where drawn studies are kept.
    """
    answers, notes = bounds(references), list[str]()
    try:
        training = load_references(data, "train", author=author, cache=cache)
    except ContrastCXRError as error:
        return answers, [f"no baselines from training reports: {error}"]
    if _overlap(training, references):
        return answers, ["no baselines from training reports: they are of the studies that are scored"]
    if not any(answer.report for answer in training.answers()):
        return answers, ["no baselines from training reports: none is written"]
    validation = _validation(data, author, cache)
    if validation is not None and _overlap(validation, references):
        validation = None
        notes.append("the constant report was chosen on training reports: those of validation are scored")
    answers = {"constant": constant(references, training, validation), **answers}
    if extractor is not None:
        try:
            answers = {"neighbour": neighbour(references, training, extractor), **answers}
        except DatasetError as error:
            notes.append(f"no nearest neighbour: {error}")
    ordered = [name for name in DESCRIPTIONS if name in answers]
    return {name: answers[name] for name in ordered}, notes


def constant(references: References, training: References, validation: References | None) -> list[Answer]:
    """Return the best normal report of the training set, with each finding's frequency there as its probability.

    Candidates are the reports of normal training studies; all training reports where none is known to be normal.
    A constant that names a finding invents it for everybody, and whether the best of a hundred wordings does is
    luck. Normal reports alone also score higher: more of them are tried.
    """
    said = [answer.report for answer in _normal(training).answers()]
    by_tokens = {tokenise(report): report for report in said}
    held_out = [tokenise(a.report) for a in validation.answers()] if validation else []
    report = by_tokens[constant_report([tokenise(r) for r in said], held_out)]
    shares = np.nan_to_num(np.nanmean(_targets(training, references.names), axis=0))
    probabilities = {name: float(share) for name, share in zip(references.names, shares, strict=True)}
    return [Answer(report, references.findings_in(report), probabilities)] * len(references.studies)


def _normal(training: References) -> References:
    """Return the studies that are normal and whose report says so; all of them where there is none."""
    pairs = zip(training.studies, training.readings, strict=True)
    found = [study.study_id for study, reading in pairs if is_normal(study) and reading.present() <= {NO_FINDING}]
    return training.of(found) if found else training


def neighbour(references: References, training: References, extractor: FeatureExtractor) -> list[Answer]:
    """Return the nearest training study's report; a study whose picture cannot be read gets an empty one."""
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
    given = training.answers()
    answers = [Answer("", ())] * len(references.studies)
    for i, place in zip(readable, found, strict=True):
        near = given[known[int(place)]]
        answers[i] = Answer(
            near.report, references.findings_in(near.report), _as_probabilities(near, references.names)
        )
    return answers


def bounds(references: References, *, seed: int = 0) -> dict[str, list[Answer]]:
    """Return the ceiling and floor, where the grammar wrote the references; nothing elsewhere."""
    if not references.parses() or len(references.studies) < 2:
        return {}
    if references.readings[0].author.name == "nih-plain":
        ceiling = [answer_of(r, findings=()).report for r in oracle_readings(references.studies, seed=seed)]
        floor = [answer_of(r, findings=()).report for r in shuffled_readings(references.studies, seed=seed)]
    else:
        ceiling = [_again(r.findings, r.study_id, seed) for r in references.readings]
        floor = _moved([a.report for a in references.answers()], seed)
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


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
