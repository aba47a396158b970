"""The directory of a DICOM medium (DICOMDIR, PS3.3 annex F): the files that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from contrastcxr.data.dicom.objects import open_records
from contrastcxr.data.sniff import DICOM_SUFFIXES
from contrastcxr.data.source import Failure
from contrastcxr.errors import ImageError


def listed_files(directory: Path) -> tuple[list[Path], list[Failure]]:
    """Return the files that a DICOMDIR names, in its order, each once, and those that are not there.

    Names are found in upper or lower case, with a version or a suffix (`_forms`), and where the names of folders
    became part of that of the file; none leads out of the folder. Of its records nothing but ReferencedFileID
    is parsed.

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
    """Return the parts of a ReferencedFileID (PS3.10 8.2); none when one could lead elsewhere.

    Some writers put `/` between them, or begin with a separator or `.`.
    """
    parts = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []
    names = [name.strip() for part in parts for name in str(part).split("/")]
    while names and names[0] in ("", "."):
        del names[0]
    return names if all(re.fullmatch(r"[^/\\:\0]+", n) and n not in (".", "..") for n in names) else []


def _on_disk(folder: Path, parts: Sequence[str], in_folder: Callable[[Path], Mapping[str, str]]) -> Path | None:
    """Return the file of these names below the folder, in any form of theirs; None when it is not there."""
    for names in (parts, ["\\".join(parts)]):  # unpacked by what knows no folders, they are one name
        path = folder
        for name in names:
            path /= name if (path / name).exists() else _found(name, in_folder(path))
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def _found(name: str, names: Mapping[str, str]) -> str:
    return next((names[form] for form in _forms(name) if form in names), name)


def _names(folder: Path) -> dict[str, str]:
    """Return the names in a folder by their forms, a name itself first; none where it cannot be opened."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return {}
    by_rank = sorted((rank, form, name) for name in names for rank, form in enumerate(_forms(name)))
    return {form: name for _, form, name in reversed(by_rank)}


def _forms(name: str) -> Iterator[str]:
    """Yield a name in small letters, without the version that ISO 9660 adds, and without a DICOM suffix.

    A medium that was copied may have lost or got these (PS3.10 8.2 allows suffixes beside the names).
    """
    plain = re.sub(r"(\.?;[0-9]+|\.)$", "", name.casefold())
    stem = next((plain.removesuffix(suffix) for suffix in DICOM_SUFFIXES if plain.endswith(suffix)), plain)
    yield from dict.fromkeys((name.casefold(), plain, stem))


def _shown(parts: Sequence[str]) -> str:
    """Return a name as it may be printed, and what is wrong; a damaged one can hold anything."""
    if not parts:
        return "a file in a way that leads nowhere; expected names of folders and a file; leave it out"
    plain = all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", part) for part in parts)
    return f"{'/'.join(parts) if plain else 'a file'}, which is not below its folder; copy the whole medium"
