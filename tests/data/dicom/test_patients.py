"""Two patients under one StudyInstanceUID."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.data.dicom.reading import OTHER_PATIENT, dicom_studies, pseudonym
from contrastcxr.form import Study
from contrastcxr.quality.flags import view_flags

Dicom = Callable[..., Path]
UID = "1.2.3"


@pytest.fixture
def of_patients(dicom: Dicom) -> Callable[..., list[Path]]:
    """Writes an object of one study for each PatientID, None without one."""

    def write(*patients: str | None, **attributes: object) -> list[Path]:
        names = itertools.count()
        known = {"StudyInstanceUID": UID, **attributes}
        return [dicom(f"{next(names)}.dcm", PatientID=patient, **known) for patient in patients]

    return write


def files(studies: list[Study]) -> list[list[str]]:
    return [[Path(view.locator or "").stem for view in study.views] for study in studies]


@pytest.mark.parametrize(
    "patients",
    [("A", "A"), ("A", None), (None, "A", None), (None, None), ("A", ""), ("ab 1", "AB 1"), ("ab 1", " ab  1 ")],
)
def test_one_patient_is_one_study_under_the_hash_of_its_uid(
    of_patients: Callable[..., list[Path]], caplog: pytest.LogCaptureFixture, patients: tuple[str | None, ...]
) -> None:
    (study,), failures = dicom_studies(of_patients(*patients))
    assert study.study_id == pseudonym("study", UID)
    assert len(study.views) == len(patients)
    assert not [doubt for view in study.views for doubt in view.doubts]
    assert (failures, caplog.text) == ([], "")
    assert dicom_studies(of_patients(*patients), keep_ids=True)[0][0].study_id == UID


@pytest.mark.parametrize(
    ("patients", "parts"),
    [
        (("A", "B"), [["0"], ["1"]]),
        (("A", "B", "a", " B"), [["0", "2"], ["1", "3"]]),
        (("B", "A", "C"), [["0"], ["1"], ["2"]]),
        (("A", None, "B", None), [["0"], ["1", "3"], ["2"]]),
        (("007", "7"), [["0"], ["1"]]),
    ],
)
def test_several_patients_are_studies_of_their_own_and_warned_of(
    of_patients: Callable[..., list[Path]],
    caplog: pytest.LogCaptureFixture,
    patients: tuple[str | None, ...],
    parts: list[list[str]],
) -> None:
    paths = of_patients(*patients)
    studies, failures = dicom_studies(paths)
    assert (files(studies), failures) == (parts, [])
    ids = {study.study_id for study in studies}
    assert len(ids) == len(parts)
    assert pseudonym("study", UID) not in ids
    assert len({study.patient_id for study in studies}) == len(parts)
    assert all(view.doubts == (OTHER_PATIENT,) for study in studies for view in study.views)
    (record,) = caplog.records
    assert (record.levelno, record.name.partition(".")[0]) == (logging.WARNING, "contrastcxr")
    assert "have one StudyInstanceUID and different PatientIDs" in record.getMessage()
    assert str(paths[0]) in record.getMessage()


def test_the_flags_of_a_reading_tell_of_the_other_patient(of_patients: Callable[..., list[Path]]) -> None:
    studies, _ = dicom_studies(of_patients("A", "B"))
    for study in studies:
        assert f"view 1: {OTHER_PATIENT}" in [flag.message for flag in view_flags(study, [0])]


@pytest.mark.parametrize("keep_ids", [False, True])
def test_the_ids_do_not_hang_on_the_order_of_the_files(
    of_patients: Callable[..., list[Path]], keep_ids: bool
) -> None:
    paths = of_patients("A", "B", None)
    ids = [
        {study.patient_id: study.study_id for study in dicom_studies(order, keep_ids=keep_ids)[0]}
        for order in itertools.permutations(paths)
    ]
    assert all(each == ids[0] for each in ids)
    if keep_ids:
        assert ids[0] == {"A": "1.2.3-1", "B": "1.2.3-2", None: "1.2.3-3"}


def test_the_ids_of_one_patient_are_the_same_whoever_else_shares_the_uid(
    of_patients: Callable[..., list[Path]],
) -> None:
    two, _ = dicom_studies(of_patients("A", "B"))
    three, _ = dicom_studies(of_patients("a", "B", "C"))
    assert [study.study_id for study in three[:2]] == [study.study_id for study in two]


def test_one_image_of_two_patients_is_two_images(of_patients: Callable[..., list[Path]]) -> None:
    studies, failures = dicom_studies(of_patients("A", "B", "A", SOPInstanceUID="1.2.9"))
    assert files(studies) == [["0"], ["1"]]
    assert [Path(failure.where).stem for failure in failures] == ["2"]


def test_two_studies_of_two_patients_stay_as_they_were(dicom: Dicom, caplog: pytest.LogCaptureFixture) -> None:
    paths = [
        dicom("a.dcm", StudyInstanceUID="1.1", PatientID="A"),
        dicom("b.dcm", StudyInstanceUID="1.2", PatientID="B"),
    ]
    studies, _ = dicom_studies(paths)
    assert [study.study_id for study in studies] == [pseudonym("study", uid) for uid in ("1.1", "1.2")]
    assert caplog.text == ""


def test_no_id_of_a_patient_is_said(
    of_patients: Callable[..., list[Path]], caplog: pytest.LogCaptureFixture
) -> None:
    studies, _ = dicom_studies(of_patients("MRN-4711", "MRN-4712"))
    said = repr(studies) + caplog.text
    assert not [secret for secret in ("MRN", "4711", "4712", "Secretive") if secret in said]
