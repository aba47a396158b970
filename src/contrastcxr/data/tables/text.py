"""Text files as programs of all kinds write them: plain, `.gz` or `.zip`, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from contrastcxr.errors import DatasetError

NO_TEXT = "is not UTF-8 text, and no whole UTF-16 either; save it as UTF-8"
"""What is said of a file that begins as UTF-16 and does not go on so."""

COMPRESSED = ("", ".gz", ".zip")
"""What may follow the name of a table."""

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_NO_TABLE = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Excel workbook; save it as CSV",
    b"BZh": "packed with bzip2; unpack it",
    b"\xfd7zXZ\0": "packed with xz; unpack it",
    b"7z\xbc\xaf\x27\x1c": "packed with 7-Zip; unpack it",
    b"PAR1": "a Parquet file; name it .parquet",
    b"%PDF-": "a PDF; export the table as CSV",
    b"<!doctype html": "a web page; download the file that it shows instead",
    b"<html": "a web page; download the file that it shows instead",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself; fetch that with 'git lfs pull'",
}
"""How files begin, in small letters, that are given as tables and are none -> what they are, and what to do."""
_BROKEN = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What a damaged archive raises."""
_SURROGATES = range(0xDC80, 0xDD00)
"""What `surrogateescape` makes of bytes that are not UTF-8: 0xDC00 and the byte."""


HALF_CHARACTER = r"holds half a character (one of two escapes such as \ud83e\udec1); write the whole one"
"""What is said of JSON that escapes a surrogate without its other half, which no file can hold."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def ending(name: str | Path) -> str:
    """Return how the name of a table ends, in small letters and without `.gz` or `.zip`: `.csv`."""
    path = PurePosixPath(name)
    return PurePosixPath(path.stem if path.suffix.lower() in COMPRESSED[1:] else path.name).suffix.lower()


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Raise what the disk refuses as a `DatasetError` that names the file."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and permissions"
        ) from error


@contextmanager
def open_table(path: Path) -> Iterator[IO[bytes]]:
    """Open a table for reading, plain, packed with gzip, or the one `.csv` in a zip, as its content says.

    Raises:
        DatasetError: it cannot be read, or is cut off, when it is opened or later; or begins as another file does.
    """
    with read_errors(path):
        try:
            with _opened(path) as file:
                yield file
        except _BROKEN as error:
            raise DatasetError(
                f"{path}: the archive is damaged or cut off; a whole compressed table was expected; "
                "download it again"
            ) from error


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(32)
    if head.startswith(_GZIP) or path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if not head.startswith(_ZIP) and path.suffix.lower() != ".zip":
        begins = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
        for known, what in _NO_TABLE.items():
            if begins.startswith(known.lower()):
                raise DatasetError(f"{path}: is {what}")
        return path.open("rb")
    archive = zipfile.ZipFile(path)  # closed with the table, which holds it
    names = archive.namelist()
    if "xl/workbook.xml" in names or "content.xml" in names:
        raise DatasetError(f"{path}: is a spreadsheet's workbook; save it as CSV")
    # A Mac adds `__MACOSX/._NAME` for each file.
    tables = [n for n in names if n.lower().endswith(".csv") and not PurePosixPath(n).name.startswith("._")]
    if len(tables) != 1:
        raise DatasetError(f"{path}: holds {len(tables)} .csv files; expected one; unpack the right one")
    return archive.open(tables[0])


@contextmanager
def decoded(
    stream: IO[bytes], *, errors: Literal["strict", "surrogateescape"] = "strict"
) -> Iterator[io.TextIOWrapper]:
    r"""Give a binary stream as text whose lines keep their ends, be they `\n`, `\r\n` or `\r`; leave it open.

    UTF-32 is known by its byte-order mark, UTF-16 by that or by the zero byte beside an ASCII character that opens
    the file. Everything else is UTF-8, where `surrogateescape` lets a byte that is not pass; `not_utf8` names it.
    """
    if not hasattr(stream, "peek"):
        stream = cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, stream)))
    encoding = _encoding(cast(io.BufferedReader, stream).peek(4))
    kept = errors if encoding == "utf-8-sig" else "strict"
    text = io.TextIOWrapper(stream, encoding=encoding, errors=kept, newline="")
    try:
        yield text
    finally:
        text.detach()


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) >= 2 and 0 in head[:2] and any(head[:2]):
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def read_text(path: Path) -> str:
    """Return all that a text file holds.

    Raises:
        DatasetError: it cannot be read, or is not text; names the line and the byte.
    """
    try:
        with open_table(path) as file, decoded(file) as text:
            return text.read()
    except UnicodeError as error:
        raise not_text(path) from error


def has_half_character(text: str, value: Any) -> bool:
    """Say whether a text of JSON, and so its value, holds one half of a surrogate pair without the other."""
    if not _SURROGATE_ESCAPE.search(text):
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def not_text(path: Path) -> DatasetError:
    """Return an error that names the first byte of a file that is not UTF-8, and the line where it stands."""
    with open_table(path) as file, decoded(file, errors="surrogateescape") as text:
        try:
            for number, line in enumerate(text, start=1):
                if problem := not_utf8(line):
                    return DatasetError(f"{path} line {number}: {problem}")
        except UnicodeError:
            pass
    return DatasetError(f"{path}: {NO_TEXT}")


def not_utf8(text: str) -> str | None:
    """Return in words which byte is not UTF-8, and what Windows-1252 takes it for; None where all are.

    Args:
        text: decoded with `surrogateescape`.
    """
    if text.isascii():
        return None
    at = next((at for at, letter in enumerate(text) if ord(letter) in _SURROGATES), None)
    if at is None:
        return None
    byte = ord(text[at]) - 0xDC00
    letter = bytes([byte]).decode("cp1252", errors="ignore")
    guess = f"it may be Windows-1252, where that is '{letter}': " if letter and letter.isprintable() else ""
    place = len(text[:at].encode("utf-8", errors="surrogateescape"))
    return f"is not UTF-8 text (byte {byte:#04x} at {place}); {guess}save it as UTF-8"
