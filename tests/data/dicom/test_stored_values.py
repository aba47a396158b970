"""Values that contradict their header: beyond BitsStored, with a rescale that is none, without a modality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from radiograph_files import ramp, with_bytes

from contrastcxr.data.dicom.reading import dicom_studies, read_header, read_pixels
from contrastcxr.errors import ImageError
from contrastcxr.quality.flags import view_flags

Dicom = Callable[..., Path]
STORED = ramp(top=4095)
NOISE = np.random.default_rng(3).normal(0, 60, STORED.shape)
NOISY = np.clip(STORED + NOISE, 0, 4095).astype(np.uint16)


def beyond(dicom: Dicom, stored: np.ndarray, bits: int, **attributes: object) -> str:
    path = dicom(stored=stored, bits=bits, **attributes)
    read_header(path)
    with pytest.raises(ImageError) as caught:
        read_pixels(path)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("stored", [STORED, NOISY, STORED[:, ::-1], STORED[::-1]])
@pytest.mark.parametrize(("bits", "most"), [(8, 255), (10, 1023), (11, 2047)])
def test_values_beyond_the_bits_stored_are_named(dicom: Dicom, stored: np.ndarray, bits: int, most: int) -> None:
    assert beyond(dicom, np.ascontiguousarray(stored), bits) == (
        f"has pixel values up to {int(stored.max()):,}, and its header says {bits} bits, which hold {most:,} "
        "at most; export it again"
    )


def test_signed_values_beyond_the_bits_stored_are_named(dicom: Dicom) -> None:
    assert beyond(dicom, STORED.astype(np.int16) - 2048, 10) == (
        "has pixel values up to 2,047, and its header says 10 bits, which hold 511 at most; export it again"
    )


def test_values_that_lie_higher_than_the_high_bit_are_named(dicom: Dicom) -> None:
    assert "header says 12 bits, which hold 4,095 at most" in beyond(dicom, STORED << 4, 12)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_decoded_values_beyond_the_bits_stored_are_named(dicom: Dicom, syntax: str) -> None:
    def edit(ds: Dataset) -> None:
        ds.compress(syntax, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit = 10, 9

    path = dicom(edit=edit)
    with pytest.raises(ImageError, match="up to 4,095, and its header says 10 bits"):
        read_pixels(path)


def drawn(stored: np.ndarray, bit: int) -> np.ndarray:
    """The values with letters and a frame in a bit above them, as old files keep overlays."""
    overlaid = stored.copy()
    overlaid[10:20, 8:40:3] |= 1 << bit
    overlaid[0] |= 1 << bit
    overlaid[:, 50] |= 1 << bit
    return overlaid


@pytest.mark.parametrize("bit", [12, 13, 15])
@pytest.mark.parametrize("stored", [STORED, NOISY])
def test_what_is_drawn_in_the_bits_above_never_reaches_the_values(
    dicom: Dicom, stored: np.ndarray, bit: int
) -> None:
    plain = read_pixels(dicom("plain.dcm", stored=stored))
    np.testing.assert_array_equal(read_pixels(dicom(stored=drawn(stored, bit))), plain)


def test_an_overlay_that_is_stated_is_not_asked_where_it_lies(dicom: Dicom) -> None:
    overlaid = STORED | ((STORED < 2000).astype(np.uint16) << 12)  # what only the bright part lacks

    def edit(ds: Dataset) -> None:
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 12)

    plain = read_pixels(dicom("plain.dcm"))
    np.testing.assert_array_equal(read_pixels(dicom(stored=overlaid, edit=edit)), plain)


def test_the_sign_may_fill_the_bits_above_or_not(dicom: Dicom) -> None:
    signed = STORED.astype(np.int16) - 2048
    known = {"bits": 12, "WindowCenter": 0, "WindowWidth": 4096}
    filled = read_pixels(dicom(stored=signed, **known))
    np.testing.assert_array_equal(read_pixels(dicom("b.dcm", stored=signed & np.int16(0xFFF), **known)), filled)


@pytest.mark.parametrize("high", [12, 13, 15])
@pytest.mark.parametrize("stored", [STORED, NOISY, STORED.astype(np.int16) - 2048])
def test_a_high_bit_that_the_values_contradict_is_not_believed(
    dicom: Dicom, stored: np.ndarray, high: int
) -> None:
    plain = read_pixels(dicom("plain.dcm", stored=stored))
    np.testing.assert_array_equal(read_pixels(dicom(stored=stored, HighBit=high)), plain)


@pytest.mark.parametrize("below", [0, 9])
def test_values_that_lie_where_the_high_bit_says_are_shifted(dicom: Dicom, below: int) -> None:
    plain = read_pixels(dicom("plain.dcm"))
    high = (STORED << 4) | np.uint16(below)
    np.testing.assert_array_equal(read_pixels(dicom(stored=high, HighBit=15)), plain)


@pytest.mark.parametrize("stored", [STORED, NOISY, STORED[:, ::-1], STORED[::-1]])
@pytest.mark.parametrize(("bits", "most"), [(12, 2047), (11, 1023)])
def test_unsigned_values_that_are_called_signed_are_named(
    dicom: Dicom, stored: np.ndarray, bits: int, most: int
) -> None:
    said = beyond(dicom, np.ascontiguousarray(stored), bits, PixelRepresentation=1)
    assert said.endswith(f"and its header says {bits} bits, which hold {most:,} at most; export it again")


@pytest.mark.parametrize("value", [-2000, -1, -32_768, -30_000])
def test_padding_of_the_other_sign_is_padding(dicom: Dicom, value: int) -> None:
    stored = STORED.copy()
    stored[:, :9] = value + 65_536

    def edit(ds: Dataset) -> None:
        ds.add_new("PixelPaddingValue", "SS", value)

    shown = read_pixels(dicom(stored=stored, edit=edit))
    assert (shown[:, :9] == 0).all()
    np.testing.assert_array_equal(shown[:, 9:], read_pixels(dicom("plain.dcm"))[:, 9:])


def test_a_marker_brighter_than_the_bits_stored_is_no_contradiction(dicom: Dicom) -> None:
    marked = STORED.copy()
    marked[4:8, 4:8] = 65_535
    shown = read_pixels(dicom(stored=marked))
    assert (shown[4:8, 4:8] == 1).all()


@pytest.mark.parametrize(
    ("value", "stored"), [(65_535, np.uint16), (4096, np.uint16), (-32_768, np.int16), (-2049, np.int16)]
)
def test_padding_may_lie_beyond_the_bits_stored(dicom: Dicom, value: int, stored: type) -> None:
    offset = min(np.iinfo(stored).min, 0) // 16
    values = STORED.astype(np.int64) + offset
    values[:, :9] = value
    shown = read_pixels(
        dicom(
            stored=values.astype(stored),
            PixelPaddingValue=value,
            PhotometricInterpretation="MONOCHROME1",
            WindowCenter=2048 + offset,
            WindowWidth=4096,
        )
    )
    assert (shown[:, :9] == 0).all()
    np.testing.assert_allclose(shown[:, 9:], 1 - STORED[:, 9:] / 4095, atol=1e-6)


@pytest.mark.parametrize("high", [0, 5, 16, 40])
def test_a_high_bit_that_cannot_be_is_the_usual_one(dicom: Dicom, high: int) -> None:
    np.testing.assert_array_equal(read_pixels(dicom(HighBit=high)), read_pixels(dicom("plain.dcm")))


@pytest.mark.parametrize(
    "slope", [b"NaN", b"nan", b"1e400", b"-1e400", b"inf", b"0", b"0,0", b"steep", b"1\\2", b"1e307"]
)
def test_a_slope_that_is_none_is_left_out_and_doubted(dicom: Dicom, slope: bytes) -> None:
    path = with_bytes(dicom(RescaleSlope=1, RescaleIntercept=-1024), "RescaleSlope", slope)
    shown = read_pixels(path)
    np.testing.assert_array_equal(shown, read_pixels(dicom("plain.dcm")))
    (study,), failures = dicom_studies([path])
    doubt = (
        "its file states a rescale slope or intercept that cannot be used; its values are shown without rescale"
    )
    assert (study.views[0].doubts, failures) == ((doubt,), [])
    assert f"view 1: {doubt}" in [flag.message for flag in view_flags(study, [0])]


@pytest.mark.parametrize("intercept", [b"NaN", b"1e400", b"-inf", b"below"])
def test_an_intercept_that_is_none_is_left_out_and_doubted(dicom: Dicom, intercept: bytes) -> None:
    path = with_bytes(dicom(RescaleSlope=2, RescaleIntercept=0), "RescaleIntercept", intercept)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm")))
    assert "cannot be used" in read_header(path).doubts[0]


@pytest.mark.parametrize(("slope", "intercept"), [("", ""), ("1", ""), ("", "0"), ("1", "0")])
def test_a_rescale_that_is_empty_is_none(dicom: Dicom, slope: str, intercept: str) -> None:
    path = dicom(RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm")))
    assert read_header(path).doubts == ()


EXTREMES = ["1e-300", "1e-12", "-1", "1e300", "1e-45", "3.4e38"]


@pytest.mark.parametrize("slope", EXTREMES)
@pytest.mark.parametrize(
    "window", [("", ""), ("NaN", "1"), ("0", "1e-300"), ("1e308", "1e308"), ("-1e308", "1e-308")]
)
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID", "LINEAR_EXACT"])
def test_pixels_are_finite_and_in_range_whatever_the_numbers(
    dicom: Dicom, slope: str, window: tuple[str, str], function: str
) -> None:
    center, width = window
    path = dicom(RescaleSlope=slope, VOILUTFunction=function)
    for keyword, value in (("WindowCenter", center), ("WindowWidth", width)):
        path = with_bytes(path, keyword, value.encode())
    shown = read_pixels(path)
    assert np.isfinite(shown).all()
    assert 0 <= shown.min() < shown.max() <= 1


@pytest.mark.parametrize("slope", ["1e-12", "1e-300", "1e300"])
def test_a_slope_of_any_size_is_stretched_where_there_is_no_window(dicom: Dicom, slope: str) -> None:
    known = {"WindowCenter": None, "WindowWidth": None}
    plain = read_pixels(dicom("plain.dcm", **known))
    np.testing.assert_allclose(read_pixels(dicom(RescaleSlope=slope, **known)), plain, atol=1e-6)


@pytest.mark.parametrize("modality", [b"", None, b"cr", b"Dx", b"CR\0", b" CR "])
@pytest.mark.parametrize("kind", [None, DigitalXRayImageStorageForPresentation])
def test_where_the_modality_is_missing_the_class_of_the_object_says_it(
    dicom: Dicom, kind: str | None, modality: bytes | None
) -> None:
    known = {} if kind is None else {"SOPClassUID": kind}
    path = dicom(Modality=None, **known) if modality is None else with_bytes(dicom(**known), "Modality", modality)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm")))
    assert read_header(path).doubts == ()


@pytest.mark.parametrize(
    ("kind", "modality", "said"),
    [
        (SecondaryCaptureImageStorage, None, "Secondary Capture Image Storage, modality not stated"),
        (None, "CT", "Computed Radiography Image Storage, modality CT"),
        (None, "OT", "Computed Radiography Image Storage, modality OT"),
        ("1.2.3.4", None, "an unnamed object, modality not stated"),
        (
            DigitalXRayImageStorageForProcessing,
            None,
            "Digital X-Ray Image Storage - For Processing, raw values for processing and not for presentation",
        ),
    ],
)
def test_where_the_class_does_not_say_it_the_object_is_refused(
    dicom: Dicom, kind: str | None, modality: str | None, said: str
) -> None:
    known = {} if kind is None else {"SOPClassUID": kind}
    path = dicom(Modality=modality, **known)
    with pytest.raises(ImageError) as caught:
        read_header(path)
    assert str(caught.value) == (
        f"{path}: {said}; one grey CR or DX image of the chest was expected; leave it out"
    )


def test_one_file_with_a_slope_that_is_none_does_not_end_a_batch(dicom: Dicom) -> None:
    bad = with_bytes(dicom("bad.dcm", RescaleSlope=1), "RescaleSlope", b"NaN")
    studies, failures = dicom_studies([bad, dicom("good.dcm")])
    assert (len(studies), failures) == (2, [])
    assert "RescaleSlope" in pydicom.dcmread(bad)


@pytest.mark.parametrize(
    "kind", [ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage]
)
def test_the_class_may_stand_in_the_meta_information_alone(dicom: Dicom, kind: str) -> None:
    def edit(ds: Dataset) -> None:
        ds.file_meta.MediaStorageSOPClassUID = kind
        del ds.SOPClassUID, ds.Modality

    path = dicom(edit=edit)
    if kind == SecondaryCaptureImageStorage:
        with pytest.raises(ImageError, match="Secondary Capture Image Storage, modality not stated"):
            read_header(path)
    else:
        assert read_header(path).position == "PA"


@pytest.mark.parametrize("intent", [b"FOR PROCESSING", b"For Processing", b" for processing"])
def test_raw_values_are_refused_in_any_case(dicom: Dicom, intent: bytes) -> None:
    path = with_bytes(dicom(PresentationIntentType="FOR PRESENTATION"), "PresentationIntentType", intent)
    with pytest.raises(ImageError, match="raw values for processing and not for presentation"):
        read_header(path)
