"""The stored values of a DICOM object, by the decoder that suits its transfer syntax best."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from contrastcxr.data.dicom.codestream import ALLOWED, ITEM, BadStreamError, codec_of
from contrastcxr.data.dicom.guarded import WorkerError, decode_guarded
from contrastcxr.data.dicom.header_numbers import whole_number
from contrastcxr.data.dicom.objects import code_of, uid_name
from contrastcxr.errors import ImageError

PREFERRED: dict[str, tuple[str, ...]] = {
    uid.JPEGBaseline8Bit: ("pillow", "gdcm"),
    uid.JPEGExtended12Bit: ("pylibjpeg",),
    uid.JPEGLossless: ("gdcm", "pylibjpeg"),
    uid.JPEGLosslessSV1: ("gdcm", "pylibjpeg"),
    uid.JPEGLSLossless: ("pyjpegls", "gdcm"),
    uid.JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    uid.JPEG2000Lossless: ("pylibjpeg", "gdcm"),
    uid.JPEG2000: ("pylibjpeg", "gdcm"),
    uid.HTJ2KLossless: ("pylibjpeg",),
    uid.HTJ2KLosslessRPCL: ("pylibjpeg",),
    uid.HTJ2K: ("pylibjpeg",),
    uid.RLELossless: ("pylibjpeg", "gdcm", "pydicom"),
}
"""The plugins of pydicom that decode each compressed transfer syntax, fastest first."""

_PLAIN = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
_SPARE = 32
"""So many bytes behind the picture are padding; the shortest row or column a picture may lack is longer (ours)."""
_SMOOTHER = 0.95
"""Rows fit together better where neighbours differ by less than this share of what they do otherwise (ours)."""
_ROUGHER = 8
"""Rows whose neighbours differ by less than so many times what those of a picture do go on with it (ours)."""
_HEADER = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def stored_values(ds: Dataset, path: Path) -> np.ndarray:
    """Return the stored values `[H, W]`, integers of 8 or 16 bits in the machine's byte order.

    Compressed pixel data are decoded by a process of their own, after the compressed picture's own header agreed
    with the object's, within limits of time and memory.

    Raises:
        ImageError: no pixel data, no decoder, or damaged pixel data.
    """
    syntax = _syntax_of(ds)
    if not isinstance(ds.get("PixelData"), bytes) or not ds.PixelData:
        raise ImageError(f"{path}: has no pixel data, or is cut off; copy it again from where it came")
    _check_codec(ds, syntax, path)
    stored = _plain(ds, syntax, path) if syntax in _PLAIN else _compressed(ds, syntax, path)
    if stored.shape != (ds.Rows, ds.Columns) or stored.dtype.itemsize > 2:
        raise ImageError(
            f"{path}: decodes to {stored.shape}, its header says ({ds.Rows}, {ds.Columns}); export it again"
        )
    return stored


def _check_codec(ds: Dataset, syntax: uid.UID, path: Path) -> None:
    """Refuse pixel data of another codec than the transfer syntax says, as far as the first fragment shows it."""
    data, expected = ds.PixelData, int(ds.Rows) * int(ds.Columns) * int(ds.BitsAllocated) // 8
    in_fragments, plain = data.startswith(ITEM), syntax in _PLAIN
    if not (in_fragments or len(data) < expected if plain else syntax in PREFERRED):
        return
    codec = codec_of(data, plain_bytes=expected)
    if codec is None and plain and ds["PixelData"].is_undefined_length:
        codec = "compressed"
    if codec is None or (in_fragments and codec in ALLOWED.get(syntax, ())):
        return
    wrongly_kept = in_fragments == plain and (codec == "uncompressed") == plain
    how = "in itself" if not wrongly_kept else "but in fragments" if plain else "but not in fragments"
    raise ImageError(f"{path}: the {uid_name(syntax)} pixel data is {codec} {how}; export it again")


def _plain(ds: Dataset, syntax: uid.UID, path: Path) -> np.ndarray:
    """Read uncompressed words; what is behind them is padding, which a receiver accepts (PS3.5 8.1.1)."""
    rows, columns, width = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated) // 8
    data, expected = ds.PixelData, rows * columns * width
    if len(data) < expected:
        raise ImageError(
            f"{path}: the {uid_name(syntax)} pixel data is truncated or damaged, {len(data):,} bytes of "
            f"{expected:,}; copy it again from where it came"
        )
    order = "<" if syntax.is_little_endian else ">"
    if width == 1 and not syntax.is_little_endian and ds["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2").astype("<u2").tobytes()
    words: np.ndarray = np.frombuffer(data, dtype=f"{order}u{width}", count=len(data) // width)
    if len(data) >= expected + _SPARE:
        more = _more_picture(words, rows, columns)
        if more:
            raise ImageError(
                f"{path}: {len(data):,} bytes of pixel data, {more}, and its header says {expected:,}; "
                "export it again"
            )
    words = words[: rows * columns]
    picture = words.astype(words.dtype.newbyteorder("="), copy=False).reshape(rows, columns)
    if _is_turned(picture):
        raise ImageError(
            f"{path}: its pixels are those of {columns} rows and {rows} columns, and its header says {rows} rows "
            f"and {columns} columns; export it again"
        )
    return picture


def _is_turned(picture: np.ndarray) -> bool:
    """Say whether a picture `[H, W]` was written with its rows and columns in each other's place (ours).

    Then neighbours one below the other, of every fourth column, differ by less than half when they go back.
    """
    back = picture.reshape(picture.shape[::-1])
    if picture.shape == back.shape:
        return False
    return 2 * _roughness(back[:, ::4], axis=0) < _roughness(picture[:, ::4], axis=0)


def _more_picture(words: np.ndarray, rows: int, columns: int) -> str | None:
    """Return what words `[n]` are where those behind rows × columns are no padding but more picture (ours).

    They are where they make up whole pictures (frames, samples, bits), or whole columns or rows that fit the
    picture. Left out as padding, these would give a picture that is sheared, or lacks its lower end.
    """
    size = rows * columns
    if words.size % size == 0:
        return f"{words.size // size} times as much as of one grey picture"
    picture, behind = words[:size].reshape(rows, columns), words[size:]
    if behind.size % rows == 0:
        wider = words.reshape(rows, -1)
        if _roughness(wider, axis=0) < _SMOOTHER * _roughness(picture, axis=0):
            return f"as of rows of {wider.shape[1]:,} pixels"
    if behind.size % columns == 0:
        longer = behind.reshape(-1, columns)
        if 0 < _roughness(longer, axis=1) < _ROUGHER * _roughness(picture, axis=1):
            return f"as of {rows + len(longer):,} rows"
    return None


def _roughness(picture: np.ndarray, *, axis: int) -> float:
    """Return the mean difference of pixels `[H, W]` one below the other (axis 0) or side by side (axis 1)."""
    return float(np.abs(np.diff(picture.astype(np.float32), axis=axis)).mean())


def _compressed(ds: Dataset, syntax: uid.UID, path: Path) -> np.ndarray:
    plugin = _plugin(ds, syntax, path)
    stored = int(ds.BitsStored)
    absent = {"HighBit": stored - 1, "PixelRepresentation": 0, "SamplesPerPixel": 1, "NumberOfFrames": 1}
    stated = {key: whole_number(ds.get(key)) for key in _HEADER}
    header: dict[str, Any] = {**absent, **{key: value for key, value in stated.items() if value is not None}}
    header["PhotometricInterpretation"] = code_of(ds, "PhotometricInterpretation")
    try:
        return decode_guarded(header, ds.PixelData, syntax=syntax, plugin=plugin)
    except BadStreamError as error:
        raise ImageError(f"{path}: the {uid_name(syntax)} pixel data {error}; {error.remedy}") from error
    except WorkerError as error:
        raise ImageError(f"{path}: its pixel data cannot be decoded: {error}") from error


def _syntax_name(syntax: uid.UID) -> str:
    """Return the name of a transfer syntax, or its UID where it has none, if it is one: digits name nobody."""
    unnamed = (
        f"the transfer syntax {syntax}" if re.fullmatch(r"[0-9.]{1,64}", syntax) else "an unnamed transfer syntax"
    )
    return uid_name(syntax) or unnamed


def check_syntax(ds: Dataset, path: Path) -> None:
    """Refuse a transfer syntax, by its name or UID, that none of our decoders is for.

    Raises:
        ImageError: it is private, or none of radiographs.
    """
    syntax = _syntax_of(ds)
    if syntax not in _PLAIN and syntax not in PREFERRED:
        raise ImageError(
            f"{path}: no decoder for {_syntax_name(syntax)}, which is none of those of radiographs; export it "
            "uncompressed"
        )


def _syntax_of(ds: Dataset) -> uid.UID:
    return uid.UID(str(ds.file_meta.TransferSyntaxUID or ""), validation_mode=config.IGNORE)


def _plugin(ds: Dataset, syntax: uid.UID, path: Path) -> str:
    """Return the fastest plugin that is installed for the transfer syntax."""
    check_syntax(ds, path)
    wanted = PREFERRED[syntax]
    found = get_decoder(syntax).available_plugins
    if syntax == uid.JPEGExtended12Bit and int(ds.BitsStored) <= 8:
        wanted = PREFERRED[uid.JPEGBaseline8Bit]
    chosen = next((name for name in wanted if name in found), None)
    if chosen is None:
        extra = "dicom-gpl" if syntax == uid.JPEGExtended12Bit and int(ds.BitsStored) > 8 else "dicom"
        licence = " (its decoder is under the GPL)" if extra == "dicom-gpl" else ""
        raise ImageError(
            f"{path}: no decoder for {uid_name(syntax)}; install one with: "
            f"pip install 'contrastcxr[{extra}]'{licence}, or export it uncompressed"
        )
    return chosen
