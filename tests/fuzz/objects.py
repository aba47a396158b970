"""Recipes of DICOM objects whose structure is wrong: a good object as a list of elements, changed, then written.

The writer is told everything (representation, length, nesting, byte order, what stands before the data set), so
that it can write what no DICOM library would.
"""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import cast

from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from radiograph_files import radiograph, ramp

UNDEFINED = 0xFFFFFFFF
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
VRS = (*LONG, "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST")
WORDS = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OL": 4, "OF": 4, "FD": 8, "OD": 8}
"""Bytes of a number by representation, which big endian turns around."""


@dataclass
class Element:
    """One element to be written; a length that is not None is said instead of the true one."""

    tag: int
    vr: str
    value: bytes = b""
    items: list[list[Element]] | None = None
    length: int | None = None


@dataclass(frozen=True)
class Syntax:
    """How a data set is written."""

    uid: str
    implicit: bool
    order: str  # as of `int.to_bytes`


SYNTAXES = (
    Syntax(ImplicitVRLittleEndian, True, "little"),
    Syntax(ExplicitVRLittleEndian, False, "little"),
    Syntax(ExplicitVRBigEndian, False, "big"),
    Syntax("1.2.840.113619.5.2", True, "big"),  # a private one of a vendor
)


def written(elements: list[Element], syntax: Syntax) -> bytes:
    """The elements as bytes."""
    return b"".join(_element(each, syntax) for each in elements)


def _element(each: Element, syntax: Syntax) -> bytes:
    order = syntax.order
    value = each.value if each.items is None else b"".join(_item(item, syntax) for item in each.items)
    size = WORDS.get(each.vr, 1)
    if order == "big" and each.items is None and size > 1:
        value = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))
    if each.items is not None and each.length == UNDEFINED:
        value += _tag(0xFFFEE0DD, order) + bytes(4)
    length = len(value) if each.length is None else each.length
    head = _tag(each.tag, order)
    if syntax.implicit:
        return head + _number(length, 4, order) + value
    vr = each.vr.encode()
    if each.vr in LONG:
        return head + vr + b"\0\0" + _number(length, 4, order) + value
    return head + vr + _number(length, 2, order) + value


def _item(elements: list[Element], syntax: Syntax) -> bytes:
    value = written(elements, syntax)
    return _tag(0xFFFEE000, syntax.order) + _number(len(value), 4, syntax.order) + value


def _tag(tag: int, order: str) -> bytes:
    return _number(tag >> 16, 2, order) + _number(tag & 0xFFFF, 2, order)


def _number(value: int, size: int, order: str) -> bytes:
    return (value % (1 << (8 * size))).to_bytes(size, order)  # type: ignore[arg-type]


@cache
def _good() -> tuple[Element, ...]:
    ds = radiograph(ramp(top=4095), 12)
    ds.SOPInstanceUID, ds.StudyInstanceUID = "1.2.3.4", "1.2.3"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.RescaleSlope, ds.RescaleIntercept, ds.StudyDate = "1", "0", "20240131"
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    file.seek(0)
    read = dcmread(file)  # its elements are not parsed until they are asked for
    return tuple(_raw(cast(RawDataElement, read.get_item(tag))) for tag in list(read.keys()))


def _raw(element: RawDataElement) -> Element:
    value = element.value or b""  # the character set alone is a text by now
    return Element(int(element.tag), str(element.VR), value if isinstance(value, bytes) else str(value).encode())


# Changes; a place counts elements around


@dataclass(frozen=True)
class Vr:
    """Another representation."""

    at: int
    vr: str

    def change(self, elements: list[Element]) -> None:
        elements[self.at % len(elements)].vr = self.vr


@dataclass(frozen=True)
class Length:
    """A length that is not that of the value."""

    at: int
    length: int

    def change(self, elements: list[Element]) -> None:
        elements[self.at % len(elements)].length = self.length


@dataclass(frozen=True)
class Nest:
    """An element inside so many sequences; their lengths are stated, or undefined."""

    at: int
    depth: int
    undefined: bool

    def change(self, elements: list[Element]) -> None:
        place = self.at % len(elements)
        inner, tag = elements[place], elements[place].tag
        for _ in range(self.depth):
            inner = Element(tag, "SQ", items=[[inner]], length=UNDEFINED if self.undefined else None)
        elements[place] = inner


@dataclass(frozen=True)
class Remove:
    """An element left out."""

    at: int

    def change(self, elements: list[Element]) -> None:
        if len(elements) > 1:
            del elements[self.at % len(elements)]


@dataclass(frozen=True)
class Repeat:
    """An element so many times more."""

    at: int
    times: int

    def change(self, elements: list[Element]) -> None:
        place = self.at % len(elements)
        elements[place:place] = [elements[place]] * self.times


@dataclass(frozen=True)
class Move:
    """An element at another place, so that tags do not ascend."""

    at: int
    to: int

    def change(self, elements: list[Element]) -> None:
        moved = elements.pop(self.at % len(elements))
        elements.insert(self.to % (len(elements) + 1), moved)


@dataclass(frozen=True)
class Lut:
    """A look-up table: what its descriptor says, and how many entries of which size it has."""

    modality: bool
    descriptor: tuple[int, ...]
    descriptor_vr: str
    data_vr: str
    entries: int
    top: int
    spare: int

    def change(self, elements: list[Element]) -> None:
        step = self.top / max(self.entries - 1, 1)
        data = b"".join(_number(int(i * step), 2, "little") for i in range(self.entries)) + bytes(self.spare)
        said = b"".join(_number(value, 2, "little") for value in self.descriptor)
        item = [Element(0x00283002, self.descriptor_vr, said), Element(0x00283006, self.data_vr, data)]
        sequence = Element(0x00283000 if self.modality else 0x00283010, "SQ", items=[item])
        place = next((i for i, e in enumerate(elements) if e.tag > sequence.tag), len(elements))
        elements.insert(place, sequence)


@dataclass(frozen=True)
class Text:
    """A character set, and a text in whatever bytes."""

    charset: bytes
    tag: int
    value: bytes

    def change(self, elements: list[Element]) -> None:
        for tag, vr, value in ((0x00080005, "CS", self.charset), (self.tag, "LO", self.value)):
            elements[:] = [e for e in elements if e.tag != tag]
            place = next((i for i, e in enumerate(elements) if e.tag > tag), len(elements))
            elements.insert(place, Element(tag, vr, value + b" " * (len(value) % 2)))


@dataclass(frozen=True)
class Number:
    """A number as texts, or as words."""

    tag: int
    vr: str
    value: bytes

    def change(self, elements: list[Element]) -> None:
        Text(b"ISO_IR 192", self.tag, self.value).change(elements)
        next(e for e in elements if e.tag == self.tag).vr = self.vr


Change = Vr | Length | Nest | Remove | Repeat | Move | Lut | Text | Number


@dataclass(frozen=True)
class Tree:
    """A good object, its elements changed, in a syntax, with or without what stands before the data set."""

    changes: tuple[Change, ...]
    syntax: int = 1
    said: int | None = None
    """Syntax that the meta information names; None: the true one."""
    preamble: bool = True
    meta: bool = True
    packed: bool = False
    keep: int = 1000
    """Thousandths of the file that are kept."""
    name: str = "input.dcm"

    def write(self, folder: Path) -> Path:
        elements = [replace(each) for each in _good()]
        for change in self.changes:
            change.change(elements)
        syntax = SYNTAXES[self.syntax]
        allowed = sys.getrecursionlimit()
        sys.setrecursionlimit(20_000)  # of the writer, not of what reads
        try:
            data = written(elements, syntax)
        finally:
            sys.setrecursionlimit(allowed)
        if self.meta:
            said = SYNTAXES[self.syntax if self.said is None else self.said].uid.encode()
            uid = Element(0x00020010, "UI", said + b"\0" * (len(said) % 2))
            group = written([uid], SYNTAXES[1])
            data = (
                written([Element(0x00020000, "UL", len(group).to_bytes(4, "little"))], SYNTAXES[1]) + group + data
            )
        if self.preamble:
            data = bytes(128) + b"DICM" + data
        if self.packed:
            data = gzip.compress(data, mtime=0)
        path = folder / self.name
        path.write_bytes(data[: len(data) * self.keep // 1000])
        return path


_PLACE = st.integers(0, 60)
_LENGTH = st.one_of(
    st.integers(0, 40),
    st.sampled_from([UNDEFINED, UNDEFINED - 1, 0x7FFFFFFF, 0x80000000, 0xFFFF, 0x10000, 1 << 24]),
)
_DESCRIPTOR = st.lists(
    st.one_of(st.sampled_from([0, 1, 8, 10, 12, 14, 16, 255, 256, 4096, 65535]), st.integers(0, 65535)),
    min_size=0,
    max_size=4,
).map(tuple)
_LUT = st.builds(
    Lut,
    st.booleans(),
    _DESCRIPTOR,
    st.sampled_from(["US", "SS", "OW", "UN", "DS"]),
    st.sampled_from(["US", "SS", "OW", "OB", "UN"]),
    st.sampled_from([0, 1, 2, 255, 256, 4096, 30_000]),
    st.sampled_from([0, 1, 255, 1023, 4095, 65535]),
    st.integers(0, 3),
)
_CHARSETS = (
    b"",
    b"ISO_IR 100",
    b"ISO_IR 192",
    b"GB18030",
    b"GBK",
    b"ISO 2022 IR 6\\ISO 2022 IR 87",
    b"\\ISO 2022 IR 149",
    b"ISO_IR 13",
    b"no such set",
    b"\xff\xfe",
)
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "胸部".encode(),
            "胸部".encode("gb18030"),
            b"\x1b$B6;It\x1b(B",
            "TÓRAX".encode("latin-1"),
            "грудная клетка".encode("iso8859-5"),
            b"BRUST",
            b"HAND",
            b"CHEST\\ABDOMEN",
            b"\x1b$",
            b"\xff" * 9,
            b"A" * 70_000,
        ]
    ),
    st.binary(max_size=24),
)
_TEXT_TAGS = st.sampled_from(
    [0x00180015, 0x00185101, 0x00080060, 0x00100020, 0x0020000D, 0x00080018, 0x00101010, 0x00080016, 0x00281056]
)
_NUMBERS = st.sampled_from(
    [b"1", b"0", b"-1", b"2047,5", b"[2047.5]", b"(1,5\\1,5)", b"1e400", b"nan", b"1.234.567", b"", b"\\", b"\xff"]
)
_NUMBER_TAGS = st.sampled_from(
    [
        *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00181164, 0x00280030, 0x00280101, 0x00280102),
        *(0x00280103, 0x00280010, 0x00280011, 0x00280100, 0x00280120, 0x00200013, 0x00280008, 0x00280002),
    ]
)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(Vr, _PLACE, st.sampled_from((*VRS, "ZZ", "\0\0"))),
    st.builds(Length, _PLACE, _LENGTH),
    st.builds(Nest, _PLACE, st.sampled_from([1, 2, 8, 60, 300]), st.booleans()),
    st.builds(Remove, _PLACE),
    st.builds(Repeat, _PLACE, st.sampled_from([1, 3, 400])),
    st.builds(Move, _PLACE, _PLACE),
    _LUT,
    st.builds(Text, st.sampled_from(_CHARSETS), _TEXT_TAGS, _TEXTS),
    st.builds(Number, _NUMBER_TAGS, st.sampled_from(["DS", "IS", "US", "FD", "LO", "UN"]), _NUMBERS),
)
TREES = st.builds(
    Tree,
    st.lists(CHANGES, max_size=3).map(tuple),
    st.sampled_from([0, 1, 1, 1, 2, 3]),
    st.one_of(st.none(), st.none(), st.integers(0, 3)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    st.one_of(st.just(1000), st.just(1000), st.integers(0, 999)),
    st.sampled_from(["input.dcm", "input", "IM000001", "input.dcm.gz", "input.txt"]),
)
