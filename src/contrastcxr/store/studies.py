"""The studies of a data name; those of phantoms are drawn once and kept.

Listing a split of phantoms places every lesion and measures where it shows, which takes minutes for thousands of
studies. They are frozen and go to JSON without loss, so what was drawn before is read back: from memory within a
process, and from `CACHE/studies` where a cache folder is given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from contrastcxr.data.readers.phantom import Draw, Phantoms
from contrastcxr.data.ref import DataRef
from contrastcxr.data.source import OnMissing, Source, unheard
from contrastcxr.errors import DatasetError
from contrastcxr.files import atomic_write
from contrastcxr.form import Study
from contrastcxr.store.keys import drawing_key
from contrastcxr.store.study_lines import held_or_packed

logger = logging.getLogger(__name__)
FOLDER = "studies"


def open_source(ref: DataRef, *, cache: Path | None = None) -> Source:
    """Return the source of a data name, without a split chosen.

    Args:
        ref: names the data.
        cache: the cache folder, where drawn studies are kept; None keeps them in memory only.

    Raises:
        UnknownNameError: the value of an option or parameter is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    source = ref.open()
    if not isinstance(source, Phantoms):
        return source
    from contrastcxr.phantom import draw_studies  # imported here: those who read files need nothing that draws

    return source.drawn_by(partial(_kept, draw_studies, cache))


def load_studies(ref: DataRef, *, cache: Path | None = None) -> list[Study]:
    """Return the studies that a name means: those of its split, or all of the source; `limit=n` keeps the first n.

    Raises:
        UnknownNameError: a split, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    source = open_source(ref, cache=cache)
    studies = source.studies(ref.split)
    if not studies and source.missing:
        hint = ", or ask for ?images=any" if "images" in ref.kind.params else ""
        raise DatasetError(
            f"{ref}: none of {len(source.missing):,} images is there, such as {source.missing[0]}; "
            f"put them there{hint}"
        )
    if source.missing:
        _tell_left_out(str(ref), len(source.missing), source.missing[0])
    return studies[: ref.limit]


def stream_studies(ref: DataRef, *, cache: Path | None = None, on_missing: OnMissing = unheard) -> Iterator[Study]:
    """Yield what `load_studies` returns, one study at a time; `on_missing` takes the name of each absent picture.

    Raises:
        UnknownNameError: a split, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    return islice(open_source(ref, cache=cache).stream(ref.split, on_missing=on_missing), ref.limit)


def list_studies(ref: DataRef, *, cache: Path) -> Sequence[Study]:
    """Return what `load_studies` returns, gone through once; very many are packed.

    Raises:
        DatasetError: none of the images is there.
    """
    missing: list[str] = []
    found = held_or_packed(stream_studies(ref, cache=cache, on_missing=missing.append))
    if missing and not found:
        return load_studies(ref, cache=cache)  # which says what is missing
    if missing:
        _tell_left_out(str(ref), len(missing), missing[0])
    return found


@lru_cache(maxsize=64)
def _tell_left_out(data: str, count: int, first: str) -> None:
    """Warn, once, that some of what the data names is not used."""
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    logger.warning(f"{data}: missing or unreadable, and left out: {first}{more}; data check lists them")


@lru_cache(maxsize=8)
def _kept(
    draw: Draw, cache: Path | None, level: str, *, split: str, seed: int, limit: int | None
) -> tuple[Study, ...]:
    """Draw studies once: the last few are kept in memory, and in the cache folder all that JSON can hold."""
    fresh = partial(draw, level, split=split, seed=seed, limit=limit)
    if cache is None:
        return tuple(fresh())
    path = cache / FOLDER / f"{level}-{split}-{seed}-{limit or 'all'}-{drawing_key()}.jsonl"
    if (kept := _read(path)) is not None:
        return kept
    logger.info("phantom:%s/%s?seed=%d: measuring the studies, once", level, split, seed)
    studies = tuple(fresh())
    if all(view.locator is not None for study in studies for view in study.views):  # JSON would lose their pixels
        with atomic_write(path) as file:
            file.writelines(study.model_dump_json(by_alias=True) + "\n" for study in studies)
            file.write(f"{len(studies)}\n")  # shows that the file is whole
    return studies


def _read(path: Path) -> tuple[Study, ...] | None:
    """Return the studies of a file, or None when it is not there or damaged, so that they are drawn again."""
    try:
        *lines, count = path.read_bytes().splitlines()
        return tuple(map(Study.model_validate_json, lines)) if int(count) == len(lines) else None
    except (OSError, ValueError):
        return None
