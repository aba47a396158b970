from __future__ import annotations

import json
from pathlib import Path

import pytest
from mini_chestx_det import write_chestx_det

import small_corpus
from contrastcxr.cli.main import run
from contrastcxr.data.ref import DataRef
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate, load_references
from contrastcxr.form import Author, Reading, Report
from contrastcxr.vocab.chestx_det import CHESTX_DET

MODEL = Author(kind="model", name="someone")
READ = ("00000001_000", "00000001_001", "00000003_000")
SILENT = ("00000002_000",)


@pytest.fixture
def data(nih: Path) -> DataRef:
    write_chestx_det(nih)
    return parse_data(f"nih14:{nih}")


def said(*ids: str) -> list[Reading]:
    report = Report(findings="There is a pleural effusion.")
    return [Reading(study_id=study, author=MODEL, report=report) for study in ids]


def scored(readings: list[Reading], data: DataRef, **options: object) -> Evaluation:
    quick = {"baselines": False, "with_meteor": False, "bootstrap": Bootstrap(replicates=20), "split": "train_val"}
    return evaluate(readings, data=data, reference="chestx-det", **quick, **options)  # type: ignore[arg-type]


def test_studies_that_the_author_did_not_read_are_left_out_and_named(data: DataRef) -> None:
    found = load_references(data, "train_val", author="chestx-det")
    assert (found.ids, found.silent) == (READ, SILENT)
    assert {reading.author.name for reading in found.readings} == {"chestx-det"}
    assert set(found.names) == {one.name for one in CHESTX_DET if one.name}


def test_boxes_stay_in_the_references_and_in_what_scores_take(data: DataRef) -> None:
    found = load_references(data, "train_val", author="chestx-det")
    kept = {f.name: [box.xyxy for box in f.boxes] for f in found.readings[0].findings if f.boxes}
    assert kept == {"Cardiomegaly": [(16, 32, 48, 64)], "Pleural Effusion": [(0, 56, 8, 64)]}
    answers = found.answers()
    assert [answer.findings for answer in answers] == [reading.findings for reading in found.readings]
    assert found.of(READ[:1]).readings[0] is found.readings[0]
    assert found.of(READ[:1]).silent == SILENT


def test_without_an_author_nobody_is_silent(data: DataRef) -> None:
    found = load_references(data, "train_val")
    assert (len(found.ids), found.silent) == (4, ())
    assert {reading.author.name for reading in found.readings} == {"nih14 labels"}


def test_an_author_who_read_every_study_leaves_none_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    phantoms = parse_data("phantom:smoke")
    assert load_references(phantoms, "test", author="phantom truth").silent == ()


def test_an_author_who_read_none_of_the_studies_is_refused_with_those_who_did(data: DataRef) -> None:
    with pytest.raises(DatasetError) as caught:
        load_references(data, "train_val", author="chestxdet")
    assert str(caught.value) == (
        f"{data}, 'train_val': expected a reading by 'chestxdet', found none among 4 studies, which are read by "
        "chestx-det, nih14 labels, rsna; name one of these with --reference, or score more studies"
    )


def test_an_evaluation_notes_how_many_studies_its_author_did_not_read(data: DataRef) -> None:
    found = scored(said(*READ), data)
    assert found.notes == ("1 of 4 studies have no reading by chestx-det and are left out (00000002_000)",)
    assert "|reference:chestx-det|" in found.signature
    assert found.signature.endswith("|n:3")
    assert found.scores["bleu_4"].n == 3


def test_readings_of_the_whole_split_are_scored_where_the_author_read(data: DataRef) -> None:
    whole = scored(said(*READ, *SILENT), data)
    assert whole.to_dict() == scored(said(*READ), data).to_dict()


def test_a_reading_that_is_missing_or_unknown_is_still_refused(data: DataRef) -> None:
    with pytest.raises(RequestError, match="1 of 3 studies have no reading: 00000003_000"):
        scored(said(*READ[:2]), data)
    with pytest.raises(RequestError, match="1 of 4 readings are of studies that are not in the data: nobody"):
        scored(said(*READ, "nobody"), data)
    with pytest.raises(RequestError, match="3 of 3 studies have no reading"):
        scored(said(*SILENT), data)


def test_the_command_says_so_too(data: DataRef, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"study_id": s, "text": "No effusion."}) + "\n" for s in (*READ, *SILENT)))
    out = tmp_path / "out"
    asked = ["--data", str(data), "--split", "train_val", "--reference", "chestx-det", "--no-baselines"]
    assert run(["evaluate", "--readings", str(path), *asked, "--out", str(out)]) == 0
    note = "1 of 4 studies have no reading by chestx-det and are left out (00000002_000)"
    assert note in capsys.readouterr().out
    assert note in json.loads((out / "scores.json").read_text())["notes"]
    assert note in (out / "report.html").read_text()


@pytest.mark.data
def test_references_of_a_real_fold_are_the_pictures_of_chestx_det_with_their_boxes(shared_data: Path) -> None:
    data = parse_data(f"nih14-cv:{shared_data / 'nih14'}?fold=0")
    found = load_references(data, "test", author="chestx-det")
    assert (len(found.ids), len(found.silent)) == (27, 262)
    assert all(f.boxes for reading in found.readings for f in reading.findings if f.status == "present")
    assert sum(len(f.boxes) for reading in found.readings for f in reading.findings) > 0
