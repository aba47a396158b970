"""Data sets whose file states no transfer syntax, or a wrong one."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from radiograph_files import data_set, meta_information, radiograph, ramp, written

from contrastcxr.data.dicom.reading import dicom_studies, read_header, read_pixels
from contrastcxr.data.dicom.syntax import DEEPEST, MOST_ELEMENTS, UnknownSyntaxError, encoding_of
from contrastcxr.errors import ImageError

PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
PREAMBLE = bytes(128) + b"DICM"
UPRIGHT = ramp(top=4095).astype(np.float32) / 4095


def sequences(ds: Dataset) -> None:
    """Sequences of undefined length before Rows, one in the other, one empty and one private."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = "1"
    inner.is_undefined_length_sequence_item = True
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    for keyword, items in {"SourceImageSequence": [outer, inner], "ProcedureCodeSequence": []}.items():
        setattr(ds, keyword, Sequence(items))
        ds[keyword].is_undefined_length = True
    ds.private_block(0x0009, "OURS", create=True).add_new(1, "SQ", Sequence([inner]))


def private(ds: Dataset) -> None:
    ds.private_block(0x0019, "OURS", create=True).add_new(2, "OB", b"odd")


def overlay(ds: Dataset) -> None:
    """An overlay (60xx) and a retired curve (50xx): groups that the dictionary knows by a pattern."""
    ds.add_new(0x50000005, "US", 1)
    ds.add_new(0x60020010, "US", 48)


def padded(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData + bytes(20)


def unnamed(ds: Dataset) -> None:
    """Nothing but group 0008 names the object; no patient module."""
    del ds.PatientName, ds.PatientID, ds.PatientBirthDate


def newer(ds: Dataset) -> None:
    """Attributes of groups that are known, which the dictionary is not to hold."""
    for tag in (0x00089FF8, 0x00189FF9, 0x00289FFA, 0x00409FFB):
        ds.add_new(tag, "LO", "newer than the dictionary")


EDITS = (sequences, private, overlay, padded, unnamed, newer)


def made(edit: Callable[[Dataset], None] | None = None) -> Dataset:
    ds = radiograph(ramp(top=4095), 12)
    if edit:
        edit(ds)
    return ds


def at(folder: Path, data: bytes, name: str = "IM0001") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("edit", [None, *EDITS])
@pytest.mark.parametrize("syntax", PLAIN)
def test_a_data_set_alone_is_read_as_its_structure_tells(
    tmp_path: Path, syntax: str, edit: Callable[[Dataset], None] | None
) -> None:
    path = at(tmp_path, data_set(made(edit), syntax))
    assert (read_header(path).width, read_header(path).position) == (64, "PA")
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


GROUP_LENGTHS = {
    ImplicitVRLittleEndian: b"\x08\0\0\0\x04\0\0\0" + bytes(4),
    ExplicitVRLittleEndian: b"\x08\0\0\0UL\x04\0" + bytes(4),
    ExplicitVRBigEndian: b"\0\x08\0\0UL\0\x04" + bytes(4),
}


@pytest.mark.parametrize("syntax", PLAIN)
def test_the_length_of_a_group_may_come_first(tmp_path: Path, syntax: str) -> None:
    path = at(tmp_path, GROUP_LENGTHS[syntax] + data_set(made(), syntax))
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


HEADS = {
    "nothing": b"",
    "meta information without a syntax": PREAMBLE + meta_information(None),
    "meta information alone, without a syntax": meta_information(None),
    "a preamble alone": PREAMBLE,
    "DICM alone": b"DICM",
    "DICM and meta information without a syntax": b"DICM" + meta_information(None),
    "an empty syntax": PREAMBLE + meta_information(None) + b"\x02\0\x10\0UI\0\0",
    "implicit meta information": PREAMBLE + meta_information(None, implicit=True),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("syntax", PLAIN)
def test_whatever_stands_before_a_data_set_without_a_syntax_it_is_read(
    tmp_path: Path, syntax: str, head: str
) -> None:
    path = at(tmp_path, HEADS[head] + data_set(made(), syntax), "chest.dcm")
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


@pytest.mark.parametrize(
    "stated", [*PLAIN, DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless, JPEG2000Lossless]
)
@pytest.mark.parametrize("syntax", PLAIN)
def test_a_stated_syntax_that_the_data_are_not_in_is_not_believed(
    tmp_path: Path, syntax: str, stated: str
) -> None:
    path = at(tmp_path, PREAMBLE + meta_information(stated) + data_set(made(), syntax))
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


@pytest.mark.parametrize("head", [b"", b"DICM"])
@pytest.mark.parametrize("stated", [*PLAIN, JPEGLSLossless])
def test_meta_information_without_a_preamble_is_read(tmp_path: Path, stated: str, head: bytes) -> None:
    ds = made()
    if stated == JPEGLSLossless:
        ds.compress(stated, generate_instance_uid=False)
        whole = written(ds)
        body = whole[144 + int.from_bytes(whole[140:144], "little") :]
    else:
        body = data_set(ds, stated)
    path = at(tmp_path, head + meta_information(stated) + body)
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


def test_implicit_meta_information_that_states_the_syntax_is_read(tmp_path: Path) -> None:
    head = PREAMBLE + meta_information(ExplicitVRBigEndian, implicit=True)
    path = at(tmp_path, head + data_set(made(), ExplicitVRBigEndian))
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


def cut(data: bytes) -> bytes:
    return data[:300]


def without_rows(data: bytes) -> bytes:
    """Rows become an element that nobody knows, in its place."""
    return data.replace(b"\x28\0\x10\0", b"\x28\0\x13\0")


def descending(data: bytes) -> bytes:
    """Where the body part was stands a tag of a lower group."""
    return data.replace(b"\x18\0\x15\0", b"\x08\0\x01\0")


def short_pixels(data: bytes) -> bytes:
    """Columns are ten times what the pixel data hold."""
    return data.replace(struct.pack("<H", 64), struct.pack("<H", 640))


@pytest.mark.parametrize("edit", [cut, without_rows, descending, short_pixels])
@pytest.mark.parametrize("syntax", PLAIN[:2])
def test_data_that_fit_no_syntax_are_ambiguous(
    tmp_path: Path, syntax: str, edit: Callable[[bytes], bytes]
) -> None:
    path = at(tmp_path, edit(data_set(made(), syntax)))
    for read in (read_header, read_pixels):
        with pytest.raises(
            ImageError, match="is ambiguous or cut off: no transfer syntax is stated, and of 3"
        ) as e:
            read(path)
        assert str(e.value).startswith(f"{path}: ")
        assert "\n" not in str(e.value)
        assert "Secretive" not in str(e.value)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("head", [b"", PREAMBLE, PREAMBLE + meta_information(None)])
def test_compressed_pixels_without_a_syntax_are_ambiguous(tmp_path: Path, head: bytes, syntax: str) -> None:
    ds = made()
    ds.compress(syntax, generate_instance_uid=False)
    whole = written(ds)
    path = at(tmp_path, head + whole[144 + int.from_bytes(whole[140:144], "little") :])
    with pytest.raises(
        ImageError, match="is ambiguous: its pixel data are compressed, and no transfer syntax says"
    ):
        read_header(path)


def test_what_no_other_syntax_fits_is_read_as_stated() -> None:
    stated = PREAMBLE + meta_information(ImplicitVRLittleEndian)
    for rest in (b"", b"\x08\0\x05\0CS\x0a\0ISO", bytes(range(256))):
        found = encoding_of(io.BytesIO(stated + rest))
        assert (found.start, found.syntax, found.stated) == (len(stated), ImplicitVRLittleEndian, True)


def test_a_deflated_data_set_is_not_looked_into() -> None:
    stated = PREAMBLE + meta_information(DeflatedExplicitVRLittleEndian)
    assert encoding_of(io.BytesIO(stated + b"deflated")).syntax == DeflatedExplicitVRLittleEndian


@pytest.mark.parametrize("data", [b"", b"words", bytes(2000), b"\x08\0", PREAMBLE, PREAMBLE + b"\x02\0\0\0UL"])
def test_what_begins_like_no_data_set_is_none(data: bytes) -> None:
    with pytest.raises(UnknownSyntaxError, match="is not a DICOM image, or is cut off"):
        encoding_of(io.BytesIO(data))


OPENED = b"\x08\0\x12\x21SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
HOSTILE = {
    "sequences without end": OPENED * (DEEPEST * 100),
    "a sequence at the end of the file": OPENED[:12],
    "a length beyond the file": b"\x08\0\x05\0UT\0\0\xf0\xff\xff\xff",
    "elements without number": b"".join(struct.pack("<HH2sH", 9, e, b"LO", 0) for e in range(MOST_ELEMENTS + 2)),
    "a count of undefined length": b"\x28\0\x10\0UT\0\0\xff\xff\xff\xff",
    "half an element": b"\x08\0\x05\0CS",
}


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_structure_is_no_data_set(data: str) -> None:
    begins = b"\x08\0\x05\0CS\0\0"
    with pytest.raises(UnknownSyntaxError, match="ambiguous"):
        encoding_of(io.BytesIO(begins + HOSTILE[data]))


@pytest.mark.parametrize("syntax", PLAIN)
def test_damage_anywhere_ends_in_a_picture_or_one_line(tmp_path: Path, syntax: str) -> None:
    data, draw = data_set(made(sequences), syntax), np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(data)
        for place in draw.integers(0, len(data) - 6144, 3):
            damaged[place] = draw.integers(256)
        path = at(tmp_path, bytes(damaged), "chest.dcm")
        for failure in dicom_studies([path])[1]:
            assert failure.message.startswith(f"{path}: ")
            assert not re.search(r"\n|Secretive", failure.message)
