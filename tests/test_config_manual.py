"""The options of every part in words: nothing is left out, and what is said holds when it is tried."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from contrastcxr.config import SystemConfig
from contrastcxr.config.manual import REQUIRED, OptionEntry, Part, default_of, parts, values_of
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.contrast import CONTRASTS, USUAL_CONTRAST
from contrastcxr.models.contrast.options import BankOptions, PoolOptions
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.decoders.options import NicOptions

PARTS = list(parts())
ENTRIES = [(part, entry) for part in PARTS for entry in part.entries]


def named(place: str, kind: str = "") -> Part:
    return next(part for part in PARTS if (part.place, part.kind) == (place, kind))


def entry(part: Part, name: str) -> OptionEntry:
    return next(each for each in part.entries if each.name == name)


def test_every_part_of_a_configuration_and_every_kind_of_a_slot_is_there_once() -> None:
    assert len({(part.place, part.kind) for part in PARTS}) == len(PARTS)
    at_top = [part.place for part in PARTS if part.place and "." not in part.place and not part.kind]
    assert at_top == [name for name in SystemConfig.model_fields if name not in ("name", "paper", "width")]
    for slot, registry in (
        ("decoder", HEADS["decoder"]),
        ("localizer", HEADS["localizer"]),
        ("contrast", CONTRASTS),
    ):
        assert named(slot).kinds == tuple(registry)
        assert [part.kind for part in PARTS if part.place == slot and part.kind] == list(registry)
    assert named("contrast.pool").options is PoolOptions
    assert named("decoder", "nic").options is NicOptions
    assert named("generate").options is GenerationSettings


@pytest.mark.parametrize(("part", "said"), ENTRIES, ids=lambda each: getattr(each, "name", ""))
def test_every_option_says_what_it_is(part: Part, said: OptionEntry) -> None:
    assert said.description, f"{said.name} of {part.options.__name__} has no description"
    assert said.values


def test_every_part_says_what_it_is() -> None:
    assert all(part.summary.endswith(".") and "\n" not in part.summary for part in PARTS)


def test_parts_inside_another_are_no_options_of_it_and_a_kind_does_not_state_itself() -> None:
    assert {each.name for each in named("").entries} == {"name", "paper", "width"}
    assert "train.optimizer" not in {each.name for each in named("train").entries}
    assert "decoder.kind" not in {each.name for each in named("decoder", "nic").entries}
    assert entry(named("decoder"), "decoder.kind").values.startswith("nic, ")
    assert named("losses").takes_kinds


def test_a_kind_that_is_meant_where_none_is_said_is_a_default() -> None:
    assert entry(named("contrast"), "contrast.kind").default == USUAL_CONTRAST
    assert entry(named("decoder"), "decoder.kind").default == REQUIRED


def test_parts_inside_a_kind_are_there_too() -> None:
    assert named("contrast.pool").options is PoolOptions
    assert named("contrast.bank").options is BankOptions


def test_what_is_absent_unless_given_says_so() -> None:
    absent = {part.place for part in PARTS if part.default}
    assert absent >= {"contrast", "decoder", "localizer", "finding_head", "losses", "train.scheduled_sampling"}
    assert named("data").default == named("train").default == ""


def option_fields() -> list[tuple[Part, str, Any]]:
    return [
        (part, name, field)
        for part in PARTS
        for name, field in part.options.model_fields.items()
        if not part.takes_kinds and any(each.name.rpartition(".")[2] == name for each in part.entries)
    ]


@pytest.mark.parametrize(("part", "name", "field"), option_fields())
def test_a_default_typed_as_it_is_printed_is_the_default(part: Part, name: str, field: Any) -> None:
    printed = default_of(field)
    if printed == REQUIRED:
        assert field.is_required()
        return
    usual = {"attributes": "phantom-opacity"}
    required = [key for key, each in part.options.model_fields.items() if each.is_required()]
    values = {key: usual.get(key, "phantom") for key in required}
    read = part.options.model_validate({**values, name: yaml.safe_load(printed)})
    assert getattr(read, name) == field.default


class Sample(BaseModel):
    small: float = 1e-5
    choice: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("part", "name", "values"),
    [
        ("width", "width", "whole number, at least 8, at most 65,536"),
        ("text", "text.sections", "list of: findings, impression; not empty"),
        ("contrast:attention", "contrast.stages", "list of: whole number, at least 0"),
        ("data", "data.options", "names with values"),
        ("data", "data.fold", "whole number, at least 0; or null"),
        ("train.optimizer", "train.optimizer.lr", "number, above 0"),
        ("generate", "generate.top_p", "number, above 0, at most 1"),
        ("finding_head", "finding_head.dropout", "number, at least 0, below 1"),
        ("image", "image.augment", "true, false"),
    ],
)
def test_what_an_option_may_be_is_said_in_words(part: str, name: str, values: str) -> None:
    place, _, kind = part.partition(":")
    assert entry(named("" if part == "width" else place, kind), name).values == values


def test_bounds_that_are_said_are_those_that_hold() -> None:
    with pytest.raises(ValidationError):
        SystemConfig(name="a", width=7)
    assert SystemConfig(name="a", width=8).width == 8


def test_small_numbers_are_written_so_that_yaml_reads_a_number() -> None:
    assert default_of(Sample.model_fields["small"]) == "0.00001"
    assert yaml.safe_load("0.00001") == 1e-5
    assert values_of(Sample.model_fields["choice"].annotation) == "a, b"
    assert values_of(str | int) == "text or whole number"
