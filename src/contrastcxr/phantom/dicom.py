"""Phantom views as CR and DX objects, with the attributes that a reader has to get right and those PS3.3 requires.

Names, numbers and dates are made up; unique identifiers follow from the study, so the same study gives the same
file.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from contrastcxr.files import atomic_write
from contrastcxr.phantom.rendering import render
from contrastcxr.phantom.truth import Array, PhantomParameters, ViewName

SIZE = 1024
_FIRST_DAY = datetime.date(2001, 1, 1)
_VIEW_CODES = {
    "PA": codes.cid4010.PosteroAnterior,
    "AP": codes.cid4010.AnteroPosterior,
    "LL": codes.cid4010.LeftLateral,
}


def write_dicom(
    parameters: PhantomParameters, folder: str | Path, *, study_id: str | None = None, size: int = SIZE
) -> list[Path]:
    """Write the views of a study as DICOM files and return their paths.

    Half of the studies are CR, half DX; `technique.photometric` and `technique.bits` say how pixels are stored.
    MONOCHROME1 stores the same picture inverted.

    Args:
        parameters: the study.
        folder: where the files go; made when missing.
        study_id: names the files and the identifiers; the study's own id when None.
        size: side of the picture in pixels.

    Raises:
        OutputError: a file could not be written.
    """
    name = study_id or parameters.study_id
    views: tuple[ViewName, ...] = ("frontal", "lateral") if parameters.lateral else ("frontal",)
    paths = []
    for number, view in enumerate(views, start=1):
        drawn = render(parameters, size=size, view=view)
        dataset = _dataset(parameters, name, view, number, drawn.pixels, drawn.spacing_mm)
        path = Path(folder) / f"{name}-{view}.dcm"
        with atomic_write(path, "wb") as file:
            dataset.save_as(file, enforce_file_format=True)
        paths.append(path)
    return paths


def _dataset(
    parameters: PhantomParameters, name: str, view: ViewName, number: int, pixels: Array, spacing: float
) -> FileDataset:
    digital = parameters.seed % 2 == 0
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        uid.DigitalXRayImageStorageForPresentation if digital else uid.ComputedRadiographyImageStorage
    )
    meta.MediaStorageSOPInstanceUID = _uid(name, view)
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _patient(dataset, parameters, name)
    _series(dataset, parameters, name, view, number, digital=digital)
    _pixels(dataset, parameters, pixels, spacing)
    return dataset


def _uid(*words: str) -> uid.UID:
    return uid.UID(uid.generate_uid(entropy_srcs=["contrastcxr phantom", *words]))


def _patient(dataset: FileDataset, parameters: PhantomParameters, name: str) -> None:
    day = _FIRST_DAY + datetime.timedelta(days=parameters.seed % 3650 + 30 * parameters.order)
    dataset.PatientName = f"PHANTOM^{parameters.patient_id.upper()}"
    dataset.PatientID = parameters.patient_id
    dataset.PatientBirthDate = f"{day.year - parameters.patient.age:04d}0101"
    dataset.PatientSex = parameters.patient.sex
    dataset.PatientAge = f"{parameters.patient.age:03d}Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = day.strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber = f"P{parameters.seed % 10**9:09d}"
    dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.StudyInstanceUID = _uid(name)


def _series(
    dataset: FileDataset, parameters: PhantomParameters, name: str, view: ViewName, number: int, *, digital: bool
) -> None:
    lateral = view == "lateral"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = _uid(name, view, "series")
    dataset.SeriesNumber = dataset.InstanceNumber = number
    dataset.Modality = "DX" if digital else "CR"
    dataset.Manufacturer = "contrastcxr phantom"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "LL" if lateral else parameters.pose.projection
    dataset.PatientOrientation = ["A", "F"] if lateral else ["L", "F"]
    dataset.StudyDescription = "CHEST 2 VIEWS" if parameters.lateral else "CHEST 1 VIEW"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.BurnedInAnnotation = "NO"  # the side marker says nothing of the patient's identity
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "drawn by a program; there is no patient"
    if digital:
        _digital(dataset)


def _digital(dataset: FileDataset) -> None:
    """Add what the DX image IOD has beyond CR (PS3.3 A.26); what a phantom does not have is empty."""
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.AnatomicRegionSequence = Sequence([_coded(codes.cid4009.Chest)])
    dataset.ViewCodeSequence = Sequence([_coded(_VIEW_CODES[dataset.ViewPosition])])
    dataset.DetectorType = dataset.PositionerType = None


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code.value, code.meaning
    item.CodingSchemeDesignator = code.scheme_designator
    return item


def _pixels(dataset: FileDataset, parameters: PhantomParameters, pixels: Array, spacing: float) -> None:
    bits = parameters.technique.bits
    inverted = parameters.technique.photometric == "MONOCHROME1"
    top = 2**bits - 1
    stored = np.round((1 - pixels if inverted else pixels) * top).astype("<u2")
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = parameters.technique.photometric
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    if dataset.Modality == "DX":  # no part of the CR IOD
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = 1 if inverted else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = str((top + 1) // 2), str(top + 1)
    dataset.LossyImageCompression = "00"
    dataset.ImagerPixelSpacing = [f"{spacing:.6f}", f"{spacing:.6f}"]
    dataset.PixelData = stored.tobytes()
