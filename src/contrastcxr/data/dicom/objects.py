"""Opening a DICOM file within bounds: only the attributes needed, only as many bytes as a radiograph takes.

pydicom reads what a file tells it to: it inflates a deflated object whole, and turns every value into Python
objects. Here a file is metered while it is read, so that neither a bomb nor a damaged length takes the memory.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pydicom
from pydicom import DataElement, config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from contrastcxr.data.dicom.syntax import UnknownSyntaxError, encoding_of, pixel_element
from contrastcxr.data.no_warnings import no_warnings
from contrastcxr.data.sniff import GZIP
from contrastcxr.errors import ImageError

HEADER_BYTES = 16 << 20
"""What all attributes but the pixels may take, as far as they are read (ours); real headers take kilobytes."""
HEADER_READS = 200_000
"""Pieces a header may be read in, a few per attribute (ours)."""
VALUE_BYTES = 16 << 10
"""What one value other than a table may take (ours)."""
TABLE_BYTES = 256 << 10
"""What the entries of one look-up table may take: 65,536 of 16 bits, twice (ours)."""

_SEQUENCES = (Tag("ModalityLUTSequence"), Tag("VOILUTSequence"))
_MOST_BYTES: dict[int, int] = {
    Tag("LUTData"): TABLE_BYTES,
    **dict.fromkeys(_SEQUENCES, 16 * TABLE_BYTES),
    Tag("PixelData"): sys.maxsize,  # metered while it was read
}


class TooMuchError(Exception):
    """A file that asks for more than its picture can need."""


class _GzipError(Exception):
    """A gzip file that does not unpack."""


def open_object(path: Path, *, tags: list[str], pixel_bytes: int = 0) -> Dataset:
    """Return the named attributes of a DICOM file, all parsed, or its pixel data too.

    Args:
        path: the file, as it is or packed with gzip; its meta information may be absent, or wrong.
        tags: keywords of the attributes; no other one is parsed.
        pixel_bytes: what the pixel data may take; 0 leaves them unread.

    Raises:
        ImageError: the file is damaged, cut off, ambiguous, or would take more memory than a radiograph needs.
    """
    with _our_errors(path):
        ds = _attributes(path, tags, pixel_bytes)
        _check_values(ds)
        _parse(ds)
        if "TransferSyntaxUID" not in ds.file_meta:
            raise ValueError("meta information that is no longer read as it was")
        return ds


def _parse(ds: Dataset) -> None:
    """Parse every value now, so that a damaged one is found here.

    Values that may be signed or not (`US or SS` of PS3.6) are unsigned where the pixels do not say. A number that
    is beyond all numbers, which pydicom cannot hold, is left out.
    """
    if "PixelRepresentation" not in ds:
        ds.PixelRepresentation = 0
    for tag in list(ds.keys()):
        try:
            _ = ds[tag]
        except OverflowError:
            del ds[tag]
    list(ds.iterall())


def open_records(path: Path, sequence: str, attribute: str) -> list[Any]:
    """Return the value of one attribute in each item of a sequence that has it; no other value is parsed.

    Raises:
        ImageError: as `open_object`.
    """
    with _our_errors(path):
        items = _attributes(path, [sequence], 0).get(sequence) or ()
        return [item[attribute].value for item in items if attribute in item]


def _attributes(path: Path, tags: list[str], pixel_bytes: int) -> Dataset:
    limit = HEADER_BYTES + pixel_bytes
    with path.open("rb") as file:
        plain = _unpacked(file, limit, whole=pixel_bytes > 0)
        source = cast(BinaryIO, _Metered(_in_order(plain, limit, whole=pixel_bytes > 0), limit))
        # specific_tags keeps every other attribute unparsed.
        ds = cast(Dataset, pydicom.dcmread(source, stop_before_pixels=True, specific_tags=tags, force=True))
        if pixel_bytes:
            _add_pixels(ds, source)
    return ds


def _add_pixels(ds: Dataset, source: BinaryIO) -> None:
    """Add the pixel data, before which pydicom stopped.

    It would go on behind them, into whatever fills the file up, and lose the whole data set at fragments that have
    no end.
    """
    implicit, little_endian = ds.original_encoding
    found = pixel_element(source, implicit=bool(implicit), little_endian=bool(little_endian))
    if found is not None:
        ds.add(DataElement("PixelData", found.vr, found.value, is_undefined_length=found.undefined))


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    """Name the file in whatever comes out of reading it, and keep pydicom silent meanwhile."""
    try:
        with _silent_pydicom():
            yield
    except TooMuchError as error:
        raise ImageError(f"{path}: {error}; a radiograph was expected; export it again") from error
    except (UnknownSyntaxError, _GzipError) as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # pydicom raises whatever its parser stumbled over
        raise ImageError(f"{path}: the DICOM header is damaged; copy it again from where it came") from error


def uid_name(value: object) -> str:
    """Return the registered name of a UID; empty for one that is not registered, which can hold anything."""
    uid = UID(str(value or ""), validation_mode=config.IGNORE)
    return "" if uid.name == uid else str(uid.name)


def code_of(ds: Dataset, keyword: str) -> str:
    """Return the code string of an attribute in capitals, without what fills it up; empty where there is none.

    Files hold `Monochrome2` and ` R` for what PS3.5 6.2 writes in capitals, with spaces behind alone.
    """
    return str(ds.get(keyword) or "").strip(" \0").upper()


def coded(text: str, *, longest: int = 16) -> str:
    """Return a coded value as it may be printed: a damaged one can hold anything, also a name."""
    if not text:
        return "not stated"
    return text if re.fullmatch(rf"[A-Z0-9][A-Z0-9_ ]{{0,{longest - 1}}}", text) else "that is damaged"


@contextmanager
def _silent_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings and log lines to itself: they quote values, which may name the patient."""
    logger = logging.getLogger("pydicom")
    with no_warnings():
        logger.addFilter(_nothing)
        try:
            yield
        finally:
            logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return not record  # False: no record passes


class _Metered:
    """A file that may be read so often and so much, and no more."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._bytes = limit
        self._reads = HEADER_READS
        self.seek = file.seek
        self.tell = file.tell
        self.close = file.close

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._bytes + 1 if size < 0 else min(size, self._bytes + 1))
        self._bytes -= len(data)
        self._reads -= 1
        if self._bytes < 0:
            raise TooMuchError("its attributes or pixel data take far more bytes than its picture has")
        if self._reads < 0:
            raise TooMuchError("it has too many attributes")
        return data


def _unpacked(file: BinaryIO, limit: int, *, whole: bool) -> BinaryIO:
    """Return the file, or what a gzip file unpacks to, of which nothing is unpacked beyond the limit."""
    head = file.read(len(GZIP))
    file.seek(0)
    if head != GZIP:
        return file
    try:
        data = gzip.GzipFile(fileobj=file).read(limit + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise _GzipError("the gzip file is cut off or damaged; copy it again from where it came") from error
    if whole and len(data) > limit:
        raise TooMuchError(f"it unpacks to more than {limit >> 20} MiB, far more than its picture has")
    return io.BytesIO(data)


def _in_order(file: BinaryIO, limit: int, *, whole: bool) -> BinaryIO:
    """Return the file, or its data set, inflated, behind meta information that states its transfer syntax.

    Nothing is inflated beyond the limit. Without `whole` the rest is left out, since only the header is wanted.
    """
    found = encoding_of(file)
    deflated = found.syntax == DeflatedExplicitVRLittleEndian
    if found.stated and not deflated:
        file.seek(0)
        return file
    file.seek(found.start)
    syntax, data = found.syntax, file.read(limit + 1)
    if deflated:
        syntax, data = ExplicitVRLittleEndian, zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit + 1)
    if whole and len(data) > limit:
        how = f"it inflates to more than {limit >> 20} MiB, far" if deflated else "its pixel data take far"
        raise TooMuchError(f"{how} more than its picture has")
    return io.BytesIO(_meta_information(syntax) + data[:limit])


def _meta_information(syntax: str) -> bytes:
    """Return preamble and meta information (PS3.10 7.1) that state a transfer syntax and nothing else."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = b"\x02\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
    return bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(element)) + element


def _check_values(ds: Dataset) -> None:
    """Refuse values of a size that no attribute read here has, before they become Python objects.

    A sequence in the place of another value is left out: as a text it would be printed whole.
    """
    for tag in list(ds.keys()):
        element: Any = ds.get_item(tag)
        if isinstance(element.value, bytes) and len(element.value) > _MOST_BYTES.get(tag, VALUE_BYTES):
            raise TooMuchError(f"its attribute {Tag(tag)} takes {len(element.value):,} bytes")
        if element.VR == "SQ" and dictionary_has_tag(tag) and dictionary_VR(tag) != "SQ":
            del ds[tag]
        elif element.VR == "SQ" or tag in _SEQUENCES:
            for item in ds[tag].value or ():
                _check_values(item)
