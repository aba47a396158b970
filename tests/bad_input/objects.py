"""DICOM objects that are another kind of image, contradict themselves, or are damaged."""

from __future__ import annotations

import gzip

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from radiograph_files import directory

from bad_input.case import CHECK, READ, SOME_FAILED, Case
from bad_input.files import (
    Change,
    binary,
    changed,
    compressed,
    cut,
    deflated,
    dicom,
    inserted,
    jpeg,
    same,
    setting,
    streamed,
    text,
)

FILLING = (b"\xfc\xff\xfc\xffOB\x00\x00" + (64 << 20).to_bytes(4, "little"), *[bytes(1 << 20)] * 64)
"""Trailing padding of 64 MiB, which packs to 64 KiB."""
OPENED = b"\x54\x00\x20\x02SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
"""A sequence that is opened and never closed."""
ONE = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2"}
COLOUR = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
NO_JPEG = b"\xff\xd8" + b"\xff\xc3\x00\x0b\x0c\x00\x30\x00\x40\x01\x01\x11\x00" + bytes(64) + b"\xff\xd9"
"""A frame header of lossless JPEG."""


def relabelled(syntax: str) -> Change:
    """Call compressed pixel data by another transfer syntax."""

    def change(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        ds["PixelData"].is_undefined_length = False

    return change


def no_table(ds: Dataset) -> None:
    """A look-up table whose descriptor says nothing."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [])
    item.add_new("LUTData", "OW", bytes(8))
    ds.VOILUTSequence = Sequence([item])


def in_colour(stream: bytes) -> bytes:
    """The JPEG-LS stream with three components in its frame header."""
    at = stream.index(b"\xff\xf7") + 9
    return stream[:at] + b"\x03" + stream[at + 1 :]


def alone(data: bytes) -> bytes:
    """The data set without preamble and meta information."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def huge(stream: bytes) -> bytes:
    """The JPEG-LS stream with the largest size in its frame header."""
    at = stream.index(b"\xff\xf7") + 5
    return stream[:at] + b"\xff\xff\xff\xff" + stream[at + 4 :]


def read(name: str, make: object, says: str | tuple[str, ...] = "", command: str = READ) -> Case:
    """A DICOM file that `read` refuses; nothing is read, so the exit status is 1."""
    return Case(name, make, command, SOME_FAILED, says)  # type: ignore[arg-type]


OBJECTS = (
    read(
        "a CT slice",
        dicom(Modality="CT", SOPClassUID=CTImageStorage),
        ("{bad}: CT Image Storage, modality CT; one grey CR or DX image of the chest was expected; leave it out"),
    ),
    read(
        "raw detector values",
        dicom(PresentationIntentType="FOR PROCESSING"),
        (
            "{bad}: Computed Radiography Image Storage, raw values for processing and not for presentation; "
            "one grey CR or DX image of the chest was expected; leave it out"
        ),
    ),
    read(
        "raw detector values, by the class alone",
        dicom(SOPClassUID=DigitalXRayImageStorageForProcessing),
        (
            "{bad}: Digital X-Ray Image Storage - For Processing, raw values for processing and not for "
            "presentation; one grey CR or DX image of the chest was expected; leave it out"
        ),
    ),
    read(
        "several frames",
        dicom(NumberOfFrames=4),
        "{bad}: 4 frames; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "colour",
        dicom(**COLOUR),
        (
            "{bad}: colour or unknown kind of pixels (RGB); one grey CR or DX image of the chest was "
            "expected; leave it out"
        ),
    ),
    read(
        "a hand",
        dicom(BodyPartExamined="HAND"),
        "{bad}: body part HAND; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "no modality, and a class that does not say it",
        dicom(Modality=None, SOPClassUID=SecondaryCaptureImageStorage),
        (
            "{bad}: Secondary Capture Image Storage, modality not stated; one grey CR or DX image of the chest "
            "was expected; leave it out"
        ),
    ),
    read(
        "a part of the body in another language",
        dicom(BodyPartExamined="BECKEN"),
        "{bad}: body part BECKEN; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "values beyond the bits stored",
        dicom(BitsStored=10, HighBit=9),
        (
            "{bad}: has pixel values up to 4,095, and its header says 10 bits, which hold 1,023 at most; "
            "export it again"
        ),
    ),
    read(
        "a report object without a picture",
        dicom(Modality="SR", PixelData=None),
        (
            "{bad}: Computed Radiography Image Storage, modality SR; one grey CR or DX image of the chest "
            "was expected; leave it out"
        ),
    ),
    read(
        "no pixel data",
        dicom(PixelData=None),
        "{bad}: has no pixel data, or is cut off; copy it again from where it came",
    ),
    read(
        "no rows",
        dicom(Rows=None),
        "{bad}: no usable Rows; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "17 bits stored in 16",
        dicom(BitsStored=17),
        "{bad}: 17 bits stored in 16; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "32 bits a pixel",
        dicom(BitsAllocated=32),
        "{bad}: 12 bits stored in 32; one grey CR or DX image of the chest was expected; leave it out",
    ),
    read(
        "60,000 × 60,000 pixels",
        dicom(Rows=60_000, Columns=60_000),
        (
            "{bad}: 60000×60000 pixels; a radiograph with sides of 32 to 10,000 pixels and at most 64 "
            "megapixels was expected; resample it"
        ),
    ),
    read(
        "one pixel, as DICOM",
        dicom(stored=np.zeros((1, 1), np.uint16)),
        (
            "{bad}: 1×1 pixels; a radiograph with sides of 32 to 10,000 pixels and at most 64 megapixels was "
            "expected; resample it"
        ),
    ),
    read(
        "an all-black picture, as DICOM",
        dicom(stored=np.zeros((48, 64), np.uint16)),
        "{bad}: every pixel is the same black; a radiograph was expected; export it again",
    ),
    read(
        "a table that is none",
        dicom("chest.dcm", no_table),
        "{bad}: its bits, rescale, LUT or window attributes make no sense together; export it again",
    ),
    read(
        "a window that it does not have",
        dicom(),
        ("{bad}: has no window 'lung'; it has 1, without names; choose one of these, or leave out the choice"),
        command=READ + " --window lung",
    ),
    read(
        "words under the name of a DICOM file",
        text("words.dcm", "no DICOM at all"),
        "{bad}: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again",
    ),
    read(
        "only the first bytes",
        changed(dicom(), lambda data: data[:140]),
        "{bad}: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again",
    ),
    read(
        "cut off in the header",
        changed(dicom(), lambda data: data[:520]),
        (
            "{bad}: no usable Rows, Columns, BitsAllocated, BitsStored; one grey CR or DX image of the chest "
            "was expected; leave it out"
        ),
    ),
    read(
        "noise behind the preamble",
        binary("noise.dcm", bytes(128) + b"DICM" + bytes(range(256)) * 4),
        "{bad}: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again",
    ),
    read(
        "sequences opened without end",
        changed(dicom(), inserted(OPENED * 5000)),
        "{bad}: the DICOM header is damaged; copy it again from where it came",
    ),
    read(
        "pixel data cut off",
        changed(dicom(), cut(0.7)),
        (
            "{bad}: the Explicit VR Little Endian pixel data is truncated or damaged, 4,068 bytes of 6,144; "
            "copy it again from where it came"
        ),
    ),
    read(
        "less pixel data than pixels",
        dicom("chest.dcm", lambda ds: setattr(ds, "PixelData", ds.PixelData[:1000])),
        (
            "{bad}: the Explicit VR Little Endian pixel data is truncated or damaged, 1,000 bytes of 6,144; "
            "copy it again from where it came"
        ),
    ),
    read(
        "more pixel data than pixels",
        dicom("chest.dcm", lambda ds: setattr(ds, "PixelData", ds.PixelData * 2)),
        (
            "{bad}: 12,288 bytes of pixel data, 2 times as much as of one grey picture, and its header says "
            "6,144; export it again"
        ),
    ),
    read(
        "rows that are longer than the header says",
        dicom(Columns=60),
        ("{bad}: 6,144 bytes of pixel data, as of rows of 64 pixels, and its header says 5,760; export it again"),
    ),
    read(
        "a compressed picture that is called uncompressed",
        dicom("chest.dcm", compressed(JPEGLSLossless), relabelled(ExplicitVRLittleEndian)),
        "{bad}: the Explicit VR Little Endian pixel data is JPEG-LS in itself; export it again",
    ),
    read(
        "far more pixel data than pixels",
        dicom(PixelData=bytes(20 << 20)),
        (
            "{bad}: its attributes or pixel data take far more bytes than its picture has; a radiograph was "
            "expected; export it again"
        ),
    ),
    read(
        "a JPEG stream that is none",
        dicom("chest.dcm", streamed(JPEGBaseline8Bit, b"no JPEG" * 20)),
        (
            "{bad}: the JPEG Baseline (Process 1) pixel data is truncated or damaged; copy it again from "
            "where it came"
        ),
    ),
    read(
        "a JPEG stream cut off",
        dicom("chest.dcm", streamed(JPEGBaseline8Bit, jpeg()[:-40])),
        "{bad}: the JPEG Baseline (Process 1) pixel data is cut off; copy it again from where it came",
    ),
    read(
        "a JPEG stream of another process",
        dicom("chest.dcm", streamed(JPEGBaseline8Bit, NO_JPEG)),
        ("{bad}: the JPEG Baseline (Process 1) pixel data is JPEG Lossless in itself; export it again"),
    ),
    read(
        "a JPEG-LS stream cut off",
        dicom("chest.dcm", compressed(JPEGLSLossless, cut(0.5))),
        ("{bad}: the JPEG-LS Lossless Image Compression pixel data is cut off; copy it again from where it came"),
    ),
    read(
        "a JPEG 2000 stream cut off",
        dicom("chest.dcm", compressed(JPEG2000Lossless, cut(0.5))),
        (
            "{bad}: the JPEG 2000 Image Compression (Lossless Only) pixel data is cut off; copy it again "
            "from where it came"
        ),
    ),
    read(
        "a RLE stream cut off",
        dicom("chest.dcm", compressed(RLELossless, cut(0.5))),
        "{bad}: the RLE Lossless pixel data is truncated or damaged; copy it again from where it came",
    ),
    read(
        "a RLE stream of three segments",
        dicom("chest.dcm", compressed(RLELossless, lambda s: b"\3" + s[1:])),
        (
            "{bad}: the RLE Lossless pixel data has 3 segments in itself, its header says 2; copy it again "
            "from where it came"
        ),
    ),
    read(
        "a stream of another size",
        dicom("chest.dcm", compressed(JPEGLSLossless), setting(Rows=47)),
        (
            "{bad}: the JPEG-LS Lossless Image Compression pixel data is 64×48 in itself, its header says "
            "64×47; copy it again from where it came"
        ),
    ),
    read(
        "a stream that claims 65,535² pixels",
        dicom("chest.dcm", compressed(JPEGLSLossless, huge)),
        (
            "{bad}: the JPEG-LS Lossless Image Compression pixel data is 65535×65535 in itself, its header "
            "says 64×48; copy it again from where it came"
        ),
    ),
    read(
        "a stream in colour",
        dicom("chest.dcm", compressed(JPEGLSLossless, in_colour)),
        (
            "{bad}: the JPEG-LS Lossless Image Compression pixel data has 3 components of 12 bits in itself, "
            "its header says one of 16; copy it again from where it came"
        ),
    ),
    read(
        "a film's transfer syntax",
        dicom("chest.dcm", streamed(MPEG2MPML, bytes(64))),
        (
            "{bad}: no decoder for MPEG2 Main Profile / Main Level, which is none of those of radiographs; "
            "export it uncompressed"
        ),
    ),
    read(
        "a transfer syntax of nobody",
        dicom("chest.dcm", streamed("1.2.3.4.5", bytes(64))),
        (
            "{bad}: no decoder for the transfer syntax 1.2.3.4.5, which is none of those of radiographs; "
            "export it uncompressed"
        ),
    ),
    read(
        "a data set alone, cut off",
        changed(dicom("IM0001"), lambda data: alone(data)[:300]),
        (
            "{bad}: is ambiguous or cut off: no transfer syntax is stated, and of 3 that it may be in 0 fit its "
            "tags, types and pixels; exactly one was expected; export it again with meta information"
        ),
    ),
    read(
        "a data set alone, compressed",
        changed(dicom("IM0001", compressed(JPEGLSLossless)), alone),
        (
            "{bad}: is ambiguous: its pixel data are compressed, and no transfer syntax says how; export it again "
            "with meta information"
        ),
    ),
    read(
        "a gzip file cut off",
        changed(dicom("chest.dcm.gz"), lambda data: gzip.compress(data)[:-20]),
        "{bad}: the gzip file is cut off or damaged; copy it again from where it came",
    ),
    read(
        "a gzip bomb: 64 MiB in 64 KiB",
        changed(dicom("chest.dcm.gz"), lambda data: gzip.compress(data + b"".join(FILLING))),
        (
            "{bad}: it unpacks to more than 17 MiB, far more than its picture has; a radiograph was expected; "
            "export it again"
        ),
    ),
    read(
        "gzip of words",
        binary("words.gz", gzip.compress(b"no picture")),
        "{bad}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first",
    ),
    read(
        "a directory of a medium whose files are gone",
        lambda folder: directory(folder / "DICOMDIR", r"IMAGES\IM1"),
        "{bad}: names IMAGES/IM1, which is not below its folder; copy the whole medium",
    ),
    read(
        "a directory of nothing",
        lambda folder: directory(folder / "DICOMDIR"),
        "{bad}: names no file; expected a DICOMDIR with its files; copy the medium again",
    ),
    read(
        "a deflate bomb: 64 MiB in 64 KiB",
        changed(dicom(), deflated(FILLING)),
        (
            "{bad}: it inflates to more than 17 MiB, far more than its picture has; a radiograph was "
            "expected; export it again"
        ),
    ),
    read(
        "the same image twice",
        same(".", dicom("a.dcm", **ONE), dicom("b.dcm", **ONE), dicom("c.dcm", BodyPartExamined="HAND")),
        (
            "{bad}/b.dcm: the same image as {bad}/a.dcm; it is read once",
            "{bad}/c.dcm: body part HAND; one grey CR or DX image of the chest was expected; leave it out",
        ),
    ),
    read(
        "a CT slice, checked as data",
        dicom(Modality="CT", SOPClassUID=CTImageStorage),
        ("{bad}: CT Image Storage, modality CT; one grey CR or DX image of the chest was expected; leave it out"),
        command=CHECK,
    ),
)
