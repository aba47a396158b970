"""The models of all folds of a row, whose mean reads pictures that no fold holds, and scores of few pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastcxr.config import SystemConfig, load_config, without_folders
from contrastcxr.errors import RequestError, listed
from contrastcxr.metrics.localization import BY_FINDING
from contrastcxr.metrics.scores import Score, Scores, score_table
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import Row
from contrastcxr.reproduce.task import Task
from contrastcxr.training.regions import with_trained_regions
from contrastcxr.training.run_folder import CHECKPOINT_FILE, CONFIG_FILE
from contrastcxr.training.run_record import RECORD_FILE

if TYPE_CHECKING:
    from contrastcxr.evaluation.run import Bootstrap


def models_of(task: Task, row: Row, places: Places) -> list[Path]:
    """Return the checkpoints of a row's models on the data that they were trained on: one, or one a fold.

    Raises:
        RequestError: a run is not there, is not finished or is of another configuration; names the row and the
            command that trains it.
    """
    trained = task.of_models
    return [_model(trained, replace(row, seed=n), places) for n in trained.of_data.folds or (row.seed,)]


def _model(task: Task, row: Row, places: Places) -> Path:
    folder = places.run(task, row)
    which = f"fold {row.seed}" if task.of_data.folds else f"seed {row.seed}"
    data = f"{task.data}:PATH" if ":" not in task.data else task.data
    command = f"the same command with --data {data} --rows {row.name} --seeds {row.seed}"
    if not ((folder / CHECKPOINT_FILE).is_file() and (folder / RECORD_FILE).is_file()):
        all_of = ", and the mean is of all folds" if task.of_data.folds else ""
        raise RequestError(f"{row.name}: no model of {which} in {folder}{all_of}; train it first: {command}")
    prior = task.same_run(row)
    asked = with_trained_regions(task.config(row) if prior is None else prior.config)
    made, wanted = (_told(config) for config in (load_config(folder / CONFIG_FILE), asked))
    differing = [part for part in wanted if made[part] != wanted[part]]
    if differing:
        raise RequestError(
            f"{row.name}: the model of {which} in {folder} is of another configuration ({listed(differing)}); "
            f"delete the folder and train it again: {command}"
        )
    return folder / CHECKPOINT_FILE


def _told(config: SystemConfig) -> dict[str, Any]:
    """Return a configuration as plain values; an aligner by its run, whose name follows from all its options."""
    values = without_folders(config.to_dict())
    return {**values, "align": values["align"] and values["align"]["weights"]}


def with_few(table: StudyTable, scores: Scores, bootstrap: Bootstrap) -> dict[str, Score]:
    """Return the scores, those of places of a finding on few images too, with a note that says so.

    Means over findings stay over those with as many images as ever.
    """
    every = score_table(table, **{**vars(bootstrap), "minimum": 1})
    empty = [
        name for name, score in scores.items() if score.value is None and _is_of_places(name) and name in every
    ]
    few = {name: replace(every[name], note=scores[name].note) for name in empty if every[name].value is not None}
    return {**scores, **few}


def _is_of_places(name: str) -> bool:
    family, _, finding = name.partition("/")
    return bool(finding) and family in BY_FINDING
