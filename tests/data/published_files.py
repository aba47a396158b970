"""What miniature copies of published data sets are made of: pictures and tables."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiograph_files import ramp

from contrastcxr.data.tables.named import packaged_file

needs_package = pytest.mark.skipif(find_spec("torchxrayvision") is None, reason="torchxrayvision has the table")


def save_picture(path: Path, *, width: int = 64, height: int = 48) -> None:
    """Write a grey picture in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ramp(height, width).astype(np.uint8)).save(path)


def write_table(path: Path, *lines: str) -> Path:
    """Write the lines of a table and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def beginning_of(packaged: str, path: Path, *, lines: int) -> Path:
    """Write the first lines of a gzipped table of torchxrayvision, gzipped again, and return the path."""
    with gzip.open(packaged_file(packaged, "this test"), "rt") as whole, gzip.open(path, "wt") as part:
        part.writelines(islice(whole, lines))
    return path
