"""Running rows: train, evaluate, write one record; rows that are recorded already are left alone."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from contrastcxr.assemble import make_encoder, make_preprocess
from contrastcxr.config import SystemConfig, without_folders
from contrastcxr.config.data_ref import data_ref
from contrastcxr.config.parts import DataConfig
from contrastcxr.data.ref import DataRef
from contrastcxr.errors import ContrastCXRError, RequestError
from contrastcxr.evaluation.attribute_baselines import attribute_shares, geometry
from contrastcxr.evaluation.baselines import Asked, baseline_answers
from contrastcxr.evaluation.feature_extractor import FeatureExtractor
from contrastcxr.evaluation.joining import check_joined, signed
from contrastcxr.evaluation.model_mean import read_by_mean
from contrastcxr.evaluation.one_finding import heard_as_one
from contrastcxr.evaluation.protocols import protocol_of
from contrastcxr.evaluation.references import References, load_references, training_split
from contrastcxr.evaluation.result import Evaluation, SystemScores
from contrastcxr.evaluation.retrieval import has_space
from contrastcxr.evaluation.run import Bootstrap, Setting, evaluate, scored, tabulated
from contrastcxr.form import Reading
from contrastcxr.metrics.scores import Scores
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.reading.reader import Reader
from contrastcxr.reproduce.agreement import agreed
from contrastcxr.reproduce.fold_models import models_of, with_few
from contrastcxr.reproduce.places import Places, baseline_table
from contrastcxr.reproduce.plan import BASELINES, Row
from contrastcxr.reproduce.record import GEOMETRY, VOTES, Record, read_record, table_beside
from contrastcxr.reproduce.task import PriorRun, Task
from contrastcxr.reproduce.twins import twins_of
from contrastcxr.training.align import trained_aligner, with_trained_aligner
from contrastcxr.training.run_folder import RunFolder
from contrastcxr.training.run_record import RECORD_FILE, versions
from contrastcxr.vocab.attribute_words import attribute_list

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Cuts for a rehearsal; a record made with any of them says so in its configuration and signature.

    Attributes:
        test: studies of the test split.
        twins: quadruples.
        bootstrap: replicates and seed.
    """

    test: int | None = None
    twins: int | None = None
    bootstrap: Bootstrap = field(default_factory=Bootstrap)


def run_rows(
    task: Task, rows: Sequence[Row], *, places: Places, limits: Limits | None = None
) -> list[tuple[Row, str]]:
    """Run the rows that have no record yet, one by one, and return those that failed with the error's line."""
    failed: list[tuple[Row, str]] = []
    limits = limits or Limits()
    for place, row in enumerate(rows, 1):
        title = f"row {place} of {len(rows)}: {task.data} {row.stem}"
        try:
            if _is_recorded(task, row, places, limits):
                logger.info(f"{title}: recorded already")
                continue
            logger.info(title)
            record = run_row(task, row, places=places, limits=limits)
        except Exception as error:  # whatever it is, the hours of the other rows must not be lost
            reason = str(error) if isinstance(error, ContrastCXRError) else f"{type(error).__name__}: {error}"
            failed.append((row, reason))
            logger.info(f"{title}: failed: {reason}")
            continue
        logger.info(f"{title}: {_line(record)}")
    return failed


def _is_recorded(task: Task, row: Row, places: Places, limits: Limits) -> bool:
    """Return whether the row has a record of what is asked for.

    Raises:
        RequestError: it has one of something else.
    """
    path = places.found(task, row)
    if path is None:
        return False
    record = read_record(path)
    _check_scoring(task, record, path)
    made = record.limit
    if made != limits.test:
        said = "the whole test split" if made is None else f"{made:,} test studies (--limit)"
        raise RequestError(f"{path}: a record of {said}; delete it or choose another folder with --out")
    return True


def _check_scoring(task: Task, record: Record, path: Path) -> None:
    """Refuse a record that was scored against another author, or with other findings joined, than the plan says.

    Raises:
        RequestError: it was.
    """
    said = dict(part.partition(":")[::2] for part in record.signature.split("|"))
    wanted = {"joined": signed(task.of_data.joined), "attributes": task.of_data.attributes or ""}
    wanted["split"] = task.of_data.split
    if task.of_data.references:
        wanted["reference"] = task.author(task.config(Row(*task.which[0], record.seed))) or ""
    differing = [name for name, value in wanted.items() if said.get(name, "") != value]
    if differing:
        found = "; ".join(f"{name} '{said.get(name, '')}', the plan has '{wanted[name]}'" for name in differing)
        raise RequestError(f"{path}: a record of {found}; delete it or choose another folder with --out")


def run_row(task: Task, row: Row, *, places: Places, limits: Limits) -> Record:
    """Train and score one row (or the baselines of a seed), write its record and return it."""
    config = task.config(row)
    check_joined(task.of_data.joined)
    if task.plan.judging.places:
        _check_boxed(task, row, config, places, limits)
    for prior in task.prior_runs(row):
        _train_prior(prior, places)
    measure = _baselines if row.system == BASELINES else _trained if task.trains else _read_elsewhere
    record = Record(
        **measure(task, row, config, places, limits),
        experiment=task.plan.name,
        data=task.title,
        row=row.name,
        seed=row.seed,
        config=without_folders(config.to_dict()),
        versions=versions(),
        limit=limits.test,
        recipe=task.plan.recipe,
        device=places.device,
    )
    record.write(places.record(task, row))
    return record


def _check_boxed(task: Task, row: Row, config: SystemConfig, places: Places, limits: Limits) -> None:
    """Refuse to spend hours on a row whose test pictures nobody boxed.

    Raises:
        RequestError: no picture that is scored has a box by the author of the references.
    """
    data, author = _scored_data(task, config), task.author(config)
    references = load_references(data, task.of_data.split, author=author, limit=limits.test, cache=places.cache)
    if not references.boxing_authors():
        raise RequestError(
            f"{row.stem}: none of its {len(references.studies)} test studies has a box by "
            f"'{references.readings[0].author.name}', so that it has nothing to be scored on; leave this fold out "
            "of the plan, name another author (references), or raise --limit"
        )


def _scored_data(task: Task, config: SystemConfig) -> DataRef:
    """Return the data that rows are scored on, whatever they learn from."""
    if not task.trains:
        return data_ref(DataConfig(source=task.data, root=task.root, seed=config.data.seed), split=None)
    return data_ref(config.data.model_copy(update={"source": task.data}), split=None)


def _train_prior(prior: PriorRun, places: Places) -> None:
    """Train what rows take something from, unless it is there; another process that trains it is awaited."""
    prior.folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(prior.folder.with_suffix(".lock")):
        if prior.done:
            return
        logger.info(f"before the row: {prior.config.name} in {prior.folder}")
        resume = (prior.folder / "config.yaml").is_file()
        _train(prior.config, prior.folder, places, resume=resume)


def _train(config: SystemConfig, folder: Path, places: Places, *, resume: bool) -> RunFolder:
    from contrastcxr.training import run as train  # needs the extra `train`

    # A record holds scores, no readings: what pictures look like is not measured again for every row.
    return train(config, out=folder, cache=places.cache, resume=resume, accelerator=places.device, quality=False)


Measured = dict[str, Any]
"""What running a row gives, by field of `Record`."""


def _trained(task: Task, row: Row, config: SystemConfig, places: Places, limits: Limits) -> Measured:
    if (prior := task.same_run(row)) is not None:
        _train_prior(prior, places)
    folder = places.run(task, row)
    resume = (folder / "config.yaml").is_file()
    done = _train(prior.config if prior else config, folder, places, resume=resume)
    began = time.perf_counter()
    reader = Reader.from_checkpoint(done.checkpoint, device=places.device, losses=True)
    data = _scored_data(task, config)
    found = _evaluated(reader, task, config, places, limits)
    twins = None
    if task.of_data.twins is not None:
        twins = twins_of(reader, data=data, split=task.of_data.twins, cache=places.cache, limit=limits.twins)
    measured = _scored_row(found, task, row, config, places, limits)
    said = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    seconds = {"training": said["seconds"], "evaluation": round(time.perf_counter() - began, 1)}
    systems = measured["systems"]
    if task.plan.votes and config.decoder is not None and config.decoder.word_probabilities:
        began = time.perf_counter()
        voting = Reader.from_checkpoint(done.checkpoint, device=places.device, overrides=["generate.method=votes"])
        voted = _evaluated(voting, task, config, places, limits)
        voted.systems["system"].table.save(table_beside(places.record(task, row), VOTES))
        systems[VOTES] = _scores(voted.scores)
        seconds["votes"] = round(time.perf_counter() - began, 1)
    return {
        **measured,
        "seconds": seconds,
        "training": {name: said[name] for name in _TOLD if name in said} | _chosen(said),
        "twins": twins,
    }


def _scored_row(
    found: Evaluation, task: Task, row: Row, config: SystemConfig, places: Places, limits: Limits
) -> Measured:
    """Save the study tables of a row and return its scores; where attributes are, those by geometry too."""
    found.systems["system"].table.save(places.table(task, row))
    systems = {"system": _scores(found.scores)}
    if task.of_data.attributes is not None:
        ruled = _by_geometry(found.readings, task, config, places, limits)
        ruled.table.save(table_beside(places.record(task, row), GEOMETRY))
        systems[GEOMETRY] = _scores(ruled.scores)
    return {"signature": found.signature, "systems": systems}


def _by_geometry(
    readings: Sequence[Reading], task: Task, config: SystemConfig, places: Places, limits: Limits
) -> SystemScores:
    """Score the words of the first box of each reading, which anybody can say who sees no more than that."""
    data, author, name = _scored_data(task, config), task.author(config), task.of_data.attributes
    assert name is not None  # who asks has seen it
    attributes = attribute_list(name)
    load = partial(load_references, author=author, attributes=attributes, cache=places.cache)
    references = load(data, task.of_data.split, limit=limits.test)
    shares = attribute_shares(load(data, training_split(data)))
    heard = heard_as_one(readings, attributes)
    by_id = {reading.study_id: reading.finding(attributes.finding) for reading in heard}
    marked = [by_id.get(study.study_id) for study in references.studies]
    answers = {GEOMETRY: geometry(references.studies, marked, shares or {})}
    return scored(tabulated(references, answers), answers, {}, limits.bootstrap)[GEOMETRY]


def _read_elsewhere(task: Task, row: Row, config: SystemConfig, places: Places, limits: Limits) -> Measured:
    """Score a row's model of other data, or the mean of its fold models on pictures that no fold holds."""
    began = time.perf_counter()
    readers = [Reader.from_checkpoint(file, device=places.device) for file in models_of(task, row, places)]
    if not task.averages:
        (reader,) = readers
        measured = _scored_row(_evaluated(reader, task, config, places, limits), task, row, config, places, limits)
        return {**measured, **_timed(began), "models": _fingerprints(readers)}
    references = load_references(
        _scored_data(task, config),
        task.of_data.split,
        author=task.author(config),
        limit=limits.test,
        cache=places.cache,
    )
    readings, failures = read_by_mean(readers, references.studies, cache=places.cache)
    for failure in failures:
        logger.info(f"failed: {failure}")
    found = _evaluated(readings, task, config, places, limits, partial=bool(failures))
    table = found.systems["system"].table
    table.save(places.table(task, row))
    return {
        "signature": found.signature,
        "systems": {"system": _scores(with_few(table, found.scores, limits.bootstrap))},
        **_timed(began),
        "models": _fingerprints(readers),
    }


def _timed(began: float) -> Measured:
    return {"seconds": {"training": 0.0, "evaluation": round(time.perf_counter() - began, 1)}}


def _fingerprints(readers: Sequence[Reader]) -> list[str]:
    return [reader.provenance["model"]["checkpoint_sha256"] for reader in readers]


def _evaluated(
    system: Reader | Sequence[Reading],
    task: Task,
    config: SystemConfig,
    places: Places,
    limits: Limits,
    *,
    partial: bool = False,
) -> Evaluation:
    data = _scored_data(task, config)
    return evaluate(
        system,
        data=data,
        split=task.of_data.split,
        protocol=protocol_of(data),
        reference=task.author(config),
        joined=task.of_data.joined,
        attributes=task.of_data.attributes,
        allow_partial=partial,
        baselines=False,
        retrieval=isinstance(system, Reader) and has_space(system),
        limit=limits.test,
        bootstrap=limits.bootstrap,
        cache=places.cache,
    )


_TOLD = (
    "epochs",
    "best",
    "curves",
    "pool",
    "parameters",
    "precision",
    "device",
    "vocabulary",
    "data",
    "encoder",
    "align",
    "started_from",
    "calibration",
)


def _chosen(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what heads chose on validation, such as the cut of a map; nothing where none did."""
    return {name: said[name] for name in ("thresholds", "present_from") if said.get(name)}


def _baselines(task: Task, row: Row, config: SystemConfig, places: Places, limits: Limits) -> Measured:
    began = time.perf_counter()
    data, author = _scored_data(task, config), task.author(config)
    listed = task.of_data.attributes
    one = None if listed is None else attribute_list(listed)
    references = load_references(
        data, task.of_data.split, author=author, limit=limits.test, cache=places.cache, attributes=one
    )
    placed = task.plan.judging.places
    if placed and one is None:  # what no row looks for is in no mean beside the rows
        known = config.needs.finding_names
        references = replace(references, names=tuple(name for name in references.names if name in known))
    config = _without_regions(config)
    encoder = make_encoder(config, seed=config.train.seed).to(places.device)
    preprocess, views = make_preprocess(config, encoder), config.data.max_views
    aligner = _aligner_of(config)
    moving = None if aligner is None else aligner.to(places.device)
    extractor = FeatureExtractor(encoder, preprocess, views, places.cache, moving)
    answers, notes = baseline_answers(
        references,
        data,
        author=author,
        extractor=extractor,
        cache=places.cache,
        asked=asked_baselines(task, config, references, grid=encoder.grid),
    )
    for note in notes:
        logger.info(note)
    found: Mapping[str, SystemScores] = scored(tabulated(references, answers), answers, {}, limits.bootstrap)
    for name, system in found.items() if placed else ():
        system.table.save(baseline_table(places.record(task, row), name))
    joined, few = task.of_data.joined, task.averages
    setting = Setting(
        data, task.of_data.split, protocol_of(data), bootstrap=limits.bootstrap, joined=joined, attributes=one
    )
    scores = {
        name: with_few(system.table, system.scores, limits.bootstrap) if few else system.scores
        for name, system in found.items()
    }
    return {
        "signature": setting.signature(references),
        "systems": {name: _scores(each) for name, each in scores.items()},
        "seconds": {"training": 0.0, "evaluation": round(time.perf_counter() - began, 1)},
        "agreement": agreed(references, references.names, joined) if placed and one is None else {},
    }


def _without_regions(config: SystemConfig) -> SystemConfig:
    """Return the configuration with the encoder's own map: by it pictures are near, not by what is detected."""
    return config.model_copy(update={"encoder": config.encoder.model_copy(update={"regions": None})})


def _aligner_of(config: SystemConfig) -> Aligner | None:
    """Return the aligner of the plan's first system, whose pictures baselines see; None where it has none."""
    return trained_aligner(with_trained_aligner(config))[0]


def asked_baselines(task: Task, config: SystemConfig, references: References, *, grid: tuple[int, int]) -> Asked:
    """Return what baselines are asked for: places where they decide, then reports only where a row has them.

    `grid` has the rows and columns of the patches.
    """
    if task.plan.judged_by == "attributes":
        return Asked(words=False, findings=False)
    if not task.plan.judging.places:
        return Asked()
    words = references.written and any(config.decoder is not None for config in task.first_configs())
    taught = config.needs.taught_boxes  # the cells that boxes teach are those that are marked
    marked: tuple[int, int] | None = grid
    if taught is not None and (taught.side or taught.corners):  # boxes that lie anywhere have no ceiling
        marked = (taught.side, taught.side) if taught.side else None
    return Asked(words=words, findings=words, places=True, grid=marked, max_views=config.data.max_views)


def _scores(scores: Scores) -> dict[str, Any]:
    return {name: score.to_dict() for name, score in scores.items()}


def _line(record: Record) -> str:
    shown = ("bleu_4", "cider", "positive_f1", "auc_mean", "tiou_0.3")
    systems = record.systems if "system" not in record.systems else {"": record.systems["system"]}
    parts = []
    for system, scores in systems.items():
        values = [f"{name} {scores[name]['value']:.3f}" for name in shown if _has(scores, name)]
        parts.append(" ".join([system, *values]).strip())
    return f"{'; '.join(parts)} ({sum(record.seconds.values()):,.0f} s)"


def _has(scores: Mapping[str, Any], name: str) -> bool:
    return name in scores and scores[name]["value"] is not None
