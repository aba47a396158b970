"""Studies of a data name; drawn ones are kept on disk, for to measure 3,300 phantoms takes minutes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contrastcxr.data.sources import load_studies, stream_studies
from contrastcxr.files import atomic_write
from contrastcxr.form import Study
from contrastcxr.store.packed import held_or_packed

logger = logging.getLogger(__name__)

DRAWN = "phantom:"
_STUDIES = TypeAdapter(list[Study])


def studies_of(name: str, *, root: Path) -> Sequence[Study]:
    """The studies of a data name, as `load_studies` gives them; very many of a data set are packed.

    Args:
        name: such as `phantom:standard/train?seed=0`.
        root: the cache folder; drawn studies are kept in `studies` below it, until a file that draws them changes.
    """
    if not name.startswith(DRAWN):
        return _listed(name)
    path = root / "studies" / f"{_key(name)}.json"
    kept = _read(path)
    if kept is None:
        logger.info(f"{name}: measuring the studies, once")
        kept = load_studies(name)
        with atomic_write(path, mode="wb") as file:
            file.write(_STUDIES.dump_json(kept, by_alias=True))
    return kept


def _listed(name: str) -> Sequence[Study]:
    """The studies of a data set, gone through once.

    Raises:
        DatasetError: none of its images is there.
    """
    missing: list[str] = []
    found = held_or_packed(stream_studies(name, on_missing=missing.append))
    return found if found or not missing else load_studies(name)  # which says what is missing


def _read(path: Path) -> list[Study] | None:
    try:
        return _STUDIES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None  # not there, or of another version of the form: drawn again


def _key(name: str) -> str:
    return hashlib.blake2b(f"{name}#{phantom_files()}".encode(), digest_size=12).hexdigest()


@cache
def phantom_files() -> str:
    """A hash over every file of the phantom room: any of them may change a study or its report."""
    files = [f for f in resources.files("contrastcxr.phantom").iterdir() if _is_source(f)]
    digest = hashlib.blake2b(digest_size=12)
    for file in sorted(files, key=lambda f: f.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _is_source(file: Traversable) -> bool:
    return file.is_file() and file.name.endswith((".py", ".json", ".yaml"))
