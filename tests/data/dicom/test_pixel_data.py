"""Pixel data that are longer than the picture, end otherwise, or are of another codec than their syntax says."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from radiograph_files import ramp, with_bytes

from contrastcxr.data.dicom.codestream import codec_of
from contrastcxr.data.dicom.reading import read_pixels
from contrastcxr.errors import ImageError

Dicom = Callable[..., Path]
STORED = ramp(top=4095)
NOISE = np.random.default_rng(5).bytes(4096)


def longer(dicom: Dicom, more: bytes, stored: np.ndarray = STORED, **attributes: object) -> Path:
    def edit(ds: Dataset) -> None:
        ds.PixelData += more

    return dicom(stored=stored, edit=edit, **attributes)


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_pixels(path)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("length", [2, 4, 30, 32, 96, 128, 600, 1000, 1024, 4000, 4096])
@pytest.mark.parametrize("fill", ["zeros", "ones", "noise"])
@pytest.mark.parametrize("kind", [np.uint16, np.uint8])
def test_what_is_behind_the_picture_is_padding(dicom: Dicom, kind: type, fill: str, length: int) -> None:
    stored = (STORED >> 4).astype(np.uint8) if kind is np.uint8 else STORED
    bits = 8 if kind is np.uint8 else 12
    more = {"zeros": bytes(length), "ones": b"\xff" * length, "noise": NOISE[:length]}[fill]
    plain = read_pixels(dicom("plain.dcm", stored=stored, bits=bits))
    np.testing.assert_array_equal(read_pixels(longer(dicom, more, stored, bits=bits)), plain)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", [np.uint16, np.uint8])
def test_padding_is_padding_in_every_uncompressed_syntax(dicom: Dicom, kind: type, syntax: str) -> None:
    stored = (STORED >> (4 if kind is np.uint8 else 0)).astype(kind)
    path = dicom(stored=stored, bits=8 if kind is np.uint8 else 12)
    ds, little = pydicom.dcmread(path), syntax == ImplicitVRLittleEndian
    ds.file_meta.TransferSyntaxUID = syntax
    ds["PixelData"].VR = "OW"
    words = np.frombuffer(ds.PixelData, "<u2").astype("<u2" if little else ">u2").tobytes()
    ds.PixelData = words + bytes(1000)
    padded = path.with_name("padded.dcm")
    pydicom.dcmwrite(padded, ds, implicit_vr=little, little_endian=little)
    np.testing.assert_array_equal(read_pixels(padded), read_pixels(path))


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\n"])
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_padding_behind_a_compressed_picture_is_padding(dicom: Dicom, syntax: str, fill: bytes) -> None:
    def edit(ds: Dataset) -> None:
        ds.compress(syntax, generate_instance_uid=False)
        ds.PixelData = encapsulate([get_frame(ds.PixelData, 0, number_of_frames=1) + fill * 1000])

    np.testing.assert_array_equal(read_pixels(dicom(edit=edit)), read_pixels(dicom("plain.dcm")))


@pytest.mark.parametrize(
    ("attributes", "more", "said"),
    [
        ({}, STORED.tobytes(), "12,288 bytes of pixel data, 2 times as much as of one grey picture"),
        ({}, bytes(6144), "12,288 bytes of pixel data, 2 times as much as of one grey picture"),
        ({}, bytes(2 * 6144), "18,432 bytes of pixel data, 3 times as much as of one grey picture"),
        (
            {"BitsAllocated": 8, "BitsStored": 8},
            b"",
            "6,144 bytes of pixel data, 2 times as much as of one grey picture",
        ),
        ({"Columns": 60}, b"", "6,144 bytes of pixel data, as of rows of 64 pixels"),
        ({"Columns": 48, "Rows": 48}, b"", "6,144 bytes of pixel data, as of rows of 64 pixels"),
        ({"Columns": 63}, b"", "6,144 bytes of pixel data, as of rows of 64 pixels"),
        ({"Rows": 47}, b"", "6,144 bytes of pixel data, as of 48 rows"),
        ({"Rows": 40}, b"", "6,144 bytes of pixel data, as of 48 rows"),
    ],
)
def test_more_picture_than_the_header_says_is_named(
    dicom: Dicom, attributes: dict[str, int], more: bytes, said: str
) -> None:
    path = longer(dicom, more)
    ds = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.save_as(path)
    expected = ds.Rows * ds.Columns * ds.BitsAllocated // 8
    assert refused(path) == f"{said}, and its header says {expected:,}; export it again"


def test_rows_that_are_missing_are_no_padding_in_a_picture_with_noise(dicom: Dicom) -> None:
    noisy = (STORED * 0.9 + np.random.default_rng(1).normal(0, 40, STORED.shape) + 200).astype(np.uint16)
    assert "as of 48 rows" in refused(dicom(stored=noisy, Rows=44))
    assert "as of rows of 64 pixels" in refused(dicom("b.dcm", stored=noisy, Columns=56))


def compressed(syntax: str) -> bytes:
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.3", "1.2.4"
    ds.Rows, ds.Columns = STORED.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = STORED.tobytes()
    ds.compress(syntax, generate_instance_uid=False)
    return get_frame(ds.PixelData, 0, number_of_frames=1)


def jpeg(**options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((STORED >> 4).astype(np.uint8)).save(stream, "JPEG", **options)
    return stream.getvalue()


def frame(marker: int) -> bytes:
    """The beginning of a JPEG stream whose frame header has this marker, behind a comment."""
    header = b"\xff" + bytes([marker]) + b"\x00\x0b\x0c\x00\x30\x00\x40\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xfe\x00\x06abcd" + header + bytes(64) + b"\xff\xd9"


STREAMS = {
    "JPEG 2000": compressed(JPEG2000Lossless),
    "JPEG-LS": compressed(JPEGLSLossless),
    "RLE": compressed(RLELossless),
    "JPEG Baseline": jpeg(),
    "progressive JPEG": jpeg(progressive=True),
    "JPEG Extended": frame(0xC1),
    "JPEG Lossless": frame(0xC3),
    "another kind of JPEG": frame(0xC9),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64),
    "uncompressed": STORED.tobytes(),
}
ALLOWED = {
    JPEGBaseline8Bit: "JPEG Baseline",
    JPEGLosslessSV1: "JPEG Lossless",
    JPEGLSLossless: "JPEG-LS",
    JPEG2000Lossless: "JPEG 2000",
    HTJ2KLossless: "JPEG 2000",
    RLELossless: "RLE",
}


@pytest.mark.parametrize("codec", STREAMS)
def test_the_codec_of_a_stream_is_known_by_its_first_bytes(codec: str) -> None:
    for data in (STREAMS[codec], encapsulate([STREAMS[codec] + b"\0" * (len(STREAMS[codec]) % 2)])):
        assert codec_of(data, plain_bytes=STORED.nbytes) in (codec, None if codec == "uncompressed" else codec)
    assert codec_of(STREAMS[codec], plain_bytes=STORED.nbytes) == codec


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff", b"no picture" * 20, bytes(64), b"\1\0\0\0" + bytes(70)]
)
def test_bytes_that_are_no_stream_have_no_codec(data: bytes) -> None:
    assert codec_of(data, plain_bytes=6144) is None


@pytest.mark.parametrize(("syntax", "codec"), [(s, c) for s in ALLOWED for c in STREAMS if c != ALLOWED[s]])
def test_a_stream_of_another_codec_than_its_syntax_says_is_named(dicom: Dicom, syntax: str, codec: str) -> None:
    def edit(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([STREAMS[codec]])
        ds["PixelData"].is_undefined_length = True

    name = pydicom.uid.UID(syntax).name
    assert refused(dicom(edit=edit)) == f"the {name} pixel data is {codec} in itself; export it again"


@pytest.mark.parametrize("codec", [codec for codec in STREAMS if codec != "uncompressed"])
@pytest.mark.parametrize("in_fragments", [True, False])
def test_a_compressed_picture_that_is_called_uncompressed_is_named(
    dicom: Dicom, codec: str, in_fragments: bool
) -> None:
    stream = STREAMS[codec]

    def edit(ds: Dataset) -> None:
        ds.PixelData = encapsulate([stream]) if in_fragments else stream + b"\0" * (len(stream) % 2)
        ds["PixelData"].VR = "OB"

    said = f"the Explicit VR Little Endian pixel data is {codec} in itself; export it again"
    assert refused(dicom(edit=edit)) == said


def without_fragments(path: Path, syntax: str) -> Path:
    """The file with a compressed transfer syntax before pixel data that are in no fragments."""
    return with_bytes(path, "TransferSyntaxUID", syntax.encode() + b"\0" * (len(syntax) % 2))


@pytest.mark.parametrize("syntax", [s for s in ALLOWED if s != HTJ2KLossless])
def test_an_uncompressed_picture_that_is_called_compressed_is_read_as_it_is(dicom: Dicom, syntax: str) -> None:
    plain = read_pixels(dicom("plain.dcm"))
    np.testing.assert_array_equal(read_pixels(without_fragments(dicom(), syntax)), plain)


@pytest.mark.parametrize("codec", ["JPEG-LS", "JPEG 2000", "RLE"])
def test_a_compressed_picture_in_no_fragments_is_named(dicom: Dicom, codec: str) -> None:
    stream = STREAMS[codec]
    path = dicom(edit=lambda ds: setattr(ds, "PixelData", stream + b"\0" * (len(stream) % 2)))
    said = f"the JPEG-LS Lossless Image Compression pixel data is {codec} but not in fragments; export it again"
    assert refused(without_fragments(path, JPEGLSLossless)) == said


def test_an_uncompressed_picture_in_fragments_is_named(dicom: Dicom) -> None:
    path = dicom(edit=lambda ds: setattr(ds, "PixelData", encapsulate([STORED.tobytes()])))
    said = "the Explicit VR Little Endian pixel data is uncompressed but in fragments; export it again"
    assert refused(path) == said


@pytest.mark.parametrize("vr", ["OW", "OB", "US", "LO"])
def test_pixel_data_that_are_empty_or_no_bytes_are_none(dicom: Dicom, vr: str) -> None:
    def edit(ds: Dataset) -> None:
        ds.PixelData = b""

    path = dicom(edit=edit)
    data = path.read_bytes().replace(
        b"\xe0\x7f\x10\x00OW\0\0\0\0\0\0", b"\xe0\x7f\x10\x00" + vr.encode() + bytes(6)
    )
    path.write_bytes(data)
    assert refused(path) == "has no pixel data, or is cut off; copy it again from where it came"


def test_a_picture_that_begins_like_a_fragment_is_read(dicom: Dicom) -> None:
    stored = ramp(top=60_000)
    stored[0, :2] = 0xFFFE, 0xE000
    np.testing.assert_allclose(read_pixels(dicom(stored=stored, bits=16)), stored / 65_535, atol=1e-4)


def whole_file(dicom: Dicom, name: str = "whole.dcm", **attributes: object) -> bytes:
    return dicom(name, **attributes).read_bytes()


@pytest.mark.parametrize(
    "behind",
    [
        bytes(1),
        bytes(7),
        bytes(1000),
        bytes(6_000_000),
        b"\xff" * 500,
        NOISE[:999],
        b"\r\n--boundary--\r\n",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0\0\0\0\0",
        b"\x28\0\x50\x10DS\x04\0100 \x28\0\x51\x10DS\x02\x0050",
        b"\x28\0\x10\0US\x02\0\x01\0",
    ],
)
def test_what_is_behind_the_pixel_data_changes_nothing(dicom: Dicom, behind: bytes) -> None:
    path = dicom()
    plain = read_pixels(path)
    path.write_bytes(path.read_bytes() + behind)
    np.testing.assert_array_equal(read_pixels(path), plain)


def test_another_file_behind_the_first_is_not_read(dicom: Dicom) -> None:
    path = dicom()
    plain = read_pixels(path)
    path.write_bytes(path.read_bytes() + whole_file(dicom, stored=STORED[::-1].copy()))
    np.testing.assert_array_equal(read_pixels(path), plain)


SYNTAXES = {"JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless, "RLE": RLELossless}


def fragments(
    dicom: Dicom, codec: str, *, parts: int = 1, offsets: bytes = b"", end: bytes = b"", vr: bytes = b"OB"
) -> Path:
    """A file whose compressed picture is in parts, behind a table of offsets and before `end`."""
    stream, path = STREAMS[codec], dicom(edit=lambda ds: setattr(ds, "PixelData", b"\0\0"))
    size = len(stream) // parts // 2 * 2
    cuts = [stream[size * n : size * (n + 1) if n + 1 < parts else None] for n in range(parts)]
    items = b"".join(b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in (offsets, *cuts))
    data = with_bytes(path, "TransferSyntaxUID", SYNTAXES[codec].encode() + b"\0" * (len(SYNTAXES[codec]) % 2))
    head = data.read_bytes()
    head = head[: head.rindex(b"\xe0\x7f\x10\x00")] + b"\xe0\x7f\x10\x00" + vr + b"\0\0\xff\xff\xff\xff"
    path.write_bytes(head + items + end)
    return path


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("codec", SYNTAXES)
@pytest.mark.parametrize(
    "end",
    [END, b"", bytes(4), bytes(8), bytes(100), b"\xfe\xff\xdd\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_fragments_may_lack_their_end(dicom: Dicom, codec: str, end: bytes, parts: int) -> None:
    plain = read_pixels(dicom("plain.dcm"))
    np.testing.assert_array_equal(read_pixels(fragments(dicom, codec, parts=parts, end=end)), plain)


@pytest.mark.parametrize("codec", SYNTAXES)
@pytest.mark.parametrize("offsets", [[0], [8], [4711], [0, 99_999], [2**32 - 1]])
def test_one_picture_needs_no_offsets(dicom: Dicom, codec: str, offsets: list[int]) -> None:
    table = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    plain = read_pixels(dicom("plain.dcm"))
    np.testing.assert_array_equal(read_pixels(fragments(dicom, codec, parts=2, offsets=table, end=END)), plain)


@pytest.mark.parametrize("codec", SYNTAXES)
@pytest.mark.parametrize("vr", [b"OW", b"UN"])
def test_fragments_of_another_representation_are_fragments(dicom: Dicom, codec: str, vr: bytes) -> None:
    plain = read_pixels(dicom("plain.dcm"))
    np.testing.assert_array_equal(read_pixels(fragments(dicom, codec, end=END, vr=vr)), plain)


@pytest.mark.parametrize("codec", SYNTAXES)
def test_fragments_that_the_file_ends_in_are_cut_off(dicom: Dicom, codec: str) -> None:
    path = fragments(dicom, codec)
    path.write_bytes(path.read_bytes()[: -len(STREAMS[codec]) // 2])
    assert re.search("is (cut off|truncated or damaged)", refused(path))


@pytest.mark.parametrize("end", [b"", END, END + bytes(32)])
def test_an_uncompressed_picture_of_undefined_length_goes_on_to_the_end(dicom: Dicom, end: bytes) -> None:
    path = dicom()
    plain, data = read_pixels(path), path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00") + 8
    path.write_bytes(data[:at] + b"\xff" * 4 + data[at + 4 :] + end)
    np.testing.assert_array_equal(read_pixels(path), plain)


@pytest.mark.parametrize(("allocated", "bits"), [(8, 8), (16, 8), (16, 12), (16, 16)])
def test_a_jpeg_of_8_bits_is_read_whatever_its_object_allocates(dicom: Dicom, allocated: int, bits: int) -> None:
    def edit(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1
        ds.PixelData = encapsulate([jpeg(quality=95)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True

    path = dicom(edit=edit, WindowCenter=128, WindowWidth=256)
    np.testing.assert_allclose(read_pixels(path), (STORED >> 4) / 255, atol=0.03)


@pytest.mark.parametrize("least", [-2048, -1, 0, 100])
def test_a_stream_of_values_below_0_is_named_where_the_object_has_none(dicom: Dicom, least: int) -> None:
    def edit(ds: Dataset) -> None:
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        ds.PixelRepresentation = 0

    path = dicom(stored=(STORED // 2).astype(np.int16) + np.int16(least), bits=16, edit=edit, WindowWidth=None)
    if least < 0:
        assert "holds values below 0 in itself, its header says that it has none" in refused(path)
    else:
        np.testing.assert_allclose(read_pixels(path), STORED / 4095, atol=0.02)


@pytest.mark.parametrize("codec", ["JPEG-LS", "JPEG 2000", "RLE"])
def test_another_codec_is_named_before_a_decoder_is_asked_for(dicom: Dicom, codec: str) -> None:
    def edit(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = JPEGExtended12Bit
        ds.PixelData = encapsulate([STREAMS[codec]])
        ds["PixelData"].is_undefined_length = True

    assert refused(dicom(edit=edit)) == (
        f"the JPEG Extended (Process 2 and 4) pixel data is {codec} in itself; export it again"
    )


@pytest.mark.parametrize("noise", [0, 60])
@pytest.mark.parametrize("shape", [(96, 80), (80, 96), (128, 100)])
def test_rows_and_columns_in_each_others_place_are_named(
    dicom: Dicom, shape: tuple[int, int], noise: float
) -> None:
    drawn = ramp(*shape, top=3500) + 200 + np.random.default_rng(2).normal(0, noise, shape)
    stored = drawn.astype(np.uint16)
    assert read_pixels(dicom(stored=stored)).shape == shape
    high, wide = shape
    assert refused(dicom(stored=stored, Rows=wide, Columns=high)) == (
        f"its pixels are those of {high} rows and {wide} columns, and its header says {wide} rows and {high} "
        "columns; export it again"
    )
