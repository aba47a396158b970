"""DICOM objects of phantoms: readable, named after nobody, and the same picture whichever way they are stored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import pytest

from contrastcxr.phantom import render, sample
from contrastcxr.phantom.dicom import write_dicom
from contrastcxr.phantom.truth import PhantomParameters

SIZE = 128


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
