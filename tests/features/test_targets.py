"""Targets, normality and reports: what a study's readings say of it."""

from __future__ import annotations

import pytest

from contrastcxr.data.authors import is_normal, label_reading
from contrastcxr.features.targets import finding_targets
from contrastcxr.form import Author, Finding, Reading, Report, Status, Study, View
from contrastcxr.vocab.labels import CHEXPERT, NIH14


def reading(author: str, report: str = "", **statuses: Status) -> Reading:
    findings = tuple(Finding(name=n.replace("_", " "), status=s) for n, s in statuses.items())
    kind = "human" if author in ("rsna", "manifest") else "rule"
    return Reading(
        study_id="s", author=Author(kind=kind, name=author), findings=findings, report=Report(findings=report)
    )


def study(*readings: Reading) -> Study:
    return Study(study_id="s", views=(View(view_id="v", locator="v.png"),), readings=readings)


def targets(given: Study, *labels: str) -> list[float | None]:
    values, known = finding_targets(given, labels)
    return [float(v) if k else None for v, k in zip(values, known, strict=True)]


def test_nih_labels_that_are_not_listed_count_as_absent() -> None:
    given = study(reading("nih14 labels", Mass="present"))
    assert targets(given, "Mass", "Nodule", "Fracture") == [1, 0, None]
    values, known = finding_targets(given, NIH14)
    assert (float(values.sum()), bool(known.all())) == (1, True)


def test_uncertain_is_unknown_and_never_a_half() -> None:
    given = study(reading("phantom truth", Mass="uncertain", Nodule="absent", Hernia="unmentioned"))
    assert targets(given, "Mass", "Nodule", "Hernia") == [None, 0, 0]


def test_other_authors_are_known_only_by_what_they_mention() -> None:
    given = study(reading("manifest", Mass="present", Edema="absent", Hernia="unmentioned"))
    assert targets(given, "Mass", "Edema", "Hernia", "Nodule") == [1, 0, None, None]


def test_a_normal_study_denies_every_finding_but_devices() -> None:
    given = study(reading("manifest", No_Finding="present"))
    assert targets(given, "Edema", "Support Devices", "No Finding") == [0, None, 1]


def test_names_that_chexpert_merges_count_under_its_name() -> None:
    given = study(reading("nih14 labels", Nodule="present", Fibrosis="present"))
    wanted = ("Lung Lesion", "Lung Opacity", "Edema", "Fracture")
    assert targets(given, *wanted) == [1, 1, 0, None]
    assert finding_targets(given, CHEXPERT)[0].shape == (14,)


def test_labels_are_believed_before_the_report_written_from_them() -> None:
    labels = reading("nih14 labels", Mass="present")
    given = study(reading("nih-plain", "A mass.", Mass="present", Edema="absent"), labels)
    assert label_reading(given) == labels


def test_a_study_that_nobody_read_has_no_labels_or_targets() -> None:
    assert label_reading(study()) is None
    assert targets(study(), "Mass") == [None]


NORMAL = reading("nih14 labels", No_Finding="present")


@pytest.mark.parametrize(
    ("readings", "normal"),
    [
        ([NORMAL], True),
        ([NORMAL, reading("rsna", No_Finding="present", Pneumonia="absent")], True),
        ([NORMAL, reading("rsna", No_Finding="absent", Pneumonia="absent")], False),
        ([reading("nih14 labels", Mass="present")], False),
        ([reading("phantom truth", Mass="absent", Nodule="absent")], True),
        ([reading("phantom truth", Mass="uncertain")], False),
        ([reading("manifest", No_Finding="present", Support_Devices="present")], True),
        ([reading("manifest", Mass="absent")], False),
        ([reading("manifest", No_Finding="present", Mass="uncertain")], False),
        ([], False),
    ],
)
def test_normal_is_what_may_stand_in_a_pool(readings: list[Reading], normal: bool) -> None:
    assert is_normal(study(*readings)) is normal
