"""Changes of a DICOM object's structure: each takes the list of its elements; a place counts elements around."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from fuzz.elements import (
    ITEM,
    PIXELS,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    VRS,
    Element,
    number,
    put,
    written,
)
from fuzz.recipes import BYTE_EDITS, ByteEdit, edited


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
        elements[place:place] = [replace(elements[place]) for _ in range(self.times)]


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
        data = b"".join(number(int(i * step), 2, "little") for i in range(self.entries)) + bytes(self.spare)
        said = b"".join(number(value, 2, "little") for value in self.descriptor)
        item = [Element(0x00283002, self.descriptor_vr, said), Element(0x00283006, self.data_vr, data)]
        sequence = Element(0x00283000 if self.modality else 0x00283010, "SQ", items=[item])
        put(elements, sequence)


@dataclass(frozen=True)
class Text:
    """A character set, and a text in whatever bytes."""

    charset: bytes
    tag: int
    value: bytes

    def change(self, elements: list[Element]) -> None:
        for tag, vr, value in ((0x00080005, "CS", self.charset), (self.tag, "LO", self.value)):
            put(elements, Element(tag, vr, value + b" " * (len(value) % 2)))


@dataclass(frozen=True)
class Number:
    """A number as texts, or as words."""

    tag: int
    vr: str
    value: bytes

    def change(self, elements: list[Element]) -> None:
        Text(b"ISO_IR 192", self.tag, self.value).change(elements)
        next(e for e in elements if e.tag == self.tag).vr = self.vr


@dataclass(frozen=True)
class Grow:
    """A value that is longer, to an odd length perhaps, and says so."""

    at: int
    more: bytes

    def change(self, elements: list[Element]) -> None:
        elements[self.at % len(elements)].value += self.more


@dataclass(frozen=True)
class Unknown:
    """An element inside an unknown one of undefined length, whose items are implicit (PS3.5 6.2.2)."""

    at: int

    def change(self, elements: list[Element]) -> None:
        inner = elements[self.at % len(elements)]
        value = written([inner], SYNTAXES[0])
        item = ITEM + number(len(value), 4, "little") + value + SEQUENCE_END
        elements[self.at % len(elements)] = Element(inner.tag, "UN", item, length=UNDEFINED)


@dataclass(frozen=True)
class Fragments:
    """The pixel data in so many fragments, as PS3.5 A.4 says or not."""

    parts: int
    table: tuple[int, ...] = ()
    """Offsets, which may lead nowhere."""
    empty: int | None = None
    """The place of a fragment without bytes."""
    length: tuple[int, int] | None = None
    """A fragment, and the length that it says it has."""
    end: bool = True
    undefined: bool = True
    edits: tuple[ByteEdit, ...] = ()
    """Changes of the compressed picture."""

    def change(self, elements: list[Element]) -> None:
        for pixels in elements:
            if pixels.tag == PIXELS:
                pixels.value = self._value(edited(_stream(pixels.value), self.edits))
                pixels.vr, pixels.items, pixels.length = "OB", None, UNDEFINED if self.undefined else None

    def _value(self, stream: bytes) -> bytes:
        size = max(-(-len(stream) // self.parts + 1) // 2 * 2, 2)
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        if self.empty is not None:
            parts.insert(self.empty % (len(parts) + 1), b"")
        lengths = [len(part) for part in parts]
        if self.length is not None and lengths:
            lengths[self.length[0] % len(lengths)] = self.length[1]
        table = b"".join(number(offset, 4, "little") for offset in self.table)
        items = [(len(table), table), *zip(lengths, parts, strict=True)]
        value = b"".join(ITEM + number(length, 4, "little") + part for length, part in items)
        return value + (SEQUENCE_END if self.end else b"")


def _stream(value: bytes) -> bytes:
    """The compressed picture of pixel data in fragments; other pixel data as they are."""
    stream, at = b"", 0
    while value[at : at + 4] == ITEM:
        length = int.from_bytes(value[at + 4 : at + 8], "little")
        stream += value[at + 8 : at + 8 + length] if at else b""  # the first is the table of offsets
        at += 8 + length
    return stream if at else value


@dataclass(frozen=True)
class Inside:
    """A change of the items of a sequence, counted around."""

    at: int
    inner: Simple

    def change(self, elements: list[Element]) -> None:
        items = [item for each in elements for item in each.items or () if item]
        if items:
            self.inner.change(items[self.at % len(items)])


Simple = Vr | Length | Nest | Remove | Repeat | Move | Lut | Text | Number | Grow | Unknown
Change = Simple | Fragments | Inside

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
            b"\x1b$)C\xb0\xa1\x1b(B",
            b"\x1b-FCHEST\x1b(J\x1b$B",
            b"\xff" * 9,
        ]
    ),
    st.sampled_from(
        [b"A" * 16_000, b"1" * 16_000 + b"x", b"1" + b" " * 9_000 + b"/", b"\x1b(I" * 40, b"A" * 70_000]
    ),
    st.binary(max_size=24),
)
_TEXT_TAGS = st.sampled_from(
    [
        *[0x00180015] * 4,
        0x00080104,
        0x00080100,
        0x00283003,
        0x00180015,
        0x00185101,
        0x00080060,
        0x00100020,
        0x0020000D,
        0x00080018,
        0x00101010,
        0x00080016,
        0x00281056,
    ]
)
_NUMBERS = st.sampled_from(
    [
        b"1",
        b"0",
        b"-1",
        b"2047,5",
        b"[2047.5]",
        b"(1,5\\1,5)",
        b"1e400",
        b"nan",
        b"inf",
        b"1.234.567",
        b"",
        b"\\",
        b"\xff",
    ]
)
_NUMBER_TAGS = st.sampled_from(
    [
        *[0x00200013] * 2,
        *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00181164, 0x00280030, 0x00280101, 0x00280102),
        *(0x00280103, 0x00280010, 0x00280011, 0x00280100, 0x00280120, 0x00200013, 0x00280008, 0x00280002),
    ]
)
_TEXT = st.builds(Text, st.sampled_from(_CHARSETS), _TEXT_TAGS, _TEXTS)
_NUMBER = st.builds(Number, _NUMBER_TAGS, st.sampled_from(["DS", "IS", "US", "FD", "LO", "UN"]), _NUMBERS)
_SIMPLE: tuple[st.SearchStrategy[Simple], ...] = (
    _NUMBER,
    _NUMBER,
    _NUMBER,
    _TEXT,
    _TEXT,
    _TEXT,
    _LUT,
    _LUT,
    st.builds(Vr, _PLACE, st.sampled_from((*VRS, "ZZ", "\0\0"))),
    st.builds(Length, _PLACE, _LENGTH),
    st.builds(Nest, _PLACE, st.sampled_from([1, 2, 8, 60, 300]), st.booleans()),
    st.builds(Remove, _PLACE),
    st.builds(Repeat, _PLACE, st.sampled_from([1, 3, 400])),
    st.builds(Move, _PLACE, _PLACE),
    st.builds(Grow, _PLACE, st.binary(min_size=1, max_size=3)),
    st.builds(Unknown, _PLACE),
)
_INSIDE = st.builds(Inside, _PLACE, st.one_of(_SIMPLE))
CHANGES: st.SearchStrategy[Change] = st.one_of(*_SIMPLE, _INSIDE, _INSIDE, _INSIDE)
FRAGMENTS = st.builds(
    Fragments,
    st.integers(1, 4),
    st.one_of(st.just(()), st.just((0,)), st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)),
    st.one_of(st.none(), st.none(), st.integers(0, 4)),
    st.one_of(st.none(), st.none(), st.tuples(st.integers(0, 4), _LENGTH)),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, True, True, False]),
    st.one_of(st.just(()), st.just(()), BYTE_EDITS),
)
