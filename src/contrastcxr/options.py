"""Options of parts, and registries that know a part by the name of its kind; nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


class Options(BaseModel):
    """The options of one part, which stand beside the class that they configure."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)


Part = TypeVar("Part", bound=Options, covariant=True)


@dataclass(frozen=True)
class Registered(Generic[Part]):
    """One kind of part.

    Attributes:
        options: its options; `kind` is its name.
        place: `module:Class` of what they configure, loaded when it is built: modules of parts need PyTorch.
        paper: where it comes from.
        also: another name that it goes by.
    """

    options: type[Part]
    place: str
    paper: str
    also: str = ""

    def load(self) -> Any:
        """Return the class."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


@dataclass(frozen=True, eq=False)
class KindOf:
    """Reads the options of a part from plain values, by their `kind`; for `BeforeValidator`.

    Attributes:
        registry: the kinds that there are.
        usual: the kind that is meant where none is said; empty where one must be.
    """

    registry: Mapping[str, Registered[Options]]
    usual: str = ""

    def __call__(self, value: Any) -> Any:
        """Return the options that plain values are; anything else as it is.

        Raises:
            PydanticCustomError: there is no `kind`, or none of that name.
        """
        if not isinstance(value, Mapping):
            return value
        kind = own_name(self.registry, str(value.get("kind", self.usual)))
        if kind not in self.registry:
            problem = "kind_unknown" if "kind" in value else "kind_missing"
            raise PydanticCustomError(problem, "no such kind", {"registry": self.registry})
        return self.registry[kind].options.model_validate({**value, "kind": kind})


def own_name(registry: Mapping[str, Registered[Options]], name: str) -> str:
    """Return the name of a kind, which may be given by another that it goes by."""
    return next((own for own, entry in registry.items() if name and entry.also == name), name)


def kinds_of(field: FieldInfo) -> KindOf | None:
    """Return the kinds that a field takes; None of a field without kinds."""
    for each in (*field.metadata, *_inside(field.annotation)):
        if isinstance(each, BeforeValidator) and isinstance(each.func, KindOf):
            return each.func
    return None


def part_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the class of the part that a field holds, of several kinds their base; None of a plain option."""
    inside = _inside(field.annotation)
    return next((each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _inside(annotation: Any) -> list[Any]:
    """Return everything that an annotation is made of, what `Annotated` adds included."""
    return [annotation, *(part for inner in get_args(annotation) for part in _inside(inner))]
