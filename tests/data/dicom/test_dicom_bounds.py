"""Bombs, lies and damage are refused quickly, before they take memory, and never with more than one line."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from radiograph_files import ramp

from contrastcxr.data.dicom import guarded as guarded_decoder
from contrastcxr.data.dicom.codestream import BadStreamError, check_stream, jpeg2000_header, jpeg_header
from contrastcxr.data.dicom.reading import read_header, read_pixels
from contrastcxr.errors import ImageError

Dicom = Callable[..., Path]
COMPRESSED = (JPEGLSLossless, JPEG2000Lossless, RLELossless)


def compressed(path: Path, syntax: str, edit: Callable[[Dataset, bytes], bytes] | None = None) -> Path:
    """The object compressed, after an edit of it or of its stream."""
    ds = pydicom.dcmread(path)
    ds.compress(syntax, generate_instance_uid=False)
    if edit is not None:
        stream = edit(ds, get_frame(ds.PixelData, 0, number_of_frames=1))
        ds.PixelData = encapsulate([stream])
    ds.save_as(path.with_name("compressed.dcm"))
    return path.with_name("compressed.dcm")


def deflated(path: Path, body: Iterable[bytes] = ()) -> Path:
    """A deflated object that inflates to what follows the meta information of `path`, and then to `body`."""
    data = path.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    meta = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    meta = meta[:140] + (len(meta) - 144).to_bytes(4, "little") + meta[144:]
    at = meta.index(b"\x02\x00\x10\x00UI") + 6
    meta = meta[:at] + (22).to_bytes(2, "little") + meta[at + 2 :]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = path.with_name("deflated.dcm")
    with out.open("wb") as file:
        file.write(meta + packer.compress(data[start:]))
        file.writelines(packer.compress(part) for part in body)
        file.write(packer.flush())
    return out


@pytest.fixture
def little_memory() -> Iterator[None]:
    """The process may take 256 MiB more address space than it has, so that a bomb would end it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_deflated_object_is_read(dicom: Dicom) -> None:
    path = dicom()
    out = deflated(path)
    assert pydicom.dcmread(out).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    np.testing.assert_array_equal(read_pixels(out), read_pixels(path))
    assert read_header(out).width == 64


@pytest.mark.usefixtures("little_memory")
@pytest.mark.skipif(sys.platform != "linux", reason="address space is counted on Linux only")
def test_a_deflated_object_that_inflates_to_a_gibibyte_is_refused_before_it_does(dicom: Dicom) -> None:
    filling = b"\xfc\xff\xfc\xffOB\x00\x00" + (1 << 30).to_bytes(4, "little")  # trailing padding of a gibibyte
    bomb = deflated(dicom(), (filling, *[bytes(1 << 20)] * 1024))
    assert bomb.stat().st_size < 2 << 20
    with pytest.raises(ImageError, match="inflates to more than 17 MiB, far more than its picture has"):
        read_pixels(bomb)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.skipif(sys.platform != "linux", reason="address space is counted on Linux only")
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_an_absurd_size_is_refused_from_the_header(dicom: Dicom, syntax: str) -> None:
    def edit(ds: Dataset, stream: bytes) -> bytes:
        ds.Rows = ds.Columns = 60_000
        return stream

    path = compressed(dicom(), syntax, edit)
    for read in (read_header, read_pixels):
        with pytest.raises(ImageError, match="60000×60000 pixels; a radiograph with sides of"):
            read(path)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("rows", "columns"), [(47, 64), (48, 32), (4096, 4096)])
def test_a_stream_of_another_size_than_stated_is_refused_before_decoding(
    dicom: Dicom, syntax: str, rows: int, columns: int
) -> None:
    def edit(ds: Dataset, stream: bytes) -> bytes:
        ds.Rows, ds.Columns = rows, columns
        return stream

    with pytest.raises(ImageError, match=f"is 64×48 in itself, its header says {columns}×{rows}"):
        read_pixels(compressed(dicom(), syntax, edit))


def test_a_stream_that_claims_to_be_huge_in_itself_is_refused_before_decoding(dicom: Dicom) -> None:
    def edit(_: Dataset, stream: bytes) -> bytes:
        at = stream.index(b"\xff\xf7") + 5
        return stream[:at] + b"\xff\xff\xff\xff" + stream[at + 4 :]

    with pytest.raises(ImageError, match="is 65535×65535 in itself"):
        read_pixels(compressed(dicom(), JPEGLSLossless, edit))


def test_a_stream_of_colour_in_a_grey_object_is_refused(dicom: Dicom) -> None:
    def edit(_: Dataset, stream: bytes) -> bytes:
        at = stream.index(b"\xff\xf7") + 9
        return stream[:at] + b"\x03" + stream[at + 1 :]

    with pytest.raises(ImageError, match="has 3 components of 12 bits in itself"):
        read_pixels(compressed(dicom(), JPEGLSLossless, edit))


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("keep", [1, 20, 60, 1000])
def test_a_stream_that_is_cut_off_is_refused(dicom: Dicom, syntax: str, keep: int) -> None:
    noise = np.random.default_rng(2).integers(0, 4096, (48, 64)).astype(np.uint16)
    with pytest.raises(ImageError, match=r"cut off|truncated or damaged") as caught:
        read_pixels(compressed(dicom(stored=noise), syntax, lambda _, stream: stream[:keep]))
    assert "\n" not in str(caught.value)


def test_a_cut_that_would_hold_the_decoder_is_seen_before_decoding(dicom: Dicom) -> None:
    stored = np.random.default_rng(1).integers(0, 60, (64, 64)).astype(np.uint16) + ramp(64, 64, 3500)
    path = dicom(stored=stored)
    # Ones without an end hold CharLS for some 20 seconds.
    read_pixels(compressed(path, RLELossless))  # starts the worker
    decoder = guarded_decoder._DECODERS[os.getpid()]
    assert decoder.worker is not None
    first = decoder.worker.process.pid
    stuck = compressed(path, JPEGLSLossless, lambda _, stream: stream[:2000] + b"\xff\x7f" * 500)
    with pytest.raises(ImageError, match="is cut off"):
        read_pixels(stuck)
    assert decoder.worker.process.pid == first


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there; the clock alone counts")
def test_the_worker_ends_when_its_processor_time_is_over() -> None:
    code = "from contrastcxr.data.dicom.worker import _limit_time\n_limit_time(0)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGXCPU


def test_a_worker_that_dies_is_replaced_and_the_picture_refused(
    dicom: Dicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dicom()
    small = compressed(path, JPEG2000Lossless)
    read_pixels(small)
    decoder = guarded_decoder._DECODERS[os.getpid()]
    assert decoder.worker is not None
    first = decoder.worker.process.pid

    def killed(worker: guarded_decoder._Worker, *_: object) -> None:
        worker.process.kill()
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(guarded_decoder, "_ask", killed)
        with pytest.raises(ImageError, match="decoding it takes too much time or memory"):
            read_pixels(small)
    np.testing.assert_array_equal(read_pixels(small), read_pixels(path))
    assert decoder.worker.process.pid != first


def test_a_worker_that_dies_between_pictures_is_replaced_unseen(dicom: Dicom) -> None:
    path = compressed(dicom(), JPEGLSLossless)
    before = read_pixels(path)
    decoder = guarded_decoder._DECODERS[os.getpid()]
    assert decoder.worker is not None
    decoder.worker.process.kill()
    decoder.worker.process.wait()
    np.testing.assert_array_equal(read_pixels(path), before)


def test_without_shared_memory_the_pictures_go_through_the_pipes(
    dicom: Dicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dicom(stored=ramp(700, 900, 4095))
    monkeypatch.setattr(guarded_decoder, "_DECODERS", {})
    monkeypatch.setattr(guarded_decoder.SharedPages, "create", classmethod(lambda _: None))
    np.testing.assert_array_equal(read_pixels(compressed(path, JPEGLSLossless)), read_pixels(path))
    guarded_decoder._stop(guarded_decoder._DECODERS[os.getpid()])


def test_the_worker_loads_no_torch() -> None:
    code = "import contrastcxr.data.dicom.worker, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pixel_data_far_larger_than_the_picture_is_refused(dicom: Dicom) -> None:
    path = dicom()
    ds = pydicom.dcmread(path)
    ds.PixelData += bytes(20 << 20)
    ds.save_as(path)
    with pytest.raises(ImageError, match="far more bytes than its picture has"):
        read_pixels(path)


def test_a_value_of_megabytes_is_refused_unparsed(dicom: Dicom) -> None:
    path = dicom()
    ds = pydicom.dcmread(path)
    ds.WindowCenter = [1] * 40_000
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # only there may a decimal string be that long
    pydicom.dcmwrite(path, ds, implicit_vr=True, little_endian=True)
    with pytest.raises(ImageError, match=r"its attribute \(0028,1050\) takes 160,000 bytes"):
        read_pixels(path)


def test_the_largest_table_is_read(dicom: Dicom) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [0, 0, 16])  # 0 entries stand for 65,536
    item.add_new("LUTData", "OW", np.arange(65_536, dtype="<u2")[::-1].tobytes())
    path = dicom(edit=lambda ds: setattr(ds, "VOILUTSequence", Sequence([item])))
    np.testing.assert_allclose(read_pixels(path), 1 - ramp(top=4095) / 65_535, atol=1e-4)


def test_attributes_without_end_are_refused(dicom: Dicom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.data.dicom.objects.HEADER_READS", 300)

    def edit(ds: Dataset) -> None:
        for n in range(400):
            ds.add_new(0x00091000 + n, "LO", "x")

    with pytest.raises(ImageError, match="it has too many attributes"):
        read_header(dicom(edit=edit))


def test_sequences_in_sequences_without_end_are_refused(dicom: Dicom) -> None:
    path = dicom()
    nested = b"\x54\x00\x20\x02SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(data[:at] + nested * 5000 + data[at:])
    with pytest.raises(ImageError, match="the DICOM header is damaged"):
        read_header(path)


@pytest.mark.parametrize("syntax", [*COMPRESSED, JPEGBaseline8Bit])
def test_bytes_that_are_no_stream_are_refused(dicom: Dicom, syntax: str) -> None:
    path = dicom()
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([b"not a picture" * 20])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    with pytest.raises(ImageError, match=r"truncated or damaged|segments in itself"):
        read_pixels(path)


def test_the_frame_header_of_jpeg_is_found_behind_other_segments() -> None:
    comment = b"\xff\xfe\x00\x06abcd"
    frame = b"\xff\xc3\x00\x0b\x0c\x00\x30\x00\x40\x01\x01\x11\x00"
    found = jpeg_header(b"\xff\xd8" + comment + b"\xff" + frame)
    assert (found.rows, found.columns, found.components, found.bits) == (48, 64, 1, 12)
    with pytest.raises(BadStreamError, match="is JPEG Lossless in itself"):
        check_stream(b"\xff\xd8" + frame, JPEGBaseline8Bit, rows=48, columns=64, allocated=16)


def test_the_size_of_jpeg_2000_counts_from_its_offset_in_steps() -> None:
    sizes = b"".join(n.to_bytes(4, "big") for n in (1064, 548, 1000, 500, 64, 64, 0, 0))
    siz = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + sizes + b"\x00\x01\x8b\x01\x01"
    found = jpeg2000_header(b"boxes around it" + siz)
    assert (found.rows, found.columns, found.components, found.bits) == (48, 64, 1, 12)


def test_rle_has_a_segment_for_each_byte() -> None:
    with pytest.raises(BadStreamError, match="has 3 segments in itself, its header says 2"):
        check_stream((3).to_bytes(4, "little") + bytes(60), RLELossless, rows=1, columns=1, allocated=16)


def said_of(path: Path) -> str | None:
    try:
        read_pixels(path)
    except ImageError as error:
        return str(error)
    return None


def test_damage_anywhere_is_either_harmless_or_one_line_without_the_name(dicom: Dicom) -> None:
    path = compressed(dicom(), JPEGLSLossless)
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    said = []
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(132, len(data), 2):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        said.append(said_of(path))
    lines = [line for line in said if line is not None]
    assert lines
    assert all(re.fullmatch(re.escape(str(path)) + ": .+", line) and "Secretive" not in line for line in lines)
