"""Which pictures can be read, found out before the first step of a run that reads them at every step."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from contrastcxr.data.pixels import PictureOf
from contrastcxr.data.views import choose_views
from contrastcxr.errors import ImageError, OutputError
from contrastcxr.features.cache import UnreadableView, keyed
from contrastcxr.form import Study, View, is_file_locator
from contrastcxr.store.keys import view_key
from contrastcxr.store.workers import from_workers

logger = logging.getLogger(__name__)

TOGETHER = 64


class _Tried(Dataset[str | None]):
    """Why a view cannot be read, or None."""

    def __init__(self, views: list[View], picture_of: PictureOf) -> None:
        self.views = views
        self.picture_of = picture_of

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> str | None:
        try:
            self.picture_of(self.views[index])
        except ImageError as error:
            return str(error)
        return None


def try_pictures(
    views: Iterable[View], picture_of: PictureOf, *, known: Path, workers: int
) -> tuple[set[str], list[UnreadableView]]:
    """Read every picture once: the keys of the views that can be read, and those that cannot.

    One broken file among hundreds of thousands then costs a line, not a run of days. What is drawn or already in
    memory is not tried, nor a file that an earlier run could read: its key stands in the file `known`, a line
    each, which grows as they are read.

    Raises:
        OutputError: `known` cannot be written.
    """
    unreadable: list[UnreadableView] = []
    kept, before = set(), _remembered(known)
    to_try: dict[str, View] = {}
    for key, view in keyed(views, unreadable):
        if view.pixels is None and is_file_locator(view.locator or "") and key not in before:
            to_try[key] = view
        else:
            kept.add(key)
    if to_try:
        logger.info(f"pictures: {len(to_try):,} files are read once before the first step")
    keys = iter(to_try.items())
    tried = _Tried(list(to_try.values()), picture_of)
    loader = DataLoader(tried, batch_size=TOGETHER, num_workers=workers, collate_fn=list)
    for messages in from_workers(loader, into=known.parent):
        read = set()
        for message, (key, view) in zip(messages, keys, strict=False):
            if message is None:
                read.add(key)
            else:
                unreadable.append(UnreadableView(view.view_id, message))
        _remember(known, read)
        kept |= read
    return kept, unreadable


def _remembered(known: Path) -> set[str]:
    """Return the keys in the file; a line that was cut short by an interruption is no key."""
    return set(known.read_text(encoding="utf-8").split()) if known.is_file() else set()


def _remember(known: Path, keys: Iterable[str]) -> None:
    try:
        known.parent.mkdir(parents=True, exist_ok=True)
        with known.open("a", encoding="utf-8") as file:
            file.writelines(f"{key}\n" for key in keys)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        said = f"{known}: could not be written ({reason}); choose another folder with --cache"
        raise OutputError(said) from error


def all_in(study: Study, kept: Container[str], max_views: int) -> bool:
    """Return True when every view that would be read is among the kept keys."""
    try:
        return all(view_key(study.views[i]) in kept for i in choose_views(study, max_views))
    except ImageError:
        return False
