"""Look-up tables as the standard and the vendors write them: bits, order, packing, sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from radiograph_files import ramp

from contrastcxr.data.dicom.lookup_tables import lut
from contrastcxr.data.dicom.reading import read_pixels

Dicom = Callable[..., Path]
STORED = ramp(top=4095)
LINE = np.arange(4096)
CURVE = np.sqrt(LINE / 4095)


def table(entries: np.ndarray, bits: int, first: int = 0, *, vr: str = "US", data: object = None) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65_536, first, bits])
    item.add_new("LUTData", "US" if data is None else "OW", entries.tolist() if data is None else data)
    return item


def voi(item: Dataset) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, "VOILUTSequence", Sequence([item]))


def rounded(values: np.ndarray, top: int) -> np.ndarray:
    return np.rint(values * top).astype(int)


@pytest.mark.parametrize(
    ("top", "count", "stated", "meant"),
    [
        (4095, 4096, 16, 12),  # Agfa CR
        (4095, 4096, 12, 12),
        (1023, 4096, 16, 10),
        (1023, 1024, 16, 10),
        (255, 4096, 16, 8),
        (255, 256, 8, 8),
        (16_383, 4096, 16, 14),
        (32_767, 4096, 16, 15),
        (4000, 4096, 16, 12),  # four bits never used
        (100, 4096, 16, 8),
        (65_535, 4096, 16, 16),
        (60_000, 4096, 16, 16),
        (30_000, 4096, 16, 16),  # dim, and as it says
        (900, 4096, 10, 10),
        (4095, 4096, 8, 12),  # an entry has more than it says
        (4095, 4096, 10, 12),
        (4095, 4096, 0, 12),
    ],
)
@pytest.mark.parametrize("falling", [False, True])
def test_the_range_of_a_table_is_that_of_the_bits_it_means(
    dicom: Dicom, top: int, count: int, stated: int, meant: int, falling: bool
) -> None:
    entries = rounded(np.linspace(1, 0, count) if falling else np.linspace(0, 1, count), top)
    shown = entries[np.clip(STORED, 0, count - 1)] / ((1 << meant) - 1)
    np.testing.assert_allclose(read_pixels(dicom(edit=voi(table(entries, stated)))), shown, atol=1e-6)


def test_a_table_of_12_bits_called_16_is_the_picture_of_one_of_12(dicom: Dicom) -> None:
    called, right = (dicom(f"{bits}.dcm", edit=voi(table(rounded(CURVE, 4095), bits))) for bits in (16, 12))
    np.testing.assert_array_equal(read_pixels(called), read_pixels(right))


@pytest.mark.parametrize("count", [4096, 4095, 255])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("form", ["packed bytes", "padded bytes", "packed words", "words"])
def test_entries_of_8_bits_are_the_same_in_every_form(
    dicom: Dicom, form: str, syntax: str | None, count: int
) -> None:
    entries = rounded(CURVE[:count], 255)
    packed = np.pad(entries, (0, count % 2)).astype(np.uint8).view("<u2")
    words = packed if form.startswith("packed") else entries.astype(np.uint16)
    little = syntax != ExplicitVRBigEndian
    data = None if form.endswith("words") else words.astype("<u2" if little else ">u2").tobytes()
    item = table(entries, 8, data=data)
    if data is None:
        item.LUTData = words.tolist()
    path = dicom(edit=voi(item))
    if syntax:
        ds = pydicom.dcmread(path)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = STORED.astype("<u2" if little else ">u2").tobytes()
        pydicom.dcmwrite(path, ds, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    np.testing.assert_allclose(read_pixels(path), entries[np.clip(STORED, 0, count - 1)] / 255, atol=1e-6)


@pytest.mark.parametrize("form", ["list", "bytes"])
def test_a_count_of_0_stands_for_65536_entries(dicom: Dicom, form: str) -> None:
    entries = np.arange(65_536)[::-1]
    data = entries.astype("<u2").tobytes() if form == "bytes" else None
    item = table(entries, 16, data=data)
    if data is None:
        item["LUTData"].VR = "OW"
        item.LUTData = entries.astype("<u2").tobytes()
    stored = ramp(top=65_535)
    path = dicom(stored=stored, bits=16, edit=voi(item))
    np.testing.assert_allclose(read_pixels(path), 1 - stored / 65_535, atol=1e-6)


@pytest.mark.parametrize(("vr", "first"), [("SS", -2048), ("US", 63_488)])
def test_the_first_entry_of_signed_values_may_be_an_unsigned_word(dicom: Dicom, vr: str, first: int) -> None:
    entries = rounded(CURVE, 65_535)
    path = dicom(stored=STORED.astype(np.int16) - 2048, edit=voi(table(entries, 16, first, vr=vr)))
    np.testing.assert_allclose(read_pixels(path), entries[STORED] / 65_535, atol=1e-6)


@pytest.mark.parametrize(("vr", "first"), [("US", 40_000), ("SS", 40_000 - 65_536)])
def test_the_first_entry_of_large_values_may_be_a_signed_word(dicom: Dicom, vr: str, first: int) -> None:
    entries = rounded(CURVE, 65_535)
    path = dicom(stored=40_000 + STORED, bits=16, edit=voi(table(entries, 16, first, vr=vr)))
    np.testing.assert_allclose(read_pixels(path), entries[STORED] / 65_535, atol=1e-6)


def test_a_first_entry_beyond_signed_words_is_kept_where_values_reach_it(dicom: Dicom) -> None:
    entries = rounded(CURVE, 65_535)
    path = dicom(stored=ramp(top=65_535), bits=16, edit=voi(table(entries, 16, 40_000)))
    shown = entries[np.clip(ramp(top=65_535).astype(int) - 40_000, 0, 4095)] / 65_535
    np.testing.assert_allclose(read_pixels(path), shown, atol=1e-6)


@pytest.mark.parametrize("bits", [16, 12, 8])
def test_a_window_counts_in_the_entries_of_a_modality_table_whatever_its_bits(dicom: Dicom, bits: int) -> None:
    def edit(ds: Dataset) -> None:
        ds.ModalityLUTSequence = Sequence([table(rounded(CURVE, 4095), bits)])
        ds.ModalityLUTSequence[0].ModalityLUTType = "US"

    path = dicom(edit=edit, WindowCenter=2000, WindowWidth=3000)
    shown = np.clip((rounded(CURVE, 4095)[STORED] - 1999.5) / 2999 + 0.5, 0, 1)
    np.testing.assert_allclose(read_pixels(path), shown, atol=1e-6)


def test_negative_entries_are_unsigned_words() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [3, 0, 16])
    item.add_new("LUTData", "SS", [0, -32_768, -1])
    mapping, top = lut(item, little_endian=True)
    assert (mapping(np.arange(4)).tolist(), top) == ([0, 32_768, 65_535, 65_535], 65_535)


@pytest.mark.parametrize(("descriptor", "data"), [([4, 0], [1, 2, 3, 4]), ([], [1]), ([4, 0, 16], [])])
def test_a_table_without_descriptor_or_entries_is_none(descriptor: list[int], data: list[int]) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "US", data)
    with pytest.raises(ValueError, match="a look-up table"):
        lut(item, little_endian=True)
