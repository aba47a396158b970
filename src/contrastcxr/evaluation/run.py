"""One evaluation from end to end: readings, baselines, study tables, scores, folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from contrastcxr.data.patients import NO_ADDRESS, boxed_patients
from contrastcxr.data.ref import DataRef
from contrastcxr.errors import MissingExtraError, RequestError
from contrastcxr.evaluation.attribute_baselines import marked_of
from contrastcxr.evaluation.audit.run import quick_checks
from contrastcxr.evaluation.baselines import Asked, baseline_answers, described
from contrastcxr.evaluation.cached import read_cached
from contrastcxr.evaluation.exchange import Exchange, exchange_pictures, with_exchange
from contrastcxr.evaluation.feature_extractor import FeatureExtractor
from contrastcxr.evaluation.folder import write_evaluation
from contrastcxr.evaluation.joining import Joined, check_joined, signed, with_joined
from contrastcxr.evaluation.matching import matched, unread, unstated, unwritten
from contrastcxr.evaluation.one_finding import heard_as_one
from contrastcxr.evaluation.place_baselines import grid_of
from contrastcxr.evaluation.protocols import CORRECTED, in_words, words_of
from contrastcxr.evaluation.references import (
    References,
    load_references,
    marks_places,
    places_known,
    scored_split,
    states_labels,
    studies_of,
    system_answers,
    writes_reports,
)
from contrastcxr.evaluation.report import Material
from contrastcxr.evaluation.result import Evaluation, SystemScores, paired_differences
from contrastcxr.evaluation.retrieval import check_retrieval, retrieval_scores
from contrastcxr.files import default_cache
from contrastcxr.form import Finding, Reading
from contrastcxr.metrics import meteor
from contrastcxr.metrics.bootstrap import REPLICATES
from contrastcxr.metrics.diversity import diversity
from contrastcxr.metrics.identification import MINIMUM_POSITIVES
from contrastcxr.metrics.learned import LearnedScores, learned_scores
from contrastcxr.metrics.learned.ask import Metric
from contrastcxr.metrics.learned.radgraph import RadGraphFile
from contrastcxr.metrics.scores import Score, Scores, score_table
from contrastcxr.metrics.table import Answer, StudyTable, tabulate, with_learned, writes
from contrastcxr.metrics.words import PLAIN, ScoredWords
from contrastcxr.reading.reader import Reader
from contrastcxr.version import __version__
from contrastcxr.vocab.attribute_words import AttributeList, attribute_list


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn, and how many positives and negatives a finding needs to enter the mean AUC."""

    replicates: int = REPLICATES
    seed: int = 0
    minimum: int = MINIMUM_POSITIVES


@dataclass(frozen=True)
class Setting:
    """What two figures must share to be compared, beside the studies and who says what is on them."""

    data: DataRef
    split: str
    protocol: str = CORRECTED
    words: ScoredWords = PLAIN
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    joined: Joined = field(default_factory=dict)
    attributes: AttributeList | None = None

    def signature(self, references: References) -> str:
        """Return all of it in one line."""
        return "|".join(
            (
                f"contrastcxr:{__version__}",
                f"data:{self.data.scored().portable()}",
                f"split:{self.split}",
                f"reference:{references.readings[0].author.name}",
                f"protocol:{self.protocol}",
                f"cut:{self.words.cut or 'none'}",
                f"tokens:{self.words.name}",
                f"labels:{references.labelled_by}",
                *([f"joined:{signed(self.joined)}"] if self.joined else []),
                *([f"attributes:{self.attributes.name}"] if self.attributes else []),
                f"bootstrap:{self.bootstrap.replicates}/patient/{self.bootstrap.seed}",
                f"n:{len(references.studies)}",
            )
        )


def evaluate(
    system: Reader | Sequence[Reading],
    *,
    data: DataRef,
    split: str | None = None,
    protocol: str = "corrected",
    out: Path | None = None,
    reference: str | None = None,
    joined: Joined | None = None,
    attributes: str | None = None,
    allow_partial: bool = False,
    baselines: bool = True,
    with_meteor: bool = True,
    learned: Sequence[Metric] = (),
    retrieval: bool = False,
    limit: int | None = None,
    bootstrap: Bootstrap | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """Score a reader, or readings made elsewhere, on a split.

    Args:
        system: a `Reader`, or readings by study id, which are scored although no picture of the split is there.
        data: such as `phantom:standard` or `nih14-cv:/path?fold=0&report=plain`.
        split: of the data; by default that of its name, else `test`.
        protocol: `corrected` or `as-published`.
        out: folder for the results; nothing is written without one.
        reference: author whose readings are the references; each study's first by default.
        joined: findings of the system that are heard as one, by its name; references stay as they are.
        attributes: a list of attributes, whose findings are heard as one on both sides.
        allow_partial: score the studies that have a reading although others have none.
        baselines: put the constant report, the nearest neighbour and the bounds beside the system.
        with_meteor: compute METEOR where Java is at hand.
        learned: metrics of `metrics.learned.ask`, from weights on this machine.
        retrieval: measure the space of a system that was trained with a contrastive loss.
        limit: the first so many studies only.
        bootstrap: replicates and seed of the intervals.
        cache: folder of encoder features.

    Raises:
        UnknownNameError: no such protocol, data, split or list.
        RequestError: readings of unknown studies or twice of one, studies without a reading, two splits, or
            findings that cannot be joined.
        DatasetError: the data departs from its layout.
    """
    check_joined(joined or {})
    one = None if attributes is None else attribute_list(attributes)
    store = cache or default_cache()
    data, split = _scored_data(system, data, split, store)
    words = words_of(protocol, data, author=reference, cache=store)
    setting = Setting(data, split, protocol, words, bootstrap or Bootstrap(), joined or {}, one)
    references = load_references(data, split, author=reference, limit=limit, cache=store, attributes=one)
    if retrieval:
        check_retrieval(system, references)
    doubts = _taught_patients(system, data, references)
    heard = _hear(system, references, joined=joined or {}, allow_partial=allow_partial, cache=store)
    heard = replace(heard, notes=(*heard.notes, *doubts))
    if baselines:
        heard = _with_baselines(heard, system, data, author=reference, cache=store)
    found_again = retrieval_scores(system, heard.references, cache=store) if retrieval else None
    found = _judge(heard, setting, with_meteor=with_meteor, learned=learned, retrieval=found_again)
    if out is not None:
        write_evaluation(found, out, _material(heard, found, setting, author=reference, cache=store))
    return found


def _taught_patients(system: Reader | Sequence[Reading], data: DataRef, references: References) -> list[str]:
    """Return what is to be said of patients whose boxes taught a detector and are scored; nothing of most systems.

    Ids of data without an address, such as a manifest, may be those of other people: then it is a note.

    Raises:
        RequestError: there are such patients in data with an address; names the first of them.
    """
    if not isinstance(system, Reader) or not system.boxed_patients:
        return []
    names = references.names if references.attributes is None else references.attributes.boxed
    where = data.open().licence.where
    boxed = boxed_patients(references.studies, names, where=where)
    taught = sorted(patient for mark, patient in boxed.items() if mark in system.boxed_patients)
    if not taught:
        return []
    said = (
        f"boxes of {len(taught):,} of its {len(boxed):,} patients with boxes taught the detector of "
        f"{system.author.name}, such as {', '.join(taught[:3])}"
    )
    if where == NO_ADDRESS:
        return [f"{said}, unless these are other people's ids"]
    raise RequestError(f"{data}: {said}; score studies of other patients, or train the detector without them")


def _scored_data(
    system: Reader | Sequence[Reading], data: DataRef, split: str | None, cache: Path
) -> tuple[DataRef, str]:
    """Return the data and the split.

    For readings alone, studies without pictures count too where no picture is there.
    """
    data, split = scored_split(data, split)
    everything = None if isinstance(system, Reader) else data.without_pictures()
    return data if everything is None or studies_of(data, split, limit=1, cache=cache) else everything, split


@dataclass(frozen=True, eq=False)
class _Heard:
    """What the system and those beside it say of the studies, before anything is scored."""

    references: References
    readings: tuple[Reading, ...]
    answers: Mapping[str, Sequence[Answer]]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    exchange: Exchange


def _hear(
    system: Reader | Sequence[Reading],
    references: References,
    *,
    joined: Joined,
    allow_partial: bool,
    cache: Path,
) -> _Heard:
    given, failures = _readings(system, references, cache=cache)
    kept, readings, notes = matched(references, given, failures, allow_partial=allow_partial)
    said = with_joined(readings, joined) if joined else readings
    if references.attributes is not None:
        said = heard_as_one(said, references.attributes)
    answers = {"system": system_answers(said, kept)}
    if marks_places(readings) and not kept.boxing_authors():
        author = kept.readings[0].author.name
        notes.append(f"the reference author {author} gives no boxes: localization is not scored")
    notes += [*unwritten(kept), *unstated(kept)]
    if len(set(kept.patients)) == 1:
        notes.append("all studies are of one patient: no figure has an interval")
    remarks = (*unread(references), *notes)
    exchange = exchange_pictures(system, kept, cache=cache)
    return _Heard(kept, tuple(readings), answers, tuple(failures), remarks, exchange)


def _with_baselines(
    heard: _Heard, system: Reader | Sequence[Reading], data: DataRef, *, author: str | None, cache: Path
) -> _Heard:
    extractor, blind = _extractor(system, cache)
    beside, missing = baseline_answers(
        heard.references, data, author=author, extractor=extractor, cache=cache, asked=_asked(heard, system)
    )
    return replace(heard, answers={**heard.answers, **beside}, notes=(*heard.notes, *blind, *missing))


def _asked(heard: _Heard, system: Reader | Sequence[Reading]) -> Asked:
    """Return what baselines are asked for: reports, places only where both sides have them."""
    words = heard.references.written and writes_reports(heard.readings)
    findings = words or states_labels(heard.readings)
    marks, attributes = marks_places(heard.readings), heard.references.attributes
    places = marks and bool(heard.references.boxing_authors())
    marked: tuple[Finding | None, ...] = ()
    if attributes is not None and marks:
        marked = tuple(marked_of(answer, attributes.finding) for answer in heard.answers["system"])
    if not isinstance(system, Reader):
        return Asked(words, findings, places, marked=marked)
    return Asked(words, findings, places, grid_of(system), system.max_views, marked)


def _judge(
    heard: _Heard,
    setting: Setting,
    *,
    with_meteor: bool,
    learned: Sequence[Metric],
    retrieval: LearnedScores | None = None,
) -> Evaluation:
    references, words = heard.references, setting.words
    tables = tabulated(references, heard.answers, words=words, with_meteor=with_meteor, learned=learned)
    tables["system"] = with_learned(with_exchange(tables["system"], heard.exchange), retrieval)
    return Evaluation(
        data=setting.data.portable(),
        split=setting.split,
        protocol=setting.protocol,
        signature=setting.signature(references),
        systems=scored(tables, heard.answers, {"system": _described(heard.readings)}, setting.bootstrap),
        readings=heard.readings,
        failures=heard.failures,
        notes=heard.notes,
        facts={**_facts(references, setting), **_boxes(references, tables["system"])},
    )


def _material(heard: _Heard, found: Evaluation, setting: Setting, *, author: str | None, cache: Path) -> Material:
    return Material(
        references=heard.references,
        wanted=heard.references.answers(),
        answers=heard.answers,
        licence=setting.data.open().licence,
        differences=paired_differences(found.systems, **vars(setting.bootstrap)),
        checks=quick_checks(setting.data, author=author, cache=cache),
    )


def tabulated(
    references: References,
    answers: Mapping[str, Sequence[Answer]],
    *,
    words: ScoredWords = PLAIN,
    with_meteor: bool = True,
    learned: Sequence[Metric] = (),
) -> dict[str, StudyTable]:
    """Return the study table of every system; METEOR's Java is started once for all of them."""
    wanted = _with_places_of(references.answers(), answers.get("system", ()))
    compared = [name for name, said in answers.items() if writes(wanted) and writes(said)]
    pairs = {name: answers[name] for name in compared}
    counts = _meteor(wanted, pairs, words) if with_meteor and pairs else {}
    return {
        name: tabulate(
            references.ids,
            references.patients,
            wanted,
            said,
            references.names,
            words=words,
            meteor_counts=counts.get(name),
            learned=_learned(_metrics_for(learned, name), references.ids, wanted, said) if name in pairs else None,
        )
        for name, said in answers.items()
    }


def _with_places_of(wanted: Sequence[Answer], said: Sequence[Answer]) -> list[Answer]:
    """Return the references with the boxes of findings that the system looks for, where it marks any place.

    A localizer that was never taught a finding is not wrong about it, as an AUC needs a probability.
    """
    known = places_known(said)
    if not known:
        return list(wanted)
    return [
        a if a.places is None else replace(a, places=tuple(f for f in a.places if f.name in known)) for a in wanted
    ]


def _learned(
    metrics: Sequence[Metric], ids: Sequence[str], wanted: Sequence[Answer], said: Sequence[Answer]
) -> LearnedScores | None:
    return learned_scores(metrics, ids, [answer.words for answer in wanted], [answer.words for answer in said])


def _metrics_for(metrics: Sequence[Metric], name: str) -> list[Metric]:
    """Return the learned metrics of one reader; annotations of a file are the system's alone."""
    return [m for m in metrics if name == "system" or not isinstance(m, RadGraphFile)]


def scored(
    tables: Mapping[str, StudyTable],
    answers: Mapping[str, Sequence[Answer]],
    who: Mapping[str, str],
    bootstrap: Bootstrap,
) -> dict[str, SystemScores]:
    """Return the scores of every table, those of its whole set of reports (distinct reports) among them.

    Args:
        tables: by system.
        answers: likewise.
        who: what a system is, in words; baselines are described by what they hold.
        bootstrap: how intervals are drawn.
    """
    found = {}
    for name, table in tables.items():
        scores: Scores = score_table(table, **vars(bootstrap))
        whole = _diversity([a.words for a in answers[name]]) if writes(answers[name]) else {}
        said = who.get(name) or described(name, answers[name])
        found[name] = SystemScores(said, table, {**scores, **whole})
    return found


def _meteor(
    references: Sequence[Answer], answers: Mapping[str, Sequence[Answer]], words: ScoredWords
) -> dict[str, meteor.MeteorCounts | None]:
    wanted = [words.reference(a.words) for a in references]
    said = [words.candidate(a.words) for given in answers.values() for a in given]
    found = meteor.meteor_counts(wanted * len(answers), said)
    if found.counts is None:
        return dict.fromkeys(answers, found)
    parts = np.split(found.counts, len(answers))
    return {name: meteor.MeteorCounts(part) for name, part in zip(answers, parts, strict=True)}


def _readings(
    system: Reader | Sequence[Reading], references: References, *, cache: Path
) -> tuple[Sequence[Reading], list[str]]:
    if isinstance(system, Reader):
        return read_cached(system, references.studies, cache=cache)
    return system, []


def _extractor(system: Reader | Sequence[Reading], cache: Path) -> tuple[FeatureExtractor | None, list[str]]:
    if isinstance(system, Reader) and (encoder := system.system.encoder) is not None:
        return FeatureExtractor(encoder, system.preprocess, system.max_views, cache, system.system.aligner), []
    try:
        return FeatureExtractor.stock(cache), []
    except MissingExtraError as error:
        return None, [f"no nearest neighbour: {error}"]


def _described(readings: Sequence[Reading]) -> str:
    author = readings[0].author
    return f"{author.kind} {author.name}" + (f" {author.version}" if author.version else "")


def _diversity(reports: Sequence[str]) -> dict[str, Score]:
    found, n = diversity(reports), len(reports)
    values = {
        "distinct_reports": found.distinct_share,
        "distinct_sentences": float(found.distinct_sentences),
        "most_common_report": found.most_common_share,
    }
    return {name: Score(name, value, None, None, n) for name, value in values.items()}


def _facts(references: References, setting: Setting) -> dict[str, str]:
    studies, patients = len(references.studies), len(set(references.patients))
    return {
        "studies": f"{studies:,} of {patients:,} patient{'s' * (patients > 1)}",
        "reference": f"{references.readings[0].author.kind} {references.readings[0].author.name}",
        "protocol": f"{setting.protocol} ({in_words(setting.protocol, setting.data)})",
        "findings scored": ", ".join(references.names) or "none",
    }


def _boxes(references: References, table: StudyTable) -> dict[str, str]:
    """Return how many boxes are scored against, where localization is scored."""
    if table.iou is None:
        return {}
    rows = np.isfinite(table.iou)
    counts = [
        sum(len(f.boxes) for f in reading.findings if f.name in references.names)
        for reading in references.readings
    ]
    return {
        "boxes": f"{sum(counts):,} on {int(rows.any(axis=1).sum()):,} studies, of {int(rows.any(axis=0).sum())} "
        f"findings, by {', '.join(sorted(references.boxing_authors()))}"
    }
