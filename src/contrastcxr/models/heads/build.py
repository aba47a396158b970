"""From options to the head that they configure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from contrastcxr.errors import UnknownNameError
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.options import HeadOptions
from contrastcxr.options import Registered


def build_head(registry: Mapping[str, Registered[HeadOptions]], options: HeadOptions, inputs: HeadInputs) -> Any:
    """Return the head of a slot that the options configure.

    Raises:
        IncompatibleError: it cannot be built for these inputs.
    """
    entry = next(each for each in registry.values() if each.options is type(options))
    return entry.load()(inputs, options)


def build_decoder(name: str, *, vocabulary: int, width: int, **options: Any) -> ReportDecoder:
    """Return the decoder of that name; `options` are its own, and fields of `HeadInputs`.

    Raises:
        UnknownNameError: no such decoder, or no such option of it; the nearest known one is named.
        IncompatibleError: it lacks an input.
    """
    if name not in DECODERS:
        raise UnknownNameError("decoder", name, DECODERS)
    inputs = {field.name for field in fields(HeadInputs)}
    kind = DECODERS[name].options
    for option in options:
        if option not in {*inputs, *kind.model_fields}:
            raise UnknownNameError(f"option of decoder {name}", option, kind.model_fields)
    given = {key: value for key, value in options.items() if key in inputs}
    own = kind(**{key: value for key, value in options.items() if key not in inputs})
    decoder: ReportDecoder = DECODERS[name].load()(HeadInputs(width=width, vocabulary=vocabulary, **given), own)
    return decoder
