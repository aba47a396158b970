"""From a DICOM object's stored values to [0, 1] with bone bright, by one table over all stored values.

Masking to BitsStored, sign, modality LUT, VOI LUT or window, inversion and padding are worked out once for each of
the 256 or 65,536 possible stored words and then looked up, never computed per pixel (DICOM PS3.3 C.7.6.3, C.11.1,
C.11.2).
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from contrastcxr.data.dicom.header_numbers import number, numbers, whole_number
from contrastcxr.data.dicom.lookup_tables import Mapping, lut
from contrastcxr.data.dicom.objects import code_of, coded
from contrastcxr.errors import listed

CLIPPED = 0.001
"""Share of pixels clipped at each end where an object states no usable window (ours)."""
COUNTED_SIDE = 256
"""Values in use are counted on a grid of at least this many rows and columns (ours); it costs nothing then."""
WRAPPED = -0.35
"""Where values go beyond BitsStored, they fall by more of its range at a step above, in the mean (ours)."""
OVERLAY_BIT = "60000102"
"""The tag of OverlayBitPosition: 0 where an overlay has data of its own (PS3.3 C.9.2)."""
LEAST_SHARE = 0.25
"""A window that gives less of the grey scale to all the values of its object is that of another picture (ours)."""
LOOKED_UP = 1 << 16
"""So many pixels are looked up at once: NumPy makes each an index of 64 bits, and these then stay in the cache."""


class DisplayError(Exception):
    """Values that cannot be shown as asked, or as their object says; the message says why."""


def to_display(ds: Dataset, stored: np.ndarray, *, min_range: float, window: str | None = None) -> np.ndarray:
    """Return `[H, W]` float32 in [0, 1], bone bright, from the stored values of a greyscale object.

    The VOI LUT comes first, else the first window, else the range of the values in use but for 0.1% at each end.
    The range also replaces a window that would show less than `min_range` of contrast, or is that of a picture of
    more bits, which a copy of 8 bits keeps (all ours).

    Args:
        ds: the object; its attributes say how values are stored and shown.
        stored: `[H, W]` integers of 8 or 16 bits as decoded.
        min_range: contrast under which a stated window is not believed.
        window: number (from 1) or name of the window wanted; it is believed whatever it shows.

    Raises:
        DisplayError: there is no such window, or values are larger than the object says.
        ValueError: a table that is none, or attributes that together give no finite values.
    """
    words: np.ndarray = stored.view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16)
    step = max(1, min(words.shape) // COUNTED_SIDE)
    counts = np.bincount(words[::step, ::step].ravel(), minlength=1 << (8 * words.itemsize))
    with np.errstate(all="ignore"):
        table = _display_table(ds, words, counts, min_range=min_range, window=window)
    if not np.isfinite(table).all():
        raise ValueError("attributes that give no finite values")
    return _looked_up(table, words)


def _display_table(
    ds: Dataset, words: np.ndarray, counts: np.ndarray, *, min_range: float, window: str | None
) -> np.ndarray:
    """Return what is shown for each stored word there can be, `[256]` or `[65536]` float32."""
    values, whole = _stored_values(ds, counts.size, shift=_shift(ds, words))
    padding = _padding(ds, values, whole)
    _check_bits(ds, words, values, np.where(padding, values, whole))
    if window is None:
        shown = _shown(ds, _modality(ds)(values), np.where(padding, 0, counts), min_range)
    else:
        shown = _chosen(ds, window)(_modality(ds)(values))
    if _inverted(ds):
        shown = 1 - shown
    return np.where(padding, 0, shown).astype(np.float32)


def _looked_up(table: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return `table[words]`; the table has an entry for every word there can be."""
    shown: np.ndarray = np.empty(words.shape, dtype=table.dtype)
    rows = max(1, LOOKED_UP // words.shape[1])
    for top in range(0, len(words), rows):
        part = slice(top, top + rows)
        np.take(table, words[part], out=shown[part], mode="clip")  # not "raise", which copies `out`
    return shown


def _shift(ds: Dataset, words: np.ndarray) -> int:
    """Return how many bits lie below the values, as HighBit says.

    It is not believed (ours) where the words use these bits and fit into BitsStored as they are: some writers
    state the highest bit of the word.
    """
    bits, high = int(ds.BitsStored), whole_number(ds.get("HighBit"))
    if ds.file_meta.TransferSyntaxUID.is_encapsulated or high is None or high >= int(ds.BitsAllocated):
        return 0
    shift = max(high + 1 - bits, 0)
    stated = words.view(f"i{words.itemsize}") if _signed(ds) else words
    least = -(1 << bits >> 1) if _signed(ds) else 0
    fits = least <= int(stated.min()) and int(stated.max()) < least + (1 << bits)
    return 0 if fits and (words & ((1 << shift) - 1)).any() else shift


def _stored_values(ds: Dataset, size: int, *, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values `[size]` that the stored words mean: by the bits of BitsStored alone, and by all bits.

    Only the former count, as two's complement where the values are signed. The two are the same, too, where the
    bits above are empty, or repeat the sign.
    """
    bits = int(ds.BitsStored)
    words = np.arange(size, dtype=np.int64)
    values, whole = (words >> shift) & ((1 << bits) - 1), words >> shift
    if _signed(ds):
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
        whole = np.where(words >= size >> 1, words - size, words) >> shift
    return values, whole


def _signed(ds: Dataset) -> bool:
    return whole_number(ds.get("PixelRepresentation")) == 1


def _padding(ds: Dataset, values: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return True at the stored words `[size]` that only fill up the picture, also beyond BitsStored."""
    first, last = (whole_number(ds.get(f"PixelPadding{name}")) for name in ("Value", "RangeLimit"))
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    low, high = sorted(_signed_as(ds, v) for v in (first, first if last is None else last))
    return ((values >= low) & (values <= high)) | ((whole >= low) & (whole <= high))


def _signed_as(ds: Dataset, value: int) -> int:
    """Return a padding value as a stored value: it is often written as a word of the other sign."""
    bits = int(ds.BitsAllocated)
    if _signed(ds):
        return value - (1 << bits) if value >= 1 << (bits - 1) else value
    return value + (1 << bits) if value < 0 else value


def _check_bits(ds: Dataset, words: np.ndarray, values: np.ndarray, whole: np.ndarray) -> None:
    """Refuse a picture whose values go beyond BitsStored, which would wrap around in its middle.

    The bits above may hold something else, an overlay say (PS3.5 8.1.1), which has nothing to do with the values.
    Where they count on with the values, a step up in them comes with a fall of the values, and a step down with a
    rise (ours), other than where they only lack the sign. That is not asked where an overlay is stated there.

    Args:
        ds: the object.
        words: `[H, W]` stored words.
        values: what each word there can be means by the bits of BitsStored alone.
        whole: the same by all bits, but for padding.
    """
    above = whole - values
    if not _between_extremes(above, words, signed=_signed(ds)).any():
        return
    overlay = whole_number(ds.get(OVERLAY_BIT))
    steps, full = np.diff(_looked_up(above, words)), 1 << int(ds.BitsStored)
    stepped = np.abs(steps) == full
    if (overlay is not None and overlay > 0) or not stepped.any():
        return
    moves = np.diff(_looked_up(values, words))[stepped] * np.sign(steps[stepped])
    if moves.mean() > WRAPPED * full:
        return
    bits = int(ds.BitsStored)
    raise DisplayError(
        f"has pixel values up to {int(whole[words].max()):,}, and its header says {bits} bits, which hold "
        f"{(full >> _signed(ds)) - 1:,} at most; export it again"
    )


def _between_extremes(table: np.ndarray, words: np.ndarray, *, signed: bool) -> np.ndarray:
    """Return the entries of a table over all words that lie between the least and the greatest of these."""
    if not signed:
        return table[int(words.min()) : int(words.max()) + 1]
    half = table.size // 2
    values = words.view(f"i{words.itemsize}")
    return np.roll(table, half)[int(values.min()) + half : int(values.max()) + half + 1]


def _modality(ds: Dataset) -> Mapping:
    sequence = ds.get("ModalityLUTSequence")
    if sequence:
        return lut(sequence[0], little_endian=_little_endian(ds))[0]
    slope, intercept = _rescale(ds) or (1.0, 0.0)
    return lambda values: values * slope + intercept


def _rescale(ds: Dataset) -> tuple[float, float] | None:
    """Return slope and intercept, 1 and 0 where they are not stated, or None where they make no finite numbers."""
    slope, intercept = (
        number(ds.get(keyword)) if numbers(ds.get(keyword)) else absent
        for keyword, absent in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if not slope or intercept is None or not math.isfinite(slope * (1 << 16) + intercept):
        return None
    return slope, intercept


def rescale_doubt(ds: Dataset) -> str | None:
    """Return what to say when the object states a rescale that cannot be carried out."""
    if _rescale(ds) is not None:
        return None
    return "its file states a rescale slope or intercept that cannot be used; its values are shown without rescale"


def _little_endian(ds: Dataset) -> bool:
    return bool(ds.file_meta.TransferSyntaxUID.is_little_endian)


def _shown(ds: Dataset, values: np.ndarray, counts: np.ndarray, min_range: float) -> np.ndarray:
    stated = _voi(ds, values)
    if stated is not None:
        shown = stated(values)
        used = shown[counts > 0]
        if used.size and float(np.ptp(used)) >= min_range:
            return shown
    return _by_range(values, counts)


def _voi(ds: Dataset, values: np.ndarray) -> Mapping | None:
    """Return the table or, where there is none, the first window that the object states, if it can be its own."""
    tables = _tables(ds)
    if tables:
        return tables[0][1]
    first = next((mapping for _, mapping in _windows(ds)), None)
    return None if first is None or float(np.ptp(first(values))) < LEAST_SHARE else first


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
        raise DisplayError(
            f"has no window '{wanted}'; it has {len(windows)}"
            + (f", named {listed(names, near=wanted.upper())}" if names else ", without names")
            + "; choose one of these, or leave out the choice"
        )
    return found


def _tables(ds: Dataset) -> list[tuple[str, Mapping]]:
    """Return the VOI look-up tables by name."""
    return [
        (str(item.get("LUTExplanation") or "").strip(), _table(item, little_endian=_little_endian(ds)))
        for item in ds.get("VOILUTSequence") or ()
    ]


def _table(item: Dataset, *, little_endian: bool) -> Mapping:
    mapping, top = lut(item, little_endian=little_endian)
    return lambda values: np.clip(mapping(values) / top, 0, 1)


def _windows(ds: Dataset) -> list[tuple[str, Mapping | None]]:
    """Return the windows by name, in the order of the object; None stands for one that is no window."""
    names = [str(name).strip() for name in _several(ds.get("WindowCenterWidthExplanation"))]
    function = code_of(ds, "VOILUTFunction") or "LINEAR"
    pairs = zip(numbers(ds.get("WindowCenter")), numbers(ds.get("WindowWidth")), strict=False)
    return [
        (names[n] if n < len(names) else "", _window(center, width, function=function))
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


def window(center: float, width: float, *, function: str) -> Mapping:
    """Return the window function of PS3.3 C.11.2.1, to [0, 1].

    A width of 1 is a step. LINEAR has none below, which go with a small slope, and are meant as LINEAR_EXACT.
    """
    if function == "SIGMOID":
        return lambda x: 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -60, 60)))
    if function == "LINEAR" and width >= 1:
        center, width = center - 0.5, max(width - 1, 1e-6)
    return lambda x: np.clip((x - center) / width + 0.5, 0, 1)


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
    return np.asarray(np.clip((values - low) / (float(high - low) or 1), 0, 1))


def _inverted(ds: Dataset) -> bool:
    """Return True when small values are bright.

    MONOCHROME1 and the shape INVERSE say the same thing, so the picture is never inverted twice.
    """
    return (
        code_of(ds, "PhotometricInterpretation") == "MONOCHROME1"
        or code_of(ds, "PresentationLUTShape") == "INVERSE"
    )
