"""What is looked up in a table is what the standard works out pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from radiograph_files import ramp, with_bytes

from contrastcxr.data.dicom.reading import read_pixels
from contrastcxr.errors import ImageError

Dicom = Callable[..., Path]
TWO = {
    "WindowCenter": [2048, 1000],
    "WindowWidth": [4096, 500],
    "WindowCenterWidthExplanation": ["NORMAL", "Hard"],
}


def table(first: int, entries: np.ndarray, bits: int, *, signed: bool = False, name: str = "") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries.astype(int).tolist())
    item.ModalityLUTType = "US"
    if name:
        item.LUTExplanation = name
    return item


def with_tables(modality: Dataset | None = None, voi: Dataset | None = None) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        if modality is not None:
            ds.ModalityLUTSequence = Sequence([modality])
        if voi is not None:
            ds.VOILUTSequence = Sequence([voi])

    return edit


def pixel_by_pixel(path: Path, full: int | tuple[int, int]) -> np.ndarray:
    """The full path over every pixel: decoded by pydicom, its modality and VOI step, inversion, black padding."""
    ds = pydicom.dcmread(path)
    stored = ds.pixel_array
    shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, ds), ds), dtype=np.float64)
    low, high = full if isinstance(full, tuple) else (0, full)
    shown = np.clip((shown - low) / (high - low), 0, 1)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    if "PixelPaddingValue" in ds:
        first = int(ds.PixelPaddingValue)
        last = int(ds.get("PixelPaddingRangeLimit", first))
        shown[(stored >= min(first, last)) & (stored <= max(first, last))] = 0
    return shown


UNSIGNED = ramp(97, 131, top=4095)
SIGNED = (UNSIGNED.astype(np.int32) - 2048).astype(np.int16)
CURVE = (np.sqrt(np.arange(4096)) * 1023).round()
CASES: dict[str, tuple[dict[str, object], int | tuple[int, int]]] = {
    "plain": ({"stored": UNSIGNED, "WindowCenter": 1800, "WindowWidth": 2100}, 4095),
    "inverted": (
        {
            "stored": UNSIGNED,
            "WindowCenter": 1800,
            "WindowWidth": 2100,
            "PhotometricInterpretation": "MONOCHROME1",
        },
        4095,
    ),
    "signed": ({"stored": SIGNED, "WindowCenter": -100, "WindowWidth": 1500}, (-2048, 2047)),
    "signed, sigmoid": (
        {"stored": SIGNED, "WindowCenter": -100, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        (-2048, 2047),
    ),
    "exact": (
        {"stored": UNSIGNED, "WindowCenter": 1800.5, "WindowWidth": 2100.5, "VOILUTFunction": "LINEAR_EXACT"},
        4095,
    ),
    "padded": (
        {
            "stored": UNSIGNED,
            "WindowCenter": 1800,
            "WindowWidth": 2100,
            "PixelPaddingValue": 4000,
            "PixelPaddingRangeLimit": 4095,
        },
        4095,
    ),
    "signed and padded": (
        {"stored": SIGNED, "WindowCenter": 0, "WindowWidth": 3000, "PixelPaddingValue": -2048},
        (-2048, 2047),
    ),
    "VOI table": ({"stored": UNSIGNED, "edit": with_tables(voi=table(0, CURVE, 16))}, 65_535),
    "VOI table over a part": ({"stored": UNSIGNED, "edit": with_tables(voi=table(900, CURVE[:2000], 16))}, 65_535),
    "VOI table of signed values": (
        {"stored": SIGNED, "edit": with_tables(voi=table(-2048, CURVE, 16, signed=True))},
        65_535,
    ),
    "modality table": (
        {
            "stored": UNSIGNED,
            "WindowCenter": 30_000,
            "WindowWidth": 50_000,
            "edit": with_tables(table(0, CURVE, 16)),
        },
        65_535,
    ),
    "both tables": (
        {"stored": UNSIGNED, "edit": with_tables(table(0, CURVE // 16, 16), table(0, CURVE, 16))},
        65_535,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_table_over_stored_values_gives_what_the_work_per_pixel_gives(dicom: Dicom, case: str) -> None:
    attributes, full = CASES[case]
    path = dicom(**attributes)
    np.testing.assert_allclose(read_pixels(path), pixel_by_pixel(path, full), atol=4e-4)


def test_a_padding_value_of_signed_pixels_may_be_written_as_an_unsigned_word(dicom: Dicom) -> None:
    def edit(ds: Dataset) -> None:
        ds.add_new("PixelPaddingValue", "US", 65_536 - 2048)

    known = {"stored": SIGNED, "WindowCenter": 0, "WindowWidth": 4096, "PhotometricInterpretation": "MONOCHROME1"}
    pixels = read_pixels(dicom(edit=edit, **known))
    assert (pixels[SIGNED == -2048] == 0).all()
    np.testing.assert_array_equal(pixels, read_pixels(dicom("b.dcm", PixelPaddingValue=-2048, **known)))


@pytest.mark.parametrize(("chosen", "center", "width"), [("1", 2048, 4096), ("2", 1000, 500), ("hard", 1000, 500)])
def test_a_window_is_chosen_by_number_or_by_name(dicom: Dicom, chosen: str, center: int, width: int) -> None:
    one = read_pixels(dicom("one.dcm", WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(read_pixels(dicom(**TWO), window=chosen), one)


def test_a_chosen_window_goes_before_a_table_and_a_table_has_a_name_too(dicom: Dicom) -> None:
    path = dicom(edit=with_tables(voi=table(0, CURVE, 16, name="FILM")), **TWO)
    film = pixel_by_pixel(path, 65_535)
    np.testing.assert_allclose(read_pixels(path), film, atol=1e-6)
    np.testing.assert_allclose(read_pixels(path, window="film"), film, atol=1e-6)
    np.testing.assert_array_equal(read_pixels(path, window="2"), read_pixels(dicom("b.dcm", **TWO), window="2"))


@pytest.mark.parametrize("chosen", ["0", "3", "-1", "LUNG", ""])
def test_a_window_that_is_not_there_is_refused_with_those_that_are(dicom: Dicom, chosen: str) -> None:
    path = dicom(**TWO)
    with pytest.raises(ImageError) as caught:
        read_pixels(path, window=chosen)
    assert str(caught.value) == (
        f"{path}: has no window '{chosen}'; it has 2, named NORMAL, HARD; "
        "choose one of these, or leave out the choice"
    )


def test_a_name_in_a_window_is_not_printed_when_it_is_no_code(dicom: Dicom) -> None:
    path = dicom(**{**TWO, "WindowCenterWidthExplanation": ["Secretive^Sam", "B"]})
    with pytest.raises(ImageError, match="named that is damaged, B;"):
        read_pixels(path, window="x")


def test_overlays_of_their_own_group_never_reach_the_values(dicom: Dicom) -> None:
    def edit(ds: Dataset) -> None:
        ds.add_new(0x60000010, "US", 48)
        ds.add_new(0x60000011, "US", 64)
        ds.add_new(0x60000040, "CS", "G")
        ds.add_new(0x60000050, "SS", [1, 1])
        ds.add_new(0x60000100, "US", 1)
        ds.add_new(0x60000102, "US", 0)
        ds.add_new(0x60003000, "OW", b"\xff" * (48 * 64 // 8))

    np.testing.assert_array_equal(read_pixels(dicom(edit=edit)), read_pixels(dicom("b.dcm")))


def test_overlays_in_the_high_bits_of_old_files_never_reach_the_values(dicom: Dicom) -> None:
    def edit(ds: Dataset) -> None:
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 12)

    overlaid = ramp(top=4095) | np.uint16(1 << 12)
    np.testing.assert_array_equal(read_pixels(dicom(stored=overlaid, edit=edit)), read_pixels(dicom("b.dcm")))


@pytest.mark.parametrize(
    ("center", "width"), [(2048, 4096), (2040, 4000), (512, 1024), (8192, 16_384), (3000, 1500)]
)
def test_the_window_of_a_picture_of_more_bits_is_not_that_of_its_copy(
    dicom: Dicom, center: int, width: int
) -> None:
    stored = ramp(97, 131, top=255).astype(np.uint8)
    unstated = read_pixels(dicom("plain.dcm", stored=stored, bits=8, WindowCenter=None, WindowWidth=None))
    shown = read_pixels(dicom(stored=stored, bits=8, WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(shown, unstated)


@pytest.mark.parametrize(("center", "width"), [(128, 256), (200, 1000), (0, 100), (128, 400)])
def test_a_window_wider_than_the_values_stays_as_dim_as_it_is(dicom: Dicom, center: int, width: int) -> None:
    path = dicom(stored=ramp(97, 131, top=255).astype(np.uint8), bits=8, WindowCenter=center, WindowWidth=width)
    np.testing.assert_allclose(read_pixels(path), pixel_by_pixel(path, 255), atol=1e-6)


@pytest.mark.parametrize(
    ("slope", "center", "width"), [(1e-4, 0.2047, 0.4095), (2e-4, 0.5, 0.6), (1e-5, 0.02, 0.03)]
)
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
def test_a_window_narrower_than_1_is_shown_exactly(
    dicom: Dicom, slope: float, center: float, width: float, function: str | None
) -> None:
    stated = {} if function is None else {"VOILUTFunction": function}
    path = dicom(
        stored=UNSIGNED, RescaleSlope=slope, RescaleIntercept=0, WindowCenter=center, WindowWidth=width, **stated
    )
    expected = np.clip((UNSIGNED * slope - center) / width + 0.5, 0, 1)
    np.testing.assert_allclose(read_pixels(path), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # pydicom writes it all the same
@pytest.mark.parametrize(
    ("keyword", "stated", "meant"),
    [
        ("PhotometricInterpretation", b"Monochrome1", "MONOCHROME1"),
        ("PhotometricInterpretation", b" MONOCHROME2", "MONOCHROME2"),
        ("PhotometricInterpretation", b"monochrome2\0", "MONOCHROME2"),
        ("PresentationLUTShape", b"inverse", "INVERSE"),
        ("VOILUTFunction", b"sigmoid", "SIGMOID"),
        ("VOILUTFunction", b" Linear_Exact", "LINEAR_EXACT"),
        ("PatientOrientation", b" r\\ f", ["R", "F"]),
        ("PatientOrientation", b"r\\f", ["R", "F"]),
    ],
)
def test_codes_are_codes_in_any_case(dicom: Dicom, keyword: str, stated: bytes, meant: object) -> None:
    known = {"stored": UNSIGNED, "WindowCenter": 1800, "WindowWidth": 2100, keyword: meant}
    expected = read_pixels(dicom("plain.dcm", **known))
    np.testing.assert_array_equal(read_pixels(with_bytes(dicom(**known), keyword, stated)), expected)
