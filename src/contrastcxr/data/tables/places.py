"""Files that a table names, found under a folder although the name was written on another system."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

_HOST = re.compile("file:(//[^/]*)?", re.IGNORECASE)


class NamedFiles:
    """Finds the files that a table names under one folder; no folder is listed more than once.

    A file that is called exactly so goes first. Else backslashes part folders, a `file:` address and `%20` are
    taken for what they stand for, and each part of the path may be the one name on the disk that is the same in
    Unicode's composed form (NFC; a Mac writes NFD), or else in all but case.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._alike: dict[Path, tuple[dict[str, list[str]], ...]] = {}
        self._folders: dict[str, Path | None] = {"": root}

    def find(self, name: str) -> Path:
        """Return where the file is, or would be under the name as it is written."""
        exact = self.root / name
        if os.path.isfile(exact):  # noqa: PTH113 - takes any text for a name
            return exact
        return next((path for spelt in _spellings(name) if (path := self._file(spelt)) is not None), exact)

    def _file(self, name: str) -> Path | None:
        folders, _, last = name.rpartition("/")
        folder = self._folder(f"{folders}/" if name.startswith("/") else folders)
        found = folder and self._inside(folder, last)
        return found if found and os.path.isfile(found) else None  # noqa: PTH113

    def _folder(self, name: str) -> Path | None:
        if name not in self._folders:
            here: Path | None = self.root
            for part in PurePosixPath(name).parts:
                here = here and self._inside(here, part)
            self._folders[name] = here
        return self._folders[name]

    def _inside(self, folder: Path, name: str) -> Path | None:
        """Return what a folder holds under a name, or under the one that is the same but for its form or case."""
        if os.path.lexists(folder / name):
            return folder / name
        if folder not in self._alike:
            names = _names_in(folder)
            self._alike[folder] = tuple(_by(key, names) for key in (_composed, _folded))
        for key, held in zip((_composed, _folded), self._alike[folder], strict=True):
            if found := held.get(key(name)):
                return folder / found[0] if len(found) == 1 else None
        return None


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone are needed
    except (OSError, ValueError):
        return []


def _by(key: Callable[[str], str], names: Iterable[str]) -> dict[str, list[str]]:
    held: dict[str, list[str]] = defaultdict(list)
    for name in names:
        held[key(name)].append(name)
    return held


def _composed(name: str) -> str:
    return normalize("NFC", name)


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())


def _spellings(name: str) -> Iterator[str]:
    """Yield what a name may stand for, the nearest to what is written first."""
    yield name
    slashed = posix_name(name)
    if slashed != name:
        yield slashed
    if slashed.lower().startswith("file:"):
        yield unquote(_HOST.sub("", slashed))
    elif "%" in slashed:
        yield unquote(slashed)


def posix_name(name: str) -> str:
    r"""Return a path with the slashes of Windows, `images\x.png`, as `images/x.png`."""
    return name.replace("\\", "/")


def file_name(path: str) -> str:
    """Return the name of a file without its folders, written with either slash."""
    return PurePosixPath(posix_name(path)).name


def stem_of(name: str) -> str:
    """Return the name of a file without its folders, written with either slash, and without its ending."""
    return PurePosixPath(posix_name(name)).stem
