"""The transfer syntax a data set is in, told from its structure where its file states none or a wrong one.

A data set is in a syntax when, read in it, its tags ascend (PS3.5 7.1), every VR is known (of implicit ones, the
dictionary knows the group of the tag), lengths stay in the file, and Rows × Columns have room in the pixel data.
Compressed pixel data do not say how they were compressed, so that such an object without meta information stays
unread.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from pydicom.datadict import keyword_dict, mask_match
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from contrastcxr.data.sniff import begins_like_dicom

PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""The syntaxes that data without a stated one may be in."""
MOST_ELEMENTS = 50_000
"""What a data set may hold, nested ones included, to be looked at (ours)."""
DEEPEST = 16
"""Sequences within sequences (ours)."""

_VRS = frozenset(vr.encode() for vr in map(str, STANDARD_VR))
_LONG = frozenset(vr.encode() for vr in map(str, EXPLICIT_VR_LENGTH_32))
_NESTING = (b"SQ", b"UN", b"OB", b"OW", b"")
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS, _META, _SYNTAX = 0xFFFE, 0x0002, 0x00020010
_ROWS, _COLUMNS, _BITS, _SAMPLES, _PIXELS = (
    int(Tag(keyword)) for keyword in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PixelData")
)
_COUNTS = (_ROWS, _COLUMNS, _BITS, _SAMPLES)
_GROUPS = frozenset(tag >> 16 for tag in keyword_dict.values())


class UnknownSyntaxError(Exception):
    """Data that no syntax can be told of; in words, to be printed behind the file's name."""


@dataclass(frozen=True)
class Encoding:
    """Where a data set begins, the syntax it is in, and whether the meta information before it says so too."""

    start: int
    syntax: str
    stated: bool


class _Misfit(Exception):  # noqa: N818 - not an error: two of three syntaxes never fit
    """Bytes that are no data set in the syntax they are looked at in."""


class _Header(NamedTuple):
    """Tag, VR (none in implicit ones) and length of a data element."""

    tag: int
    vr: bytes
    length: int


def encoding_of(file: BinaryIO) -> Encoding:
    """Return where the data set of a DICOM file begins and the transfer syntax that it is in.

    What the meta information states is believed when the first element fits, or else when no other syntax does. A
    compressed syntax gives way to pixel data that are not compressed.

    Raises:
        UnknownSyntaxError: no syntax is stated, and not exactly one fits.
    """
    start, whole, stated = _meta(file)
    file.seek(start)
    first = file.read(8)
    if stated and _is_believed(stated, first):
        return Encoding(start, stated, stated=whole)
    lengths = {syntax: length for syntax in PLAIN if (length := _pixel_bytes(file, start, syntax)) is not None}
    fitting = [syntax for syntax, length in lengths.items() if length != _UNDEFINED]
    if len(fitting) == 1:
        return Encoding(start, str(fitting[0]), stated=False)
    if stated:
        return Encoding(start, stated, stated=whole)
    if not begins_like_dicom(first) or first[:2] == _META.to_bytes(2, "little"):
        raise UnknownSyntaxError("is not a DICOM image, or is cut off; expected a CR or DX object; copy it again")
    if lengths and not fitting:
        raise UnknownSyntaxError(
            "is ambiguous: its pixel data are compressed, and no transfer syntax says how; export it again with "
            "meta information"
        )
    raise UnknownSyntaxError(
        f"is ambiguous or cut off: no transfer syntax is stated, and of {len(PLAIN)} that it may be in "
        f"{len(fitting)} fit its tags, types and pixels; exactly one was expected; export it again with meta "
        "information"
    )


@dataclass(frozen=True)
class PixelElement:
    """The pixel data of a data set as they stand there; without VRs they are OW (PS3.5 A.1).

    Attributes:
        undefined: whether their length is, as that of fragments; the end is then no part of the value.
    """

    vr: str
    value: bytes
    undefined: bool


def pixel_element(file: BinaryIO, *, implicit: bool, little_endian: bool) -> PixelElement | None:
    """Read the pixel data that begin here; None where another element does, or none.

    What follows them in the file is not looked at. Fragments may lack the delimiter behind the last one, which
    zeros or the end of the file replace in some files, and data of undefined length may be in no fragments.
    """
    elements = _Elements(file, ImplicitVRLittleEndian if little_endian else ExplicitVRBigEndian)
    header = elements.header_either_way(implicit=implicit)
    if header is None or header.tag != _PIXELS:
        return None
    vr, start = "OB" if header.vr == b"OB" else "OW", file.tell()
    if header.length != _UNDEFINED:
        return PixelElement(vr, file.read(header.length), undefined=False)
    end = elements.fragments_end()
    file.seek(start)
    return PixelElement(vr, file.read(end - start) if end > start else file.read(), undefined=True)


def _meta(file: BinaryIO) -> tuple[int, bool, str]:
    """Return where the data set begins, whether all before it is as PS3.10 says, and the syntax stated there."""
    file.seek(0)
    head = file.read(132)
    whole = head[128:] == b"DICM"
    start = 132 if whole else 4 if head[:4] == b"DICM" else 0
    stated = ""
    elements = _Elements(file, ExplicitVRLittleEndian)
    file.seek(start)
    implicit = file.read(6)[4:] not in _VRS  # against PS3.10 7.1, but written by some
    file.seek(start)
    try:
        while (header := elements.header(implicit=implicit)) and header.tag >> 16 == _META:
            if header.tag == _SYNTAX:
                stated = elements.value(header).decode("ascii", "replace").strip("\0 ")
            else:
                elements.skip(header)
            start = file.tell()
    except _Misfit:
        pass  # cut off or damaged here, or the data set itself is not explicit
    return start, whole and not implicit, stated


def _is_believed(stated: str, first: bytes) -> bool:
    """Say whether the first bytes of a data set leave no doubt of the syntax that is stated."""
    if stated in PLAIN:
        return _begins(first, UID(stated))
    return stated not in AllTransferSyntaxes or (
        stated == DeflatedExplicitVRLittleEndian and not begins_like_dicom(first)
    )


def _begins(first: bytes, syntax: UID) -> bool:
    """Say whether the first bytes of a data set are in the syntax, as far as eight bytes can tell."""
    little, big = int.from_bytes(first[:2], "little"), int.from_bytes(first[:2], "big")
    right_way_round = little <= big if syntax.is_little_endian else big <= little  # 0008, not 0800
    return right_way_round and (first[4:6] in _VRS) != syntax.is_implicit_VR


def _pixel_bytes(file: BinaryIO, start: int, syntax: UID) -> int | None:
    """Return the length of the pixel data of a data set in this syntax, 0 without any; None: it is in another."""
    file.seek(start)
    elements = _Elements(file, syntax)
    try:
        found = elements.data_set(implicit=syntax.is_implicit_VR)
    except _Misfit:
        return None
    if _PIXELS not in found:
        return 0
    bits = found.get(_BITS, 0) * found.get(_SAMPLES, 1)
    needed = (found.get(_ROWS, 0) * found.get(_COLUMNS, 0) * bits + 7) // 8
    return found[_PIXELS] if 0 < needed <= found[_PIXELS] else None


class _Elements:
    """Data elements one after the other; only four counts are looked at, the other values are skipped."""

    def __init__(self, file: BinaryIO, syntax: UID) -> None:
        self._file = file
        self._order = "<" if syntax.is_little_endian else ">"
        here = file.tell()
        self._size = file.seek(0, 2)
        file.seek(here)
        self._left = MOST_ELEMENTS

    def header(self, *, implicit: bool) -> _Header | None:
        """Return the next header; None at the end of the file."""
        head = self._file.read(8)
        if not head:
            return None
        self._left -= 1
        if len(head) < 8 or self._left < 0:
            raise _Misfit
        group, element, short = struct.unpack(f"{self._order}HH2xH", head)
        tag, vr = group << 16 | element, head[4:6]
        if implicit or group == _DELIMITERS:
            return _Header(tag, b"", self._number(head[4:]))
        if vr not in _VRS:
            raise _Misfit
        return _Header(tag, vr, self._number(self._file.read(4)) if vr in _LONG else short)

    def header_either_way(self, *, implicit: bool) -> _Header | None:
        """Return the next header, which may lack its VR in an explicit data set too; None where there is none."""
        start = self._file.tell()
        for without in dict.fromkeys((implicit, True)):
            self._file.seek(start)
            with suppress(_Misfit):
                return self.header(implicit=without)
        return None

    def value(self, header: _Header) -> bytes:
        """Return the value of a short element."""
        if header.length > 64:
            raise _Misfit
        return self._file.read(header.length)

    def skip(self, header: _Header) -> None:
        """Go behind a value of known length."""
        end = self._file.tell() + header.length
        if end > self._size:
            raise _Misfit
        self._file.seek(end)

    def data_set(self, *, implicit: bool, depth: int = 0) -> dict[int, int]:
        """Go through a data set to its pixel data, or an item to its end; return counts and the pixels' length."""
        found: dict[int, int] = {}
        last = -1
        while header := self.header(implicit=implicit):
            if depth and header.tag == _ITEM_END:
                return found
            if header.tag <= last or not _is_known(header, implicit):
                raise _Misfit
            last = header.tag
            if header.tag == _PIXELS and not depth:
                return {**found, _PIXELS: header.length}
            if header.tag in _COUNTS and header.length == 2:
                found[header.tag] = self._number(self.value(header))
            elif header.length == _UNDEFINED and header.vr in _NESTING:
                # The items of an unknown sequence are implicit in an explicit data set too (PS3.5 6.2.2, note 3).
                self._items(implicit=implicit or header.vr == b"UN", depth=depth + 1)
            else:
                self.skip(header)
        if depth or last < 0:
            raise _Misfit  # an item without end; nothing
        return found

    def _items(self, *, implicit: bool, depth: int) -> None:
        """Go through the items of a sequence of undefined length, or the fragments of pixel data."""
        if depth > DEEPEST:
            raise _Misfit
        while (header := self.header(implicit=implicit)) and header.tag == _ITEM:
            if header.length == _UNDEFINED:
                self.data_set(implicit=implicit, depth=depth)
            else:
                self.skip(header)
        if header is None or header.tag != _SEQUENCE_END:
            raise _Misfit

    def fragments_end(self) -> int:
        """Go through fragments, and return where they end, or where the file does in one of them."""
        end = self._file.tell()
        with suppress(_Misfit):
            while (header := self.header(implicit=True)) and header.tag == _ITEM:
                end = self._file.seek(min(self._file.tell() + header.length, self._size))
        return end

    def _number(self, data: bytes) -> int:
        if len(data) not in (2, 4):
            raise _Misfit
        return int(struct.unpack(self._order + ("H" if len(data) == 2 else "I"), data)[0])


def _is_known(header: _Header, implicit: bool) -> bool:
    """Say whether a tag may stand here: in a data set without VRs the dictionary has to know its group.

    It need not know the tag: the standard grows, and vendors add to it.
    """
    group, element = divmod(header.tag, 1 << 16)
    if not implicit:
        return group != _DELIMITERS
    if header.length % 2 and header.length != _UNDEFINED:
        return False
    return bool(group % 2) or not element or group in _GROUPS or mask_match(header.tag) is not None
