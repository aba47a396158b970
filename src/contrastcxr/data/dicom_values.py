"""From a DICOM object's stored values to [0, 1] with bone bright, by one table over all stored values.

Masking to BitsStored, sign, modality LUT, VOI LUT or window, inversion and padding are worked out once for each of
the 256 or 65,536 possible stored words and then looked up, never computed per pixel (DICOM PS3.3 C.7.6.3, C.11.1,
C.11.2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

Mapping = Callable[[np.ndarray], np.ndarray]

CLIPPED = 0.001
"""Share of pixels clipped at each end where an object states no usable window (ours)."""
COUNTED_SIDE = 256
"""Values in use are counted on a grid of at least this many rows and columns (ours); it costs nothing then."""


def to_display(ds: Dataset, stored: np.ndarray, *, min_range: float) -> np.ndarray:
    """Return `[H, W]` float32 in [0, 1], bone bright, from the stored values of a greyscale object.

    The VOI LUT comes first, else the first window, else the range of the values in use but for 0.1% at each end.
    The range also replaces a window that would show less than `min_range` of contrast (both ours).

    Args:
        ds: the object; its attributes say how values are stored and shown.
        stored: `[H, W]` integers of 8 or 16 bits as decoded.
        min_range: contrast under which a stated window is not believed.
    """
    words: np.ndarray = stored.view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16)
    step = max(1, min(words.shape) // COUNTED_SIDE)
    counts = np.bincount(words[::step, ::step].ravel(), minlength=1 << (8 * words.itemsize))
    values = _stored_values(ds, counts.size)
    padding = _padding(ds, values)
    shown = _shown(ds, _modality(ds)(values), np.where(padding, 0, counts), min_range)
    if _inverted(ds):
        shown = 1 - shown
    table: np.ndarray = np.where(padding, 0, shown).astype(np.float32)
    return np.asarray(table[words])


def _stored_values(ds: Dataset, size: int) -> np.ndarray:
    """The value `[size]` that each stored word means: only BitsStored bits count, two's complement when signed."""
    bits = int(ds.BitsStored)
    words = np.arange(size, dtype=np.int64)
    native = not ds.file_meta.TransferSyntaxUID.is_encapsulated
    shift = max(int(ds.get("HighBit", bits - 1)) + 1 - bits, 0) if native else 0
    values = (words >> shift) & ((1 << bits) - 1)
    if int(ds.get("PixelRepresentation", 0)) == 1:
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    return values


def _padding(ds: Dataset, values: np.ndarray) -> np.ndarray:
    """True at the stored values that only fill up the picture `[size]`."""
    first = ds.get("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    last = ds.get("PixelPaddingRangeLimit", first)
    low, high = sorted((int(first), int(last)))
    return (values >= low) & (values <= high)


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
    sequence = ds.get("VOILUTSequence")
    if sequence:
        mapping, top = lut(sequence[0])
        return lambda values: np.clip(mapping(values) / top, 0, 1)
    center, width = _first(ds.get("WindowCenter")), _first(ds.get("WindowWidth"))
    if center is None or width is None or not width > 0:
        return None
    return window(center, width, function=str(ds.get("VOILUTFunction") or "LINEAR"))


def _first(value: object) -> float | None:
    """The first of one or several decimal strings; None where there is none that is a number."""
    if value is None or value == "":
        return None
    one = value if isinstance(value, (int, float, str)) else next(iter(value), None)  # type: ignore[call-overload]
    number = float("nan") if one is None else float(one)
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
    """True when small values are bright. MONOCHROME1 and the shape INVERSE say the same thing, so never twice."""
    return bool(ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE")
