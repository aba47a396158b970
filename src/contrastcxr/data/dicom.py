"""Single-frame CR and DX chest radiographs as DICOM, grouped into studies.

Only the attributes listed here are ever parsed: the patient's name and birth date never enter the program, and
study and patient ids leave as hashes unless the caller keeps them. Hashes are pseudonyms: whoever has a list of
patient ids can hash it too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, JPEGLSNearLossless

from contrastcxr.data.dicom_orientation import Turn, is_lateral, stated_position, turn_for
from contrastcxr.data.dicom_values import to_display
from contrastcxr.data.failures import Failure
from contrastcxr.data.images import MIN_RANGE, check_picture, check_size
from contrastcxr.data.tables import age_in_years, sex
from contrastcxr.errors import ImageError
from contrastcxr.form import Position, Study, View

MODALITIES = ("CR", "DX", "DR", "RG")
CHEST_WORDS = ("CHEST", "THORAX", "TORAX", "LUNG")
UNSTATED = ("", "UNKNOWN", "UNDEFINED", "NONE", "OTHER")

_HEADER_TAGS = [
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
    "InstanceNumber",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelSpacing",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
]
_PIXEL_TAGS = [
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "PresentationLUTShape",
    "PixelData",
]


@dataclass(frozen=True)
class DicomFile:
    """What the header of one accepted file says."""

    path: Path
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


def read_pixels(path: Path) -> np.ndarray:
    """Return the upright radiograph, `[H, W]` float32 in [0, 1], bone bright, patient's left on the right.

    Raises:
        ImageError: not a single-frame grey CR or DX of the chest, no decoder, or damaged pixel data.
    """
    ds = _dataset(path, pixels=True)
    _check(ds, path)
    stored = _decoded(ds, path)
    try:
        shown = to_display(ds, stored, min_range=MIN_RANGE)
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ImageError(
            f"{path}: its bits, rescale, LUT or window attributes make no sense together; export it again"
        ) from error
    check_picture(shown, str(path))
    return turn_for(ds.get("PatientOrientation")).apply(shown)


def read_header(path: Path) -> DicomFile:
    """Return what the header says, without touching the pixels.

    Raises:
        ImageError: not a DICOM file, or not a single-frame grey CR or DX of the chest.
    """
    ds = _dataset(path, pixels=False)
    _check(ds, path)
    orientation = ds.get("PatientOrientation")
    turn = turn_for(orientation)
    position, source = _position(ds)
    return DicomFile(
        path=path,
        study_uid=str(ds.get("StudyInstanceUID") or ds.get("SOPInstanceUID") or path.resolve()),
        patient=str(ds.get("PatientID") or "") or None,
        instance_uid=str(ds.get("SOPInstanceUID") or path.resolve()),
        instance_number=int(_number(ds.get("InstanceNumber")) or 0),
        position=position,
        position_source=source,
        mirrored=False if turn.known and is_lateral(orientation) is False else None,
        width=int(ds.Rows if turn.transpose else ds.Columns),
        height=int(ds.Columns if turn.transpose else ds.Rows),
        spacing_mm=_spacing(ds, turn),
        acquired=_date(ds.get("StudyDate")),
        age=age_in_years(str(ds.get("PatientAge") or "")),
        sex=sex(str(ds.get("PatientSex") or "")),
    )


def dicom_studies(paths: Iterable[Path], *, keep_ids: bool = False) -> tuple[list[Study], list[Failure]]:
    """Group files by StudyInstanceUID, whatever their folders, and list the files that are refused.

    Args:
        paths: DICOM files.
        keep_ids: keep StudyInstanceUID, PatientID and SOPInstanceUID instead of hashes.

    Returns:
        Studies in the order in which their first file came, frontal views first; and the failures.
    """
    groups: dict[str, dict[str, DicomFile]] = {}
    failures: list[Failure] = []
    for path in paths:
        try:
            file = read_header(path)
            _keep(groups.setdefault(file.study_uid, {}), file)
        except ImageError as error:
            failures.append(Failure.of(path, error))
    return [study_of(list(files.values()), keep_ids=keep_ids) for files in groups.values()], failures


def _keep(files: dict[str, DicomFile], file: DicomFile) -> None:
    twin = files.setdefault(file.instance_uid, file)
    if twin is not file:
        raise ImageError(f"{file.path}: the same image as {twin.path}; it is read once")


def study_of(files: list[DicomFile], *, keep_ids: bool) -> Study:
    """Return the study of files that share a StudyInstanceUID, frontal views first."""
    files = sorted(files, key=lambda f: (f.position == "LATERAL", f.instance_number, str(f.path)))
    first = files[0]
    plain = keep_ids and re.fullmatch(r"[0-9.]{1,64}", first.study_uid)  # a damaged UID names no file
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
    )


def pseudonym(kind: str, value: str) -> str:
    """Return 16 hexadecimal digits that stand for an identifier, always the same ones."""
    return hashlib.sha256(f"contrastcxr {kind} {value}".encode()).hexdigest()[:16]


@contextmanager
def _silent_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings and log lines to itself: they quote values, which may name the patient."""
    logger = logging.getLogger("pydicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.addFilter(_nothing)
        try:
            yield
        finally:
            logger.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return not record  # False: no record passes


def _dataset(path: Path, *, pixels: bool) -> Dataset:
    tags = [*_HEADER_TAGS, *_PIXEL_TAGS] if pixels else list(_HEADER_TAGS)
    try:
        with _silent_pydicom():
            # specific_tags keeps every other attribute unparsed; force reads files without a preamble.
            ds = pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=tags, force=True)
            list(ds.iterall())  # parse now, so that a damaged value is found here
    except Exception as error:  # pydicom raises whatever its parser stumbled over
        raise ImageError(f"{path}: the DICOM header is damaged; copy it again from where it came") from error
    if "SOPClassUID" not in ds and "Modality" not in ds:
        raise ImageError(f"{path}: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again")
    if "TransferSyntaxUID" not in ds.file_meta:  # a bare data set, as old archives keep them
        implicit, _ = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return ds


def _check(ds: Dataset, path: Path) -> None:
    """Refuse, by name, everything that is not one grey radiograph of a chest."""
    refusal = _refused_kind(ds) or _refused_pixels(ds)
    if refusal:
        raise ImageError(f"{path}: {refusal}; one grey CR or DX image of the chest was expected; leave it out")
    check_size(int(ds.Columns), int(ds.Rows), where=str(path))


def _refused_kind(ds: Dataset) -> str | None:
    kind = _uid_name(ds.get("SOPClassUID")) or "an unnamed object"
    modality = str(ds.get("Modality") or "")
    if modality not in MODALITIES:
        return f"{kind}, modality {_term(modality)}"
    if ds.get("PresentationIntentType") == "FOR PROCESSING" or "For Processing" in kind:
        return f"{kind}, raw values for processing and not for presentation"
    part = str(ds.get("BodyPartExamined") or "").strip().upper()
    if part not in UNSTATED and not any(word in part for word in CHEST_WORDS):
        return f"body part {_term(part)}"
    return None


def _term(text: str) -> str:
    """A coded value as it may be printed: a damaged one can hold anything, also a name."""
    if not text:
        return "not stated"
    return text if re.fullmatch(r"[A-Z0-9_]{2,6}|[A-Z][A-Z0-9_ ]{0,15}", text) else "that is damaged"


def _uid_name(value: object) -> str:
    """The registered name of a UID; empty for one that is not registered, which can hold anything."""
    uid = UID(str(value or ""), validation_mode=config.IGNORE)
    return "" if uid.name == uid else uid.name


def _refused_pixels(ds: Dataset) -> str | None:
    missing = [t for t in ("Rows", "Columns", "BitsAllocated", "BitsStored") if not _number(ds.get(t))]
    if missing:
        return f"no usable {', '.join(missing)}"
    frames, samples = _number(ds.get("NumberOfFrames")) or 1, _number(ds.get("SamplesPerPixel")) or 1
    if frames > 1:
        return f"{frames:.0f} frames"
    photometric = str(ds.get("PhotometricInterpretation") or "")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return f"colour or unknown kind of pixels ({_term(photometric)})"
    allocated, stored = int(ds.BitsAllocated), int(ds.BitsStored)
    if allocated not in (8, 16) or not 1 < stored <= allocated:
        return f"{stored} bits stored in {allocated}"
    return None


def _decoded(ds: Dataset, path: Path) -> np.ndarray:
    """Return the stored values `[H, W]`, integers of 8 or 16 bits."""
    syntax = UID(str(ds.file_meta.TransferSyntaxUID or ""), validation_mode=config.IGNORE)
    if "PixelData" not in ds:
        raise ImageError(f"{path}: has no pixel data, or is cut off; copy it again from where it came")
    _check_decoder(syntax, path)
    try:
        with _silent_pydicom():
            # The table masks unused bits itself, and knows a HighBit that is not the last stored one.
            stored = pixel_array(
                ds, raw=True, view_only=True, correct_unused_bits=False, decoding_plugin=_plugin(syntax)
            )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # every plugin raises its own kind, those in Rust not even an Exception
        raise ImageError(
            f"{path}: the {_uid_name(syntax)} pixel data is truncated or damaged; copy it again from where it came"
        ) from error
    if stored.shape != (ds.Rows, ds.Columns) or stored.dtype.itemsize > 2:
        raise ImageError(
            f"{path}: decodes to {stored.shape}, its header says ({ds.Rows}, {ds.Columns}); export it again"
        )
    return stored


def _check_decoder(syntax: UID, path: Path) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise ImageError(
            f"{path}: no decoder for {_uid_name(syntax) or 'an unnamed transfer syntax'}; install one with: "
            "pip install 'contrastcxr[dicom]', or export it uncompressed"
        )


def _plugin(syntax: UID) -> str:
    """The fastest plugin for JPEG-LS where it is installed; otherwise pydicom's own choice."""
    jpeg_ls = syntax in (JPEGLSLossless, JPEGLSNearLossless)
    return "pyjpegls" if jpeg_ls and importlib.util.find_spec("jpeg_ls") else ""


def _position(ds: Dataset) -> tuple[Position, Literal["stated", "orientation"]]:
    codes = ds.get("ViewCodeSequence")
    meaning = str(codes[0].get("CodeMeaning") or "") if codes else ""
    stated = stated_position(str(ds.get("ViewPosition") or ""), meaning)
    if stated == "unknown" and is_lateral(ds.get("PatientOrientation")):
        return "LATERAL", "orientation"
    return stated, "stated"


def _spacing(ds: Dataset, turn: Turn) -> tuple[float, float] | None:
    """Row and column spacing at the detector, in mm, of the upright picture."""
    for name in ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelSpacing"):
        values = [_number(v) for v in ds.get(name) or ()]
        if len(values) == 2 and all(v is not None and v > 0 for v in values):
            row, column = (float(v or 0) for v in values)
            return (column, row) if turn.transpose else (row, column)
    return None


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _date(value: object) -> date | None:
    try:
        return datetime.strptime(str(value or ""), "%Y%m%d").date()
    except ValueError:
        return None
