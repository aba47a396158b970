"""Options that are gone, and what a configuration that still states one of them may say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from contrastcxr.errors import ConfigError
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.options import own_name

RETIRED: Mapping[str, object] = {
    "contrast.pool.per_position": False,
    "decoder.co_attention.kept_tags": 10,
    "decoder.co_attention.min_tag_count": 5,
    "decoder.cvse.groups": 30,
    "train.schedule.warmup_steps": 0,
    "train.validate_every": 1,
    "train.word_weight": 1.0,
}
"""Options that were, of a decoder behind its kind, with the value that the code has for good."""

INSTEAD: Mapping[str, str] = {
    "word_weight": "a system that learns from labels alone has no decoder: remove it, and set decoder: null",
}
"""What to do where the value of an option that is gone meant something."""


def without_retired(values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the values of a configuration without the options that are gone.

    Raises:
        ConfigError: one of them has another value than the code has; `where` names the configuration.
    """
    kept = dict(values)
    for name, only in RETIRED.items():
        kept = _without(kept, name.split("."), only, where=where)
    return kept


def _without(part: Mapping[str, Any], place: Sequence[str], only: object, *, where: str) -> dict[str, Any]:
    """Return a part without the option at `place`, counted from it; no dictionary of the caller's is changed."""
    kind = str(part.get("kind"))  # the same dictionary holds a decoder's kind and its options
    key, *rest = place[1:] if place[1:] and own_name(DECODERS, kind) == place[0] else place
    if rest:
        inner = part.get(key)
        if not isinstance(inner, Mapping):
            return dict(part)
        return {**part, key: _without(inner, rest, only, where=f"{where}{key}.")}
    if key in part and part[key] != only:
        instead = INSTEAD.get(key, "remove it")
        raise ConfigError(
            f"{where}{key}: is gone; the value is always {json.dumps(only)}, found {part[key]!r}; {instead}"
        )
    return {name: value for name, value in part.items() if name != key}
