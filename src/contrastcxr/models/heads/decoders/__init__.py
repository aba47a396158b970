"""Report decoders, by name."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from contrastcxr.errors import UnknownNameError
from contrastcxr.models.heads.decoders.adaptive_attention import AdaptiveAttentionDecoder, SpatialAttentionDecoder
from contrastcxr.models.heads.decoders.att2in import Att2inDecoder
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.co_attention import CoAttentionDecoder
from contrastcxr.models.heads.decoders.cvse import CvseDecoder
from contrastcxr.models.heads.decoders.hlstm import DualHlstmDecoder, HlstmDecoder
from contrastcxr.models.heads.decoders.multi_attention import MultiAttentionDecoder
from contrastcxr.models.heads.decoders.nic import NicDecoder
from contrastcxr.models.heads.decoders.r2gen import R2GenDecoder
from contrastcxr.models.heads.decoders.transformer import TransformerDecoder
from contrastcxr.models.heads.decoders.up_down import UpDownDecoder
from contrastcxr.models.heads.decoders.visual_attention import VisualAttentionDecoder

DECODERS: Mapping[str, type[ReportDecoder]] = {
    "nic": NicDecoder,
    "visual_attention": VisualAttentionDecoder,
    "spatial_attention": SpatialAttentionDecoder,
    "adaptive_attention": AdaptiveAttentionDecoder,
    "att2in": Att2inDecoder,
    "up_down": UpDownDecoder,
    "hlstm": HlstmDecoder,
    "hlstm_dual": DualHlstmDecoder,
    "co_attention": CoAttentionDecoder,
    "multi_attention": MultiAttentionDecoder,
    "cvse": CvseDecoder,
    "transformer": TransformerDecoder,
    "r2gen": R2GenDecoder,
}


def build_decoder(name: str, *, vocabulary: int, width: int, **options: Any) -> ReportDecoder:
    """Return the decoder of that name; `options` are the keyword arguments of its constructor.

    Raises:
        UnknownNameError: no such decoder, or no such option of it; the nearest known one is named.
    """
    if name not in DECODERS:
        raise UnknownNameError("decoder", name, DECODERS)
    known = _options(DECODERS[name])
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of decoder {name}", option, known)
    return DECODERS[name](vocabulary, width, **options)


def _options(decoder: type[ReportDecoder]) -> set[str]:
    """Return the keyword arguments of a decoder's constructor, those of its `Unpack[…]` included."""
    own = {p.name for p in signature(decoder).parameters.values() if p.kind is p.KEYWORD_ONLY}
    shared = [hint for hint in get_type_hints(decoder.__init__).values() if get_origin(hint) is Unpack]
    return own.union(*(get_type_hints(get_args(hint)[0]) for hint in shared))


def decoder_name(decoder: ReportDecoder) -> str:
    """Return the name a decoder is registered under; that of its class for one that is not."""
    return next((name for name, kind in DECODERS.items() if kind is type(decoder)), type(decoder).__name__)
