"""The plans still give the configuration that each published record was made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contrastcxr.config import parse_config, without_folders
from contrastcxr.reproduce.plan import PAPERS, Row, Task, find_plan
from contrastcxr.reproduce.record import Record, read_record

RESULTS = Path(__file__).parents[2] / "results"
EXPERIMENTS = ("first-experiment", "decoders", "localizers")


def _tasks() -> Iterator[Task]:
    for paper, tables in PAPERS.items():
        for table in tables:
            plan, folder = find_plan(paper, table)
            yield from (Task(plan, folder, data, None if ":" in data else "/pictures") for data in plan.data)


TASKS = tuple(_tasks())


def _paths() -> list[Path]:
    return [path for name in EXPERIMENTS for path in sorted((RESULTS / name).glob("*/*-seed*.json"))]


def _task(record: Record) -> Task:
    """Return a plan of the record's experiment that has its row."""
    system, _, contrast = record.row.partition("-")
    fitting = (
        task
        for task in TASKS
        if task.plan.name == record.experiment
        and task.data == record.data.partition("?")[0]
        and (system == "baselines" or (system in task.systems and contrast in task.contrasts))
    )
    return next(fitting)


@pytest.mark.parametrize("path", _paths(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_row_would_be_trained_as_it_was(path: Path) -> None:
    record = read_record(path)
    system, _, contrast = record.row.partition("-")
    config = _task(record).config(Row(system, contrast or "none", record.seed))
    made = parse_config(dict(record.config), where=path.name)
    assert without_folders(config.to_dict()) == without_folders(made.to_dict())
