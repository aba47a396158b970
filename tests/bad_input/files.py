"""Makers of bad files: pictures, DICOM objects, texts and checkpoints, each a few kilobytes."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from radiograph_files import radiograph, ramp

from bad_input.case import Make

Edit = Callable[[bytes], bytes]


def nothing(name: str) -> Make:
    """A path where nothing is."""
    return lambda folder: folder / name


def same(name: str, *makes: Make) -> Make:
    """Several things made in one folder; the command is given what is called `name`, or the folder for a dot."""

    def make(folder: Path) -> Path:
        for each in makes:
            each(folder)
        return folder if name == "." else folder / name

    return make


def binary(name: str, data: bytes) -> Make:
    """A file of these bytes."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return make


def text(name: str, *lines: str) -> Make:
    """A text file of these lines."""
    return binary(name, "".join(f"{line}\n" for line in lines).encode())


def json_lines(name: str, *documents: Any) -> Make:
    """A file with one JSON document a line."""
    return text(name, *(json.dumps(document) for document in documents))


def changed(make: Make, edit: Edit) -> Make:
    """The file that `make` writes, its bytes edited."""

    def make_changed(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return make_changed


def cut(keep: float) -> Edit:
    """Keep the first share of the bytes."""
    return lambda data: data[: int(keep * len(data))]


# Pictures


def picture(name: str = "chest.png", array: np.ndarray | None = None, **save: Any) -> Make:
    """A picture file; without an array a small grey ramp, which is read as a radiograph."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp().astype(np.uint8) if array is None else array).save(path, **save)
        return path

    return make


def photograph() -> np.ndarray:
    """Colours that no radiograph has, `[H, W, 3]`."""
    return np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], axis=-1).astype(np.uint8)


def jpeg() -> bytes:
    """A grey ramp as a JPEG stream."""
    stream = io.BytesIO()
    Image.fromarray(ramp().astype(np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def frames() -> list[Image.Image]:
    """A second frame for an animated PNG."""
    return [Image.fromarray(ramp()[::-1].astype(np.uint8))]


def png_bomb(name: str, side: int) -> Make:
    """A PNG of a few hundred bytes whose header promises side² pixels."""
    rows = zlib.compress(bytes(1 << 16), 9)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return binary(name, b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND"))


def png_with_text(name: str, size: int) -> Make:
    """A good PNG with a comment that inflates to `size` bytes."""
    comment = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))
    return changed(picture(name), lambda data: data[:33] + comment + data[33:])


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# DICOM objects

Change = Callable[[Dataset], None]


def dicom(name: str = "chest.dcm", *changes: Change, stored: np.ndarray | None = None, **attributes: Any) -> Make:
    """A CR of the chest with attributes set (None removes one), then changed."""

    def make(folder: Path) -> Path:
        ds = radiograph(ramp(top=4095) if stored is None else stored, 12)
        for keyword, value in attributes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        for change in changes:
            change(ds)
        path = folder / name
        ds.save_as(path, enforce_file_format=True)
        return path

    return make


def compressed(syntax: str, edit: Edit = bytes) -> Change:
    """Compress the pixel data, then edit the stream."""

    def change(ds: Dataset) -> None:
        ds.compress(syntax, generate_instance_uid=False)
        ds.PixelData = encapsulate([edit(get_frame(ds.PixelData, 0, number_of_frames=1))])

    return change


def streamed(syntax: str, stream: bytes) -> Change:
    """Replace the pixel data by a stream of bytes in a compressed transfer syntax."""

    def change(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].is_undefined_length = True

    return change


def setting(**attributes: Any) -> Change:
    """Set attributes, after what came before."""

    def change(ds: Dataset) -> None:
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)

    return change


def deflated(body: Iterable[bytes]) -> Edit:
    """Turn a plain object into a deflated one that inflates to itself and then to `body`."""

    def edit(data: bytes) -> bytes:
        start = 144 + int.from_bytes(data[140:144], "little")
        meta = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
        meta = meta[:140] + (len(meta) - 144).to_bytes(4, "little") + meta[144:]
        at = meta.index(b"\x02\x00\x10\x00UI") + 6
        meta = meta[:at] + (22).to_bytes(2, "little") + meta[at + 2 :]
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = [packer.compress(part) for part in (data[start:], *body)]
        return meta + b"".join(packed) + packer.flush()

    return edit


def inserted(nested: bytes) -> Edit:
    """Put bytes in front of the pixel data element."""

    def edit(data: bytes) -> bytes:
        at = data.index(b"\xe0\x7f\x10\x00")
        return data[:at] + nested + data[at:]

    return edit


# Checkpoints


def safetensors(name: str, header: Any, data: bytes = b"") -> Make:
    """A safetensors file with any header."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return binary(name, len(head).to_bytes(8, "little") + head + data)


def with_metadata(whole: bytes, **changes: str | None) -> bytes:
    """The checkpoint with entries of its metadata replaced; None removes one."""
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    metadata = {**header["__metadata__"], **changes}
    header["__metadata__"] = {key: value for key, value in metadata.items() if value is not None}
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + whole[8 + size :]
