"""Options of parts and the registries that know a part by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, SerializeAsAny, TypeAdapter, ValidationError

from contrastcxr import config as config_module
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.losses.base import SystemLoss
from contrastcxr.models.contrast.options import AttentionOptions, BankOptions, DifferenceOptions, PoolOptions
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.base import Head
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.options import EncoderOptions, ProjectionOptions
from contrastcxr.options import KindOf, Options, Registered, own_name

ENTRIES = [
    *((slot, name, entry) for slot, registry in HEADS.items() for name, entry in registry.items()),
    *(("losses", name, entry) for name, entry in SYSTEM_LOSSES.items()),
]
every = pytest.mark.parametrize(("slot", "name", "entry"), ENTRIES, ids=lambda value: str(value)[:20])
BETWEEN = (EncoderOptions, ProjectionOptions, AttentionOptions, PoolOptions, DifferenceOptions, BankOptions)
CONFIG = [part for part in vars(config_module).values() if isinstance(part, type) and issubclass(part, BaseModel)]


def required(part: type[BaseModel]) -> dict[str, str]:
    """A value for each field that has no default."""
    values = {"labels": "nih14", "name": "any", "attributes": "pneumonia"}
    return {name: values[name] for name, field in part.model_fields.items() if field.is_required()}


class RoundOptions(Options):
    kind: Literal["round"] = "round"
    radius: int = 3


class SquareOptions(Options):
    kind: Literal["square"] = "square"


SHAPES: Mapping[str, Registered[Options]] = {
    "round": Registered(RoundOptions, "fractions:Fraction", "Euclid", also="circle"),
    "square": Registered(SquareOptions, "decimal:Decimal", "Euclid"),
}
SHAPE: TypeAdapter[Any] = TypeAdapter(Annotated[SerializeAsAny[Options], BeforeValidator(KindOf(SHAPES))])


@every
def test_options_of_every_part_build_from_their_defaults(slot: str, name: str, entry: Registered[Options]) -> None:
    options = entry.options(**required(entry.options))
    assert slot
    assert getattr(options, "kind", name) == name
    assert type(options).model_validate(options.model_dump()) == options
    assert all(weight >= 0 for weight in options.term_weights.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", [*BETWEEN, *CONFIG], ids=lambda part: part.__name__)
def test_options_between_pixels_and_heads_build_from_their_defaults(part: type[BaseModel]) -> None:
    options = part(**required(part))
    assert part.model_validate(options.model_dump()) == options


@every
def test_every_entry_loads_the_class_at_its_place(slot: str, name: str, entry: Registered[Options]) -> None:
    loaded = entry.load()
    module, _, class_name = entry.place.partition(":")
    assert (loaded.__module__, loaded.__name__) == (module, class_name)
    assert issubclass(loaded, {"decoder": ReportDecoder, "losses": SystemLoss}.get(slot, Head))
    assert entry.paper, name


def test_other_names_are_of_one_part_and_no_parts_own() -> None:
    for registry in HEADS.values():
        others = [entry.also for entry in registry.values() if entry.also]
        assert len(set(others)) == len(others)
        assert not set(others) & set(registry)


def test_loading_gives_the_class_and_fails_by_name_where_there_is_none() -> None:
    from fractions import Fraction

    assert SHAPES["round"].load() is Fraction
    with pytest.raises(AttributeError, match="Fractoin"):
        Registered(RoundOptions, "fractions:Fractoin", "nobody").load()
    with pytest.raises(ModuleNotFoundError, match="fractoins"):
        Registered(RoundOptions, "fractoins:Fraction", "nobody").load()


def test_options_are_frozen_and_strict_about_keys() -> None:
    options = RoundOptions()
    with pytest.raises(ValidationError, match="frozen"):
        options.radius = 4  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        RoundOptions(raduis=4)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "own"), [("round", "round"), ("circle", "round"), ("square", "square"), ("oval", "oval"), ("", "")]
)
def test_a_part_may_be_called_by_its_other_name(name: str, own: str) -> None:
    assert own_name(SHAPES, name) == own


def test_plain_values_become_the_options_of_their_kind() -> None:
    assert SHAPE.validate_python({"kind": "circle", "radius": 5}) == RoundOptions(radius=5)
    assert SHAPE.dump_python(SHAPE.validate_python({"kind": "round"})) == {"kind": "round", "radius": 3}
    assert type(SHAPE.validate_python({"kind": "square"})) is SquareOptions
    ready = RoundOptions(radius=9)
    assert SHAPE.validate_python(ready) is ready


@pytest.mark.parametrize(
    ("values", "problem", "place"),
    [
        ({"kind": "oval"}, "kind_unknown", ()),
        ({}, "kind_missing", ()),
        ({"kind": None}, "kind_unknown", ()),
        ({"kind": "round", "radius": "far"}, "int_parsing", ("radius",)),
        ({"kind": "square", "radius": 1}, "extra_forbidden", ("radius",)),
    ],
)
def test_what_is_wrong_is_told_with_its_place(values: Any, problem: str, place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        SHAPE.validate_python(values)
    (error,) = caught.value.errors()
    assert (error["type"], error["loc"]) == (problem, place)


def test_a_kind_that_is_registered_later_is_known() -> None:
    shapes = dict(SHAPES)
    read = KindOf(shapes)

    class LongOptions(Options):
        kind: Literal["long"] = "long"

    shapes["long"] = Registered(LongOptions, "fractions:Fraction", "nobody")
    assert read({"kind": "long"}) == LongOptions()
