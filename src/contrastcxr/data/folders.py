"""The files of a folder, to the bottom: those to read, and why each of the others is passed over."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

OnPassed = Callable[[str], None]
"""Takes the reason a file of a folder is passed over for."""

HIDDEN = "hidden"
DIRECTORY = "DICOMDIR"
_KINDS_SHOWN = 12


def walk(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[tuple[Path, str | None]]:
    """Yield every file below the folder with the reason it is passed over for, None where it is to be looked at.

    In the order of names. Links to folders are not followed, so that a circle of them ends.

    Args:
        folder: where to begin.
        on_error: called for a folder that cannot be opened.
    """
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders.sort()
        linked = {name for name in folders if Path(parent, name).is_symlink()}
        hidden = any(part.startswith(".") for part in Path(parent).relative_to(folder).parts)
        for name in sorted([*names, *linked]):
            yield Path(parent, name), HIDDEN if hidden else _reason(name, is_linked=name in linked)


def _reason(name: str, *, is_linked: bool) -> str | None:
    if name.startswith("."):
        return HIDDEN
    if is_linked:
        return "linked to a folder"
    return DIRECTORY if name.upper() == DIRECTORY else None


def kind_in_words(path: Path) -> str:
    """Return what a file is that is no picture: its suffix, or that nothing is in it."""
    if not path.is_file():
        return "linked to nothing" if path.is_symlink() else "not regular"
    if not path.stat().st_size:
        return "empty"
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z][a-z0-9_-]{0,11}", suffix) else "without a suffix"


def passed_in_words(passed: Mapping[str, int]) -> str:
    """Return the reasons with their counts, the most frequent first: `12 .txt, 2 hidden`."""
    most = Counter(passed).most_common()
    shown = [f"{count:,} {reason}" for reason, count in most[:_KINDS_SHOWN]]
    others = sum(count for _, count in most[_KINDS_SHOWN:])
    return ", ".join([*shown, f"{others:,} others"] if others else shown)
