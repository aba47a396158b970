"""Which sources a folder can be opened as, by the files that their published layouts have."""

from __future__ import annotations

from pathlib import Path

from contrastcxr.data.sources import SOURCES
from contrastcxr.data.tables.text import COMPRESSED

MANIFEST = "studies.jsonl"


def recognised(folder: Path) -> tuple[str, ...]:
    """Return the data names that fit a folder, `nih14:/data/nih` and the like; none where it is just files."""
    found = [
        f"{name}:{folder}" for name, kind in SOURCES.items() if any(_holds(folder, sign) for sign in kind.signs)
    ]
    return (*found, f"manifest:{folder / MANIFEST}") if (folder / MANIFEST).is_file() else tuple(found)


def _holds(folder: Path, sign: str) -> bool:
    return any((folder / f"{sign}{suffix}").exists() for suffix in COMPRESSED)
