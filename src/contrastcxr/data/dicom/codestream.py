"""What a compressed picture says of itself in its first bytes, so that a wrong one is refused before decoding.

JPEG and JPEG-LS say it in their frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2), JPEG 2000 in its SIZ marker
(ISO 15444-1 A.5.1), RLE in the table of its segments (DICOM PS3.5 G.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import uid

ALLOWED: dict[str, tuple[str, ...]] = {
    uid.JPEGBaseline8Bit: ("JPEG Baseline",),
    uid.JPEGExtended12Bit: ("JPEG Baseline", "JPEG Extended"),
    uid.JPEGLossless: ("JPEG Lossless",),
    uid.JPEGLosslessSV1: ("JPEG Lossless",),
    uid.JPEGLSLossless: ("JPEG-LS",),
    uid.JPEGLSNearLossless: ("JPEG-LS",),
    **dict.fromkeys(uid.JPEG2000TransferSyntaxes, ("JPEG 2000",)),
    uid.RLELossless: ("RLE",),
}
"""The codecs that each transfer syntax allows."""
_FRAMES = {
    0xC0: "JPEG Baseline",
    0xC1: "JPEG Extended",
    0xC2: "progressive JPEG",
    0xC3: "JPEG Lossless",
    0xF7: "JPEG-LS",
}
"""Codecs by the marker of their frame header (ISO 10918-1 table B.1, ISO 14495-1 table C.1)."""
_OTHER_FRAMES = (*range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""Markers of frame headers that no transfer syntax here uses: hierarchical and arithmetic coding."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SIZ = b"\xff\x4f\xff\x51"
_SIGNATURES = {_SIZ: "JPEG 2000", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\0\0\0\x0cJXL ": "JPEG XL", b"\x89PNG": "PNG"}
ITEM = b"\xfe\xff\x00\xe0"
"""What compressed pixel data begin with: the tag of their first item (PS3.5 A.4)."""
_RLE_HEADER = 64
_WRAPPED = 4096
"""Some JPEG 2000 streams come in the boxes of a file; the stream begins within so many bytes."""


class BadStreamError(Exception):
    """A compressed picture that is not what its object says; the message says how, `remedy` what to do."""

    def __init__(self, message: str, *, remedy: str = "copy it again from where it came") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class CodestreamHeader:
    """Rows, columns, components, bits per component and their sign, as the compressed picture states them."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False


def check_stream(
    stream: bytes, syntax: str, *, rows: int, columns: int, allocated: int
) -> CodestreamHeader | None:
    """Refuse a compressed picture that is not one grey picture of the stated size, or that is cut off.

    Returns:
        what its header says; None for RLE, which says nothing of that.

    Raises:
        BadStreamError: says what the stream is instead.
    """
    codec = codec_of(stream, plain_bytes=rows * columns * allocated // 8)
    if codec is not None and codec not in ALLOWED.get(syntax, ()):
        raise BadStreamError(f"is {codec} in itself", remedy="export it again")
    if syntax == uid.RLELossless:
        _check_rle(stream, allocated)
        return None
    found = jpeg2000_header(stream) if syntax in uid.JPEG2000TransferSyntaxes else jpeg_header(stream)
    if (found.rows, found.columns) != (rows, columns):
        raise BadStreamError(f"is {found.columns}×{found.rows} in itself, its header says {columns}×{rows}")
    if found.components != 1 or not 1 < found.bits <= allocated:
        raise BadStreamError(
            f"has {found.components} components of {found.bits} bits in itself, its header says one of {allocated}"
        )
    end = stream.rfind(_EOI)
    if end < 0 or len(set(stream[end + len(_EOI) :]) - {0}) > 1:  # zeros, or one byte again and again, fill up
        raise BadStreamError("is cut off")
    return found


def codec_of(data: bytes, *, plain_bytes: int) -> str | None:
    """Return the codec of pixel data by their first bytes, `uncompressed` by their length, or None.

    Args:
        data: a compressed picture, or whole pixel data, in whose first fragment it is looked for (PS3.5 A.4).
        plain_bytes: what the picture takes without compression.
    """
    if data.startswith(ITEM):
        table = int.from_bytes(data[4:8], "little")
        data = data[8 + table + 8 :]
    for signature, codec in _SIGNATURES.items():
        if data.startswith(signature):
            return codec
    frame = _frame_header(data)
    if frame is not None:
        return _FRAMES.get(frame[0], "another kind of JPEG")
    if _has_rle_header(data):
        return "RLE"
    return "uncompressed" if 0 <= len(data) - plain_bytes <= 1 else None


def _has_rle_header(data: bytes) -> bool:
    """Return True for a count of segments and their offsets, the first behind the header, in 64 bytes."""
    count, *offsets = (int.from_bytes(data[at : at + 4], "little") for at in range(0, _RLE_HEADER, 4))
    used, unused = offsets[:count], offsets[count:]
    return 0 < count < 16 and used[0] == _RLE_HEADER and used == sorted(set(used)) and not any(unused)


def jpeg_header(stream: bytes) -> CodestreamHeader:
    """Return what the frame header of a JPEG or JPEG-LS stream says.

    Raises:
        BadStreamError: there is none.
    """
    frame = _frame_header(stream)
    if frame is None or len(frame[1]) < 6:
        raise BadStreamError("is truncated or damaged")
    body = frame[1]
    rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return CodestreamHeader(rows=rows, columns=columns, components=body[5], bits=body[0])


def _frame_header(stream: bytes) -> tuple[int, bytes] | None:
    """Return the marker and the first bytes of the frame header of a JPEG or JPEG-LS stream, or None."""
    at = 2 if stream.startswith(_SOI) else len(stream)
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAMES or marker in _OTHER_FRAMES:
            return marker, stream[at + 4 : at + 10]
        else:
            at += 2 + max(length, 2)
    return None


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
        signed=bool(body[34] & 0x80),
    )


def _check_rle(stream: bytes, allocated: int) -> None:
    segments = int.from_bytes(stream[:4], "little")
    if len(stream) < 64:
        raise BadStreamError("is truncated or damaged")
    if segments != allocated // 8:
        raise BadStreamError(f"has {segments} segments in itself, its header says {allocated // 8}")
