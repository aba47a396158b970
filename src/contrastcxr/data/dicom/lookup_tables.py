"""Look-up tables of DICOM objects, modality and VOI (PS3.3 C.11.1, C.11.2), as vendors write them."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence

import numpy as np
from pydicom.dataset import Dataset

from contrastcxr.data.dicom.header_numbers import numbers

Mapping = Callable[[np.ndarray], np.ndarray]

FEWEST_BITS = 8
"""No table means fewer bits an entry (ours)."""
UNUSED_BITS = 2
"""A table that never uses so many of its stated bits, a quarter of the range at most, states too many (ours)."""


def lut(item: Dataset, *, little_endian: bool) -> tuple[Mapping, float]:
    """Return a look-up table as a mapping, and the largest value it may hold.

    Values before the first entry take the first, values beyond the last the last. The first entry's value is an
    unsigned or a signed word by the values that are looked up (PS3.3 C.11.1.1.1); files that contradict it are
    taken as the one that the values reach (ours).

    Raises:
        ValueError: no three numbers in its descriptor, or no entries.
    """
    described = numbers(item.LUTDescriptor)
    if len(described) != 3 or None in described:
        raise ValueError("a look-up table needs three numbers in its descriptor")
    count, first, bits = (int(v) for v in described if v is not None)
    data = _entries(item, count % (1 << 16) or 1 << 16, bits, little_endian=little_endian)

    def mapping(values: np.ndarray) -> np.ndarray:
        index = np.clip(np.rint(values) - _start(first, len(data), values), 0, len(data) - 1).astype(np.int64)
        return np.asarray(data[index])

    return mapping, float((1 << _bits_meant(data, bits)) - 1)


def _start(first: int, count: int, values: np.ndarray) -> int:
    """Return the value of the first entry, as the signed or the unsigned word that any of the values reaches."""
    if first >= 1 << 15 and values.max() < first:
        return first - (1 << 16)
    return first + (1 << 16) if first < 0 and values.min() >= first + count else first


def _bits_meant(data: np.ndarray, bits: int) -> int:
    """Return the bits an entry that a table of entries `[n]` means.

    The output goes from 0 to 2^n - 1, where n is the third value of the descriptor (PS3.3 C.11.2.1.1). Agfa's CR
    writes the bits that an entry is stored in: 16 for entries up to 4,095, which would be nearly black. So the
    entries tell (ours): fewer bits are meant where their largest is all ones in them, or where two and more bits
    are never used; more bits, where an entry needs them. Any other dim table stays as dim as it is.
    """
    top = int(data.max())
    needed = max(top.bit_length(), FEWEST_BITS)
    full = top == (1 << needed) - 1
    return needed if full or needed > bits or bits - needed >= UNUSED_BITS else bits


def _entries(item: Dataset, count: int, bits: int, *, little_endian: bool) -> np.ndarray:
    """Return the entries `[count]` or fewer, unsigned as the standard says, whatever VR they have.

    Entries of 8 bits may be packed two to a word, or have a word each: the length tells (as PS3.3 C.7.6.3.1.5
    notes of palettes).
    """
    raw = item.LUTData
    if isinstance(raw, bytes):
        words = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<u2" if little_endian else ">u2")
        packed = len(raw) == count + count % 2
    else:
        stated = list(raw) if isinstance(raw, MutableSequence) else [raw]
        words = np.array([int(v) & 0xFFFF for v in stated], dtype=np.uint16)
        packed = bits <= FEWEST_BITS and len(stated) == (count + 1) // 2
    if packed and count > 1:
        words = words.astype("<u2").view(np.uint8)  # the first of two is in the low byte
    if not words.size:
        raise ValueError("a look-up table without entries")
    return words[:count].astype(np.float64)
