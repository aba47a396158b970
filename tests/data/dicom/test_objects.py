"""DICOM files packed with gzip, and values that pydicom cannot hold."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from radiograph_files import data_set, radiograph, ramp, with_bytes, written

from contrastcxr.data.dicom.objects import open_object
from contrastcxr.data.dicom.reading import read_header, read_pixels
from contrastcxr.errors import ImageError

Edit = Callable[[bytes], bytes]


def whole() -> bytes:
    return written(radiograph(ramp(top=4095), 12))


def compressed() -> bytes:
    ds = radiograph(ramp(top=4095), 12)
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    return written(ds)


def alone(syntax: str) -> bytes:
    return data_set(radiograph(ramp(top=4095), 12), syntax)


def in_two_members(data: bytes) -> bytes:
    return gzip.compress(data[:500]) + gzip.compress(data[500:])


def named(data: bytes) -> bytes:
    """A gzip file that keeps the name of what it holds."""
    stream = io.BytesIO()
    with gzip.GzipFile("chest.dcm", "wb", fileobj=stream) as file:
        file.write(data)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, in_two_members, named])
@pytest.mark.parametrize(
    "data",
    [whole(), compressed(), alone(ImplicitVRLittleEndian), alone(ExplicitVRBigEndian)],
    ids=["whole", "compressed", "implicit", "big endian"],
)
@pytest.mark.parametrize("name", ["chest.dcm.gz", "chest.gz", "chest"])
def test_a_packed_object_is_read_as_the_object(tmp_path: Path, data: bytes, pack: Edit, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pack(data))
    assert read_header(path).width == 64
    np.testing.assert_allclose(read_pixels(path), ramp(top=4095) / 4095, atol=1e-3)


def bomb(data: bytes) -> bytes:
    """The object, then 64 MiB of zeros in an element behind the pixel data."""
    filling = b"\xfc\xff\xfc\xffOB\0\0" + (64 << 20).to_bytes(4, "little")
    return gzip.compress(data + filling + bytes(64 << 20), 9)


def header_bomb(data: bytes) -> bytes:
    """64 MiB of zeros in an element before the pixel data."""
    start = data.index(b"\xe0\x7f\x10\0")
    filling = b"\x29\0\x10\x10OB\0\0" + (64 << 20).to_bytes(4, "little")
    return gzip.compress(data[:start] + filling + bytes(64 << 20) + data[start:], 9)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (lambda data: gzip.compress(data)[:-4], "the gzip file is cut off or damaged; copy it again"),
        (lambda data: gzip.compress(data)[:400], "the gzip file is cut off or damaged; copy it again"),
        (lambda data: gzip.compress(data)[:20], "the gzip file is cut off or damaged; copy it again"),
        (lambda data: gzip.compress(data) + b"more", "the gzip file is cut off or damaged; copy it again"),
        (lambda data: gzip.compress(data)[:-8] + bytes(8), "the gzip file is cut off or damaged; copy it again"),
        (lambda data: gzip.compress(data[:-1000]), "truncated or damaged, 5,144 bytes of 6,144"),
        (lambda _: gzip.compress(b"words"), "is not a DICOM image, or is cut off"),
        (lambda data: gzip.compress(gzip.compress(data)), "is not a DICOM image, or is cut off"),
        (bomb, "it unpacks to more than 17 MiB, far more than its picture has; a radiograph was expected"),
        (header_bomb, "it unpacks to more than 17 MiB, far more than its picture has; a radiograph was expected"),
    ],
)
def test_a_packed_object_that_is_damaged_or_too_large_is_refused(tmp_path: Path, pack: Edit, words: str) -> None:
    path = tmp_path / "chest.dcm.gz"
    path.write_bytes(pack(whole()))
    with pytest.raises(ImageError, match=words) as caught:
        read_pixels(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_object_alone_with_far_more_behind_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chest"
    path.write_bytes(alone(ImplicitVRLittleEndian) + bytes(20 << 20))
    assert read_header(path).width == 64
    with pytest.raises(ImageError, match="its pixel data take far more than its picture has"):
        read_pixels(path)


@pytest.mark.parametrize("keyword", ["InstanceNumber", "NumberOfFrames"])
@pytest.mark.parametrize("text", [b"1e400", b"-1e999", b"9" * 12 + b"e400"])
def test_a_number_beyond_all_numbers_counts_as_absent(tmp_path: Path, keyword: str, text: bytes) -> None:
    ds = radiograph(ramp(top=4095), 12)
    setattr(ds, keyword, 1)
    path = tmp_path / "a.dcm"
    path.write_bytes(written(ds))
    assert keyword not in open_object(with_bytes(path, keyword, text), tags=[keyword])


@pytest.mark.parametrize(
    ("keyword", "depth"),
    [("BodyPartExamined", 1), ("BodyPartExamined", 600), ("Modality", 2), ("WindowCenter", 40)],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_sequence_in_the_place_of_another_value_counts_as_absent(
    tmp_path: Path, keyword: str, depth: int, syntax: str
) -> None:
    order = "little" if syntax == ExplicitVRLittleEndian else "big"
    tag = Tag(keyword)
    head = tag.group.to_bytes(2, order) + tag.element.to_bytes(2, order)
    element = head + b"LO" + (2).to_bytes(2, order) + b"X "
    for _ in range(depth):
        item = b"".join(n.to_bytes(2, order) for n in (0xFFFE, 0xE000)) + len(element).to_bytes(4, order) + element
        element = head + b"SQ\0\0" + len(item).to_bytes(4, order) + item
    ds = radiograph(ramp(top=4095), 12)
    setattr(ds, keyword, None)
    data = data_set(ds, syntax)
    empty = data.index(head)
    path = tmp_path / "a.dcm"
    path.write_bytes(data[:empty] + element + data[empty + 8 :])
    assert keyword not in open_object(path, tags=[keyword])
    assert read_pixels(path).shape == (48, 64)


def test_padding_is_unsigned_where_the_pixels_do_not_say(tmp_path: Path) -> None:
    ds = radiograph(ramp(top=4095), 12)
    del ds.PixelRepresentation
    ds.add_new("PixelPaddingValue", "US", 65_535)
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM" + data_set(ds, ImplicitVRLittleEndian))
    assert open_object(path, tags=["PixelPaddingValue"]).PixelPaddingValue == 65_535
