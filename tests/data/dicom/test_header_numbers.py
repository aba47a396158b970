"""Numbers as files hold them: of the standard, with decimal commas, and in brackets of programming languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.multival import MultiValue
from pydicom.valuerep import DSfloat
from radiograph_files import with_bytes

from contrastcxr.data.dicom.header_numbers import number, numbers, whole_number
from contrastcxr.data.dicom.reading import read_header, read_pixels

Dicom = Callable[..., Path]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (DSfloat("2047.5"), [2047.5]),
        (MultiValue(DSfloat, ["0.143", "0.144"]), [0.143, 0.144]),
        ("2047,5", [2047.5]),
        ("-2047,5", [-2047.5]),
        ("1,5E+3", [1500]),
        (",5", [0.5]),
        ("1,234", [1.234]),  # there is no thousands separator
        ("[2047.5]", [2047.5]),
        ("(2047,5)", [2047.5]),
        ("'2047.5'", [2047.5]),
        ("[0.143, 0.144]", [0.143, 0.144]),
        ("[0.143 0.144]", [0.143, 0.144]),
        ("[0.143,0.144]", [0.143, 0.144]),
        ("['0.143', '0.144']", [0.143, 0.144]),
        ("(0,143; 0,144)", [0.143, 0.144]),
        ("0,143, 0,144", [0.143, 0.144]),
        (MultiValue(str, ["(1,5", "1,6)"]), [1.5, 1.6]),
        (MultiValue(str, ["0,143", "0,144"]), [0.143, 0.144]),
        ("[1, 2]", [1, 2]),
        (None, []),
        ("", []),
        ([], []),
        ("[]", []),
        ("abc", [None]),
        ("0.143mm", [None]),
        ("1.234,5", [None]),
        ("1,234.5", [None]),
        ("1_000", [None]),
        ("NaN", [None]),
        ("1e400", [None]),
        (float("inf"), [None]),
        (MultiValue(str, ["1", "abc"]), [1, None]),
        ("1" * 16_000 + "x", [None]),
        ("1." + "0" * 16_000, [1]),
        ("1" + "," * 16_000, [None]),
        ("-" + "0" * 16_000 + "e", [None]),
    ],
)
def test_numbers_of_a_value(value: object, found: list[float | None]) -> None:
    assert numbers(value) == found


@pytest.mark.parametrize(
    ("value", "one", "whole"),
    [
        ("1.0", 1, 1),
        ("1,0", 1, 1),
        (" 12 ", 12, 12),
        (7, 7, 7),
        ("1.5", 1.5, None),
        ("1\\2", None, None),
        ([1, 2], None, None),
        ("", None, None),
        ("NaN", None, None),
    ],
)
def test_one_number_of_a_value(value: object, one: float | None, whole: int | None) -> None:
    assert (number(value), whole_number(value)) == (one, whole)


@pytest.mark.parametrize(
    ("center", "width"),
    [
        (b"1800,5", b"2100,25"),
        (b"[1800.5]", b"[2100.25]"),
        (b"(1800,5\\900)", b"(2100,25\\10)"),
        (b"1800.5", b"2,10025e3"),
    ],
)
def test_a_window_in_another_form_is_the_window(dicom: Dicom, center: bytes, width: bytes) -> None:
    plain = read_pixels(dicom("plain.dcm", WindowCenter="1800.5", WindowWidth="2100.25"))
    path = with_bytes(with_bytes(dicom(), "WindowCenter", center), "WindowWidth", width)
    np.testing.assert_array_equal(read_pixels(path), plain)


def test_a_window_that_is_no_number_is_as_if_there_were_none(dicom: Dicom) -> None:
    plain = read_pixels(dicom("plain.dcm", WindowCenter=None, WindowWidth=None))
    np.testing.assert_array_equal(read_pixels(with_bytes(dicom(), "WindowCenter", b"middle")), plain)


@pytest.mark.parametrize(
    ("slope", "intercept"), [(b"0,5", b"-100,5"), (b"[0.5]", b"[-100.5]"), (b"5e-1", b"-1,005e2")]
)
def test_a_rescale_in_another_form_is_the_rescale(dicom: Dicom, slope: bytes, intercept: bytes) -> None:
    known = {"WindowCenter": 500, "WindowWidth": 900, "RescaleSlope": "0.5", "RescaleIntercept": "-100.5"}
    path = with_bytes(with_bytes(dicom(**known), "RescaleSlope", slope), "RescaleIntercept", intercept)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm", **known)))
    assert read_header(path).doubts == ()


@pytest.mark.parametrize(
    ("stated", "spacing"),
    [
        (b"0,143\\0,144", (0.143, 0.144)),
        (b"[0.143, 0.144]", (0.143, 0.144)),
        (b"[0.143\\0.144]", (0.143, 0.144)),
        (b"(0,143; 0,144)", (0.143, 0.144)),
    ],
)
def test_a_spacing_in_another_form_is_the_spacing(
    dicom: Dicom, stated: bytes, spacing: tuple[float, float]
) -> None:
    header = read_header(with_bytes(dicom(), "ImagerPixelSpacing", stated))
    assert (header.spacing_mm, header.doubts) == (spacing, ())


@pytest.mark.parametrize(
    "stated", [b"fine", b"0.143", b"0\\0", b"-0.1\\0.1", b"NaN\\NaN", b"0,143,0,143", b"1\\2\\3"]
)
def test_a_spacing_that_is_none_is_unknown_and_doubted(dicom: Dicom, stated: bytes) -> None:
    header = read_header(with_bytes(dicom(), "ImagerPixelSpacing", stated))
    assert header.spacing_mm is None
    assert header.doubts == (
        "its file states a pixel spacing that is not two numbers above 0; sizes in millimetres are not known",
    )


def test_a_spacing_that_is_none_is_no_doubt_beside_one_that_is(dicom: Dicom) -> None:
    path = with_bytes(dicom(PixelSpacing=[0.3, 0.4]), "ImagerPixelSpacing", b"fine")
    assert (read_header(path).spacing_mm, read_header(path).doubts) == ((0.3, 0.4), ())


@pytest.mark.parametrize(
    ("stated", "number"), [(b"3.0", 3), (b"3,0", 3), (b"[3]", 3), (b"3.7", 3), (b"third", 0), (b"NaN", 0)]
)
def test_the_number_of_an_instance_may_have_decimals(dicom: Dicom, stated: bytes, number: int) -> None:
    assert read_header(with_bytes(dicom(InstanceNumber=1), "InstanceNumber", stated)).instance_number == number


@pytest.mark.parametrize("stated", [b"1.0", b"1,0", b"[1]"])
def test_one_frame_may_be_written_with_decimals(dicom: Dicom, stated: bytes) -> None:
    path = with_bytes(dicom(NumberOfFrames=1), "NumberOfFrames", stated)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm")))


def as_text(path: Path, keyword: bytes, value: bytes) -> Path:
    """The file with an attribute of 16 bits, by its tag's four bytes, as a decimal string."""
    data = path.read_bytes()
    at = data.index(keyword + b"US")
    end = at + 8 + 2
    path.write_bytes(data[:at] + keyword + b"DS" + len(value).to_bytes(2, "little") + value + data[end:])
    return path


@pytest.mark.parametrize(
    ("tag", "value"),
    [(b"\x28\x00\x10\x00", b"48,0"), (b"\x28\x00\x11\x00", b"[64]"), (b"\x28\x00\x01\x01", b"12.0")],
)
def test_sizes_may_be_text(dicom: Dicom, tag: bytes, value: bytes) -> None:
    path = as_text(dicom(), tag, value)
    assert (read_header(path).width, read_header(path).height) == (64, 48)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(dicom("plain.dcm")))
