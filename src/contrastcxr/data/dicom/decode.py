"""The stored values of a DICOM object, by the decoder that suits its transfer syntax best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from contrastcxr.data.dicom.codestream import BadStreamError
from contrastcxr.data.dicom.guarded import WorkerError, decode_guarded
from contrastcxr.data.dicom.objects import uid_name
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
_HEADER = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
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
    syntax = uid.UID(str(ds.file_meta.TransferSyntaxUID or ""), validation_mode=config.IGNORE)
    if "PixelData" not in ds:
        raise ImageError(f"{path}: has no pixel data, or is cut off; copy it again from where it came")
    stored = _plain(ds, syntax, path) if syntax in _PLAIN else _compressed(ds, syntax, path)
    if stored.shape != (ds.Rows, ds.Columns) or stored.dtype.itemsize > 2:
        raise ImageError(
            f"{path}: decodes to {stored.shape}, its header says ({ds.Rows}, {ds.Columns}); export it again"
        )
    return stored


def _plain(ds: Dataset, syntax: uid.UID, path: Path) -> np.ndarray:
    """Read uncompressed words."""
    rows, columns, width = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated) // 8
    data, expected = ds.PixelData, rows * columns * width
    if len(data) < expected:
        raise ImageError(
            f"{path}: the {uid_name(syntax)} pixel data is truncated or damaged, {len(data):,} bytes of "
            f"{expected:,}; copy it again from where it came"
        )
    if len(data) >= expected + _SPARE:
        raise ImageError(
            f"{path}: {len(data):,} bytes of pixel data, truncated or damaged: its header says {expected:,}; "
            "export it again"
        )
    order = "<" if syntax.is_little_endian else ">"
    words: np.ndarray = np.frombuffer(data, dtype=f"{order}u{width}", count=rows * columns)
    if width == 1 and not syntax.is_little_endian and ds["PixelData"].VR == "OW":
        words = np.frombuffer(data[: expected + expected % 2], dtype=">u2").astype("<u2").view("u1")[:expected]
    return words.astype(words.dtype.newbyteorder("="), copy=False).reshape(rows, columns)


def _compressed(ds: Dataset, syntax: uid.UID, path: Path) -> np.ndarray:
    plugin = _plugin(ds, syntax, path)
    header: dict[str, Any] = {key: _plain_value(ds[key].value) for key in _HEADER if key in ds}
    header.setdefault("HighBit", header["BitsStored"] - 1)
    header.setdefault("PixelRepresentation", 0)
    header.setdefault("SamplesPerPixel", 1)
    header["NumberOfFrames"] = 1
    try:
        return decode_guarded(header, ds.PixelData, syntax=syntax, plugin=plugin)
    except BadStreamError as error:
        raise ImageError(
            f"{path}: the {uid_name(syntax)} pixel data {error}; copy it again from where it came"
        ) from error
    except WorkerError as error:
        raise ImageError(f"{path}: its pixel data cannot be decoded: {error}") from error


def _plain_value(value: object) -> int | str:
    return value if isinstance(value, str) else int(value)  # type: ignore[call-overload]


def _plugin(ds: Dataset, syntax: uid.UID, path: Path) -> str:
    """Return the fastest plugin that is installed for the transfer syntax."""
    wanted = PREFERRED.get(syntax, ())
    found = get_decoder(syntax).available_plugins if wanted else ()
    if syntax == uid.JPEGExtended12Bit and int(ds.BitsStored) <= 8:
        wanted = PREFERRED[uid.JPEGBaseline8Bit]
    chosen = next((name for name in wanted if name in found), None)
    if not wanted:
        raise ImageError(
            f"{path}: no decoder for {uid_name(syntax) or 'an unnamed transfer syntax'}, which is none of those "
            "of radiographs; export it uncompressed"
        )
    if chosen is None:
        extra = "dicom-gpl" if syntax == uid.JPEGExtended12Bit and int(ds.BitsStored) > 8 else "dicom"
        licence = " (its decoder is under the GPL)" if extra == "dicom-gpl" else ""
        raise ImageError(
            f"{path}: no decoder for {uid_name(syntax)}; install one with: "
            f"pip install 'contrastcxr[{extra}]'{licence}, or export it uncompressed"
        )
    return chosen
