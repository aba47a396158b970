"""What the shell offers at the tab key: names of sources and models, and paths; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

Offer = tuple[str, str]
"""What to insert, and a word of help that some shells show beside it."""


def sources(incomplete: str) -> list[Offer]:
    """Return names of data sources, `name:` and all, then levels or paths after the colon, and plain paths."""
    from contrastcxr.data.sources import SOURCES

    name, colon, rest = incomplete.partition(":")
    if colon and name in SOURCES:
        if SOURCES[name].root == "level":
            return [(f"{name}:{level}", "") for level in _levels() if level.startswith(rest)]
        return [(f"{name}:{path}", "") for path in paths(rest)]
    named = [(f"{key}:", kind.summary) for key, kind in SOURCES.items() if key.startswith(incomplete)]
    return [*named, *((path, "") for path in paths(incomplete))] if incomplete else named


def models(incomplete: str) -> list[Offer]:
    """Return names of checkpoints, then paths of others."""
    from contrastcxr.files import known_checkpoints

    named = [(name, str(path)) for name, path in known_checkpoints().items() if name.startswith(incomplete)]
    return [*named, *((path, "") for path in paths(incomplete))] if incomplete else named


def parts(incomplete: str) -> list[Offer]:
    """Return names of parts that have options, and what each is."""
    from contrastcxr.config.manual import parts as all_parts

    named = [(part.kind or part.place, part.summary) for part in all_parts() if part.place]
    return [offer for offer in named if offer[0].startswith(incomplete)]


def attribute_lists(incomplete: str) -> list[Offer]:
    """Return names of lists of attributes."""
    from contrastcxr.vocab.attribute_words import attribute_lists as lists

    return [(name, ", ".join(each.mentioned)) for name, each in lists().items() if name.startswith(incomplete)]


def _levels() -> tuple[str, ...]:
    from contrastcxr.data.readers.phantom import LEVELS

    return LEVELS


def paths(incomplete: str) -> list[str]:
    """Return files and folders that begin so, folders with a slash behind.

    Hidden ones only when a dot was typed.
    """
    return sorted(_paths(incomplete))


def _paths(incomplete: str) -> Iterator[str]:
    head, slash, tail = incomplete.rpartition("/")
    folder = Path(head + slash or ".").expanduser()
    try:
        found = list(folder.iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(tail) and (tail.startswith(".") or not path.name.startswith(".")):
            yield f"{head}{slash}{path.name}{'/' if path.is_dir() else ''}"
