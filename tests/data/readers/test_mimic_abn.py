from __future__ import annotations

import json
from pathlib import Path

import pytest
from mimic_files import write_mimic

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.readers.mimic_abn import abnormal
from contrastcxr.errors import RequestError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_mimic(tmp_path)


def test_a_derived_set_keeps_abnormal_sentences_and_says_that_it_is_derived(root: Path) -> None:
    source = open_source(f"mimic_abn:{root},reports={root}")
    studies = {study.study_id: study for study in source.studies()}
    assert source.name == "mimic_abn (derived)"
    assert "not the published list" in source.inventory().notes[0]
    reading = studies["50000001"].readings[0]
    assert (reading.author.kind, reading.author.name) == ("rule", "mimic_abn derived")
    assert reading.report.findings == "Small left pleural effusion."
    assert reading.report.sentences == ("Small left pleural effusion.", "Small left pleural effusion.")
    assert studies["50000001"].reading_by("mimic_cxr radiologist") is None


def test_a_study_without_an_abnormal_finding_is_left_out(root: Path) -> None:
    derived = load_studies(f"mimic_abn:{root},reports={root}")
    assert [study.study_id for study in derived] == ["50000001", "50000005"]
    assert [s.study_id for s in load_studies(f"mimic_abn:{root},reports={root}/test")] == ["50000005"]


def test_doubt_counts_as_abnormal_and_denial_does_not() -> None:
    said = ("No pneumothorax.", "Possible pneumonia.", "Moderate cardiomegaly.", "The lungs are clear.")
    assert abnormal(said) == said[1:3]


def test_the_list_is_read_as_it_is(root: Path, tmp_path: Path) -> None:
    sample = {
        "id": "aaaa1111",
        "study_id": 50000001,
        "subject_id": 10000032,
        "report": "there is a small left effusion .",
        "image_path": [f"p10/p10000032/s50000001/{image}.jpg" for image in ("aaaa1111", "aaaa2222")],
        "split": "test",
    }
    path = tmp_path / "mimic_abn.json"
    path.write_text(json.dumps({"train": [], "val": [], "test": [sample]}))
    source = open_source(f"mimic_abn:{root},list={path}")
    study = source.studies("test")[0]
    assert source.name == "mimic_abn"
    assert (study.readings[0].author.kind, study.readings[0].author.name) == ("human", "mimic_abn")
    assert study.readings[0].report.findings == "there is a small left effusion."
    assert len(study.views) == 2


def test_neither_list_nor_texts_is_refused(root: Path) -> None:
    with pytest.raises(RequestError, match=r"needs its list .* or the texts"):
        open_source(f"mimic_abn:{root}")
