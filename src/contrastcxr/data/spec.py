"""How a person writes a source, `name:root,key=value/split?param=value`, and what is known of each kind.

`nih14-cv:/data/nih?fold=2`, `phantom:standard/test?seed=0`, `manifest:/data/studies.jsonl`, or just a path. A
drive letter is not a scheme, and a comma or slash of the root itself needs no escape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from contrastcxr.data.source import Licence, Source
from contrastcxr.errors import RequestError, UnknownNameError, nearest


@dataclass(frozen=True)
class DataSpec:
    """A source as it was asked for."""

    text: str
    name: str
    root: str
    split: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """The whole number that a parameter states.

        Raises:
            RequestError: it is not one, or below 0.
        """
        text = self.params.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit():
            raise RequestError(f"{self.text}: {name}={text}; expected a whole number from 0")
        return int(text)

    def choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        """The value of a parameter that allows only these."""
        value = self.params.get(name, default)
        if value not in known:
            raise UnknownNameError(f"{name} of {self.name}", value, known)
        return value


@dataclass(frozen=True)
class SourceKind:
    """What is known of a source before any data is touched."""

    open: Callable[[DataSpec], Source]
    summary: str
    root: Literal["folder", "file", "level", "path"]
    splits: tuple[str, ...]
    params: tuple[str, ...]
    licence: Licence
    options: tuple[str, ...] = ()
    """Further roots and settings after the first, `name:root,key=value`."""
    split_folders: bool = False
    """The data set itself has folders called as its splits, so that `root/train` is a split, not a root."""


def taken_apart(text: str, kinds: Mapping[str, SourceKind]) -> DataSpec:
    """Take apart the text of a source that is one of these kinds.

    Raises:
        UnknownNameError: a name, option or parameter that is not known; names the nearest.
    """
    name, rest = _scheme(text, kinds)
    rest, _, query = rest.partition("?")
    kind = kinds[name]
    rest, split = _split_off(rest, kind)
    root, options = _options(rest)
    for option in options:
        if option not in kind.options:
            near = nearest(option, kind.options)
            hint = f"did you mean '{near}'?" if near else f"parameters follow a '?': {', '.join(kind.params)}"
            raise RequestError(f"{text}: {name} has no option '{option}'; {hint}")
    params = dict(parse_qsl(query, keep_blank_values=True))
    for param in params:
        if param not in kind.params:
            raise UnknownNameError(f"parameter of {name}", param, kind.params)
    if not root:
        raise RequestError(f"{text}: no {kind.root} after '{name}:'; expected {name}:<{kind.root}>")
    return DataSpec(text=text, name=name, root=root, split=split, params=params, options=options)


def _scheme(text: str, kinds: Mapping[str, SourceKind]) -> tuple[str, str]:
    """The name before the colon and what follows; a path has the name `paths`."""
    match = re.match(r"([A-Za-z][\w.-]+):(?!//)", text)
    if match is None or Path(text).exists():
        return "paths", text
    if match[1] not in kinds:
        raise UnknownNameError("data source", match[1], kinds)
    return match[1], text[match.end() :]


def _split_off(rest: str, kind: SourceKind) -> tuple[str, str | None]:
    """Part the split from the end, unless the whole is a path that exists."""
    head, slash, tail = rest.rpartition("/")
    if kind.root == "level":
        return (head, tail) if slash else (rest, None)
    if slash and tail in kind.splits and (kind.split_folders or not Path(rest).exists()):
        return head, tail
    return rest, None


def _options(rest: str) -> tuple[str, dict[str, str]]:
    """Part `,key=value` pairs from the root; a comma before anything else belongs to the root."""
    root, *pairs = re.split(r",(?=[a-z_]+=)", rest)
    return root, {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
