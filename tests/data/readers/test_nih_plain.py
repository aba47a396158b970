from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.nih14_cv import Nih14Folds
from contrastcxr.data.readers.nih_plain import (
    NihPlain,
    labels_of,
    oracle_readings,
    shuffled_readings,
    with_plain_reports,
)
from contrastcxr.errors import RequestError
from contrastcxr.text.grammar.parsing import parse


def test_the_report_comes_first_and_says_exactly_the_labels(nih: Path) -> None:
    for study in NihPlain(nih).studies():
        written = study.readings[0]
        assert written.author.name == "nih-plain"
        said = {f.name for f in parse(written.report.findings) if f.status == "present"}
        assert said == set(labels_of(study))
        assert written.report.sentences


def test_reports_name_no_side_size_or_severity(nih: Path) -> None:
    for study in NihPlain(nih).studies():
        for finding in parse(study.readings[0].report.findings):
            assert (finding.side, finding.zone, finding.severity, finding.size_mm) == (None,) * 4


def test_a_report_depends_on_its_image_and_the_seed_only(nih: Path) -> None:
    studies = Nih14(nih).studies()
    texts = {s.study_id: s.readings[0].report.findings for s in with_plain_reports(studies)}
    backwards = {s.study_id: s.readings[0].report.findings for s in with_plain_reports(studies[::-1])}
    assert texts == backwards
    other = {s.study_id: s.readings[0].report.findings for s in with_plain_reports(studies, seed=1)}
    assert sum(texts[k] != other[k] for k in texts) >= 4


def test_the_ceiling_says_the_same_labels_in_other_words(nih: Path) -> None:
    studies = NihPlain(nih).studies()
    best = oracle_readings(studies)
    assert [r.study_id for r in best] == [s.study_id for s in studies]
    for study, reading in zip(studies, best, strict=True):
        assert {f.name for f in parse(reading.report.findings) if f.status == "present"} == set(labels_of(study))
    same = sum(r.report == s.readings[0].report for r, s in zip(best, studies, strict=True))
    assert same <= 2


def test_the_floor_gives_every_study_the_labels_of_another(nih: Path) -> None:
    studies = Nih14(nih).studies()
    said = [frozenset(r.present()) for r in shuffled_readings(studies, seed=3)]
    own = [frozenset(labels_of(s)) for s in studies]
    assert sorted(map(sorted, said)) == sorted(map(sorted, own))
    abnormal = [i for i, labels in enumerate(own) if labels]
    assert all(said[i] != own[i] for i in abnormal)  # the three label sets here differ from one another
    assert [r.study_id for r in shuffled_readings(studies)] == [s.study_id for s in studies]


def test_one_study_cannot_be_shuffled(nih: Path) -> None:
    with pytest.raises(RequestError, match="at least 2"):
        shuffled_readings(Nih14(nih).studies()[:1])


@pytest.mark.data
def test_folds_carry_the_same_reports_as_the_whole_set(shared_data: Path) -> None:
    root = shared_data / "nih14"
    fold = Nih14Folds(root, fold=1, report="plain").studies("test")[:20]
    wanted = {s.study_id for s in fold}
    images = [s for s in Nih14(root).studies("train_val") if s.study_id in wanted]
    alone = {s.study_id: s.readings[0] for s in with_plain_reports(images)}
    assert [s.readings[0] for s in fold] == [alone[s.study_id] for s in fold]
