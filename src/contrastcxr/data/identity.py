"""What a view's pixels are known by, so that what was made of them once is found again."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from contrastcxr.errors import ImageError
from contrastcxr.form import View, is_file_locator, locator_path

_PROBES = 12


@cache
def phantom_version() -> str:
    """The phantoms' own version and a hash over a few of them: phantoms that changed are encoded again."""
    from contrastcxr.phantom import FORMAT, PhantomId, locator, render_locator

    digest = hashlib.blake2b(digest_size=8)
    for index in range(_PROBES):
        pixels = render_locator(locator(PhantomId("standard", "train", index)), size=96)
        digest.update((pixels * 255).round().astype(np.uint8).tobytes())
    return f"{FORMAT}-{digest.hexdigest()}"


def view_key(view: View) -> str:
    """Identity of a view's pixels: a file's path, size and time of change; a phantom's locator and version.

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
