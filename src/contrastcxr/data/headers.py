"""What a file's header says, before any pixel is decoded, whatever the kind of the file."""

from __future__ import annotations

from pathlib import Path

from contrastcxr.data.images import image_size
from contrastcxr.data.sniff import sniff


def file_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright radiograph in a PNG, JPEG or DICOM file.

    Raises:
        ImageError: the file cannot be a radiograph.
    """
    if sniff(path) == "dicom":
        from contrastcxr.data.dicom.reading import read_header

        header = read_header(path)
        return header.width, header.height
    return image_size(path)
