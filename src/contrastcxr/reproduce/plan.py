"""The rows of an experiment: systems, contrasts and seeds as overrides of one configuration file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import product
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contrastcxr.config import SystemConfig, load_config, without_folders
from contrastcxr.data.ref import DataRef
from contrastcxr.errors import RequestError, UnknownNameError, listed
from contrastcxr.files import default_cache
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.options import own_name
from contrastcxr.reproduce.judging import JUDGINGS, Judging
from contrastcxr.reproduce.record import FIRST_RECIPE

BASELINES = "baselines"
Which = tuple[str, str]
"""System and contrast."""
PLAIN = "none"
"""The contrast that the others are compared with; every plan has it."""
CONTRAST = "normal"
"""The contrast of the papers, a pool of normal images as their settings have it."""
BASELINE_ROW: Which = (BASELINES, PLAIN)
_RUN = re.compile(r"\{run:([^{}]*)\}")


class DataPlan(BaseModel):
    """What changes with the data: the systems' configuration, their encoder, what a seed changes, any twins.

    A row whose overrides have `{run:NAME}` takes something from a run of `runs`, which is trained before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str = Field("", description="configuration file, relative to the plan; none with mean_of")
    encoder: str | None = Field(None, description="weights of every row's encoder: a file, relative to the plan")
    seed_overrides: tuple[str, ...] = Field((), description="overrides in which {seed} is the seed, or the fold")
    folds: tuple[int, ...] = Field(
        (), description="in place of seeds: folds of the data, over which a row is one figure (hits over images)"
    )
    twins: str | None = Field(None, description="split of four pictures of one anatomy")
    references: tuple[str, ...] = Field(
        (),
        description="authors whose readings rows are scored against, each in tables of its own; none: as learnt",
    )
    joined: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="finding: the findings of a row that are heard as it when it is scored"
    )
    mean_of: str | None = Field(
        None,
        description="data with folds whose models read this one by their mean: nothing is trained, so that "
        "config, encoder, seed_overrides, folds, twins and runs are those of that data",
    )
    notes: tuple[str, ...] = Field((), description="what a reader of the tables must know, a sentence each")
    runs: dict[str, str] = Field(
        default_factory=dict, description="name of a run: its configuration file, relative to the plan"
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_configs(cls, values: object) -> object:
        if isinstance(values, dict) and "configs" in values:
            now = "`config: FILE` here and `systems: {nic: [decoder.kind=nic]}` beside `data`"
            raise ValueError(f"`configs`, a file per system, is now {now}")
        return values

    @model_validator(mode="after")
    def _has_one_way_to_its_models(self) -> Self:
        if bool(self.config) == bool(self.mean_of):
            raise ValueError("either config, which rows are trained by, or mean_of, whose models are averaged")
        if self.mean_of and (self.encoder or self.seed_overrides or self.folds or self.twins or self.runs):
            raise ValueError(
                "with mean_of nothing is trained: take encoder, seed_overrides, folds, twins and runs away"
            )
        return self


class PublishedPart(BaseModel):
    """A published table that stands beside the measured rows.

    A row of ours finds its published one by these keys: the data set (where the table has several), `keys`, what
    `systems` and `contrasts` say of its system and contrast.  A system that is not listed has its own name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    data: str = Field(description="data set of the paper, such as iu_xray")
    keys: dict[str, str] = Field(default_factory=dict, description="what all its rows share, such as iou: '0.3'")
    systems: dict[str, dict[str, str]] = Field(default_factory=dict)
    contrasts: dict[str, dict[str, str]] = Field(
        default_factory=lambda: {"none": {"contrast": "none"}, "normal": {"contrast": "normal"}}
    )
    scores: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="published metric: our scores, of which the first that is there counts"
    )
    score: str | None = Field(
        None, description="of a table with a column for each finding: our score of one, such as tiou_0.3 or auc"
    )

    @property
    def title(self) -> str:
        """The data set, and what all rows share."""
        return ", ".join([self.data, *(f"{key} {value}" for key, value in self.keys.items())])


class RowSelection(BaseModel):
    """Systems, each with each of these contrasts, of the plan that a table extends, in the order of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    systems: tuple[str, ...]
    contrasts: tuple[str, ...]
    seeds: tuple[int, ...] = Field(
        (), description="on which they run where they are not asked for; none: the plan's"
    )


class Plan(BaseModel):
    """An experiment: every system with every contrast, on every seed, unless `rows` names which."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    paper: str
    title: str
    contrasts: dict[str, tuple[str, ...]] = Field(
        description="name of a contrast: its overrides, in which {seed} is the seed"
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    data: dict[str, DataPlan]
    systems: dict[str, tuple[str, ...]] = Field(
        description="name of a system: its overrides, in which {run:NAME} is the folder of a run trained first"
    )
    judged_by: Literal["words", "knowledge", "localization"] = "words"
    recipe: str = Field(FIRST_RECIPE, description="name of how its rows are trained, which their records carry")
    against: dict[str, str] = Field(
        default_factory=dict,
        description="name of a system: the system that it is compared with, contrast by contrast; or row: row",
    )
    votes: bool = Field(False, description="whether rows are read by votes of their samples too, beside the beam")
    also: tuple[str, ...] = Field((), description="experiments whose records of rows of the same name count too")
    published: tuple[PublishedPart, ...] = ()
    rows: tuple[RowSelection, ...] = ()

    @property
    def judging(self) -> Judging:
        """The scores that decide."""
        return JUDGINGS[self.judged_by]


@dataclass(frozen=True)
class Row:
    """One system with one contrast on one seed, or the baselines of that seed."""

    system: str
    contrast: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the row, whatever the seed, such as `nic-normal` or `cam@tuned-none`."""
        return self.system if self.system == BASELINES else f"{self.system}-{self.contrast}"

    @property
    def stem(self) -> str:
        """Name of the row's files, such as `nic-normal-seed0`."""
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True)
class PriorRun:
    """What is trained before the rows that take something from it, such as their aligner.

    Attributes:
        config: of its system.
        folder: its run folder.
    """

    config: SystemConfig
    folder: Path


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
        """The data, and the author of several that rows are scored against."""
        return self.data if self.reference is None else f"{self.data}, boxes by {self.reference}"

    @property
    def parts(self) -> list[Task]:
        """The experiment by author that rows are scored against, where there are several; else itself."""
        authors = self.of_data.references
        return [replace(self, reference=author) for author in authors] if len(authors) > 1 else [self]

    def author(self, config: SystemConfig) -> str | None:
        """Return whose readings rows are scored against: as the plan says, else the one that is learnt."""
        return self.reference or next(iter(self.of_data.references), config.data.author)

    @property
    def of_folds(self) -> Task:
        """The experiment on the data whose fold models read this one."""
        assert self.of_data.mean_of is not None  # who asks has seen it
        return replace(self, data=self.of_data.mean_of, root=None, reference=None)

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
        wanted = [_by_name(name) for name in wanted]
        for name in wanted:
            if name not in named:
                raise UnknownNameError(f"row of {self.plan.name}", name, named)
        chosen = [which for name, which in named.items() if not wanted or name in wanted]
        asked = seeds or sorted({number for which in chosen for number in numbers[which]})
        return [Row(*which, n) for n in asked for which in chosen if seeds or n in numbers[which]]

    def config(self, row: Row) -> SystemConfig:
        """Return the configuration of a row; the baselines have that of the plan's first system.

        Of fold models that are averaged it is that of the first fold.
        """
        if self.of_data.mean_of is not None:
            folds = self.of_folds
            return folds.config(replace(row, seed=folds.numbers[0]))
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
        """Return what is trained before a row, in the order in which its overrides name it."""
        if self.of_data.mean_of is not None:
            return []
        overrides = (*self._overrides(row), *self.overrides)
        names = dict.fromkeys(name for text in overrides for name in _RUN.findall(text))
        return [self.prior_run(name, row.seed) for name in names]

    def prior_run(self, name: str, seed: int) -> PriorRun:
        """Return a run of the plan's `runs`; another configuration has another folder.

        An option that came later and is not said does not count.

        Raises:
            UnknownNameError: the plan has no run of this name.
        """
        if name not in self.of_data.runs:
            raise UnknownNameError(f"run of {self.plan.name} on {self.data}", name, self.of_data.runs)
        config = self._loaded(self.of_data.runs[name], self._of_data, seed)
        said = json.dumps(without_folders(config.said()), sort_keys=True)
        return PriorRun(config, self.cache / "runs" / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}")

    def first_configs(self) -> list[SystemConfig]:
        """Return the configuration of each system without contrast, on the first seed."""
        return [self.config(Row(system, PLAIN, self.numbers[0])) for system in self.systems]

    @property
    def compared(self) -> tuple[tuple[Which, Which], ...]:
        """The rows of the table that the plan compares with another one of it, each before the other."""
        every = [
            (one, other)
            for names in self.plan.against.items()
            for one, other in zip(*(_rows_of(name, self.contrasts) for name in names), strict=True)
        ]
        return tuple((one, other) for one, other in every if one in self.which and other in self.which)

    @property
    def compared_names(self) -> list[tuple[str, str]]:
        """The names of those rows, whatever the seed."""
        return [(Row(*one, 0).name, Row(*other, 0).name) for one, other in self.compared]

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
    if task.plan.judged_by != "localization":
        return
    found: dict[object, str] = {}
    for which in task.which:
        row = Row(*which, task.numbers[0])
        config = task.config(row)
        taught = config.needs.taught_boxes
        if taught is not None:
            own = (config.image.size, config.encoder.name, config.encoder.stage) if taught.side is None else None
            found.setdefault((taught.side, own), row.name)
    if len(found) > 1:
        one, other, *_ = found.values()
        raise RequestError(
            f"{task.plan.name}: {one} and {other} mark cells of different grids, and one table has one ceiling; "
            "give them one localizer.upsample and one picture, or put them into two plans"
        )
