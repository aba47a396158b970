"""Masks of the lungs in a zip archive or a folder, found by the name of their image."""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from contrastcxr.data.images import check_size
from contrastcxr.errors import DatasetError

SUFFIXES = (".png", ".jpg", ".jpeg")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class LungMasks:
    """Masks under the name of their image (v7labs), or under its stem and `_mask.png` (lungVAE)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise DatasetError(f"{path}: is not there; give the zip archive or folder of the lung masks")

    def __contains__(self, image: object) -> bool:
        return isinstance(image, str) and self._member(image) is not None

    def __len__(self) -> int:
        return len(self._members)

    def mask(self, image: str, *, size: tuple[int, int]) -> np.ndarray | None:
        """Return the lungs of an image, `[H, W]` bool at the given (width, height), or None without a mask.

        A mask without any lung (as of a lateral view) is all False. The nearest pixel is taken in resizing.

        Raises:
            DatasetError: the mask cannot be decoded.
        """
        member = self._member(image)
        if member is None:
            return None
        try:
            with Image.open(io.BytesIO(self._bytes(member))) as picture:
                check_size(*picture.size, where=f"{self.path}/{member}")
                lungs = picture.convert("L").resize(size, Image.Resampling.NEAREST)
        except _BROKEN as error:
            raise DatasetError(f"{self.path}: {member} is damaged; expected a mask; download it again") from error
        return np.asarray(lungs) > 127

    def _member(self, image: str) -> str | None:
        names = (image, f"{PurePosixPath(image).stem}_mask.png")
        return next((self._members[n.lower()] for n in names if n.lower() in self._members), None)

    @cached_property
    def _members(self) -> dict[str, str]:
        """Lower-case name -> where it is; suffixes differ in case between archives and tables."""
        names = (PurePosixPath(name) for name in self._names())
        return {name.name.lower(): str(name) for name in names if name.suffix.lower() in SUFFIXES}

    def _names(self) -> list[str]:
        if self.path.is_dir():
            return sorted(entry.name for entry in self.path.iterdir())
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.namelist()
        except _BROKEN as error:
            raise DatasetError(f"{self.path}: is no whole zip archive of masks; download it again") from error

    def _bytes(self, member: str) -> bytes:
        if self.path.is_dir():
            return (self.path / member).read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(member)
