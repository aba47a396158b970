"""Small grey ramps and the DICOM objects that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


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


def with_bytes(path: Path, keyword: str, value: bytes) -> Path:
    """The file with other bytes in an attribute that it has, such as no writer would put there."""
    data, tag = path.read_bytes(), Tag(keyword)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + dictionary_VR(tag).encode()
    at = data.index(head) + len(head)
    end = at + 2 + int.from_bytes(data[at : at + 2], "little")
    value += b" " * (len(value) % 2)
    path.write_bytes(data[:at] + len(value).to_bytes(2, "little") + value + data[end:])
    return path
