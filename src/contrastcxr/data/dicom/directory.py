"""The directory of a DICOM medium (DICOMDIR, PS3.3 annex F): the files that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from contrastcxr.data.dicom.objects import open_records
from contrastcxr.data.source import Failure
from contrastcxr.errors import ImageError


def listed_files(directory: Path) -> tuple[list[Path], list[Failure]]:
    """Return the files that a DICOMDIR names, in its order, each once, and those that are not there.

    Names are found in upper or lower case; none leads out of the directory's folder. Of its records nothing but
    ReferencedFileID is parsed.

    Raises:
        ImageError: the directory is damaged or names no file.
    """
    found: dict[Path, None] = {}
    failures: list[Failure] = []
    values = open_records(directory, "DirectoryRecordSequence", "ReferencedFileID")
    names = [_components(value) for value in values if value]
    in_folder = cache(_names)
    for parts in names:
        path = _on_disk(directory.parent, parts, in_folder) if parts else None
        if path is None:
            failures.append(Failure(str(directory), f"{directory}: names {_shown(parts)}"))
        else:
            found[path] = None
    if not names:
        raise ImageError(f"{directory}: names no file; expected a DICOMDIR with its files; copy the medium again")
    return list(found), failures


def _components(value: object) -> list[str]:
    """Return the parts of a ReferencedFileID (PS3.10 8.2); none when one could lead elsewhere."""
    parts = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []
    names = [str(part).strip() for part in parts]
    return names if all(re.fullmatch(r"[^/\\:\0]+", n) and n not in (".", "..") for n in names) else []


def _on_disk(folder: Path, parts: Sequence[str], in_folder: Callable[[Path], Mapping[str, str]]) -> Path | None:
    """Return the file of these names below the folder, whatever their case; None when it is not there."""
    path = folder
    for part in parts:
        path /= part if (path / part).exists() else in_folder(path).get(part.casefold(), part)
    inside = path.resolve().is_relative_to(folder.resolve())
    return path if inside and path.is_file() else None


def _names(folder: Path) -> dict[str, str]:
    """Return the names in a folder by their lower case; none where it cannot be opened."""
    try:
        return {path.name.casefold(): path.name for path in sorted(folder.iterdir())}
    except OSError:
        return {}


def _shown(parts: Sequence[str]) -> str:
    """Return a name as it may be printed, and what is wrong; a damaged one can hold anything."""
    if not parts:
        return "a file in a way that leads nowhere; expected names of folders and a file; leave it out"
    plain = all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", part) for part in parts)
    return f"{'/'.join(parts) if plain else 'a file'}, which is not below its folder; copy the whole medium"
