"""Recipes of bad inputs: a good file by name, and edits of its bytes or values.

A recipe prints as what makes it again. They are drawn by hypothesis, which shrinks one that fails to the fewest
and simplest edits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import strategies as st
from iu_files import samples
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from bad_input.files import Make, compressed, deflated, dicom, jpeg, streamed

Value = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from(
        [
            -(2**63),
            2**31,
            2**63,
            10**30,
            0.5,
            -1.0,
            1e308,
            "",
            "0",
            "-1",
            "1e9",
            "nan",
            "Edema",
            "present",
            "a\nb",
            "\ud83e",
        ]
    ),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 300), max_size=5),
    st.dictionaries(
        st.sampled_from(["name", "status", "author", "view", "xyxy", "x"]), st.integers(-1, 9), max_size=2
    ),
)
"""What may stand in the place of a value in JSON."""


@dataclass(frozen=True)
class Cut:
    """Keep the first so many thousandths."""

    keep: int

    def bytes(self, data: bytes) -> bytes:
        return data[: len(data) * self.keep // 1000]


@dataclass(frozen=True)
class Put:
    """Write bytes over those at so many millionths of the length."""

    at: int
    what: bytes

    def bytes(self, data: bytes) -> bytes:
        place = len(data) * self.at // 1_000_000
        return data[:place] + self.what + data[place + len(self.what) :]


@dataclass(frozen=True)
class Insert:
    """Write bytes between those at so many millionths of the length."""

    at: int
    what: bytes

    def bytes(self, data: bytes) -> bytes:
        place = len(data) * self.at // 1_000_000
        return data[:place] + self.what + data[place:]


@dataclass(frozen=True)
class Repeat:
    """Write a part again and again."""

    at: int
    size: int
    times: int

    def bytes(self, data: bytes) -> bytes:
        place = len(data) * self.at // 1_000_000
        return data[:place] + data[place : place + self.size] * self.times + data[place + self.size :]


ByteEdit = Cut | Put | Insert | Repeat
_MILLIONTH = st.integers(0, 999_999)
_BYTES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from(
        [b"\0", b"\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"[", b'"', b"\n", b"\xe9"]
    ),
)
_EDIT: st.SearchStrategy[ByteEdit] = st.one_of(
    st.builds(Put, _MILLIONTH, _BYTES),
    st.builds(Put, _MILLIONTH, _BYTES),
    st.builds(Insert, _MILLIONTH, _BYTES),
    st.builds(Cut, st.integers(0, 999)),
    st.builds(Repeat, _MILLIONTH, st.integers(1, 64), st.integers(0, 300)),
)
BYTE_EDITS = st.lists(_EDIT, min_size=1, max_size=4).map(tuple)


def edited(data: bytes, edits: tuple[ByteEdit, ...]) -> bytes:
    for edit in edits:
        data = edit.bytes(data)
    return data


@dataclass(frozen=True)
class Bytes:
    """A good file, its bytes edited."""

    base: str
    edits: tuple[ByteEdit, ...]

    def write(self, folder: Path) -> Path:
        name, data = whole(self.base)
        (folder / name).write_bytes(edited(data, self.edits))
        return folder / name


# DICOM


@dataclass(frozen=True)
class Stream:
    """An object whose compressed picture is edited, the object around it left whole."""

    base: str
    edits: tuple[ByteEdit, ...]

    def write(self, folder: Path) -> Path:
        stream = edited(stream_of(self.base), self.edits).ljust(2, b"\0")  # pydicom packs no less
        bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if self.base == "JPEG" else {}
        return dicom("stream.dcm", streamed(SYNTAXES[self.base], stream), **bits)(folder)


@dataclass(frozen=True)
class Attribute:
    """An attribute by keyword with another representation and value, written as it is."""

    keyword: str
    vr: str
    value: Any


@dataclass(frozen=True)
class Header:
    """An object with attributes that its kind does not have, or not so."""

    base: str
    attributes: tuple[Attribute, ...]

    def write(self, folder: Path) -> Path:
        name, data = whole(self.base)
        body = edited_header(data, self.attributes)
        (folder / name).write_bytes(body)
        return folder / name


def edited_header(data: bytes, attributes: tuple[Attribute, ...]) -> bytes:
    """The explicit little endian object with elements replaced or added in front of the pixel data."""
    for attribute in attributes:
        tag = _TAGS[attribute.keyword]
        start = data.find(tag)
        if start > 132 and data[start + 4 : start + 6].isupper() and data[start + 4 : start + 6] not in _LONG:
            size = int.from_bytes(data[start + 6 : start + 8], "little")
            data = data[:start] + data[start + 8 + size :]
        at = start if start > 132 else data.find(b"\xe0\x7f\x10\x00")
        data = data[:at] + tag + element(attribute) + data[at:]
    return data


def element(attribute: Attribute) -> bytes:
    """Representation, length and value of an element in explicit little endian."""
    value = attribute.value if isinstance(attribute.value, bytes) else str(attribute.value).encode()
    vr = attribute.vr.encode()
    if vr in _LONG:
        return vr + b"\0\0" + len(value).to_bytes(4, "little") + value
    return vr + min(len(value), 65_535).to_bytes(2, "little") + value[:65_535]


_LONG = (b"OB", b"OW", b"UN", b"SQ", b"UT")
_KEYWORDS = {
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "WindowCenter": 0x00281050,
    "WindowWidth": 0x00281051,
    "RescaleSlope": 0x00281053,
    "RescaleIntercept": 0x00281052,
    "PixelPaddingValue": 0x00280120,
    "PixelPaddingRangeLimit": 0x00280121,
    "ModalityLUTSequence": 0x00283000,
    "VOILUTSequence": 0x00283010,
    "VOILUTFunction": 0x00281056,
    "PresentationLUTShape": 0x20500020,
    "PatientOrientation": 0x00200020,
    "ImageRotation": 0x00700042,
    "ImageHorizontalFlip": 0x00700041,
    "ImagerPixelSpacing": 0x00181164,
    "PixelSpacing": 0x00280030,
    "ViewPosition": 0x00185101,
    "ViewCodeSequence": 0x00540220,
    "PatientAge": 0x00101010,
    "PatientID": 0x00100020,
    "StudyDate": 0x00080020,
    "StudyInstanceUID": 0x0020000D,
    "SOPInstanceUID": 0x00080018,
    "SOPClassUID": 0x00080016,
    "Modality": 0x00080060,
    "InstanceNumber": 0x00200013,
    "BodyPartExamined": 0x00180015,
    "TransferSyntaxUID": 0x00020010,
    "SpecificCharacterSet": 0x00080005,
    "PixelData": 0x7FE00010,
}
_TAGS = {k: (t >> 16).to_bytes(2, "little") + (t & 0xFFFF).to_bytes(2, "little") for k, t in _KEYWORDS.items()}
_TEXTS = (
    "",
    "0",
    "1",
    "-1",
    "nan",
    "inf",
    "1e999",
    "0.0\\0",
    "1\\2\\3",
    "LINEAR",
    "SIGMOID",
    "R\\F",
    "A\\",
    "Doe^Jane",
)
_ATTRIBUTE = st.builds(
    Attribute,
    st.sampled_from(sorted(_KEYWORDS)),
    st.sampled_from(
        ["US", "SS", "DS", "IS", "CS", "LO", "UI", "DA", "SQ", "OB", "OW", "UN", "FD", "AT", "UL", "AS", "ZZ"]
    ),
    st.one_of(
        st.sampled_from(_TEXTS),
        st.binary(max_size=12),
        st.integers(0, 65_535).map(lambda n: n.to_bytes(2, "little")),
    ),
)


def tables(ds: Dataset) -> None:
    """Look-up tables for both steps."""
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [256, 0, 16])
        item.add_new("LUTData", "OW", np.arange(0, 65_536, 256, dtype="<u2").tobytes())
        setattr(ds, keyword, Sequence([item]))


def _in_syntax(syntax: str, *, implicit: bool, little: bool) -> Make:
    def make(folder: Path) -> Path:
        from pydicom import dcmread, dcmwrite

        path = dicom()(folder)
        ds = dcmread(path)
        _ = ds.pixel_array
        ds.file_meta.TransferSyntaxUID = syntax
        dcmwrite(path, ds, implicit_vr=implicit, little_endian=little)
        return path

    return make


def _deflated(folder: Path) -> Path:
    path = dicom()(folder)
    path.write_bytes(deflated(())(path.read_bytes()))
    return path


SYNTAXES = {
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "JPEG": JPEGBaseline8Bit,
    "RLE": RLELossless,
}
_OBJECTS: dict[str, Make] = {
    "plain": dicom(),
    "with tables": dicom("chest.dcm", tables),
    "implicit": _in_syntax(ImplicitVRLittleEndian, implicit=True, little=True),
    "big endian": _in_syntax(ExplicitVRBigEndian, implicit=False, little=False),
    "deflated": _deflated,
    "JPEG": dicom("chest.dcm", streamed(JPEGBaseline8Bit, jpeg()), BitsAllocated=8, BitsStored=8, HighBit=7),
    **{name: dicom("chest.dcm", compressed(SYNTAXES[name])) for name in ("JPEG-LS", "JPEG 2000", "RLE")},
}

HEADERS = st.one_of(
    st.builds(
        Header, st.sampled_from(["plain", "with tables"]), st.lists(_ATTRIBUTE, min_size=1, max_size=4).map(tuple)
    ),
    st.builds(Bytes, st.sampled_from(sorted(_OBJECTS)), BYTE_EDITS),
)
STREAMS = st.builds(Stream, st.sampled_from(sorted(SYNTAXES)), BYTE_EDITS)

# JSON, tables and checkpoints


@dataclass(frozen=True)
class Json:
    """A good document with other values at some places; a place counts every value of the document in order."""

    base: str
    changes: tuple[tuple[int, Any], ...]

    def write(self, folder: Path) -> Path:
        name, data = whole(self.base)
        documents = [json.loads(line) for line in data.decode().splitlines()]
        for at, value in self.changes:
            documents = replaced(documents, at, value)
        lines = documents if isinstance(documents, list) else [documents]
        (folder / name).write_text("\n".join(map(json.dumps, lines)))
        return folder / name


@dataclass(frozen=True)
class Metadata:
    """A good checkpoint with other values at some places of its header or of what its metadata hold."""

    changes: tuple[tuple[str, int, Any], ...]

    def write(self, folder: Path) -> Path:
        name, data = whole("checkpoint")
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        for part, at, value in self.changes:
            if not isinstance(header, dict):
                break  # nothing is left of it to change
            if part == "header":
                held = header.pop("__metadata__", {})
                header = replaced(header, at, value)
                header = {"__metadata__": held, **header} if isinstance(header, dict) else header
            elif part in header.get("__metadata__", {}):
                changed = replaced(json.loads(header["__metadata__"][part]), at, value)
                header["__metadata__"][part] = json.dumps(changed)
        head = json.dumps(header).encode()
        (folder / name).write_bytes(len(head).to_bytes(8, "little") + head + data[8 + size :])
        return folder / name


def replaced(document: Any, at: int, value: Any) -> Any:
    """The document with the value in place number `at`, counted around, replaced."""
    count = _count(document)
    return _replaced(document, at % count, value)[0]


def _count(document: Any) -> int:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return 1 + sum(_count(each) for each in inner)


def _replaced(document: Any, at: int, value: Any) -> tuple[Any, int]:
    """The document with the value put in, and how many places are left to go."""
    if at == 0:
        return value, -1
    at -= 1
    if not isinstance(document, dict | list):
        return document, at
    pairs = list(document.items() if isinstance(document, dict) else enumerate(document))
    made = []
    for key, each in pairs:
        if at >= 0:
            each, at = _replaced(each, at, value)
        made.append((key, each))
    return (dict(made) if isinstance(document, dict) else [each for _, each in made]), at


_STUDIES = [
    {
        "study_id": "s1",
        "patient_id": "p1",
        "images": ["chest.png"],
        "positions": ["PA"],
        "spacing": [0.2, 0.1],
        "findings": "A 5 mm nodule. No effusion.",
        "labels": {"Nodule": {"status": "present", "side": "left", "size_mm": 5}, "Pleural Effusion": "absent"},
        "boxes": [{"finding": "Nodule", "xyxy": [4, 4, 20, 20], "view": 0}],
        "readings": [
            {"author": {"kind": "human", "name": "b"}, "findings": [{"name": "Edema", "status": "absent"}]}
        ],
        "age": 60,
        "sex": "F",
        "acquired": "2024-01-31",
        "split": "train",
    },
    {
        "study_id": "s2",
        "views": [{"view_id": "v", "locator": "chest.png", "position": "AP", "width": 64, "height": 48}],
        "readings": [
            {
                "study_id": "s2",
                "author": {"kind": "human", "name": "a"},
                "report": {"findings": "Clear.", "sentences": ["Clear."]},
                "findings": [{"name": "Edema", "status": "absent", "boxes": [{"view": 0, "xyxy": [1, 1, 9, 9]}]}],
            }
        ],
    },
]
_TABLE = (
    "study_id,image,position,labels,boxes,age,report\n"
    's1,chest.png,PA,Edema=uncertain;Nodule,"[{""finding"": ""Nodule"", ""xyxy"": [1, 2, 30, 40]}]",60,Clear.\n'
    's2,chest.png,AP,,,,"FINDINGS: Clear, large lungs."\n'
)
_READINGS = [
    {"study_id": "s1", "text": "Clear lungs."},
    {
        "schema": "contrastcxr.reading/1",
        "study_id": "s2",
        "author": {"kind": "model", "name": "m"},
        "report": {"findings": "Clear."},
        "findings": [{"name": "Edema", "status": "absent", "probability": 0.25}],
    },
]


@cache
def whole(base: str) -> tuple[str, bytes]:
    """Name and bytes of a good file."""
    if base in _OBJECTS:
        with TemporaryDirectory() as folder:
            return "input.dcm", _OBJECTS[base](Path(folder)).read_bytes()
    if base == "checkpoint":
        from tiny_system import save_tiny  # imported here: the other kinds need no torch

        with TemporaryDirectory() as folder:
            return "input.safetensors", save_tiny(Path(folder)).read_bytes()
    if base == "annotation":
        return "annotation.json", json.dumps(samples()).encode()
    if base == "table":
        return "studies.csv", _TABLE.encode()
    documents = {"manifest": _STUDIES, "readings": _READINGS}[base]
    return f"{base}.jsonl", "\n".join(map(json.dumps, documents)).encode()


@cache
def stream_of(base: str) -> bytes:
    """The compressed picture of a good object."""
    if base == "JPEG":
        return jpeg()
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    with TemporaryDirectory() as folder:
        ds = dcmread(_OBJECTS[base](Path(folder)))
        return bytes(get_frame(ds.PixelData, 0, number_of_frames=1))


_CHANGES = st.lists(st.tuples(st.integers(0, 400), Value), min_size=1, max_size=3).map(tuple)
_PARTS = (
    "header",
    "config",
    "vocabulary",
    "labels",
    "preprocessing",
    "temperature",
    "thresholds",
    "sources",
    "pool",
)
MANIFESTS = st.one_of(
    st.builds(Json, st.just("manifest"), _CHANGES),
    st.builds(Bytes, st.sampled_from(["manifest", "table"]), BYTE_EDITS),
)
READINGS = st.one_of(
    st.builds(Json, st.just("readings"), _CHANGES), st.builds(Bytes, st.just("readings"), BYTE_EDITS)
)
ANNOTATIONS = st.one_of(
    st.builds(Json, st.just("annotation"), _CHANGES), st.builds(Bytes, st.just("annotation"), BYTE_EDITS)
)
CHECKPOINTS = st.one_of(
    st.builds(
        Metadata,
        st.lists(st.tuples(st.sampled_from(_PARTS), st.integers(0, 400), Value), min_size=1, max_size=3).map(
            tuple
        ),
    ),
    st.builds(Bytes, st.just("checkpoint"), BYTE_EDITS),
)

Write = Callable[[Path], Path]
