from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)
from radiograph_files import ramp

from contrastcxr.data.dicom.reading import DicomFile, dicom_studies, pseudonym, read_header, read_pixels, study_of
from contrastcxr.errors import ImageError
from contrastcxr.quality.flags import view_flags

Dicom = Callable[..., Path]
STORED = ramp(top=4095)


def by_the_standard(path: Path, full: float) -> np.ndarray:
    """The displayed picture as pydicom works it out pixel by pixel."""
    ds = pydicom.dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    return np.asarray(shown, dtype=np.float64) / full


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000.5, 700), (3000, 100)])
def test_windows_are_those_of_the_standard(dicom: Dicom, function: str, center: float, width: float) -> None:
    path = dicom(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    np.testing.assert_allclose(read_pixels(path), by_the_standard(path, 4095), atol=2e-4)


def test_of_several_windows_the_first_counts(dicom: Dicom) -> None:
    several = dicom("s.dcm", WindowCenter=[1000, 50], WindowWidth=[900, 10])
    np.testing.assert_array_equal(read_pixels(several), read_pixels(dicom(WindowCenter=1000, WindowWidth=900)))


def test_rescaled_signed_values_are_windowed_as_by_the_standard(dicom: Dicom) -> None:
    stored = STORED.astype(np.int16) - 2048
    path = dicom(
        stored=stored, RescaleSlope=2, RescaleIntercept=100, RescaleType="US", WindowCenter=300, WindowWidth=2500
    )
    ds = pydicom.dcmread(path)
    values = ds.pixel_array * 2.0 + 100
    np.testing.assert_allclose(read_pixels(path), np.clip((values - 299.5) / 2499 + 0.5, 0, 1), atol=1e-5)


def lut(first: int, entries: np.ndarray, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries.astype(int).tolist())
    return item


def test_a_lookup_table_goes_before_a_window(dicom: Dicom) -> None:
    entries = np.linspace(0, 1023, 3000).round() // 7 * 7

    def edit(ds: Dataset) -> None:
        ds.VOILUTSequence = Sequence([lut(500, entries, 10)])

    path = dicom(edit=edit)
    np.testing.assert_allclose(read_pixels(path), by_the_standard(path, 1023), atol=1e-6)


def test_a_modality_table_is_applied(dicom: Dicom) -> None:
    def edit(ds: Dataset) -> None:
        ds.ModalityLUTSequence = Sequence([lut(0, np.sqrt(np.arange(4096)) * 60, 16)])
        ds.ModalityLUTSequence[0].ModalityLUTType = "US"

    path = dicom(edit=edit)
    np.testing.assert_allclose(read_pixels(path), by_the_standard(path, 65535), atol=3e-4)


def test_without_a_window_the_values_in_use_are_stretched(dicom: Dicom) -> None:
    pixels = read_pixels(dicom(stored=1000 + STORED // 8, WindowCenter=None, WindowWidth=None))
    assert (float(pixels.min()), float(pixels.max())) == (0, 1)
    np.testing.assert_allclose(pixels, STORED / 4095, atol=0.02)


def test_a_window_that_shows_nothing_is_not_believed(dicom: Dicom) -> None:
    lost = read_pixels(dicom(WindowCenter=60_000, WindowWidth=10))
    np.testing.assert_allclose(lost, STORED / 4095, atol=0.02)


@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_monochrome1_is_inverted_once_whatever_the_presentation_shape(dicom: Dicom, shape: str | None) -> None:
    extra = {"PresentationLUTShape": shape} if shape else {}
    path = dicom(PhotometricInterpretation="MONOCHROME1", **extra)
    np.testing.assert_allclose(read_pixels(path), 1 - read_pixels(dicom("b.dcm")), atol=1e-6)


def test_an_inverse_presentation_shape_inverts_monochrome2(dicom: Dicom) -> None:
    path = dicom(PresentationLUTShape="INVERSE")
    np.testing.assert_allclose(read_pixels(path), 1 - read_pixels(dicom("b.dcm")), atol=1e-6)


def test_bits_above_those_stored_do_not_count(dicom: Dicom) -> None:
    with_overlay = STORED | np.uint16(0x5000)
    np.testing.assert_array_equal(read_pixels(dicom(stored=with_overlay)), read_pixels(dicom("b.dcm")))


def test_values_stored_in_high_bits_are_shifted_down(dicom: Dicom) -> None:
    np.testing.assert_array_equal(read_pixels(dicom(stored=STORED << 4, HighBit=15)), read_pixels(dicom("b.dcm")))


def test_padding_is_black_and_does_not_count(dicom: Dicom) -> None:
    stored = STORED.copy()
    stored[:, :10] = 4095
    stored[stored == 4094] = 4093
    path = dicom(
        stored=stored,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=4094,
        PixelPaddingRangeLimit=4095,
        WindowCenter=None,
        WindowWidth=None,
    )
    pixels = read_pixels(path)
    assert pixels[:, :10].max() == 0
    assert pixels[:, 10:].min() == 0
    assert pixels.max() == 1


UPRIGHT = STORED.astype(np.float32) / 4095
STORED_AS: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {
    ("L", "F"): lambda a: a,
    ("R", "F"): lambda a: a[:, ::-1],
    ("L", "H"): lambda a: a[::-1],
    ("R", "H"): lambda a: a[::-1, ::-1],
    ("F", "L"): lambda a: a.T,
    ("H", "L"): lambda a: a[::-1].T,
    ("F", "R"): lambda a: a[:, ::-1].T,
    ("H", "R"): lambda a: a[::-1, ::-1].T,
}


@pytest.mark.parametrize("orientation", list(STORED_AS))
def test_every_stated_orientation_comes_out_upright_with_the_left_on_the_right(
    dicom: Dicom, orientation: tuple[str, str]
) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](STORED))
    path = dicom(stored=stored, PatientOrientation=list(orientation))
    header = read_header(path)
    pixels = read_pixels(path)
    np.testing.assert_allclose(pixels, UPRIGHT, atol=1e-3)
    assert (header.width, header.height, header.mirrored) == (64, 48, False)
    turned = stored.shape != STORED.shape
    assert header.spacing_mm == ((0.1, 0.2) if turned else (0.2, 0.1))


@pytest.mark.parametrize("orientation", ["", ["L", "R"], ["X", "F"], ["H", "F"]])
def test_an_orientation_that_says_nothing_leaves_the_picture_and_is_unknown(
    dicom: Dicom, orientation: object
) -> None:
    path = dicom(PatientOrientation=orientation)
    assert read_header(path).mirrored is None
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)


@pytest.mark.parametrize(
    ("view", "orientation", "position", "source"),
    [
        ("PA", ["L", "F"], "PA", "stated"),
        ("AP", ["L", "F"], "AP", "stated"),
        ("LL", ["A", "F"], "LATERAL", "stated"),
        ("", ["P", "F"], "LATERAL", "orientation"),
        ("", ["L", "F"], "unknown", "stated"),
    ],
)
def test_the_view_comes_from_its_attribute_or_else_from_the_orientation(
    dicom: Dicom, view: str, orientation: list[str], position: str, source: str
) -> None:
    header = read_header(dicom(ViewPosition=view, PatientOrientation=orientation))
    assert (header.position, header.position_source) == (position, source)


@pytest.mark.parametrize(
    ("value", "position"),
    [("399348003", "AP"), ("R-10214", "PA"), ("399198007", "LATERAL"), ("399136008", "unknown")],
)
def test_the_view_may_be_a_code_without_words(dicom: Dicom, value: str, position: str) -> None:
    code = Dataset()
    code.CodeValue = value
    assert read_header(dicom(ViewPosition=None, ViewCodeSequence=Sequence([code]))).position == position


def test_the_view_may_be_a_code(dicom: Dicom) -> None:
    code = Dataset()
    code.CodeMeaning = "postero-anterior"
    assert read_header(dicom(ViewPosition=None, ViewCodeSequence=Sequence([code]))).position == "PA"


def test_spacing_at_the_detector_goes_before_pixel_spacing(dicom: Dicom) -> None:
    assert read_header(dicom(PixelSpacing=[9, 9])).spacing_mm == (0.2, 0.1)
    assert read_header(dicom(ImagerPixelSpacing=None, PixelSpacing=[0.3, 0.4])).spacing_mm == (0.3, 0.4)
    assert read_header(dicom(ImagerPixelSpacing=None)).spacing_mm is None


def spaced(**attributes: object) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        ds.ImagerPixelSpacing, ds.PixelSpacing = [0.2, 0.2], [0.16, 0.16]
        for name, value in attributes.items():
            setattr(ds, name, value)

    return edit


def test_two_spacings_that_nothing_explains_are_doubted_on_the_page(dicom: Dicom) -> None:
    (study,), _ = dicom_studies([dicom(edit=spaced())])
    (doubt,) = study.views[0].doubts
    assert "two pixel spacings, 0.2 mm at the detector and 0.16 mm" in doubt
    assert [f.message for f in view_flags(study, [0]) if f.kind == "quality"] == [f"view 1: {doubt}"]


@pytest.mark.parametrize(
    "explained",
    [
        {"PixelSpacingCalibrationType": "GEOMETRY"},
        {"PixelSpacingCalibrationType": "FIDUCIAL"},
        {"EstimatedRadiographicMagnificationFactor": 1.25},
        {"DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 1440},
        {"PixelSpacing": [0.2, 0.2]},
        {"PixelSpacing": None},
    ],
)
def test_a_calibration_a_magnification_or_equal_spacings_leave_no_doubt(dicom: Dicom, explained: dict) -> None:
    header = read_header(dicom(edit=spaced(**explained)))
    assert (header.doubts, header.spacing_mm) == ((), (0.2, 0.2))


def test_a_magnification_that_does_not_fit_explains_nothing(dicom: Dicom) -> None:
    assert read_header(dicom(edit=spaced(EstimatedRadiographicMagnificationFactor=1.5))).doubts


def test_a_view_and_an_orientation_that_contradict_each_other_are_doubted(dicom: Dicom) -> None:
    header = read_header(dicom(ViewPosition="PA", PatientOrientation=["A", "F"]))
    assert header.doubts == ("its file states the view PA and the orientation of a lateral view",)


DISPLAYED = {
    (0, "N"): lambda a: a,
    (0, "Y"): lambda a: a[:, ::-1],
    (90, "N"): lambda a: np.rot90(a, -1),
    (90, "Y"): lambda a: np.rot90(a, -1)[:, ::-1],
    (180, "N"): lambda a: np.rot90(a, 2),
    (180, "Y"): lambda a: np.rot90(a, 2)[:, ::-1],
    (270, "N"): lambda a: np.rot90(a, 1),
    (270, "Y"): lambda a: np.rot90(a, 1)[:, ::-1],
}


@pytest.mark.parametrize(("rotation", "flip"), DISPLAYED)
def test_without_an_orientation_the_senders_rotation_and_flip_are_carried_out_and_the_side_is_unknown(
    dicom: Dicom, rotation: int, flip: str
) -> None:
    path = dicom(PatientOrientation=None, ImageRotation=rotation, ImageHorizontalFlip=flip)
    header, pixels = read_header(path), read_pixels(path)
    np.testing.assert_allclose(pixels, DISPLAYED[rotation, flip](UPRIGHT), atol=1e-3)
    assert (header.height, header.width) == pixels.shape
    assert header.mirrored is None
    assert header.spacing_mm == ((0.1, 0.2) if rotation in (90, 270) else (0.2, 0.1))


def test_a_stated_orientation_goes_before_the_flip_at_display(dicom: Dicom) -> None:
    path = dicom(PatientOrientation=["L", "F"], ImageRotation=90, ImageHorizontalFlip="Y")
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)
    assert read_header(path).mirrored is False


@pytest.mark.parametrize(("orientation", "mirrored"), [(["L", "F"], False), (None, None)])
@pytest.mark.parametrize("flip", ["YES", "NO"])
def test_a_flip_of_the_field_of_view_has_been_done_already_and_does_not_say_where_the_left_is(
    dicom: Dicom, flip: str, orientation: object, mirrored: bool | None
) -> None:
    path = dicom(PatientOrientation=orientation, FieldOfViewHorizontalFlip=flip, FieldOfViewRotation=0)
    np.testing.assert_allclose(read_pixels(path), UPRIGHT, atol=1e-3)
    (study,), _ = dicom_studies([path])
    assert study.views[0].mirrored is mirrored
    words = [flag.message for flag in view_flags(study, [0]) if flag.kind == "orientation"]
    assert words == ([] if orientation else ["view 1: left and right not stated; trust only the marker"])


def test_a_bare_data_set_without_preamble_is_read(dicom: Dicom, tmp_path: Path) -> None:
    path = dicom()
    ds = pydicom.dcmread(path)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.preamble = None
    pydicom.dcmwrite(tmp_path / "bare.dcm", ds, implicit_vr=False, little_endian=True)
    assert (tmp_path / "bare.dcm").read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_pixels(tmp_path / "bare.dcm"), read_pixels(path))


def colour(ds: Dataset) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0


def ct(ds: Dataset) -> None:
    ds.Modality, ds.SOPClassUID = "CT", CTImageStorage


def raw(ds: Dataset) -> None:
    ds.Modality, ds.SOPClassUID = "DX", DigitalXRayImageStorageForProcessing


def capture(ds: Dataset) -> None:
    ds.Modality, ds.SOPClassUID = "", SecondaryCaptureImageStorage


def presentation_state(ds: Dataset) -> None:
    ds.Modality, ds.SOPClassUID = "PR", GrayscaleSoftcopyPresentationStateStorage


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edit": ct}, "CT Image Storage, modality CT"),
        ({"edit": raw}, "For Processing, raw values"),
        ({"edit": presentation_state}, "Presentation State Storage, modality PR"),
        ({"edit": colour}, r"colour or unknown kind of pixels \(RGB\)"),
        ({"NumberOfFrames": 12}, "12 frames"),
        ({"BodyPartExamined": "KNEE"}, "body part KNEE"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw values for processing"),
        ({"edit": capture}, "Secondary Capture Image Storage, modality not stated"),
        ({"BitsStored": 17}, "17 bits stored in 16"),
        ({"Rows": 20_000}, "64×20000 pixels"),
        ({"Rows": 1}, "64×1 pixels"),
        ({"Rows": None}, "no usable Rows"),
    ],
)
def test_other_objects_are_refused_by_name_from_the_header(dicom: Dicom, change: dict, words: str) -> None:
    path = dicom(**change)
    for read in (read_header, read_pixels):
        with pytest.raises(ImageError, match=words) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("part", ["CHEST", "", "PORT CHEST", "THORAX", "UNKNOWN"])
def test_chests_and_unstated_body_parts_are_read(dicom: Dicom, part: str) -> None:
    assert read_header(dicom(BodyPartExamined=part)).width == 64


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.99])
def test_a_truncated_object_is_refused_in_one_line(dicom: Dicom, keep: float) -> None:
    path = dicom()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ImageError, match=re.escape(str(path))) as caught:
        read_pixels(path)
    assert "\n" not in str(caught.value)
    assert "Secretive" not in str(caught.value)


def test_pixel_data_of_another_size_than_stated_is_refused(dicom: Dicom) -> None:
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_pixels(dicom(Columns=80))


def test_an_all_black_object_is_refused(dicom: Dicom) -> None:
    with pytest.raises(ImageError, match="every pixel is the same black"):
        read_pixels(dicom(stored=np.zeros((64, 64), np.uint16)))


def test_files_are_grouped_by_study_whatever_their_folder_with_the_frontal_first(dicom: Dicom) -> None:
    paths = [
        dicom("x/1.dcm", StudyInstanceUID="1.2.3", ViewPosition="LL", PatientOrientation=["A", "F"]),
        dicom("y/2.dcm", StudyInstanceUID="1.2.4"),
        dicom("z/3.dcm", StudyInstanceUID="1.2.3", ViewPosition="PA"),
    ]
    studies, failures = dicom_studies(paths)
    assert [[v.position for v in s.views] for s in studies] == [["PA", "LATERAL"], ["PA"]]
    assert studies[0].views[0].locator == str(paths[2])
    assert failures == []


def test_the_same_image_twice_is_read_once_and_listed(dicom: Dicom) -> None:
    paths = [
        dicom("a.dcm", SOPInstanceUID="1.5", StudyInstanceUID="1.2"),
        dicom("b.dcm", SOPInstanceUID="1.5", StudyInstanceUID="1.2"),
    ]
    studies, failures = dicom_studies(paths)
    assert [len(s.views) for s in studies] == [1]
    assert [f.where for f in failures] == [str(paths[1])]


@pytest.mark.parametrize("cut_first", [True, False])
def test_of_an_image_and_its_cut_copy_the_whole_one_is_read(dicom: Dicom, cut_first: bool) -> None:
    whole = dicom("m.dcm", SOPInstanceUID="1.5", StudyInstanceUID="1.2")
    cut = whole.with_name("a.dcm" if cut_first else "z.dcm")
    cut.write_bytes(whole.read_bytes()[:-500])
    studies, failures = dicom_studies(sorted([whole, cut]))
    assert [v.locator for s in studies for v in s.views] == [str(whole)]
    assert [(f.where, f.message) for f in failures] == [
        (str(cut), f"{cut}: the same image as {whole}; it is read once")
    ]


def test_nothing_that_names_the_patient_leaves_the_reader(dicom: Dicom) -> None:
    path = dicom(StudyInstanceUID="1.2.3.4711", SOPInstanceUID="1.2.3.4712", PatientAge="063Y", PatientSex="F")
    studies, _ = dicom_studies([path])
    text = repr(studies) + studies[0].model_dump_json()
    for secret in ("Secretive", "Sam", "MRN", "4711", "4712", "19600229", "1960"):
        assert secret not in text
    assert studies[0].study_id == pseudonym("study", "1.2.3.4711")
    assert studies[0].patient_id == pseudonym("patient", "MRN-4711")
    assert (studies[0].age, studies[0].sex) == (63, "F")


def test_ids_are_kept_when_asked_for(dicom: Dicom) -> None:
    studies, _ = dicom_studies([dicom(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.9")], keep_ids=True)
    assert (studies[0].study_id, studies[0].patient_id, studies[0].views[0].uid) == ("1.2.3", "MRN-4711", "1.2.9")


def test_a_damaged_header_cannot_carry_the_name_into_a_message(dicom: Dicom) -> None:
    path = dicom(BodyPartExamined="KNEE")
    data = path.read_bytes()
    for tag in (b"\x08\x00\x16\x00", b"\x08\x00\x60\x00", b"\x18\x00\x15\x00"):  # class, modality, body part
        at = data.index(tag) + 6
        longer = data[:at] + (200).to_bytes(2, "little") + data[at + 2 :]
        path.write_bytes(longer)
        with pytest.raises(ImageError) as caught:
            read_header(path)
        assert "Secretive" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", ["../../x", "1.2.3\x00", "Secretive^Sam"])
def test_a_damaged_study_uid_is_hashed_even_when_ids_are_kept(keep: str) -> None:
    file = DicomFile(Path("a"), 1, keep, None, "1", 1, "PA", "stated", None, 64, 48, None, None, None, None)
    assert study_of([file], keep_ids=True).study_id == pseudonym("study", keep)


def test_odd_values_in_a_header_are_not_printed(
    dicom: Dicom, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = dicom()
    damaged = path.read_bytes().replace(b"CHEST ", b"chest!").replace(b"MRN-4711", b"MRN\\4711")
    path.write_bytes(damaged)
    dicom_studies([path])
    out, err = capfd.readouterr()
    assert (out, err, caplog.text) == ("", "", "")


@pytest.mark.data
def test_the_real_radiograph_is_read(shared_data: Path) -> None:
    (path,) = (shared_data / "dicom").iterdir()
    header, pixels = read_header(path), read_pixels(path)
    assert pixels.shape == (header.height, header.width) == (1024, 1024)
    assert (header.position, header.spacing_mm, header.age, header.sex) == ("PA", (0.168, 0.168), 62, "M")
    assert header.mirrored is None
    assert pixels[400:600, 480:560].mean() > pixels[300:500, 250:400].mean() + 0.2  # spine brighter than lung
