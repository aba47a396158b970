"""`contrastcxr read` on DICOM files, good and bad, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from tiny_system import smooth

CANARY = "CANARYBIRD"
IDENTITY = {
    "PatientName": f"{CANARY}^One",
    "PatientID": f"{CANARY}-2",
    "OtherPatientIDs": f"{CANARY}-3",
    "OtherPatientNames": f"{CANARY}^Four",
    "PatientBirthDate": "19570312",
    "PatientAddress": f"{CANARY} street 5",
    "PatientTelephoneNumbers": f"{CANARY} 6",
    "AccessionNumber": f"{CANARY}7",
    "StudyID": f"{CANARY}8",
    "ReferringPhysicianName": f"{CANARY}^Nine",
    "InstitutionName": f"{CANARY} hospital",
    "StudyDescription": f"{CANARY} chest",
    "SeriesDescription": f"{CANARY} view",
    "PatientComments": f"{CANARY} says",
    "ImageComments": f"{CANARY} shows",
    "OperatorsName": f"{CANARY}^Ten",
}


def radiograph(seed: int = 5, **attributes: object) -> FileDataset:
    """A CR whose every identifying attribute holds the canary."""
    pixels = (smooth(np.random.default_rng(seed), 96, 80) * 4095).astype(np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID = (
        ComputedRadiographyImageStorage,
        generate_uid(),
        generate_uid(),
    )
    ds.Modality, ds.ViewPosition, ds.BodyPartExamined = "CR", "PA", "CHEST"
    ds.PatientOrientation, ds.PhotometricInterpretation, ds.SamplesPerPixel = ["L", "F"], "MONOCHROME2", 1
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = [2048, 1500], [4096, 900]
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    ds.PixelData = pixels.tobytes()
    for name, value in {**IDENTITY, **attributes}.items():
        setattr(ds, name, value)
    ds.private_block(0x11, CANARY, create=True).add_new(1, "LO", f"{CANARY} private")
    return ds


def save(ds: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def outputs(ran: Any, folder: Path) -> str:
    """Everything that was said and written, names of files too."""
    found = sorted(folder.rglob("*")) if folder.exists() else []
    texts = [p.read_text(encoding="utf-8", errors="replace") for p in found if p.is_file()]
    return "\n".join([ran.out, ran.err, *map(str, found), *texts])


def unusable(folder: Path) -> None:
    """One file of each kind that is refused, from the header to the last byte of the pixels."""
    save(radiograph(Modality="CT", SOPClassUID=CTImageStorage), folder / "ct.dcm")
    save(radiograph(BodyPartExamined="KNEE"), folder / "knee.dcm")
    save(radiograph(PresentationIntentType="FOR PROCESSING"), folder / "raw.dcm")
    save(radiograph(Rows=60_000), folder / "huge.dcm")
    save(radiograph(WindowCenter=None, WindowWidth=None, VOILUTSequence=[Dataset()]), folder / "lut.dcm")
    whole = save(radiograph(), folder / "cut.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:-2000])
    (folder / "half.dcm").write_bytes(whole[: whole.index(CANARY.encode()) + 12])
    shifted = whole.index(b"\x08\x00\x60\x00CS") + 6
    (folder / "shifted.dcm").write_bytes(whole[:shifted] + b"\xff\x00" + whole[shifted + 2 :])
    ds = radiograph()
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    ds.PixelData = encapsulate([get_frame(ds.PixelData, 0, number_of_frames=1)[:500]])
    save(ds, folder / "stream.dcm")


def test_no_identity_gets_out_of_good_or_bad_files(command: Any, model: Path, tmp_path: Path) -> None:
    good = save(radiograph(), tmp_path / "in" / "good.dcm")
    unusable(tmp_path / "in")
    ran = command("-v", "read", tmp_path / "in", "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert "9 failed, 1 read" in ran.err
    said = outputs(ran, tmp_path / "out")
    assert CANARY.lower() not in said.lower()
    assert "19570312" not in said
    ds = pydicom.dcmread(good)
    assert ds.StudyInstanceUID not in said
    assert ds.SOPInstanceUID not in said


def test_a_mixed_folder_gives_its_studies_and_names_the_rest(command: Any, model: Path, tmp_path: Path) -> None:
    folder, study = tmp_path / "in", generate_uid()
    save(radiograph(1, StudyInstanceUID=study), folder / "a" / "frontal.dcm")
    lateral = radiograph(2, StudyInstanceUID=study, ViewPosition="LL", PatientOrientation=["A", "F"])
    save(lateral, folder / "b" / "lateral.dcm")
    dx = radiograph(3, Modality="DX", SOPClassUID=DigitalXRayImageStorageForPresentation)
    dx.PhotometricInterpretation, dx.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    save(dx, folder / "dx.dcm")
    save(radiograph(Modality="CT", SOPClassUID=CTImageStorage), folder / "ct.dcm")
    whole = save(radiograph(4), folder / "cut.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:-3000])
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(colours).save(folder / "photograph.png")
    ran = command("read", folder, "--model", model, "--out", tmp_path / "out", "--json")
    assert ran.status == 1
    said = json.loads(ran.out)
    assert len(said["readings"]) == 2
    assert len(said["failures"]) == 3
    for name in ("ct.dcm", "cut.dcm", "photograph.png"):
        assert f"failed: {next(folder.rglob(name))}: " in ran.err
    for words in ("CT Image Storage, modality CT", "truncated or damaged", "coloured, as in a photograph"):
        assert words in ran.err


@pytest.mark.parametrize("orientation", [["L", "F"], None])
def test_a_side_that_is_not_stated_is_said_on_the_page(
    command: Any, model: Path, tmp_path: Path, orientation: object
) -> None:
    path = save(radiograph(PatientOrientation=orientation), tmp_path / "in.dcm")
    ran = command("read", path, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 0
    page, document = sorted((tmp_path / "out").iterdir())
    unknown = orientation is None
    assert ("left and right not stated" in page.read_text(encoding="utf-8")) is unknown
    kinds = [flag["kind"] for flag in json.loads(document.read_text(encoding="utf-8"))["flags"]]
    assert ("orientation" in kinds) is unknown


def test_the_window_that_was_chosen_is_in_the_provenance(command: Any, model: Path, tmp_path: Path) -> None:
    path = save(radiograph(), tmp_path / "in.dcm")
    arguments = ("read", path, "--model", model, "--format", "json", "--out")
    assert command(*arguments, tmp_path / "first").status == 0
    assert command(*arguments, tmp_path / "second", "--window", "harder").status == 0
    first, second = (json.loads(next((tmp_path / n).iterdir()).read_text()) for n in ("first", "second"))
    assert "window" not in first["provenance"]
    assert second["provenance"]["window"] == "harder"


def test_a_window_that_a_file_does_not_have_is_its_failure(command: Any, model: Path, tmp_path: Path) -> None:
    path = save(radiograph(), tmp_path / "in.dcm")
    ran = command("read", path, "--model", model, "--out", tmp_path / "out", "--window", "7")
    assert ran.status == 1
    assert f"{path}: has no window '7'; it has 2, named NORMAL, HARDER" in ran.err
