"""Plain CR and DX objects (being built)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastcxr.errors import ImageError


def read_pixels(path: Path) -> np.ndarray:
    """Return the pixels of a DICOM file."""
    raise ImageError(f"{path}: DICOM is not read yet")
