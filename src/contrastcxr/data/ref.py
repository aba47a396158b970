"""A data name, parsed once: `name:root,key=value/split?param=value`.

`nih14-cv:/data/nih?fold=2`, `phantom:standard/test?seed=0`, `manifest:/data/studies.jsonl`, or just a path. A
drive letter is not a scheme, and a comma or slash of the root itself needs no escape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import parse_qsl, quote_plus

from contrastcxr.data.source import Licence, Source
from contrastcxr.data.tables.files import split_named
from contrastcxr.data.tables.places import file_name
from contrastcxr.errors import RequestError, UnknownNameError, listed, nearest

Pairs = tuple[tuple[str, str], ...]
PATHS = "paths"
"""Name of the source that bare paths are of."""
T = TypeVar("T", bound=str)
_IN_QUERIES = "/:,;@$!*'()[]{}~^|\\ "
"""What the value of a parameter may hold unescaped; percent, plus, ampersand and hash are escaped."""
_IN_NAMES = ":;@$!*'()[]{}~^ "
"""What the name of a file may hold unescaped where it stands in a portable name; a bar parts signatures."""


@dataclass(frozen=True)
class SourceKind:
    """What is known of a source before any data is touched.

    Attributes:
        source: its class, which says the name before the colon and the licence of the data.
        open: gives the source that a data name means.
        summary: what it is, in a line.
        root: what stands behind the colon.
        splits: that there can be.
        params: known behind the `?`.
        training: those of them that change what is trained with, and nothing that is scored.
        options: further roots and settings after the first root, `name:root,key=value`.
        authors: those of them that name the file of a further author, which changes what may be scored.
        signs: files and folders of which its root has one, tables compressed or not; none is recognised by none.
        split_folders: the data set itself has folders called as its splits: `root/train` is a split, not a root.
    """

    source: type[Source]
    open: Callable[[DataRef], Source]
    summary: str
    root: Literal["folder", "file", "level", "path"] = "folder"
    splits: tuple[str, ...] = ()
    params: tuple[str, ...] = ("images", "limit")
    training: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    split_folders: bool = False

    @property
    def name(self) -> str:
        """What stands before the colon of a data name."""
        return self.source.name

    @property
    def licence(self) -> Licence:
        """On what terms the data may be used."""
        return self.source.licence

    def __reduce__(self) -> tuple[Callable[[str], SourceKind], tuple[str]]:
        """Return how another process takes the kind: from the module of its source."""
        return _kind_of, (self.source.__module__,)


def _kind_of(module: str) -> SourceKind:
    kind: SourceKind = import_module(module).KIND
    return kind


@dataclass(frozen=True)
class DataRef:
    """Data as somebody named it; `str` prints the name again.

    Attributes:
        kind: of the source.
        root: its folder, file or level.
        split: of it; None means all of it.
        params: behind the `?`, in their order.
        options: behind the root, in their order.
    """

    kind: SourceKind
    root: str
    split: str | None = None
    params: Pairs = ()
    options: Pairs = ()

    def __str__(self) -> str:
        prefix = "" if self.kind.name == PATHS and self.root else f"{self.kind.name}:"
        options = "".join(f",{key}={value}" for key, value in self.options)
        split = "" if self.split is None else f"/{self.split}"
        return f"{prefix}{self.root}{options}{split}{_query(self.params)}"

    def __post_init__(self) -> None:
        for option, _ in self.options:
            if option not in self.kind.options:
                near = nearest(option, self.kind.options)
                hint = (
                    f"did you mean '{near}'?"
                    if near
                    else f"parameters follow a '?': {listed(self.kind.params, near=option)}"
                )
                raise RequestError(f"{self}: {self.kind.name} has no option '{option:.80}'; {hint}")
        for param, _ in self.params:
            if param not in self.kind.params:
                raise UnknownNameError(f"parameter of {self.kind.name}", param, self.kind.params)
        if not self.root:
            name, root = self.kind.name, self.kind.root
            raise RequestError(f"{self}: no {root} after '{name}:'; expected {name}:<{root}>")

    @property
    def source(self) -> str:
        """The source alone, with its level where it has levels: `phantom:standard`, `nih14`."""
        return f"{self.kind.name}:{self.root}" if self.kind.root == "level" else self.kind.name

    def open(self) -> Source:
        """Return the source, without a split chosen.

        Raises:
            UnknownNameError: the value of an option or parameter is not known; names the nearest.
            DatasetError: the data is not there or departs from its layout.
        """
        return self.kind.open(self)

    def portable(self) -> str:
        """Return the name without split, options and folders of this machine: `nih14-cv?fold=1`.

        The file of a further author stays, by its name alone: `mimic_cxr,coco=boxes.json`.
        """
        named = ((key, file_name(value)) for key, value in self.options if key in self.kind.authors)
        authors = "".join(f",{key}={quote_plus(name, safe=_IN_NAMES)}" for key, name in named)
        return f"{self.source}{authors}{_query(self.params)}"

    def scored(self) -> DataRef:
        """Return the name without parameters that concern training alone: two trainings are scored on one data."""
        return replace(self, params=tuple(pair for pair in self.params if pair[0] not in self.kind.training))

    def of_split(self, split: str | None) -> DataRef:
        """Return the name of another split, or of all."""
        return replace(self, split=split)

    def limited(self, limit: int | None) -> DataRef:
        """Return the name of the first so many studies; itself for None."""
        return self if limit is None else self._having("limit", str(limit))

    def without_pictures(self) -> DataRef | None:
        """Return the name that keeps studies without pictures; None where the source cannot, or was told."""
        if "images" not in self.kind.params or "images" in dict(self.params):
            return None
        return self._having("images", "any")

    def _having(self, param: str, value: str) -> DataRef:
        return replace(self, params=tuple({**dict(self.params), param: value}.items()))

    def integer(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """Return the whole number that a parameter states.

        Raises:
            RequestError: it is not one, below `least` or above `most`.
        """
        text = dict(self.params).get(name)
        if text is None:
            return default
        whole = text.isascii() and text.isdigit()
        if not whole or int(text) < least or (most is not None and int(text) > most):
            to = "" if most is None else f" to {most}"
            raise RequestError(f"{self}: {name}={text}; expected a whole number from {least}{to}")
        return int(text)

    def percent(self, name: str, default: int) -> int:
        """Return the share that a parameter states, in percent.

        Raises:
            RequestError: it is no whole number from 0 to 100.
        """
        return self.integer(name, default, most=100)

    def choice(self, name: str, known: tuple[T, ...]) -> T:
        """Return the value of a parameter or option that allows only these; the first is the usual one."""
        stated = dict((*self.options, *self.params)).get(name, known[0])
        for value in known:
            if value == stated:
                return value
        raise UnknownNameError(f"{name} of {self.kind.name}", stated, known)

    def option(self, name: str) -> str | None:
        """Return the text of an option; None where it is not given."""
        return dict(self.options).get(name)

    def folder(self, option: str) -> Path | None:
        """Return the path that an option names; None where it is not given."""
        given = self.option(option)
        return None if given is None else Path(given).expanduser()

    @property
    def path(self) -> Path:
        """The root as a path."""
        return Path(self.root).expanduser()

    @property
    def limit(self) -> int | None:
        """How many studies are meant; None means all."""
        return self.integer("limit", 0, least=1) or None

    @property
    def images(self) -> Literal["there", "any"]:
        """Whether views without a picture are left out, or stay."""
        return self.choice("images", ("there", "any"))


def parse_ref(text: str, kinds: Mapping[str, SourceKind]) -> DataRef:
    """Parse the name of data that is of one of these kinds.

    Raises:
        UnknownNameError: a name, option or parameter that is not known; names the nearest.
        RequestError: no root, or an option that is not known.
    """
    name, rest = _scheme(text, kinds)
    rest, _, query = rest.partition("?")
    rest, split = _split_off(rest, kinds[name])
    root, options = _options(rest)
    params = dict(parse_qsl(query, keep_blank_values=True))
    return DataRef(kinds[name], root, split, tuple(params.items()), options)


def _scheme(text: str, kinds: Mapping[str, SourceKind]) -> tuple[str, str]:
    """Part the name before the colon from what follows; a path has the name `paths`."""
    match = re.match(r"([A-Za-z][\w.-]+):(?!//)", text)
    if match is None or Path(text).exists():
        return PATHS, text
    if match[1] not in kinds:
        raise UnknownNameError("data source", match[1], kinds)
    return match[1], text[match.end() :]


def _split_off(rest: str, kind: SourceKind) -> tuple[str, str | None]:
    """Part the split from the end, by any of its names in any case, unless the whole is a path that exists."""
    head, slash, tail = rest.rpartition("/")
    split = split_named(tail) or tail
    if kind.root == "level":
        return (head, split) if slash else (rest, None)
    exact = kind.split_folders and tail == split
    if slash and split in kind.splits and (exact or not Path(rest).exists()):
        return head, split
    if slash and kind.root == "file" and Path(head).is_file():
        raise RequestError(
            f"{kind.name}:{rest}: '{tail}' stands behind a file; expected {', '.join(kind.splits)} there; "
            "evaluate takes a split of your own with --split"
        )
    return rest, None


def _options(rest: str) -> tuple[str, Pairs]:
    """Part `,key=value` pairs from the root; a comma before anything else belongs to the root."""
    root, *pairs = re.split(r",(?=[a-z_]+=)", rest)
    return root, tuple({key: value for key, _, value in (pair.partition("=") for pair in pairs)}.items())


def _query(params: Pairs) -> str:
    """Print parameters as they stand behind a name, its question mark included."""
    pairs = (f"{quote_plus(key)}={quote_plus(value, safe=_IN_QUERIES)}" for key, value in params)
    return f"?{'&'.join(pairs)}" if params else ""
