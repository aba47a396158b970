"""Decodes compressed pixel data in a process of its own: reads jobs on standard input, answers on standard output.

The decoders are native libraries; damaged data can hold them for many seconds, fill their memory, or bring them
down. Here that happens to a process with little to lose: its processor time and memory are limited, and
`guarded_decoder` starts another one. Run as `python -m contrastcxr.data.dicom.worker`.

A job is one line of JSON and the pixel data; an answer is one line of JSON and the decoded values. The
bytes go through the pipes, or through memory that both processes share where the system has it (`SharedPages`).
Nothing else is ever said, so that no value of a header gets out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

import numpy as np
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from contrastcxr.data.dicom.codestream import ITEM, BadStreamError, CodestreamHeader, check_stream
from contrastcxr.data.dicom.shared_pages import SharedPages

try:
    import resource
except ImportError:  # Windows has no such limits; there the time alone is limited, by the one who asks
    resource = None  # type: ignore[assignment]

READY = b"ready\n"
LIMITS_TIME = resource is not None
MEMORY = 2 << 30
"""Bytes of address space that decoding may take (ours)."""


def main() -> None:
    """Answer jobs until standard input ends."""
    jobs, answers = sys.stdin.buffer, _own_stdout()
    shared = SharedPages(int(sys.argv[1])) if len(sys.argv) > 1 else None
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_AS, MEMORY)
    answers.write(READY)
    answers.flush()
    while line := jobs.readline():
        job = json.loads(line)
        _limit_time(float(job["seconds"]))
        data = jobs.read(job["bytes"]) if shared is None else shared.get(job["bytes"])
        answer, values = _answered(job, data)
        if shared is not None:
            shared.put(values)
        answers.write(json.dumps(answer).encode() + b"\n")
        if shared is None:
            answers.write(values)
        answers.flush()


def _own_stdout() -> BinaryIO:
    """Keep standard output for the answers alone: what libraries print there or as errors goes nowhere."""
    mine = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return os.fdopen(mine, "wb")


def _limit(kind: int, value: int) -> None:
    try:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard < 0 else min(value, hard), hard))
    except (OSError, ValueError):  # a system that does not know the limit
        return


def _limit_time(seconds: float) -> None:
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds + 1))


def _answered(job: dict[str, Any], data: bytes) -> tuple[dict[str, Any], memoryview | bytes]:
    try:
        values = decode(job["header"], data, syntax=job["syntax"], plugin=job["plugin"])
    except BadStreamError as refusal:
        return {"refused": str(refusal), "remedy": refusal.remedy}, b""
    except MemoryError:
        return {"refused": "needs more memory than a radiograph takes"}, b""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # every plugin raises its own kind, those in Rust not even an Exception
        return {"refused": "is truncated or damaged"}, b""
    values = np.ascontiguousarray(values)
    described = {"shape": values.shape, "dtype": values.dtype.str, "bytes": values.nbytes}
    return described, values.reshape(-1).view(np.uint8).data


def decode(header: dict[str, Any], data: bytes, *, syntax: str, plugin: str) -> np.ndarray:
    """Return the stored values `[H, W]` of encapsulated pixel data.

    Args:
        header: attributes of the image pixel module by keyword.
        data: the encapsulated pixel data of one frame.
        syntax: UID of the transfer syntax.
        plugin: pydicom's name of the decoder; empty tries all there are.

    Raises:
        BadStreamError: the compressed picture is not what the header says.
        Exception: whatever the decoder raises at damaged data.
    """
    config.settings.reading_validation_mode = config.IGNORE
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    data = _without_offsets(data)
    stream = get_frame(data, 0, number_of_frames=1)
    found = check_stream(stream, syntax, rows=ds.Rows, columns=ds.Columns, allocated=ds.BitsAllocated)
    if plugin == "pyjpegls":
        return _jpeg_ls(stream, ds.Rows, ds.Columns)
    if found is not None and found.bits <= 8 and syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        ds.BitsAllocated, ds.BitsStored = 8, min(ds.BitsStored, 8)  # some state the 16 of what was compressed
    ds.PixelData = data
    # The table masks unused bits itself.
    values = pixel_array(ds, raw=True, view_only=True, correct_unused_bits=False, decoding_plugin=plugin)
    return _with_stated_sign(values, found, signed=bool(ds.PixelRepresentation))


def _without_offsets(data: bytes) -> bytes:
    """Empty the table of offsets (PS3.5 A.4): all fragments are of the one frame, whatever it says."""
    table = int.from_bytes(data[4:8], "little")
    return data[:4] + bytes(4) + data[8 + table :] if table and data.startswith(ITEM) else data


def _with_stated_sign(values: np.ndarray, found: CodestreamHeader | None, *, signed: bool) -> np.ndarray:
    """Refuse values below 0 where the object has none: as its words they would be the largest.

    Raises:
        BadStreamError: there are such values.
    """
    negative = found is not None and found.signed and not signed
    if negative and (values.view(f"i{values.itemsize}") < 0).any():
        raise BadStreamError(
            "holds values below 0 in itself, its header says that it has none", remedy="export it again"
        )
    return values


def _jpeg_ls(stream: bytes, rows: int, columns: int) -> np.ndarray:
    """Decode JPEG-LS by its decoder itself: pydicom would take the data apart again and copy the picture twice."""
    import jpeg_ls

    words, found = jpeg_ls.decode_pixel_data(stream)
    dtype = np.dtype(np.uint8) if found["bits_per_sample"] <= 8 else np.dtype("<u2")
    return np.frombuffer(words, dtype=dtype).astype(dtype.newbyteorder("="), copy=False).reshape(rows, columns)


if __name__ == "__main__":
    main()
