"""Readings as files: one small writer per format, behind `get_writer`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from contrastcxr.errors import UnknownNameError
from contrastcxr.form import Reading, Study
from contrastcxr.write.as_json import JsonWriter
from contrastcxr.write.html import HtmlWriter
from contrastcxr.write.pictures import PictureLoader

__all__ = ["WRITERS", "HtmlWriter", "JsonWriter", "PictureLoader", "Writer", "get_writer"]


class Writer(Protocol):
    """Writes the reading of a study into a folder and returns the file."""

    name: str

    def write(self, reading: Reading, study: Study, folder: Path) -> Path:
        """Write one reading."""


WRITERS: dict[str, Callable[[PictureLoader], Writer]] = {
    "html": HtmlWriter,
    "json": lambda _pictures: JsonWriter(),
}


def get_writer(name: str, *, pictures: PictureLoader | None = None) -> Writer:
    """Return the writer of a format.

    Raises:
        UnknownNameError: nothing writes that format.
    """
    if name not in WRITERS:
        raise UnknownNameError("format", name, WRITERS)
    return WRITERS[name](pictures or PictureLoader())
