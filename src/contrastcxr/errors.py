"""The error tree. Every message says what was expected, what was found, where, and what to do.

ContrastCXRError
├── InputError              one input cannot be used; a batch command goes on and exits 1
│   ├── ImageError          a picture or DICOM file
│   └── DatasetError        a manifest, a table or a folder layout
├── RequestError            the request itself is wrong; nothing was done; exit 2
│   ├── UnknownNameError    a name nothing is registered under; names the nearest known one
│   ├── ConfigError         a configuration file or an override
│   ├── IncompatibleError   parts that cannot work together
│   ├── CheckpointError     a checkpoint that is not ours, not this version, or not safe to load
│   └── MissingExtraError   an optional dependency; names the extra to install
├── DivergedError           a training whose loss is no finite number any more; what was best before stays
└── OutputError             a result that could not be written; nothing half-written is left
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_BEGINNING, _END = 4_500, 500
"""What is kept of a message that is too long: its beginning, which no path fills (4,096 on Linux), and its end."""
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks a line, controls a terminal, turns a text round, or is no character (a byte of a name, PEP 383)."""


class ContrastCXRError(Exception):
    """Base of every error that contrastcxr raises on purpose; its message is one line, whatever it quotes."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message.strip()))


def one_line(text: str, *, beginning: int = _BEGINNING, end: int = _END) -> str:
    """Return a text as a terminal, a page and JSON can show it: in one line; of a long one the middle is left out.

    What cannot be shown is an escape: `\\n`, `\\x1b`, and `\\xe9` for a byte of a name that is not UTF-8.

    Args:
        text: a message, or a name, which may quote what a file holds.
        beginning: characters at its beginning that are kept.
        end: those at its end.

    >>> one_line("list 'a\\nb'; remove it")
    "list 'a\\\\nb'; remove it"
    """
    line = _UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)
    return line if len(line) <= beginning + end else f"{line[:beginning]} … {line[len(line) - end :]}".rstrip()


def _escaped(character: str) -> str:
    code = ord(character)
    is_byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode()


class InputError(ContrastCXRError):
    """One input cannot be used; the others are still read."""


class ImageError(InputError):
    """A picture or DICOM file that cannot be read as a radiograph."""


class DatasetError(InputError):
    """A manifest, table or folder that departs from its published layout."""


class RequestError(ContrastCXRError):
    """The request itself is wrong, so nothing was done."""


class UnknownNameError(RequestError):
    """A name that nothing is registered under."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(f"unknown {kind} '{one_line(name, beginning=500, end=0)}'; {suggestion(name, names)}")


class ConfigError(RequestError):
    """A configuration file or override that does not describe a system."""


class IncompatibleError(RequestError):
    """Parts that exist but cannot work together."""


class CheckpointError(RequestError):
    """A checkpoint that is not ours, of another format version, or unsafe to load."""


class MissingExtraError(RequestError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'contrastcxr[{extra}]'"
        )


class DivergedError(ContrastCXRError):
    """A training whose loss is no finite number any more."""


class OutputError(ContrastCXRError):
    """A result that could not be written."""


SHOWN = 8
"""Names that a message lists at most."""
_COMPARED = 100
"""Characters of a name that are compared with the known ones: a name may be as long as a file."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether PyTorch says that a device's memory is full; told by name, so that PyTorch is not loaded."""
    return type(error).__name__ == "OutOfMemoryError"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None when none is near."""
    matches = difflib.get_close_matches(name[:_COMPARED], list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def listed(names: Iterable[object], *, near: str = "", none: str = "none", most: int = SHOWN) -> str:
    """Return names as a message lists them: all of a few, else the nearest, and how many more there are.

    Args:
        names: in the order in which a few of them stand.
        near: what was given instead; of many names those nearest to it come first.
        none: what stands for no name at all.
        most: names that are listed.
    """
    every = [one_line(str(name), beginning=80, end=0) for name in names]
    if near and len(every) > most:
        every.sort(key=lambda each: -difflib.SequenceMatcher(None, each, near[:_COMPARED]).ratio())
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return (", ".join(every[:most]) or none) + more


def suggestion(name: str, known: Iterable[str], *, also: Iterable[str] = (), none: str = "none") -> str:
    """Return which name may have been meant, or the known ones where none is near.

    Args:
        name: as it was given.
        known: names that could stand there.
        also: others that are offered where they are near, but not listed.
        none: what stands for no known name.
    """
    names = list(known)
    near = nearest(name, [*names, *also])
    if near:
        return f"did you mean '{one_line(near, beginning=80, end=0)}'?"
    return f"known: {listed(names, near=name, none=none)}"
