"""What a file is, by its first bytes; a name can lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from contrastcxr.errors import ImageError

FileKind = Literal["png", "jpeg", "dicom", "other"]

_SIGNATURES: dict[bytes, FileKind] = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}

DICOM_SUFFIXES = (".dcm", ".dicom")


def sniff(path: Path) -> FileKind:
    """Return the kind of the file.

    A DICOM file shows `DICM` at byte 128; one without that preamble is believed only with a DICOM suffix.

    Raises:
        ImageError: there is no such file, it is a folder, it is empty, or it cannot be opened.
    """
    head = _head(path)
    if head[128:132] == b"DICM":
        return "dicom"
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    return "dicom" if path.suffix.lower() in DICOM_SUFFIXES else "other"


def _head(path: Path) -> bytes:
    if not path.exists():
        raise ImageError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise ImageError(f"{path}: is not a file; a PNG, JPEG or DICOM file was expected")
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror}); check its permissions") from error
    if not head:
        raise ImageError(f"{path}: is empty (0 bytes); copy it again from where it came")
    return head
