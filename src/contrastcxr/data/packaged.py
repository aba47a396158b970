"""Tables of published data sets that travel in the torchxrayvision package, found without importing it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from contrastcxr.errors import DatasetError, MissingExtraError

PACKAGE = "torchxrayvision"
"""A root of this name stands for the package's own copy of a table."""


def packaged_file(name: str, purpose: str) -> Path:
    """Return the path of one of the package's data files.

    Raises:
        MissingExtraError: the package is not installed.
        DatasetError: it is, but without this file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError(PACKAGE, "xrv", purpose)
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DatasetError(f"{path}: is not in this version of {PACKAGE}; install 1.4 or name your own copy")
    return path
