"""Values of a JSON file in words, for messages about entries that are not as expected."""

from __future__ import annotations

import json
from typing import Any

_SHOWN = 60


def is_number(value: Any) -> bool:
    """Return True for a number; JSON's true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: Any) -> str:
    """Return what a value of a JSON file is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def plain(value: Any) -> str:
    """Return a value in few characters that any terminal prints."""
    is_plain = isinstance(value, str) and value and value.isprintable()
    text = value if is_plain else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
