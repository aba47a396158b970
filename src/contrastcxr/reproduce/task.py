"""An experiment on one source of data: its rows, their configurations, and what is trained before them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import product
from pathlib import Path
from typing import Any

from contrastcxr.config import SystemConfig, load_config, without_folders
from contrastcxr.data.ref import DataRef
from contrastcxr.errors import RequestError, UnknownNameError, listed
from contrastcxr.files import default_cache
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.options import own_name
from contrastcxr.reproduce.plan import (
    BASELINE_ROW,
    BASELINES,
    CONTRAST,
    PLAIN,
    Crossed,
    DataPlan,
    Plan,
    PlannedRun,
    Row,
    RowSelection,
    Which,
)
from contrastcxr.training.run_record import RECORD_FILE

_RUN = re.compile(r"\{run:([^{}]*)\}")


@dataclass(frozen=True)
class PriorRun:
    """What is trained before the rows that take something from it, such as their aligner.

    Attributes:
        config: of its system.
        folder: its run folder.
    """

    config: SystemConfig
    folder: Path

    @property
    def done(self) -> bool:
        """Whether it has been trained to its end."""
        return (self.folder / RECORD_FILE).is_file()


@dataclass(frozen=True)
class Task:
    """An experiment on one source of data.

    Attributes:
        plan: the experiment.
        folder: the plan file's folder, which configurations are relative to.
        data: name in the plan, such as `phantom:standard`.
        root: where the data is, for a source with a folder.
        overrides: one value changed in every row, such as `train.epochs=1`, each; what is trained before the
            rows keeps its own.
        cache: the cache folder, where what is trained before the rows lives.
        reference: of several authors that rows are scored against, the one of these tables.
    """

    plan: Plan
    folder: Path
    data: str
    root: str | None
    overrides: tuple[str, ...] = ()
    cache: Path = field(default_factory=default_cache)
    reference: str | None = None

    @property
    def of_data(self) -> DataPlan:
        """What the plan says of this data."""
        return self.plan.data[self.data]

    @property
    def place(self) -> str:
        """The folder of this data below the experiment's, and in it that of the author of several."""
        folder = self.data.replace(":", "-")
        return folder if self.reference is None else f"{folder}/{self.reference.replace(' ', '-')}"

    @property
    def title(self) -> str:
        """The data, the split where it is not test, and the author of several that rows are scored against."""
        split = "" if self.of_data.split == "test" else f", {self.of_data.split}"
        return f"{self.data}{split}" + ("" if self.reference is None else f", boxes by {self.reference}")

    @property
    def parts(self) -> list[Task]:
        """The experiment by author that rows are scored against, where there are several; else itself."""
        authors = self.of_data.references
        return [replace(self, reference=author) for author in authors] if len(authors) > 1 else [self]

    def author(self, config: SystemConfig) -> str | None:
        """Return whose readings rows are scored against: as the plan says, else the one that is learnt."""
        return self.reference or next(iter(self.of_data.references), config.data.author)

    @property
    def trains(self) -> bool:
        """Whether rows are trained on this data, and not on others whose models read it."""
        return self.of_data.read_by is None

    @property
    def averages(self) -> bool:
        """Whether rows are the mean of fold models of other data."""
        return not self.trains and bool(self.of_models.of_data.folds)

    @property
    def of_models(self) -> Task:
        """The experiment on the data whose models read this one."""
        assert self.of_data.read_by is not None  # who asks has seen it
        return replace(self, data=self.of_data.read_by, root=None, reference=None)

    @property
    def numbers(self) -> tuple[int, ...]:
        """What `{seed}` stands for in overrides: the folds of this data, else the seeds."""
        return self.of_data.folds or self.plan.seeds

    @cached_property
    def _numbers_of(self) -> dict[Which, tuple[int, ...]]:
        """Every row of the table in its order, and the seeds or folds that it runs on by default."""
        every = RowSelection(systems=tuple(self.plan.systems), contrasts=tuple(self.plan.contrasts))
        return {
            which: self.of_data.folds or part.seeds or self.plan.seeds
            for part in self.plan.rows or (every,)
            for which in product(part.systems, part.contrasts)
        }

    @property
    def which(self) -> Sequence[Which]:
        """System and contrast of every row in the order of the table."""
        return tuple(self._numbers_of)

    @property
    def systems(self) -> Sequence[str]:
        """The systems in the order of the table."""
        return tuple(dict.fromkeys(system for system, _ in self._numbers_of))

    @property
    def contrasts(self) -> Sequence[str]:
        """The contrasts in the order of the table."""
        return tuple(dict.fromkeys(contrast for _, contrast in self._numbers_of))

    def rows(self, *, wanted: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Row]:
        """Return the rows in the order they run: seed by seed, the baselines of a seed first.

        Raises:
            UnknownNameError: a row that the plan does not have.
        """
        numbers = {BASELINE_ROW: self.numbers, **self._numbers_of}
        named = {Row(*which, 0).name: which for which in numbers}
        wanted = [name if name in named else _by_name(name) for name in wanted]
        for name in wanted:
            if name not in named:
                raise UnknownNameError(f"row of {self.plan.name}", name, named)
        chosen = [which for name, which in named.items() if not wanted or name in wanted]
        asked = seeds or sorted({number for which in chosen for number in numbers[which]})
        return [Row(*which, n) for n in asked for which in chosen if seeds or n in numbers[which]]

    def config(self, row: Row) -> SystemConfig:
        """Return the configuration of a row; the baselines have that of the plan's first system.

        Of models of other data it is theirs, of fold models that of the first fold.
        """
        if not self.trains:
            trained = self.of_models
            return trained.config(replace(row, seed=next(iter(trained.of_data.folds), row.seed)))
        overrides = [*self._overrides(row), f"name={self.plan.name}-{row.name}", *self.overrides]
        return self._loaded(self.of_data.config, overrides, row.seed)

    def _overrides(self, row: Row) -> list[str]:
        """Return what the plan sets in a row, before anything is filled in."""
        system = next(iter(self.plan.systems)) if row.system == BASELINES else row.system
        encoder = self.of_data.encoder
        weights = [f"encoder.weights={(self.folder / encoder).resolve()}"] if encoder else []
        return [*self.plan.systems[system], *weights, *self.plan.contrasts[row.contrast], *self._of_data]

    @property
    def _of_data(self) -> list[str]:
        return [*self.of_data.seed_overrides, *([f"data.root={self.root}"] if self.root else [])]

    def _loaded(self, file: str, overrides: Sequence[str], seed: int) -> SystemConfig:
        return load_config(self.folder / file, overrides=[self._filled(text, seed) for text in overrides])

    def _filled(self, override: str, seed: int) -> str:
        """Return an override with the seed for `{seed}` and the folder of a run for `{run:NAME}`."""
        with_seed = override.replace("{seed}", str(seed))
        return _RUN.sub(lambda found: json.dumps(str(self.prior_run(found[1], seed).folder.resolve())), with_seed)

    def prior_runs(self, row: Row) -> list[PriorRun]:
        """Return what is trained before a row, each run behind those that it starts from.

        Baselines see with the encoder and aligner of the rows, and start from no weights of another run.
        """
        if not self.trains:
            return []
        said = [*self._overrides(row), *self.overrides]
        if row.system == BASELINES:
            said = [one for one in said if not one.startswith("train.init_from=")]
        names = self._with_their_own(_RUN.findall(" ".join(said)), ())
        return [self.prior_run(name, row.seed) for name in names]

    def _with_their_own(self, names: Sequence[str], behind: Sequence[str]) -> list[str]:
        """Return runs by name, each behind those that its overrides name.

        Raises:
            RequestError: a run that starts from itself.
        """
        found: dict[str, None] = {}
        for name in names:
            if name in behind:
                raise RequestError(f"{self.plan.name}: the run {name} starts from itself; see runs of {self.data}")
            own = _RUN.findall(" ".join(self._planned(name).set))
            found |= dict.fromkeys([*self._with_their_own(own, (*behind, name)), name])
        return list(found)

    def _planned(self, name: str) -> PlannedRun:
        """Return what the plan says of a run.

        Raises:
            UnknownNameError: the plan has no run of this name.
        """
        if name not in self.of_data.runs:
            raise UnknownNameError(f"run of {self.plan.name} on {self.data}", name, self.of_data.runs)
        return self.of_data.runs[name]

    def prior_run(self, name: str, seed: int) -> PriorRun:
        """Return a run of the plan's `runs`; another configuration has another folder.

        An option that came later and is not said does not count.

        Raises:
            UnknownNameError: the plan has no run of this name.
        """
        planned = self._planned(name)
        config = self._loaded(planned.config, [*planned.set, *self._of_data], seed)
        said = json.dumps(without_folders(config.said()), sort_keys=True)
        return PriorRun(config, self.cache / "runs" / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}")

    def same_run(self, row: Row) -> PriorRun | None:
        """Return the run of the plan that a row is too, by another name: it is trained once for both."""
        if not self.of_data.runs:
            return None
        own = self._told_without_name(self.config(row))
        runs = (self.prior_run(name, row.seed) for name in self.of_data.runs)
        return next((run for run in runs if self._told_without_name(run.config) == own), None)

    @staticmethod
    def _told_without_name(config: SystemConfig) -> dict[str, Any]:
        return {k: v for k, v in without_folders(config.to_dict()).items() if k != "name"}

    def first_configs(self) -> list[SystemConfig]:
        """Return the configuration of each system without contrast, on the first seed."""
        return [self.config(Row(system, PLAIN, self.numbers[0])) for system in self.systems]

    @property
    def compared(self) -> tuple[tuple[Which, Which], ...]:
        """The rows of the table that the plan compares with another one of it, each before the other."""
        every = [
            (one, other)
            for names in self.plan.pairs
            for one, other in zip(*(_rows_of(name, self.contrasts) for name in names), strict=True)
        ]
        return tuple((one, other) for one, other in every if one in self.which and other in self.which)

    @property
    def compared_names(self) -> list[tuple[str, str]]:
        """The names of those rows, whatever the seed."""
        return [(Row(*one, 0).name, Row(*other, 0).name) for one, other in self.compared]

    @property
    def crossed_names(self) -> list[Crossed]:
        """The names of rows of two changes with and without each other, of those whose four are in the table."""
        known = {Row(*which, 0).name for which in self.which}
        return [rows for rows in self.plan.crossed if known.issuperset(rows)]

    def variants(self) -> dict[str, list[str]]:
        """Return what contrasts set that only add settings to that of the papers.

        For each of these settings it also says what the contrast of the papers has instead.
        """
        own = self.plan.contrasts.get(CONTRAST, ())
        added = {
            name: [setting for setting in self.plan.contrasts[name] if setting not in own]
            for name in self.contrasts
            if own and set(own) < set(self.plan.contrasts[name])
        }
        if not added:
            return {}
        found = self.config(Row(self.systems[0], CONTRAST, self.numbers[0]))
        paths = dict.fromkeys(setting.partition("=")[0] for settings in added.values() for setting in settings)
        return {CONTRAST: [f"{path}={_setting(found, path)}" for path in paths], **added}


def _setting(config: SystemConfig, path: str) -> str:
    """Return the value at a path such as `contrast.repeats`, as an override writes it."""
    value: object = reduce(getattr, path.split("."), config)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows_of(name: str, contrasts: Sequence[str]) -> list[Which]:
    """Return the row of a name such as `nic-normal`, else the rows of a system: one for each of the contrasts."""
    system, dash, contrast = name.partition("-")
    return [(system, contrast)] if dash else [(system, each) for each in contrasts]


def _by_name(row: str) -> str:
    """Return a row whose system may be given by another name of it, such as `topdown-none`."""
    system, dash, contrast = row.partition("-")
    return f"{own_name(DECODERS, system)}{dash}{contrast}"


def task_of(
    plan: Plan, folder: Path, data: DataRef, *, cache: Path | None = None, overrides: Sequence[str] = ()
) -> Task:
    """Return the experiment on the data that `--data` names, with `overrides` in every row.

    Without a cache folder it is the one that all commands take.

    Raises:
        RequestError: the plan has no rows for this data.
    """
    name = data.source
    if name not in plan.data:
        known = [each if ":" in each else f"{each}:FOLDER" for each in plan.data]
        raise RequestError(f"{plan.name} has no rows for {data}; it has: {listed(known, near=str(data))}")
    if data.params or data.options or data.split not in (None, "test"):
        raise RequestError(f"{data}: rows are of {name}, split test, as the plan has them; leave the rest out")
    root = None if data.kind.root == "level" else data.root
    task = Task(plan, folder, name, root, tuple(overrides), cache or default_cache())
    _check_one_grid(task)
    return task


def _check_one_grid(task: Task) -> None:
    """Refuse a table whose rows mark cells of several grids: one ceiling cannot stand beside them.

    Raises:
        RequestError: names a row of each grid.
    """
    if not task.plan.judging.places:
        return
    found: dict[object, str] = {}
    for system, config in zip(task.systems, task.first_configs(), strict=True):  # contrast moves no cell
        taught = config.needs.taught_boxes
        if taught is not None and not taught.corners:
            own = (config.image.size, config.encoder.name, config.encoder.stage) if taught.side is None else None
            found.setdefault((taught.side, own), system)
    if len(found) > 1:
        one, other, *_ = found.values()
        raise RequestError(
            f"{task.plan.name}: {one} and {other} mark cells of different grids, and one table has one ceiling; "
            "give them one localizer.upsample and one picture, or put them into two plans"
        )
