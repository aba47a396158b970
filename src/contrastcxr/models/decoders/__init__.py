"""Report decoders, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastcxr.errors import UnknownNameError
from contrastcxr.models.decoders.base import ReportDecoder, State, StepDecoder, StepOutput
from contrastcxr.models.decoders.nic import NicDecoder
from contrastcxr.models.decoders.transformer import TransformerDecoder

DECODERS: Mapping[str, type[NicDecoder] | type[TransformerDecoder]] = {
    "nic": NicDecoder,
    "transformer": TransformerDecoder,
}


def build_decoder(name: str, *, vocabulary: int, width: int, **options: Any) -> ReportDecoder:
    """The decoder of that name; `options` are the keyword arguments of its constructor.

    Raises:
        UnknownNameError: no such decoder.
    """
    if name not in DECODERS:
        raise UnknownNameError("decoder", name, DECODERS)
    return DECODERS[name](vocabulary, width, **options)


__all__ = ["DECODERS", "ReportDecoder", "State", "StepDecoder", "StepOutput", "build_decoder"]
