"""Every transfer syntax that there is a decoder for, over 8 to 16 bits, signed and not."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from radiograph_files import data_set, meta_information, radiograph, ramp, with_bytes

from contrastcxr.data.dicom.reading import read_header, read_pixels
from contrastcxr.errors import ImageError

Dicom = Callable[..., Path]
STREAMS = Path(__file__).parent / "streams"
DEPTHS = [
    (np.uint8, 8),
    (np.uint16, 10),
    (np.uint16, 12),
    (np.uint16, 14),
    (np.uint16, 16),
    (np.int16, 12),
    (np.int16, 16),
]
LOSSLESS = {
    "implicit": gdcm.TransferSyntax.ImplicitVRLittleEndian,
    "big endian": gdcm.TransferSyntax.ExplicitVRBigEndian,
    "deflated": gdcm.TransferSyntax.DeflatedExplicitVRLittleEndian,
    "JPEG process 14": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "JPEG process 14, selection 1": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "RLE": gdcm.TransferSyntax.RLELossless,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
}
OFFICIAL = {
    "implicit": pydicom.uid.ImplicitVRLittleEndian,
    "big endian": pydicom.uid.ExplicitVRBigEndian,
    "deflated": pydicom.uid.DeflatedExplicitVRLittleEndian,
    "JPEG process 14": JPEGLossless,
    "JPEG process 14, selection 1": JPEGLosslessSV1,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def plain(dicom: Dicom, kind: type, bits: int) -> Path:
    """An uncompressed object whose values fill all bits, from the least to the most."""
    stored = ramp(top=(1 << bits) - 1).astype(np.int64)
    signed = np.issubdtype(kind, np.signedinteger)
    if signed:
        stored -= 1 << (bits - 1)
    return dicom(stored=stored.astype(kind), bits=bits, **({"WindowCenter": 0} if signed else {}))


def changed(path: Path, syntax: int) -> Path:
    """The same object as gdcm writes it in another transfer syntax."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    out = path.with_name("changed.dcm")
    writer.SetFileName(str(out))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return out


def relabelled(path: Path, syntax: str, name: str = "relabelled.dcm") -> Path:
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path.with_name(name), enforce_file_format=True)
    return path.with_name(name)


def holding(stream: str, path: Path, syntax: str) -> Path:
    """The object with a compressed picture of its values that was made elsewhere (streams/make.py)."""
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate([(STREAMS / stream).read_bytes()])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path.with_name("holding.dcm"))
    return path.with_name("holding.dcm")


def compressed(path: Path, syntax: str, **options: object) -> Path:
    ds = pydicom.dcmread(path)
    ds.compress(syntax, generate_instance_uid=False, **options)
    ds.save_as(path.with_name("compressed.dcm"))
    return path.with_name("compressed.dcm")


@pytest.mark.parametrize(("kind", "bits"), DEPTHS)
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_syntax_gives_the_values_of_the_plain_object(
    dicom: Dicom, name: str, kind: type, bits: int
) -> None:
    path = plain(dicom, kind, bits)
    other = changed(path, LOSSLESS[name])
    assert pydicom.dcmread(other).file_meta.TransferSyntaxUID == OFFICIAL[name]
    np.testing.assert_array_equal(read_pixels(other), read_pixels(path))
    assert read_header(other).width == 64


@pytest.mark.parametrize(("kind", "bits"), DEPTHS)
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_what_pydicom_compresses_without_loss_is_read_without_loss(
    dicom: Dicom, syntax: str, kind: type, bits: int
) -> None:
    path = plain(dicom, kind, bits)
    np.testing.assert_array_equal(read_pixels(compressed(path, syntax)), read_pixels(path))


@pytest.mark.parametrize(("kind", "bits"), [d for d in DEPTHS if d != (np.int16, 16)])
def test_near_lossless_jpeg_ls_is_as_near_as_it_says(dicom: Dicom, kind: type, bits: int) -> None:
    path = plain(dicom, kind, bits)
    far = np.abs(read_pixels(compressed(path, JPEGLSNearLossless, jls_error=3)) - read_pixels(path)).max()
    assert 0 < far <= 3.01 / ((1 << bits) - 1)


@pytest.mark.parametrize(("kind", "bits"), DEPTHS)
def test_lossy_jpeg_2000_is_near(dicom: Dicom, kind: type, bits: int) -> None:
    path = plain(dicom, kind, bits)
    np.testing.assert_allclose(read_pixels(compressed(path, JPEG2000, j2k_cr=[4])), read_pixels(path), atol=0.01)


@pytest.mark.parametrize("label", [None, JPEGExtended12Bit])
def test_jpeg_of_8_bits_is_near_as_baseline_and_as_extended(dicom: Dicom, label: str | None) -> None:
    path = plain(dicom, np.uint8, 8)
    jpeg = changed(path, gdcm.TransferSyntax.JPEGBaselineProcess1)
    assert pydicom.dcmread(jpeg).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    jpeg = jpeg if label is None else relabelled(jpeg, label)
    np.testing.assert_allclose(read_pixels(jpeg), read_pixels(path), atol=0.02)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL])
def test_high_throughput_jpeg_2000_without_loss_gives_the_values_of_the_plain_object(
    dicom: Dicom, syntax: str
) -> None:
    path = plain(dicom, np.uint16, 12)
    np.testing.assert_array_equal(read_pixels(holding("ht_lossless.j2c", path, syntax)), read_pixels(path))


def test_lossy_high_throughput_jpeg_2000_is_near(dicom: Dicom) -> None:
    path = plain(dicom, np.uint16, 12)
    np.testing.assert_allclose(read_pixels(holding("ht_lossy.j2c", path, HTJ2K)), read_pixels(path), atol=0.01)


def test_jpeg_of_12_bits_is_near_with_the_extra_that_decodes_it_and_names_it_without(dicom: Dicom) -> None:
    path = plain(dicom, np.uint16, 12)
    jpeg = holding("extended_12_bits.jpg", path, JPEGExtended12Bit)
    assert read_header(jpeg).width == 64
    if find_spec("libjpeg"):
        np.testing.assert_allclose(read_pixels(jpeg), read_pixels(path), atol=0.001)
        return
    with pytest.raises(ImageError) as caught:
        read_pixels(jpeg)
    assert str(caught.value) == (
        f"{jpeg}: no decoder for JPEG Extended (Process 2 and 4); install one with: pip install "
        "'contrastcxr[dicom-gpl]' (its decoder is under the GPL), or export it uncompressed"
    )


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.113619.5.2", "the transfer syntax 1.2.840.113619.5.2"),
        ("1.3.46.670589.33.1.4.1", "the transfer syntax 1.3.46.670589.33.1.4.1"),
        ("1.2.3.4711", "the transfer syntax 1.2.3.4711"),
        ("Secretive^Sam", "an unnamed transfer syntax"),
    ],
)
def test_a_syntax_without_a_decoder_is_refused_by_its_name_or_its_uid(
    dicom: Dicom, syntax: str, name: str
) -> None:
    path = with_bytes(dicom(), "TransferSyntaxUID", syntax.encode() + b"\0" * (len(syntax) % 2))
    with pytest.raises(ImageError) as caught:
        read_pixels(path)
    assert str(caught.value) == (
        f"{path}: no decoder for {name}, which is none of those of radiographs; export it uncompressed"
    )


@pytest.mark.parametrize("uid", ["1.2.840.113619.5.2", "1.3.46.670589.33.1.4.1"])
def test_a_data_set_in_a_private_syntax_is_refused_by_its_uid(tmp_path: Path, uid: str) -> None:
    path = tmp_path / "a.dcm"
    data = data_set(radiograph(ramp(top=4095), 12), ImplicitVRLittleEndian)
    swapped = b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
    path.write_bytes(bytes(128) + b"DICM" + meta_information(uid) + swapped)
    with pytest.raises(ImageError, match=f"no decoder for the transfer syntax {uid}, which is none of those"):
        read_header(path)


def test_a_film_is_refused_by_the_name_of_its_syntax(dicom: Dicom) -> None:
    ds = pydicom.dcmread(dicom())
    ds.PixelData = encapsulate([b"\0\0\1\xb3"])
    ds.file_meta.TransferSyntaxUID = MPEG2MPML
    path = dicom()
    ds.save_as(path)
    with pytest.raises(ImageError, match="no decoder for MPEG2 Main Profile / Main Level, which is none of those"):
        read_pixels(path)


def test_a_picture_in_several_fragments_is_one_picture(dicom: Dicom) -> None:
    path = plain(dicom, np.uint16, 12)
    ds = pydicom.dcmread(compressed(path, JPEG2000Lossless))
    ds.PixelData = encapsulate([get_frame(ds.PixelData, 0, number_of_frames=1)], fragments_per_frame=3)
    ds.save_as(path.with_name("fragments.dcm"))
    np.testing.assert_array_equal(read_pixels(path.with_name("fragments.dcm")), read_pixels(path))


@pytest.mark.parametrize("offsets", [(0,), (8,), (0, 0), (0, 8, 16), (1 << 31,), (0xFFFFFFFF, 0)])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_a_table_of_offsets_does_not_count_for_one_frame(
    dicom: Dicom, syntax: str, fragments: int, offsets: tuple[int, ...]
) -> None:
    path = plain(dicom, np.uint16, 12)
    ds = pydicom.dcmread(compressed(path, syntax))
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    data = encapsulate([stream], fragments_per_frame=fragments, has_bot=False)
    table = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    ds.PixelData = data[:4] + len(table).to_bytes(4, "little") + table + data[8:]
    ds.save_as(path.with_name("offsets.dcm"))
    np.testing.assert_array_equal(read_pixels(path.with_name("offsets.dcm")), read_pixels(path))


def test_words_of_big_endian_bytes_are_put_in_order(dicom: Dicom) -> None:
    path = plain(dicom, np.uint8, 8)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    ds["PixelData"].VR = "OW"
    ds.PixelData = np.frombuffer(ds.PixelData, dtype="<u2").astype(">u2").tobytes()
    big = path.with_name("big.dcm")
    pydicom.dcmwrite(big, ds, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_pixels(big), read_pixels(path))
