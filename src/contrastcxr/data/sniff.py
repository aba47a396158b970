"""What a file is, by its first bytes; a name can lie."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Literal

from contrastcxr.errors import ImageError

FileKind = Literal["png", "jpeg", "dicom", "dicomdir", "other"]

_SIGNATURES: dict[bytes, FileKind] = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}

DICOM_KINDS: tuple[FileKind, ...] = ("dicom", "dicomdir")
DICOM_SUFFIXES = (".dcm", ".dicom")
GZIP = b"\x1f\x8b"

_HEAD_BYTES = 4096
_EXPLICIT = re.compile(rb"(?:[\x02\x04\x08]\0..|\0[\x04\x08]..)[A-Z]{2}", re.DOTALL)
"""Tag and VR of an element of the groups that come first, little or big endian."""
_IMPLICIT = re.compile(rb"[\x04\x08]\0(?:\0\0\x04\0\0\0|(?!\0\0)..(?:.[\0-\x03]\0\0|\xff{4}))", re.DOTALL)
"""Tag and length of a group length, of a short element, or of a sequence of undefined length."""
_DIRECTORY = re.compile(rb"\x02\0\x02\0UI..1\.2\.840\.10008\.1\.3\.10\0?", re.DOTALL)
"""MediaStorageSOPClassUID of a Media Storage Directory."""


def sniff(path: Path) -> FileKind:
    """Return the kind of the file; a DICOM file packed with gzip is one too.

    A DICOM file shows `DICM` at byte 128, or begins with an element of the groups that come first in one, maybe
    behind a `DICM` without preamble. Any other is believed only with a DICOM suffix.

    Raises:
        ImageError: there is no such file, it is a folder, it is empty, or it cannot be opened.
    """
    head = _head(path)
    packed = head.startswith(GZIP)
    head = _unpacked(head) if packed else head
    if head[128:132] == b"DICM" or begins_like_dicom(head.removeprefix(b"DICM")):
        return "dicomdir" if _DIRECTORY.search(head) else "dicom"
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature) and not packed:
            return kind
    name = path.name.lower()
    return "dicom" if (name.removesuffix(".gz") if packed else name).endswith(DICOM_SUFFIXES) else "other"


def begins_like_dicom(head: bytes) -> bool:
    """Say whether bytes begin like a data element of group 0002, 0004 or 0008, in any of its encodings."""
    return bool(_EXPLICIT.match(head) or _IMPLICIT.match(head))


def _unpacked(head: bytes) -> bytes:
    """Return the first bytes that a gzip file unpacks to; none where it is damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return b""


def _head(path: Path) -> bytes:
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file; check the path")
        if not path.is_file():
            raise ImageError(f"{path}: is not a file; a PNG, JPEG or DICOM file was expected")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror}); check its permissions") from error
    if not head:
        raise ImageError(f"{path}: is empty (0 bytes); copy it again from where it came")
    return head
