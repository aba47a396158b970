"""A DICOM object as a list of elements, and a writer that is told everything.

Representation, length, nesting and byte order are as they are said: it can write what no DICOM library would.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import cast

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fuzz.recipes import whole

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
        return head + number(length, 4, order) + value
    vr = each.vr.encode()
    if each.vr in LONG:
        return head + vr + b"\0\0" + number(length, 4, order) + value
    return head + vr + number(length, 2, order) + value


def _item(elements: list[Element], syntax: Syntax) -> bytes:
    value = written(elements, syntax)
    return _tag(0xFFFEE000, syntax.order) + number(len(value), 4, syntax.order) + value


def _tag(tag: int, order: str) -> bytes:
    return number(tag >> 16, 2, order) + number(tag & 0xFFFF, 2, order)


def number(value: int, size: int, order: str) -> bytes:
    return (value % (1 << (8 * size))).to_bytes(size, order)  # type: ignore[arg-type]


ITEM, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
"""The tag of an item, and the delimiter of a sequence, in little endian."""
VIEW_CODES, PIXELS = 0x00540220, 0x7FE00010


def good(base: str) -> list[Element]:
    """The elements of a good object, with a code of its view in a sequence."""
    return deepcopy(_good(base))


@cache
def _good(base: str) -> list[Element]:
    ds = dcmread(BytesIO(whole(base)[1]))
    ds.SOPInstanceUID, ds.StudyInstanceUID = "1.2.3.4", "1.2.3"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.RescaleSlope, ds.RescaleIntercept, ds.StudyDate = "1", "0", "20240131"
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    file.seek(0)
    read = dcmread(file)  # its elements are not parsed until they are asked for
    elements = [_raw(cast(RawDataElement, read.get_item(tag))) for tag in list(read.keys())]
    put(elements, Element(VIEW_CODES, "SQ", items=[[Element(0x00080104, "LO", b"antero-posterior")]]))
    return elements


def _raw(element: RawDataElement) -> Element:
    value = element.value or b""  # the character set alone is a text by now
    value = value if isinstance(value, bytes) else str(value).encode()
    if value.startswith(ITEM):
        return Element(int(element.tag), str(element.VR), value + SEQUENCE_END, length=UNDEFINED)
    return Element(int(element.tag), str(element.VR), value)


def put(elements: list[Element], element: Element) -> None:
    """Put an element where its tag belongs, in place of those that have it."""
    elements[:] = [each for each in elements if each.tag != element.tag]
    place = next((i for i, each in enumerate(elements) if each.tag > element.tag), len(elements))
    elements.insert(place, element)
