"""Small grey ramps and the DICOM objects that hold them."""

from __future__ import annotations

import io
import struct
from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import DataElement, config, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    generate_uid,
)


def ramp(height: int = 48, width: int = 64, top: int = 255) -> np.ndarray:
    """Grey values that differ along both axes, so that every flip and turn shows."""
    y, x = np.mgrid[:height, :width]
    return ((2 * x / (width - 1) + y / (height - 1)) / 3 * top).astype(np.uint16)


def radiograph(stored: np.ndarray, bits: int) -> FileDataset:
    """A CR of the chest whose stored values are these, with a window over all of them."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = generate_uid()
    ds.Modality = "CR"
    ds.PatientName = "Secretive^Sam"
    ds.PatientID = "MRN-4711"
    ds.PatientBirthDate = "19600229"
    ds.BodyPartExamined = "CHEST"
    ds.ViewPosition = "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.ImagerPixelSpacing = [0.2, 0.1]
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.SamplesPerPixel = 1
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = 8 * stored.dtype.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    ds.PixelData = stored.tobytes()
    return ds


def written(ds: Dataset) -> bytes:
    """The object as a whole DICOM file."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def data_set(ds: Dataset, syntax: str) -> bytes:
    """The data set of an object of 16 bits, little endian, alone: without preamble and meta information."""
    copy = deepcopy(ds)
    copy.file_meta, copy.preamble = FileMetaDataset(), None
    little = UID(syntax).is_little_endian
    if not little:
        copy.PixelData = np.frombuffer(copy.PixelData, "<u2").astype(">u2").tobytes()
    stream = io.BytesIO()
    dcmwrite(stream, copy, implicit_vr=UID(syntax).is_implicit_VR, little_endian=little)
    return stream.getvalue()


def meta_information(syntax: str | None, *, implicit: bool = False) -> bytes:
    """The elements of group 0002, in order, with this transfer syntax or without one."""
    uids = {0x0002: ComputedRadiographyImageStorage, 0x0003: "1.2.3", 0x0010: syntax or ""}
    made = b""
    for element, uid in ((element, uid) for element, uid in uids.items() if uid):
        value = uid.encode() + b"\0" * (len(uid) % 2)
        length = struct.pack("<I", len(value)) if implicit else b"UI" + struct.pack("<H", len(value))
        made += struct.pack("<HH", 2, element) + length + value
    return made


def directory(path: Path, *names: str | None) -> Path:
    """A DICOMDIR with a patient, and an image for each name, `FOLDER\\\\FILE` (None leaves its name out)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.FileSetID = "DISC"
    patient = Dataset()
    patient.DirectoryRecordType, patient.PatientName, patient.PatientID = "PATIENT", "Secretive^Sam", "MRN-4711"
    records = [patient]
    for name in names:
        image = Dataset()
        image.DirectoryRecordType = "IMAGE"
        if name is not None:
            image["ReferencedFileID"] = DataElement("ReferencedFileID", "CS", name, validation_mode=config.IGNORE)
        records.append(image)
    ds.DirectoryRecordSequence = Sequence(records)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def with_bytes(path: Path, keyword: str, value: bytes) -> Path:
    """The file with other bytes in an attribute that it has, such as no writer would put there."""
    data, tag = path.read_bytes(), Tag(keyword)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + dictionary_VR(tag).encode()
    at = data.index(head) + len(head)
    end = at + 2 + int.from_bytes(data[at : at + 2], "little")
    value += b" " * (len(value) % 2)
    path.write_bytes(data[:at] + len(value).to_bytes(2, "little") + value + data[end:])
    return path
