"""Phantom studies that were drawn before: once a process, and on disk where `$CONTRASTCXR_CACHE` says so.

Listing a split places every lesion and measures where it shows, which takes minutes for thousands of studies.  The
studies are frozen and go to JSON without loss, so what was drawn by the same code is read back instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from contrastcxr.files import atomic_write
from contrastcxr.form import Study

Draw = Callable[..., Sequence[Study]]


@lru_cache(maxsize=8)
def drawn(draw: Draw, level: str, *, split: str, seed: int, limit: int | None) -> tuple[Study, ...]:
    """The studies that `draw(level, split=…, seed=…, limit=…)` gives."""
    root = os.environ.get("CONTRASTCXR_CACHE")
    if not root:
        return tuple(draw(level, split=split, seed=seed, limit=limit))
    said = f"{draw.__module__}.{draw.__qualname__} {code_version()}"
    version = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
    path = Path(root) / "studies" / f"{level}-{split}-{seed}-{limit or 'all'}-{version}.jsonl"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Study.model_validate_json(line) for line in lines)
    studies = tuple(draw(level, split=split, seed=seed, limit=limit))
    if any(view.locator is None for study in studies for view in study.views):
        return studies  # pixels in memory only: JSON would lose them
    with atomic_write(path) as file:
        file.writelines(study.model_dump_json(by_alias=True) + "\n" for study in studies)
    return studies


@cache
def code_version() -> str:
    """A hash over every file that places lesions or writes reports, so that changed phantoms are drawn again."""
    digest = hashlib.blake2b(digest_size=8)
    for room in ("phantom", "vocab", "text", "text.grammar"):
        files = (f for f in resources.files(f"contrastcxr.{room}").iterdir() if f.is_file())
        for file in sorted(files, key=lambda f: f.name):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
