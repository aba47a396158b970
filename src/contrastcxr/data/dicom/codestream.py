"""What a compressed picture says of itself in its first bytes, so that a wrong one is refused before decoding.

JPEG and JPEG-LS say it in their frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2), JPEG 2000 in its SIZ marker
(ISO 15444-1 A.5.1), RLE in the count of its segments (DICOM PS3.5 G.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import uid

_FRAMES: dict[str, tuple[int, ...]] = {
    uid.JPEGBaseline8Bit: (0xC0,),
    uid.JPEGExtended12Bit: (0xC0, 0xC1),
    uid.JPEGLossless: (0xC3,),
    uid.JPEGLosslessSV1: (0xC3,),
    uid.JPEGLSLossless: (0xF7,),
    uid.JPEGLSNearLossless: (0xF7,),
}
"""The frame headers that each transfer syntax allows."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SIZ = b"\xff\x4f\xff\x51"
_WRAPPED = 4096
"""Some JPEG 2000 streams come in the boxes of a file; the stream begins within so many bytes."""


class BadStreamError(Exception):
    """A compressed picture that is not what its object says; the message says how."""


@dataclass(frozen=True)
class CodestreamHeader:
    """Rows, columns, components and bits per component, as the compressed picture itself states them."""

    rows: int
    columns: int
    components: int
    bits: int


def check_stream(stream: bytes, syntax: str, *, rows: int, columns: int, allocated: int) -> None:
    """Refuse a compressed picture that is not one grey picture of the stated size, or that is cut off.

    Raises:
        BadStreamError: says what the stream is instead.
    """
    if syntax == uid.RLELossless:
        _check_rle(stream, allocated)
        return
    found = jpeg2000_header(stream) if syntax in uid.JPEG2000TransferSyntaxes else jpeg_header(stream, syntax)
    if (found.rows, found.columns) != (rows, columns):
        raise BadStreamError(f"is {found.columns}×{found.rows} in itself, its header says {columns}×{rows}")
    if found.components != 1 or not 1 < found.bits <= allocated:
        raise BadStreamError(
            f"has {found.components} components of {found.bits} bits in itself, its header says one of {allocated}"
        )
    end = stream.rfind(_EOI)
    if end < 0 or stream[end + len(_EOI) :].strip(b"\0"):  # zeros behind the end fill up
        raise BadStreamError("is cut off")


def jpeg_header(stream: bytes, syntax: str) -> CodestreamHeader:
    """Return what the frame header of a JPEG or JPEG-LS stream says.

    Raises:
        BadStreamError: there is none, or one that the transfer syntax does not allow.
    """
    allowed = _FRAMES.get(syntax, ())
    at = 2 if stream.startswith(_SOI) else len(stream)
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in (0xF7, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)):
            if marker not in allowed:
                raise BadStreamError("is compressed in another way than it says")
            return _frame(stream[at + 4 : at + 10])
        else:
            at += 2 + max(length, 2)
    raise BadStreamError("is truncated or damaged")


def _frame(body: bytes) -> CodestreamHeader:
    if len(body) < 6:
        raise BadStreamError("is truncated or damaged")
    rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return CodestreamHeader(rows=rows, columns=columns, components=body[5], bits=body[0])


def jpeg2000_header(stream: bytes) -> CodestreamHeader:
    """Return what the SIZ marker of a JPEG 2000 stream says.

    Raises:
        BadStreamError: there is none, or one without components.
    """
    at = stream.find(_SIZ, 0, _WRAPPED)
    body = stream[at + 8 : at + 45]  # behind the two markers, Lsiz and Rsiz: eight sizes, Csiz, Ssiz, XRsiz, YRsiz
    if at < 0 or len(body) < 37 or not body[35] or not body[36]:
        raise BadStreamError("is truncated or damaged")
    right, bottom, left, top = (int.from_bytes(body[i : i + 4], "big") for i in (0, 4, 8, 12))
    return CodestreamHeader(
        rows=-(-bottom // body[36]) - -(-top // body[36]),
        columns=-(-right // body[35]) - -(-left // body[35]),
        components=int.from_bytes(body[32:34], "big"),
        bits=(body[34] & 0x7F) + 1,
    )


def _check_rle(stream: bytes, allocated: int) -> None:
    segments = int.from_bytes(stream[:4], "little")
    if len(stream) < 64:
        raise BadStreamError("is truncated or damaged")
    if segments != allocated // 8:
        raise BadStreamError(f"has {segments} segments in itself, its header says {allocated // 8}")
