"""DICOM objects of phantoms: readable, named after nobody, and the same picture whichever way they are stored."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import pytest

from contrastcxr.phantom import render, sample
from contrastcxr.phantom.dicom import write_dicom
from contrastcxr.phantom.export import write_studies
from contrastcxr.phantom.levels import LEVELS
from contrastcxr.phantom.truth import PhantomParameters

SIZE = 128


@pytest.fixture(scope="module")
def dciodvfy() -> str:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy (dicom3tools) on this machine")
    return program


def complaints(dciodvfy: str, paths: list[Path]) -> list[str]:
    """What the validator says of each file beside the name of its IOD."""
    found = []
    for path in paths:
        done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, timeout=60, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert any(iod in said for iod in ("CRImage", "DXImageForPresentation")), said
        found += [f"{path.name}: {line}" for line in said if line not in ("CRImage", "DXImageForPresentation")]
    return found


def study(photometric: Literal["MONOCHROME1", "MONOCHROME2"], bits: int, seed: int = 3) -> PhantomParameters:
    drawn = sample(seed)
    technique = dataclasses.replace(drawn.technique, photometric=photometric, bits=bits)
    return dataclasses.replace(drawn, technique=technique, lateral=True)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_pixels_come_back_bone_bright(
    tmp_path: Path, photometric: Literal["MONOCHROME1", "MONOCHROME2"], bits: int
) -> None:
    parameters = study(photometric, bits)
    dataset = pydicom.dcmread(write_dicom(parameters, tmp_path, size=SIZE)[0])
    assert dataset.PhotometricInterpretation == photometric
    assert dataset.BitsStored == bits
    stored = dataset.pixel_array.astype(float) / (2**bits - 1)
    picture = 1 - stored if photometric == "MONOCHROME1" else stored
    np.testing.assert_allclose(picture, render(parameters, size=SIZE).pixels, atol=1 / 2**bits)


@pytest.mark.parametrize(("seed", "modality"), [(2, "DX"), (3, "CR")])
def test_the_attributes_a_reader_needs_are_there(tmp_path: Path, seed: int, modality: str) -> None:
    parameters = study("MONOCHROME2", 12, seed)
    frontal, lateral = (pydicom.dcmread(p) for p in write_dicom(parameters, tmp_path, size=SIZE))
    assert frontal.Modality == modality
    assert frontal.ViewPosition == parameters.pose.projection
    assert list(frontal.PatientOrientation) == ["L", "F"]
    assert lateral.ViewPosition == "LL"
    assert list(lateral.PatientOrientation) == ["A", "F"]
    assert [float(v) for v in frontal.ImagerPixelSpacing] == pytest.approx([430 / SIZE] * 2, abs=1e-5)
    assert frontal.StudyInstanceUID == lateral.StudyInstanceUID
    assert frontal.SOPInstanceUID != lateral.SOPInstanceUID
    assert all(pydicom.uid.UID(u).is_valid for u in (frontal.StudyInstanceUID, frontal.SOPInstanceUID))


def test_the_same_study_gives_the_same_file(tmp_path: Path) -> None:
    parameters = study("MONOCHROME1", 14)
    first = write_dicom(parameters, tmp_path / "a", size=SIZE)
    second = write_dicom(parameters, tmp_path / "b", size=SIZE)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", [2, 3], ids=["DX", "CR"])
def test_every_level_and_projection_passes_the_validator(
    dciodvfy: str, tmp_path: Path, level: str, seed: int
) -> None:
    drawn = dataclasses.replace(sample(seed, level=level), lateral=True)
    paths = [
        path
        for projection in ("PA", "AP")
        for path in write_dicom(
            dataclasses.replace(drawn, pose=dataclasses.replace(drawn.pose, projection=projection)),
            tmp_path,
            study_id=projection,
            size=SIZE,
        )
    ]
    assert len(paths) == 4
    assert complaints(dciodvfy, paths) == []


@pytest.mark.parametrize("seed", [2, 3], ids=["DX", "CR"])
@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_way_to_store_pixels_passes_the_validator(
    dciodvfy: str, tmp_path: Path, photometric: Literal["MONOCHROME1", "MONOCHROME2"], bits: int, seed: int
) -> None:
    paths = write_dicom(study(photometric, bits, seed), tmp_path, size=SIZE)
    assert complaints(dciodvfy, paths) == []


def test_a_corpus_as_the_command_writes_it_passes_the_validator(dciodvfy: str, tmp_path: Path) -> None:
    paths = write_studies(tmp_path, studies=3, level="standard", format="dicom", seed=7)[:-1]
    assert len(paths) >= 3
    assert complaints(dciodvfy, paths) == []


def test_the_validator_sees_what_is_missing(dciodvfy: str, tmp_path: Path) -> None:
    path = write_dicom(study("MONOCHROME2", 12), tmp_path, size=SIZE)[0]
    dataset = pydicom.dcmread(path)
    del dataset.DeidentificationMethod
    dataset.save_as(path)
    assert any("DeidentificationMethod" in line for line in complaints(dciodvfy, [path]))


@pytest.mark.parametrize(
    ("projection", "meanings"),
    [("PA", ["postero-anterior", "left lateral"]), ("AP", ["antero-posterior", "left lateral"])],
)
def test_a_digital_view_is_coded_as_it_is_stated(
    tmp_path: Path, projection: Literal["PA", "AP"], meanings: list[str]
) -> None:
    parameters = study("MONOCHROME2", 12, 2)
    parameters = dataclasses.replace(parameters, pose=dataclasses.replace(parameters.pose, projection=projection))
    written = [pydicom.dcmread(p) for p in write_dicom(parameters, tmp_path, size=SIZE)]
    assert [ds.ViewPosition for ds in written] == [projection, "LL"]
    assert [ds.ViewCodeSequence[0].CodeMeaning for ds in written] == meanings
    assert all(ds.AnatomicRegionSequence[0].CodeMeaning == "Chest" for ds in written)
    assert all(ds.DeidentificationMethod for ds in written)


def test_a_cr_object_has_nothing_that_only_dx_has(tmp_path: Path) -> None:
    for dataset in (pydicom.dcmread(p) for p in write_dicom(study("MONOCHROME2", 12, 3), tmp_path, size=SIZE)):
        assert dataset.Modality == "CR"
        assert not {"PixelIntensityRelationship", "PixelIntensityRelationshipSign", "ViewCodeSequence"} & set(
            dataset.dir()
        )
