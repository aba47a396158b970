"""What things are known by, so that what was made of them once is found again: one key per kind of thing.

Pictures: `view_key`, of a file its path, size and time, of a phantom its locator and a probe of what is drawn.
Studies of phantoms: `drawing_key`, over every source file that can change what is placed, measured or written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from contrastcxr.errors import ImageError
from contrastcxr.form import View, is_file_locator, locator_path

_PROBES = 12
DRAWING = ("errors.py", "files.py", "form.py", "vocab", "text", "phantom")
"""Modules and rooms of this package that can change a phantom's study (`tests/store/test_keys.py`)."""


def drawing_key(package: Path | None = None) -> str:
    """Return the key of all that can change a phantom's study: the files that draw it, and what they compute with.

    Args:
        package: the folder of another copy of this package.
    """
    return _drawing_key(package or Path(__file__).parents[1])


@cache
def _drawing_key(package: Path) -> str:
    digest = hashlib.blake2b(f"numpy {np.__version__} scipy {version('scipy')}".encode(), digest_size=12)
    for file in _files(package):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _files(package: Path) -> Iterator[Path]:
    """Yield every source and data file of the rooms, in the order of their names."""
    for name in DRAWING:
        room = package / name
        found = sorted(room.rglob("*")) if room.is_dir() else [room]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


@cache
def phantom_version() -> str:
    """Return the phantoms' own version and a hash over a few of them: phantoms that changed are encoded again."""
    from contrastcxr.phantom import FORMAT, PhantomId, locator, render_locator

    digest = hashlib.blake2b(digest_size=8)
    for index in range(_PROBES):
        pixels = render_locator(locator(PhantomId("standard", "train", index)), size=96)
        digest.update((pixels * 255).round().astype(np.uint8).tobytes())
    return f"{FORMAT}-{digest.hexdigest()}"


def view_key(view: View) -> str:
    """Return the identity of a view's pixels.

    It is a file's path, size and time of change, or a phantom's locator and version.

    Raises:
        ImageError: the file is not there.
    """
    if view.pixels is not None:
        said = f"pixels:{view.pixels.shape}:{hashlib.blake2b(view.pixels.tobytes(), digest_size=16).hexdigest()}"
    elif is_file_locator(view.locator or ""):
        said = _file_identity(locator_path(view.locator or ""))
    else:
        said = f"{view.locator}#{phantom_version()}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _file_identity(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}; expected an image file") from None
    return f"{path.resolve()}:{found.st_size}:{found.st_mtime_ns}"
