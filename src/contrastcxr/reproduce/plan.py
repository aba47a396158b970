"""The rows of an experiment: systems, contrasts and seeds as overrides of one configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contrastcxr.reproduce.judging import JUDGINGS, Judging
from contrastcxr.reproduce.record import FIRST_RECIPE
from contrastcxr.vocab.attribute_words import AttributeListName

BASELINES = "baselines"
Which = tuple[str, str]
"""System and contrast."""
PLAIN = "none"
"""The contrast that the others are compared with; every plan has it."""
CONTRAST = "normal"
"""The contrast of the papers, a pool of normal images as their settings have it."""
Crossed = tuple[str, str, str, str]
"""Names of rows: both changes, without the second, without the first, neither."""
BASELINE_ROW: Which = (BASELINES, PLAIN)


class PlannedRun(BaseModel):
    """A run that is trained before the rows that take something from it; a file alone is its configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str = Field(description="configuration file, relative to the plan")
    set: tuple[str, ...] = Field((), description="overrides, in which {run:NAME} is the folder of another run")

    @model_validator(mode="before")
    @classmethod
    def _of_file(cls, value: object) -> object:
        return {"config": value} if isinstance(value, str) else value


class DataPlan(BaseModel):
    """What changes with the data: the systems' configuration, their encoder, what a seed changes, any twins.

    A row whose overrides have `{run:NAME}` takes something from a run of `runs`, which is trained before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str = Field("", description="configuration file, relative to the plan; none with read_by")
    encoder: str | None = Field(None, description="weights of every row's encoder: a file, relative to the plan")
    seed_overrides: tuple[str, ...] = Field((), description="overrides in which {seed} is the seed, or the fold")
    folds: tuple[int, ...] = Field(
        (), description="in place of seeds: folds of the data, over which a row is one figure (hits over images)"
    )
    split: Literal["test", "validation"] = Field("test", description="which rows are scored on")
    twins: str | None = Field(None, description="split of four pictures of one anatomy")
    references: tuple[str, ...] = Field(
        (),
        description="authors whose readings rows are scored against, each in tables of its own; none: as learnt",
    )
    joined: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="finding: the findings of a row that are heard as it when it is scored"
    )
    attributes: AttributeListName | None = Field(
        None, description="list whose findings are one when rows are scored, and whose words are scored"
    )
    read_by: str | None = Field(
        None,
        description="data whose models read this one, seed by seed, and of data with folds their mean: nothing is "
        "trained, so that config, encoder, seed_overrides, folds, twins and runs are those of that data",
    )
    notes: tuple[str, ...] = Field((), description="what a reader of the tables must know, a sentence each")
    runs: dict[str, PlannedRun] = Field(default_factory=dict, description="name of a run: what it is")

    @model_validator(mode="before")
    @classmethod
    def _refuse_configs(cls, values: object) -> object:
        if isinstance(values, dict) and "configs" in values:
            now = "`config: FILE` here and `systems: {nic: [decoder.kind=nic]}` beside `data`"
            raise ValueError(f"`configs`, a file per system, is now {now}")
        return values

    @model_validator(mode="after")
    def _has_one_way_to_its_models(self) -> Self:
        if bool(self.config) == bool(self.read_by):
            raise ValueError("either config, which rows are trained by, or read_by, whose models read them")
        if self.read_by and (self.encoder or self.seed_overrides or self.folds or self.twins or self.runs):
            raise ValueError(
                "with read_by nothing is trained: take encoder, seed_overrides, folds, twins and runs away"
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
    judged_by: Literal["words", "knowledge", "localization", "boxes", "attributes", "retrieval"] = "words"
    recipe: str = Field(FIRST_RECIPE, description="name of how its rows are trained, which their records carry")
    against: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="name of a system: the system that it is compared with, contrast by contrast, or a list of "
        "systems; or row: row",
    )
    crossed: tuple[Crossed, ...] = Field(
        (),
        description="rows of two changes with and without each other: both, without the second, without the "
        "first, neither; asked is whether the second change does as much with the first as without it",
    )
    votes: bool = Field(False, description="whether rows are read by votes of their samples too, beside the beam")
    also: tuple[str, ...] = Field((), description="experiments whose records of rows of the same name count too")
    published: tuple[PublishedPart, ...] = ()
    rows: tuple[RowSelection, ...] = ()

    @field_validator("against", mode="before")
    @classmethod
    def _lists(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {one: (other,) if isinstance(other, str) else other for one, other in value.items()}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What is compared, each with the one that it is compared with."""
        return [(one, other) for one, others in self.against.items() for other in others]

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
