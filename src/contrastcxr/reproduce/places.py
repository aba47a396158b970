"""Where rows leave their records, tables and runs, and which of them are there already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastcxr.config import SystemConfig, parse_config, without_folders
from contrastcxr.errors import RequestError, listed
from contrastcxr.reproduce.plan import BASELINES, Row
from contrastcxr.reproduce.record import Record, read_record
from contrastcxr.reproduce.task import Task

_SEED = re.compile(r"-seed(\d+)$")
"""The end of `Row.stem`."""


@dataclass(frozen=True)
class Places:
    """Where rows run, and where they leave things.

    Attributes:
        results: folder of the records, kept.
        runs: folder of the run folders, which may be deleted once the rows are recorded.
        cache: folder of encoder features that all rows share.
        device: `cpu` or `cuda`, on which rows train and read.
    """

    results: Path
    runs: Path
    cache: Path
    device: str = "cpu"

    def folder(self, task: Task) -> Path:
        """Return the folder of the experiment's records on this data."""
        return self.results / task.plan.name / task.place

    def record(self, task: Task, row: Row) -> Path:
        """Return the row's record."""
        return self.folder(task) / f"{row.stem}.json"

    def found(self, task: Task, row: Row) -> Path | None:
        """Return the row's record where it is: this experiment's, else that of one whose rows count too; or None.

        A record of another experiment counts only if its recipe is the plan's and its configuration the row's.

        Raises:
            RequestError: this experiment's own record is of another recipe or configuration.
        """
        own = self.record(task, row)
        config, recipe = task.config(row), task.plan.recipe
        if own.is_file():
            _check_recipe(own, recipe)
            _check_setting(own, row, config)
            return own
        others = (self.results / name / task.place / own.name for name in task.plan.also)
        return next((path for path in others if path.is_file() and _counts(path, row, config, recipe)), None)

    def paths(self, task: Task, seeds: Sequence[int] = ()) -> list[Path]:
        """Return where the experiment's rows on this data are recorded, for these seeds or all that there are."""
        found = (self.found(task, row) for row in task.rows(seeds=seeds or self.seeds(task)))
        return [path for path in found if path is not None]

    def recorded(self, task: Task, seeds: Sequence[int] = ()) -> list[Record]:
        """Return the records of the experiment on this data, for these seeds or all that there are."""
        return [read_record(path) for path in self.paths(task, seeds)]

    def seeds(self, task: Task) -> list[int]:
        """Return the seeds of which something is recorded on this data.

        The record is of the experiment, or of one whose rows count too.
        """
        folders = (self.results / name / task.place for name in (task.plan.name, *task.plan.also))
        found = (_SEED.search(path.stem) for folder in folders for path in folder.glob("*.json"))
        return sorted({int(match[1]) for match in found if match is not None})

    def table(self, task: Task, row: Row) -> Path:
        """Return the row's study table."""
        return self.record(task, row).with_suffix(".npz")

    def run(self, task: Task, row: Row) -> Path:
        """Return the row's run folder: of a row that is a run of the plan too, that of the run."""
        prior = task.same_run(row)
        return prior.folder if prior is not None else self.runs / task.plan.name / task.place / row.stem


def baseline_table(record: Path, name: str) -> Path:
    """Return where the study table of one of the baselines in a record is: `ceiling-seed0.npz`."""
    return record.with_name(f"{name}{record.stem.removeprefix(BASELINES)}.npz")


_OF_BASELINES = ("data", "text", "image", "encoder", "align", "marked")
"""What baselines depend on, which have no decoder; of a localizer it is the cells that it marks."""


def _counts(path: Path, row: Row, config: SystemConfig, recipe: str) -> bool:
    return read_record(path).recipe == recipe and not _differing(path, row, config)


def _check_recipe(path: Path, recipe: str) -> None:
    made = read_record(path).recipe
    if made != recipe:
        raise RequestError(
            f"{path}: a record of recipe '{made}', where the plan has '{recipe}'; rows of two recipes are not "
            "compared: give the plan another name, or choose another folder with --out"
        )


def _check_setting(path: Path, row: Row, config: SystemConfig) -> None:
    differing = _differing(path, row, config)
    if differing:
        raise RequestError(
            f"{path}: a record of this row with another configuration ({listed(differing)}); "
            "delete it or choose another folder with --out"
        )


def _differing(path: Path, row: Row, config: SystemConfig) -> list[str]:
    """Return the parts of the configuration in which a record differs from a row, whatever the system was called.

    Settings that came after the record have their default in it.
    """
    record = read_record(path)
    made = parse_config(record.config, where=str(path))
    was, wanted = (_meant(each) for each in (made, config))
    if _ran_on(record, allowed=was["train"]["epochs"]) and wanted["train"]["patience"] >= was["train"]["patience"]:
        was["train"]["patience"] = wanted["train"]["patience"]
    if _same_epoch(record, allowed=was["train"]["epochs"], wanted=wanted["train"]["epochs"]):
        was["train"]["epochs"] = wanted["train"]["epochs"]
    parts = _OF_BASELINES if row.system == BASELINES else [part for part in wanted if part != "name"]
    return [part for part in parts if was[part] != wanted[part]]


def _meant(config: SystemConfig) -> dict[str, Any]:
    """Return plain values, with what an option follows from in place of none."""
    values = without_folders(config.to_dict())
    taught = config.needs.taught_boxes
    return {
        **values,
        "encoder": {**values["encoder"], "stage_pooling": config.stage_pooling},
        "marked": None if taught is None else taught.side,
    }


def _ran_on(record: Record, *, allowed: int) -> bool:
    """Return whether no patience ended the record's run: more of it would have changed nothing."""
    return bool(record.training) and record.training["epochs"] == allowed


def _same_epoch(record: Record, *, allowed: int, wanted: int) -> bool:
    """Return whether a run of at most `wanted` epochs would have kept the epoch that the record's run kept."""
    if not record.training:
        return False
    ran, best = record.training["epochs"], record.training["best"]["epoch"]
    return bool(best <= wanted and (wanted <= ran or ran < allowed))
