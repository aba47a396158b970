"""Single-frame CR and DX chest radiographs as DICOM, grouped into studies.

Only the attributes listed here are ever parsed: the patient's name and birth date never enter the program, and
study and patient ids leave as hashes unless the caller keeps them. Hashes are pseudonyms: whoever has a list of
patient ids can hash it too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from contrastcxr.data.dicom.body_parts import another_part, body_part_doubt
from contrastcxr.data.dicom.decode import check_syntax, stored_values
from contrastcxr.data.dicom.header_numbers import number, whole_number
from contrastcxr.data.dicom.objects import code_of, coded, open_object, uid_name
from contrastcxr.data.dicom.orientation import Orientation, is_lateral, stated_position, turn_of
from contrastcxr.data.dicom.spacing import spacing, spacing_doubt
from contrastcxr.data.dicom.values import OVERLAY_BIT, DisplayError, rescale_doubt, to_display
from contrastcxr.data.images import MIN_RANGE, check_picture, check_size
from contrastcxr.data.source import Failure, one_input, pseudonym
from contrastcxr.data.tables.files import age_in_years, sex
from contrastcxr.errors import ImageError, one_line
from contrastcxr.form import Position, Study, View

logger = logging.getLogger(__name__)

SPARE_BYTES = 1 << 20
"""Pixel data may be twice as large as the picture, which no compression makes it, and this much more (ours)."""
MODALITIES = ("CR", "DX", "DR", "RG")
OTHER_PATIENT = "its StudyInstanceUID is also that of another patient (PatientID); each patient has a study here"
RADIOGRAPHS = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
"""Classes of objects that hold nothing but radiographs, so that they tell where the modality is not stated."""

_HEADER_TAGS = [
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "StudyDate",
    "Modality",
    "PresentationIntentType",
    "PatientID",
    "PatientAge",
    "PatientSex",
    "BodyPartExamined",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "ImageRotation",
    "ImageHorizontalFlip",
    "InstanceNumber",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelSpacing",
    "PixelSpacingCalibrationType",
    "EstimatedRadiographicMagnificationFactor",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "RescaleSlope",
    "RescaleIntercept",
]
_SIZES = ("Rows", "Columns", "BitsAllocated", "BitsStored")
_PIXEL_TAGS = [
    "HighBit",
    OVERLAY_BIT,
    "PixelRepresentation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "PresentationLUTShape",
    "PixelData",
]


@dataclass(frozen=True)
class DicomFile:
    """What the header of one accepted file says."""

    path: Path
    bytes: int
    study_uid: str
    patient: str | None
    instance_uid: str
    instance_number: int
    position: Position
    position_source: Literal["stated", "orientation"]
    mirrored: bool | None
    width: int
    height: int
    spacing_mm: tuple[float, float] | None
    acquired: date | None
    age: float | None
    sex: Literal["F", "M"] | None
    doubts: tuple[str, ...] = ()


def read_pixels(path: Path, *, window: str | None = None) -> np.ndarray:
    """Return the upright radiograph, `[H, W]` float32 in [0, 1], bone bright, patient's left on the right.

    Args:
        path: the file.
        window: number (from 1) or name of the window to show it with, where it states several; None: the first.

    Raises:
        ImageError: not one grey frame of a CR or DX of the chest, no decoder, no such window, or damaged pixels.
    """
    ds = _with_pixels(path)
    stored = stored_values(ds, path)
    try:
        shown = to_display(ds, stored, min_range=MIN_RANGE, window=window)
    except DisplayError as error:
        raise ImageError(f"{path}: {error}") from error
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ImageError(
            f"{path}: its bits, rescale, LUT or window attributes make no sense together; export it again"
        ) from error
    check_picture(shown, str(path))
    return turn_of(ds).apply(shown)


def read_header(path: Path) -> DicomFile:
    """Return what the header says, without touching the pixels.

    Raises:
        ImageError: not a DICOM file, or not a single-frame grey CR or DX of the chest.
    """
    ds = _accepted(path)
    orientation = ds.get("PatientOrientation")
    turn = turn_of(ds)
    position, source = _position(ds)
    return DicomFile(
        path=path,
        bytes=path.stat().st_size,
        study_uid=str(ds.get("StudyInstanceUID") or ds.get("SOPInstanceUID") or path.resolve()),
        patient=str(ds.get("PatientID") or "") or None,
        instance_uid=str(ds.get("SOPInstanceUID") or path.resolve()),
        instance_number=int(number(ds.get("InstanceNumber")) or 0),
        position=position,
        position_source=source,
        mirrored=False if turn.known and is_lateral(orientation) is False else None,
        width=int(ds.Rows if turn.transpose else ds.Columns),
        height=int(ds.Columns if turn.transpose else ds.Rows),
        spacing_mm=_upright(spacing(ds), turn),
        acquired=_date(ds.get("StudyDate")),
        age=age_in_years(str(ds.get("PatientAge") or "")),
        sex=sex(str(ds.get("PatientSex") or "")),
        doubts=_doubts(ds, position),
    )


def dicom_studies(paths: Iterable[Path], *, keep_ids: bool = False) -> tuple[list[Study], list[Failure]]:
    """Group files by StudyInstanceUID, whatever their folders, and list the files that are refused.

    Patients who share a StudyInstanceUID have a study each, whose hash is then of both (`_by_patient`).

    Args:
        paths: DICOM files.
        keep_ids: keep StudyInstanceUID, PatientID and SOPInstanceUID instead of hashes.

    Returns:
        Studies in the order in which their first file came, frontal views first; and the failures.
    """
    groups: dict[str, list[DicomFile]] = {}
    failures: list[Failure] = []
    order: dict[str, int] = {}
    for path in paths:
        order[one_line(str(path))] = len(order)
        try:
            with one_input(path):
                file = read_header(path)
        except ImageError as error:
            failures.append(Failure.of(path, error))
        else:
            groups.setdefault(file.study_uid, []).append(file)
    of_patients = [files for group in groups.values() for files in _by_patient(group, keep_ids=keep_ids)]
    studies = [study_of(_images(files, failures), keep_ids=keep_ids) for files in of_patients]
    return studies, sorted(failures, key=lambda failure: order[failure.where])


def _by_patient(files: list[DicomFile], *, keep_ids: bool) -> list[list[DicomFile]]:
    """Part files of one StudyInstanceUID that name several patients, and warn; each part has a UID of its own.

    Spaces and case make no other PatientID. A file without one goes with the others, unless these are of several.
    """
    names = sorted({_patient(file) for file in files} - {""})
    if len(names) < 2:
        return [files]
    parts: dict[str, list[DicomFile]] = {}
    for file in files:
        parts.setdefault(_patient(file), []).append(file)
    logger.warning(
        "%s and %s have one StudyInstanceUID and different PatientIDs; the study is read as those of %d patients",
        *(one_line(str(parts[name][0].path)) for name in names[:2]),
        len(names),
    )
    places = {name: place for place, name in enumerate([*names, ""], start=1)}
    return [
        [
            replace(
                file,
                study_uid=f"{file.study_uid}-{places[name]}" if keep_ids else f"{file.study_uid} {name}",
                doubts=(*file.doubts, OTHER_PATIENT),
            )
            for file in part
        ]
        for name, part in parts.items()
    ]


def _patient(file: DicomFile) -> str:
    return " ".join((file.patient or "").split()).casefold()


def _images(files: Iterable[DicomFile], failures: list[Failure]) -> list[DicomFile]:
    """Keep one file of an image: the largest, because a copy that was cut off has the same header."""
    kept: dict[str, DicomFile] = {}
    for file in files:
        twin = kept.setdefault(file.instance_uid, file)
        if twin is not file:
            if file.bytes > twin.bytes:
                kept[file.instance_uid] = file
                file, twin = twin, file
            message = f"{file.path}: the same image as {twin.path}; it is read once"
            failures.append(Failure(str(file.path), message, other=str(twin.path)))
    return list(kept.values())


def study_of(files: list[DicomFile], *, keep_ids: bool) -> Study:
    """Return the study of files that share a StudyInstanceUID, frontal views first."""
    files = sorted(files, key=lambda f: (f.position == "LATERAL", f.instance_number, str(f.path)))
    first = files[0]
    plain = keep_ids and re.fullmatch(r"[0-9.]{1,64}(-\d+)?", first.study_uid)  # a damaged UID names no file
    study_id = first.study_uid if plain else pseudonym("study", first.study_uid)
    patient = first.patient if keep_ids or first.patient is None else pseudonym("patient", first.patient)
    views = tuple(_view(f, f"{study_id}-{n}", keep_ids=keep_ids) for n, f in enumerate(files, start=1))
    return Study(
        study_id=study_id,
        patient_id=patient,
        views=views,
        acquired=first.acquired,
        age=first.age,
        sex=first.sex,
    )


def _view(file: DicomFile, view_id: str, *, keep_ids: bool) -> View:
    return View(
        view_id=view_id,
        locator=str(file.path),
        position=file.position,
        position_source=file.position_source,
        width=file.width,
        height=file.height,
        spacing_mm=file.spacing_mm,
        mirrored=file.mirrored,
        uid=file.instance_uid if keep_ids else None,
        doubts=file.doubts,
    )


def _accepted(path: Path) -> Dataset:
    """Open a file without its pixel data, and refuse, by name, all but one grey radiograph of a chest."""
    return _checked(open_object(path, tags=_HEADER_TAGS), path)


def _checked(ds: Dataset, path: Path) -> Dataset:
    if not any(keyword in ds for keyword in ("SOPClassUID", "Modality", "Rows")):
        check_syntax(ds, path)
        raise ImageError(f"{path}: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again")
    refusal = _refused_kind(ds) or _refused_pixels(ds)
    if refusal:
        raise ImageError(f"{path}: {refusal}; one grey CR or DX image of the chest was expected; leave it out")
    sizes = {keyword: whole_number(ds.get(keyword)) or 0 for keyword in _SIZES}
    check_size(sizes["Columns"], sizes["Rows"], where=str(path))
    for keyword, size in sizes.items():  # which a damaged object may hold as text
        setattr(ds, keyword, size)
    return ds


def _with_pixels(path: Path) -> Dataset:
    """Open a file that its header lets in; the pixel data may take no more than such a picture does."""
    header = _accepted(path)
    room = SPARE_BYTES + 2 * int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
    return _checked(open_object(path, tags=[*_HEADER_TAGS, *_PIXEL_TAGS], pixel_bytes=room), path)


def _refused_kind(ds: Dataset) -> str | None:
    object_class = ds.get("SOPClassUID") or ds.file_meta.get("MediaStorageSOPClassUID")
    kind = uid_name(object_class) or "an unnamed object"
    modality = code_of(ds, "Modality")
    if modality not in MODALITIES and (modality or object_class not in RADIOGRAPHS):
        return f"{kind}, modality {coded(modality)}"
    if code_of(ds, "PresentationIntentType") == "FOR PROCESSING" or "For Processing" in kind:
        return f"{kind}, raw values for processing and not for presentation"
    part = another_part(ds)
    return f"body part {part}" if part else None


def _refused_pixels(ds: Dataset) -> str | None:
    missing = [keyword for keyword in _SIZES if not whole_number(ds.get(keyword))]
    if missing:
        return f"no usable {', '.join(missing)}"
    frames, samples = number(ds.get("NumberOfFrames")) or 1, number(ds.get("SamplesPerPixel")) or 1
    if frames > 1:
        return f"{frames:.0f} frames"
    photometric = code_of(ds, "PhotometricInterpretation")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return f"colour or unknown kind of pixels ({coded(photometric)})"
    allocated, stored = (whole_number(ds.get(keyword)) or 0 for keyword in ("BitsAllocated", "BitsStored"))
    if allocated not in (8, 16) or not 1 < stored <= allocated:
        return f"{stored} bits stored in {allocated}"
    return None


def _position(ds: Dataset) -> tuple[Position, Literal["stated", "orientation"]]:
    codes = ds.get("ViewCodeSequence")
    code = codes[0] if isinstance(codes, Sequence) and codes else Dataset()
    stated = stated_position(
        str(ds.get("ViewPosition") or ""), str(code.get("CodeValue") or ""), str(code.get("CodeMeaning") or "")
    )
    if stated == "unknown" and is_lateral(ds.get("PatientOrientation")):
        return "LATERAL", "orientation"
    return stated, "stated"


def _doubts(ds: Dataset, position: Position) -> tuple[str, ...]:
    """Return what the header contradicts itself in, one sentence each."""
    lateral = is_lateral(ds.get("PatientOrientation"))
    found = [body_part_doubt(ds), rescale_doubt(ds), spacing_doubt(ds)]
    if lateral is not None and position != "unknown" and lateral != (position == "LATERAL"):
        kind = "lateral" if lateral else "frontal"
        found.append(f"its file states the view {position} and the orientation of a {kind} view")
    return tuple(doubt for doubt in found if doubt)


def _upright(spacing_mm: tuple[float, float] | None, turn: Orientation) -> tuple[float, float] | None:
    return spacing_mm[::-1] if spacing_mm and turn.transpose else spacing_mm


def _date(value: object) -> date | None:
    try:
        return datetime.strptime(str(value or ""), "%Y%m%d").date()
    except ValueError:
        return None
