"""From a DICOM object's stored values to [0, 1] with bone bright, by one table over all stored values.

Masking to BitsStored, sign, modality LUT, VOI LUT or window, inversion and padding are worked out once for each of
the 256 or 65,536 possible stored words and then looked up, never computed per pixel (DICOM PS3.3 C.7.6.3, C.11.1,
C.11.2).
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from contrastcxr.data.dicom.objects import coded
from contrastcxr.errors import listed

Mapping = Callable[[np.ndarray], np.ndarray]

CLIPPED = 0.001
"""Share of pixels clipped at each end where an object states no usable window (ours)."""
COUNTED_SIDE = 256
"""Values in use are counted on a grid of at least this many rows and columns (ours); it costs nothing then."""
LOOKED_UP = 1 << 16
"""So many pixels are looked up at once: NumPy makes each an index of 64 bits, and these then stay in the cache."""


class UnknownWindowError(Exception):
    """A window was asked for that the object does not have; the message says which it has."""


def to_display(ds: Dataset, stored: np.ndarray, *, min_range: float, window: str | None = None) -> np.ndarray:
    """Return `[H, W]` float32 in [0, 1], bone bright, from the stored values of a greyscale object.

    The VOI LUT comes first, else the first window, else the range of the values in use but for 0.1% at each end.
    The range also replaces a window that would show less than `min_range` of contrast (both ours).

    Args:
        ds: the object; its attributes say how values are stored and shown.
        stored: `[H, W]` integers of 8 or 16 bits as decoded.
        min_range: contrast under which a stated window is not believed.
        window: number (from 1) or name of the window wanted; it is believed whatever it shows.

    Raises:
        UnknownWindowError: there is no such window.
    """
    words: np.ndarray = stored.view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16)
    step = max(1, min(words.shape) // COUNTED_SIDE)
    counts = np.bincount(words[::step, ::step].ravel(), minlength=1 << (8 * words.itemsize))
    values = _stored_values(ds, counts.size)
    padding = _padding(ds, values)
    if window is None:
        shown = _shown(ds, _modality(ds)(values), np.where(padding, 0, counts), min_range)
    else:
        shown = _chosen(ds, window)(_modality(ds)(values))
    if _inverted(ds):
        shown = 1 - shown
    table: np.ndarray = np.where(padding, 0, shown).astype(np.float32)
    return _looked_up(table, words)


def _looked_up(table: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return `table[words]`; the table has an entry for every word there can be."""
    shown: np.ndarray = np.empty(words.shape, dtype=table.dtype)
    rows = max(1, LOOKED_UP // words.shape[1])
    for top in range(0, len(words), rows):
        part = slice(top, top + rows)
        np.take(table, words[part], out=shown[part], mode="clip")  # not "raise", which copies `out`
    return shown


def _stored_values(ds: Dataset, size: int) -> np.ndarray:
    """Return the value `[size]` that each stored word means.

    Only the bits of BitsStored count, as two's complement where the values are signed.
    """
    bits = int(ds.BitsStored)
    words = np.arange(size, dtype=np.int64)
    native = not ds.file_meta.TransferSyntaxUID.is_encapsulated
    shift = max(int(ds.get("HighBit", bits - 1)) + 1 - bits, 0) if native else 0
    values = (words >> shift) & ((1 << bits) - 1)
    if int(ds.get("PixelRepresentation", 0)) == 1:
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    return values


def _padding(ds: Dataset, values: np.ndarray) -> np.ndarray:
    """Return True at the stored values that only fill up the picture `[size]`."""
    first = ds.get("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    last = ds.get("PixelPaddingRangeLimit")
    low, high = sorted(_signed_as(ds, int(v)) for v in (first, first if last is None else last))
    return (values >= low) & (values <= high)


def _signed_as(ds: Dataset, value: int) -> int:
    """Return a padding value as a stored value: objects of signed values often write it as an unsigned word."""
    signed = int(ds.get("PixelRepresentation", 0)) == 1
    return value - (1 << int(ds.BitsAllocated)) if signed and value >= 1 << (int(ds.BitsAllocated) - 1) else value


def _modality(ds: Dataset) -> Mapping:
    sequence = ds.get("ModalityLUTSequence")
    if sequence:
        return lut(sequence[0])[0]
    slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
    return lambda values: values * slope + intercept


def _shown(ds: Dataset, values: np.ndarray, counts: np.ndarray, min_range: float) -> np.ndarray:
    stated = _voi(ds)
    if stated is not None:
        shown = stated(values)
        used = shown[counts > 0]
        if used.size and float(np.ptp(used)) >= min_range:
            return shown
    return _by_range(values, counts)


def _voi(ds: Dataset) -> Mapping | None:
    """Return the table or, where there is none, the first window that the object states."""
    tables = _tables(ds)
    if tables:
        return tables[0][1]
    first = next(iter(_windows(ds)), None)
    return None if first is None else first[1]


def _chosen(ds: Dataset, wanted: str) -> Mapping:
    """Return the window of a number or a name; a name may be that of a table too, and its case does not matter."""
    windows, tables = _windows(ds), _tables(ds)
    if wanted.isdecimal() and 0 < int(wanted) <= len(windows):
        found = windows[int(wanted) - 1][1]
    else:
        named = {name.casefold(): mapping for name, mapping in (*tables, *windows) if name and mapping}
        found = named.get(wanted.strip().casefold())
    if found is None:
        names = [coded(name.upper(), longest=24) for name, _ in (*windows, *tables) if name]
        raise UnknownWindowError(
            f"has no window '{wanted}'; it has {len(windows)}"
            + (f", named {listed(names, near=wanted.upper())}" if names else ", without names")
            + "; choose one of these, or leave out the choice"
        )
    return found


def _tables(ds: Dataset) -> list[tuple[str, Mapping]]:
    """Return the VOI look-up tables by name."""
    return [
        (str(item.get("LUTExplanation") or "").strip(), _table(item)) for item in ds.get("VOILUTSequence") or ()
    ]


def _table(item: Dataset) -> Mapping:
    mapping, top = lut(item)
    return lambda values: np.clip(mapping(values) / top, 0, 1)


def _windows(ds: Dataset) -> list[tuple[str, Mapping | None]]:
    """Return the windows by name, in the order of the object; None stands for one that is no window."""
    names = [str(name).strip() for name in _several(ds.get("WindowCenterWidthExplanation"))]
    function = str(ds.get("VOILUTFunction") or "LINEAR")
    pairs = zip(_several(ds.get("WindowCenter")), _several(ds.get("WindowWidth")), strict=False)
    return [
        (names[n] if n < len(names) else "", _window(_finite(center), _finite(width), function=function))
        for n, (center, width) in enumerate(pairs)
    ]


def _window(center: float | None, width: float | None, *, function: str) -> Mapping | None:
    if center is None or width is None or not width > 0:
        return None
    return window(center, width, function=function)


def _several(value: Any) -> list[Any]:
    """Return the values of an attribute that may hold none, one or several."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]


def _finite(value: object) -> float | None:
    number = float(str(value)) if value not in (None, "") else float("nan")
    return number if np.isfinite(number) else None


def window(center: float, width: float, *, function: str) -> Mapping:
    """Return the window function of PS3.3 C.11.2.1, to [0, 1]; a width that LINEAR cannot use is a step."""
    if function == "SIGMOID":
        return lambda x: 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -60, 60)))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)
    return lambda x: np.clip((x - center) / width + 0.5, 0, 1)


def lut(item: Dataset) -> tuple[Mapping, float]:
    """Return a look-up table of PS3.3 C.11.1 / C.11.2 as a mapping, and the largest value it may hold.

    Values before the first entry take the first, values beyond the last the last.
    """
    count, first, bits = (int(v) for v in item.LUTDescriptor)
    data = _entries(item.LUTData, bits, count or 1 << 16)
    first = first - (1 << 16) if first >= 1 << 15 and _is_signed(item) else first

    def mapping(values: np.ndarray) -> np.ndarray:
        index = np.clip(np.rint(values) - first, 0, len(data) - 1).astype(np.int64)
        return np.asarray(data[index])

    return mapping, float((1 << bits) - 1)


def _entries(raw: object, bits: int, count: int) -> np.ndarray:
    if isinstance(raw, bytes):
        packed = bits <= 8 and len(raw) < 2 * count
        raw = np.frombuffer(raw, dtype=np.uint8 if packed else np.dtype("<u2"))
    return np.array(np.atleast_1d(np.asarray(raw))[:count], dtype=np.float64)


def _is_signed(item: Dataset) -> bool:
    return bool(item["LUTDescriptor"].VR == "SS")


def _by_range(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Stretch the values in use to [0, 1], clipping a little at both ends."""
    if not counts.any():
        return np.zeros(values.shape)
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order]) / int(counts.sum())
    low = values[order][np.searchsorted(cumulated, CLIPPED)]
    high = values[order][min(int(np.searchsorted(cumulated, 1 - CLIPPED)), values.size - 1)]
    if high <= low:
        used = values[counts > 0]
        low, high = used.min(), used.max()
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1))


def _inverted(ds: Dataset) -> bool:
    """Return True when small values are bright.

    MONOCHROME1 and the shape INVERSE say the same thing, so the picture is never inverted twice.
    """
    return bool(ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE")
