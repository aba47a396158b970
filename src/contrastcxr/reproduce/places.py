"""Where rows leave their records, tables and runs, and which of them are there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contrastcxr.config import SystemConfig, parse_config, without_folders
from contrastcxr.reproduce.plan import Row, Task
from contrastcxr.reproduce.record import Record, read_record


@dataclass(frozen=True)
class Places:
    """Where rows leave things.

    Attributes:
        results: folder of the records, kept.
        runs: folder of the run folders, which may be deleted once the rows are recorded.
        cache: folder of encoder features that all rows share.
    """

    results: Path
    runs: Path
    cache: Path

    def folder(self, task: Task) -> Path:
        """The folder of the experiment's records on this data."""
        return self.results / task.plan.name / task.place

    def record(self, task: Task, row: Row) -> Path:
        """The row's record."""
        return self.folder(task) / f"{row.stem}.json"

    def found(self, task: Task, row: Row) -> Path | None:
        """The row's record where it is: this experiment's, else that of one whose rows count too; or None.

        A record of another experiment counts only if its configuration is the row's.
        """
        own = self.record(task, row)
        if own.is_file():
            return own
        others = (self.results / name / task.place / own.name for name in task.plan.also)
        return next((path for path in others if path.is_file() and _same_setting(path, task.config(row))), None)

    def recorded(self, task: Task) -> list[Record]:
        """The records of the experiment on this data."""
        found = (self.found(task, row) for row in task.rows())
        return [read_record(path) for path in found if path is not None]

    def table(self, task: Task, row: Row) -> Path:
        """The row's study table."""
        return self.record(task, row).with_suffix(".npz")

    def run(self, task: Task, row: Row) -> Path:
        """The row's run folder."""
        return self.runs / task.plan.name / task.place / row.stem


def _same_setting(path: Path, config: SystemConfig) -> bool:
    """Whether a record was made with this configuration, whatever the system was called.

    Settings that came after the record have their default in it.
    """
    made = parse_config(read_record(path).config, where=str(path))
    plain, wanted = (without_folders(each.to_dict()) for each in (made, config))
    return {**plain, "name": ""} == {**wanted, "name": ""}
