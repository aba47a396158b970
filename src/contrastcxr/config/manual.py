"""The options of every part in words, as the classes state them; help and the page of options are made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contrastcxr.config.parts import SystemConfig
from contrastcxr.options import kinds_of, part_of

REQUIRED = "none: it must be given"
_TYPES = {
    "bool": "true, false",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "dict": "names with values",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class OptionEntry:
    """One option in words: its dotted name, its default as YAML writes it, what it may be, and what it is."""

    name: str
    default: str
    values: str
    description: str


@dataclass(frozen=True)
class Part:
    """A part of a configuration.

    Attributes:
        place: its dotted name; empty of the system itself.
        options: its class.
        summary: what it is, in one line.
        kind: which one it is, of a place that takes parts of several kinds.
        kinds: of such a place itself, the kinds that it takes.
        default: what stands there unless it is given, `null` or `[]`; empty for its own defaults.
        takes_kinds: whether it is such a place.
        usual: of such a place, the kind that is meant where none is said; empty where one must be.
    """

    place: str
    options: type[BaseModel]
    summary: str
    kind: str = ""
    kinds: tuple[str, ...] = ()
    default: str = ""

    takes_kinds: bool = False
    usual: str = ""

    @property
    def entries(self) -> tuple[OptionEntry, ...]:
        """Its options, without those of the parts inside it."""
        if self.takes_kinds:
            kinds = ", ".join(self.kinds) or "nothing yet"
            return (
                OptionEntry(
                    self._named("kind"), self.usual or REQUIRED, kinds, "which one it is; each has its own options"
                ),
            )
        fields = self.options.model_fields
        own = {name: field for name, field in fields.items() if part_of(field) is None}
        return tuple(self._entry(name, field) for name, field in own.items() if not (self.kind and name == "kind"))

    def _entry(self, name: str, field: FieldInfo) -> OptionEntry:
        values = values_of(field.annotation, field.metadata)
        return OptionEntry(self._named(name), default_of(field), values, field.description or "")

    def _named(self, option: str) -> str:
        return f"{self.place}.{option}" if self.place else option


def parts(
    options: type[BaseModel] = SystemConfig, *, place: str = "", default: str = "", kind: str = ""
) -> Iterator[Part]:
    """Yield the system, then every part in it and every kind that one of them may be, in the order of a file.

    Of another part than the system, that part and those inside it; `kind` is which one it is.
    """
    yield Part(place, options, _said_of(options), kind=kind, default=default)
    for name, field in options.model_fields.items():
        inner, kinds, part = f"{place}.{name}".lstrip("."), kinds_of(field), part_of(field)
        if kinds is not None and part is not None:
            names, usual, said = tuple(kinds.registry), kinds.usual, _sentence(field.description or "")
            yield Part(inner, part, said, kinds=names, default=default_of(field), takes_kinds=True, usual=usual)
            for own, entry in kinds.registry.items():
                yield from parts(entry.options, place=inner, kind=own)
        elif part is not None:
            optional = "" if isinstance(field.default, BaseModel) else default_of(field)
            yield from parts(part, place=inner, default=optional)


def _said_of(options: type[BaseModel]) -> str:
    """Return the first paragraph of what a class says of itself, as one line."""
    return " ".join((options.__doc__ or "").partition("\n\n")[0].split())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def default_of(field: FieldInfo) -> str:
    """Return a default as it is written in YAML."""
    if field.is_required():
        return REQUIRED
    text = json.dumps(field.default, ensure_ascii=False).strip('"')
    return f"{field.default:.12f}".rstrip("0") if isinstance(field.default, float) and "e" in text else text


def values_of(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return in words what an option may be: its type or choices, and its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in inner)
    if type(None) in inner:
        return f"{values_of(next(each for each in inner if each is not type(None)), metadata)}; or null"
    if hasattr(annotation, "__metadata__"):
        return values_of(inner[0], annotation.__metadata__)
    if origin is tuple:
        words = f"list of: {values_of(inner[0])}"
        return f"{words}; not empty" if any(hasattr(each, "min_length") for each in metadata) else words
    if inner and origin is not dict:
        words = " or ".join(map(values_of, inner))
    else:
        words = _TYPES[(origin or annotation).__name__]
    return ", ".join([words, *_bounds(metadata)])


def _bounds(metadata: Sequence[Any]) -> list[str]:
    flat = [each for part in metadata for each in (part.metadata if isinstance(part, FieldInfo) else [part])]
    limits = [
        (words, getattr(each, name)) for each in flat for name, words in _BOUNDS.items() if hasattr(each, name)
    ]
    return [f"{words} {limit:,}" for words, limit in limits]
