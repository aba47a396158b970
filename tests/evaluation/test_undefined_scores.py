"""Evaluations that leave scores undefined: labels alone, one study, one patient, pictures that cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_chexpert import write_chexpert
from mini_covid import write_covid
from mini_rsna import write_rsna
from mini_vindr import write_vindr
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score

from contrastcxr.cli.evaluate import summary
from contrastcxr.cli.main import run
from contrastcxr.data.ref import DataRef
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate, load_references
from contrastcxr.evaluation.protocols import words_of
from contrastcxr.evaluation.references import training_split
from contrastcxr.form import SCHEMA, Author, Reading, Report
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, smooth

OF_WORDS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider", "mean_words", "length_distance")
QUICK = Bootstrap(replicates=30, minimum=2)
NOTHING = re.compile(r"\b(?:nan|NaN|None|inf)\b")
TEXTS = ("The heart is normal.", "There is a small left pleural effusion.", "A nodule is in the right lung.")

Rows = Callable[[int], dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny(tmp_path)


def manifest(folder: Path, row: Rows, *, studies: int = 6, broken: tuple[int, ...] = ()) -> DataRef:
    """A manifest of pictures, half of them of the test split unless their rows say so."""
    folder.mkdir(exist_ok=True)
    rows = []
    for k in range(studies):
        rng = np.random.default_rng(k)
        path = folder / f"p{k}.png"
        Image.fromarray((255 * smooth(rng, 64, 64)).astype(np.uint8)).save(path)
        if k in broken:
            path.write_bytes(path.read_bytes()[:60])
        rows.append({"study_id": f"s{k}", "image": path.name, "patient_id": f"p{k}", "split": "test", **row(k)})
    (folder / "m.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return parse_data(f"manifest:{folder / 'm.jsonl'}")


def labels(k: int) -> dict[str, Any]:
    return {"labels": "Nodule" if k % 2 else "Pleural Effusion"}


def reports(k: int) -> dict[str, Any]:
    return {"findings": TEXTS[k % 3]}


def said(path: Path) -> str:
    """All that an evaluation wrote for people and programs, which holds no word for nothing."""
    texts = {name: (path / name).read_text() for name in ("scores.json", "report.md", "report.html")}
    for name, text in texts.items():
        assert not NOTHING.search(re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)), name
    return "\n".join(texts.values())


def command(model: Path, data: DataRef, out: Path, *more: str) -> list[str]:
    return ["evaluate", str(model), "--data", str(data), "--out", str(out), "--cache", str(out / "cache"), *more]


def test_labels_alone_print_scores_of_findings_and_no_bleu(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = manifest(tmp_path / "d", lambda k: {**labels(k), "split": "train" if k < 3 else "test"})
    assert run(command(model, data, tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert not NOTHING.search(printed)
    assert re.search(r"^system: calibration_error \S+ \(.*  brier \S+", printed, re.MULTILINE)
    assert re.search(r"^constant: calibration_error ", printed, re.MULTILINE)
    assert "bleu" not in printed
    assert "words are not scored: the references hold no report" in printed
    assert "mean AUC: no finding has 10 positives and 10 negatives" in printed
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["systems"]
    assert scores.keys() == {"system", "constant", "neighbour"}
    for system in scores.values():
        assert {system["scores"][name]["value"] for name in OF_WORDS} == {None}
        assert {system["scores"][name]["note"] for name in OF_WORDS} == {"the references hold no report"}
    assert "| BLEU" not in said(tmp_path / "out")


def test_baselines_of_plain_nih_come_from_its_published_training_list(nih: Path, tmp_path: Path) -> None:
    data = parse_data(f"nih14:{nih}")
    assert training_split(data) == "train_val"
    found = evaluate(Reader.from_checkpoint(save_tiny(tmp_path)), data=data, bootstrap=QUICK, cache=tmp_path / "c")
    assert found.split == "test"
    assert {"system", "constant"} <= found.systems.keys()
    assert not any("no baselines" in note for note in found.notes)
    training = load_references(data, "train_val")
    share = sum("Pneumonia" in r.present() for r in training.readings) / len(training.readings)
    constant = found.systems["constant"].table
    assert constant.probabilities is not None
    assert constant.probabilities[:, constant.names.index("Pneumonia")] == pytest.approx(share)
    assert share == 0  # of the two test studies one has it: their own frequency would be a half


LABELLED: dict[str, tuple[Callable[[Path], Path], str, str | None]] = {
    "chexpert": (write_chexpert, "validation", None),
    "vindr": (write_vindr, "test", None),
    "rsna": (write_rsna, "train", None),
    "rsna images": (write_rsna, "train", "rsna"),
    "covid": (write_covid, "all", None),
}


@pytest.mark.parametrize(("write", "split", "author"), LABELLED.values(), ids=LABELLED)
def test_labels_of_every_source_score_findings_and_no_words(
    write: Callable[[Path], Path], split: str, author: str | None, model: Path, tmp_path: Path
) -> None:
    name = write.__name__.removeprefix("write_")
    data = parse_data(f"{name}:{write(tmp_path / 'd')}" + ("" if split == "all" else f"/{split}"))
    found = evaluated(model, data, tmp_path / "c", reference=author, out=tmp_path / "out")
    assert {found.scores[each].value for each in OF_WORDS} == {None}
    assert {found.scores[each].note for each in OF_WORDS} == {"the references hold no report"}
    assert all(score.value is not None or score.note for score in found.scores.values())
    assert not NOTHING.search(summary(found, tmp_path))
    said(tmp_path / "out")


def test_baselines_are_never_made_of_the_scored_list(nih: Path, tmp_path: Path) -> None:
    data = parse_data(f"nih14:{nih}/train_val")
    found = evaluate(Reader.from_checkpoint(save_tiny(tmp_path)), data=data, bootstrap=QUICK, cache=tmp_path / "c")
    assert found.systems.keys() == {"system"}
    assert "no baselines from training studies: they are of the studies that are scored" in found.notes


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "test"), "train"),
        (("train_val", "test"), "train_val"),
        (("train", "train_val", "test"), "train"),
        ((None,), "all"),
    ],
)
def test_the_training_split_is_the_one_that_the_source_has(
    splits: tuple[str | None, ...], expected: str, tmp_path: Path
) -> None:
    data = manifest(tmp_path / "d", lambda k: {**labels(k), "split": splits[k % len(splits)]})
    assert training_split(data) == expected


def test_a_source_without_a_training_split_says_so(tmp_path: Path) -> None:
    data = manifest(tmp_path / "d", lambda k: {**reports(k), "split": ("validation", "test")[k % 2]})
    with pytest.raises(DatasetError, match="manifest has no split for training, only validation, test"):
        training_split(data)
    with pytest.raises(DatasetError, match="has no split for training"):
        words_of("as-published", data, author=None)


def test_as_published_counts_words_in_train_val_where_that_is_the_training_split(tmp_path: Path) -> None:
    data = manifest(tmp_path / "d", lambda k: {**reports(0), "split": ("train_val", "test")[k % 2]})
    words = words_of("as-published", data, author=None)
    assert words.reference("The heart is normal.").split()[0] == "the"


@pytest.mark.parametrize("row", [labels, reports], ids=["labels", "reports"])
def test_one_study_has_figures_without_intervals_and_no_nan(
    row: Rows, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = manifest(tmp_path / "d", row)
    assert run(command(model, data, tmp_path / "out", "--limit", "1")) == 0
    printed = capsys.readouterr().out
    assert not NOTHING.search(printed)
    assert "1 of 1 patient, " in printed
    assert "all studies are of one patient: no figure has an interval" in printed
    if row is reports:
        assert "CIDEr: it weighs words by how few references hold them, and one reference cannot tell" in printed
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["systems"]["system"]["scores"]
    assert all(score["low"] is None and score["high"] is None for score in scores.values())
    assert all(score["value"] is not None or score["note"] for score in scores.values())
    said(tmp_path / "out")
    assert run(["compare", str(tmp_path / "out"), str(tmp_path / "out"), "--out", str(tmp_path / "diff")]) == 0
    table = capsys.readouterr().out
    assert not NOTHING.search(table)
    assert "all studies are of one patient: no difference has an interval" in table
    json.loads((tmp_path / "diff" / "comparison.json").read_text(), parse_constant=pytest.fail)


def mixed(k: int) -> dict[str, Any]:
    return reports(k) if k % 2 else labels(k)


def test_labels_beside_reports_are_scored_as_labels_and_leave_the_words_alone(tmp_path: Path) -> None:
    data = manifest(tmp_path / "d", mixed)
    readings = [
        Reading(study_id=f"s{k}", author=Author(kind="model", name="m"), report=Report(findings=TEXTS[k % 3]))
        for k in range(6)
    ]
    found = evaluate(readings, data=data, baselines=False, bootstrap=QUICK, cache=tmp_path)
    assert found.scores["bleu_1"].value == pytest.approx(1)
    assert (found.scores["bleu_1"].n, found.scores["positive_f1"].n) == (3, 6)
    assert "3 of 6 references hold no report: words are scored on the others (s0, s2, s4)" in found.notes
    truth = found.systems["system"].table.truth
    assert truth is not None
    assert truth[0, found.systems["system"].table.names.index("Pleural Effusion")] == 3


def evaluated(model: Path, data: DataRef, cache: Path, **options: Any) -> Evaluation:
    return evaluate(Reader.from_checkpoint(model), data=data, bootstrap=QUICK, cache=cache, **options)


@pytest.mark.parametrize("broken", [(1,), (0, 4), (0, 1, 2, 3, 4)])
def test_pictures_that_cannot_be_read_are_listed_by_path_and_the_rest_is_scored(
    broken: tuple[int, ...], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = manifest(tmp_path / "d", reports, broken=broken)
    assert run(command(model, data, tmp_path / "out")) == 1
    printed = capsys.readouterr()
    for k in broken:
        assert re.search(rf"failed: .*p{k}\.png: ", printed.err)
    assert f"partial: {len(broken)} of 6 studies have no reading and are left out" in printed.out
    assert f"{6 - len(broken)} of " in printed.out
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert len(found["failures"]) == len(broken)
    assert found["signature"].endswith(f"|n:{6 - len(broken)}")
    assert all(f"p{k}.png" in said(tmp_path / "out") for k in broken)


def test_no_picture_that_can_be_read_is_an_error_that_names_some(model: Path, tmp_path: Path) -> None:
    data = manifest(tmp_path / "d", reports, broken=tuple(range(6)))
    with pytest.raises(
        DatasetError, match=r"none of the 6 studies can be read: .*p\d\.png: .*; check the pictures"
    ):
        evaluated(model, data, tmp_path)


def test_a_missing_reading_of_a_file_is_still_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = manifest(tmp_path / "d", reports)
    (tmp_path / "r.jsonl").write_text('{"study_id": "s0", "text": "Clear."}\n')
    assert run(["evaluate", "--readings", str(tmp_path / "r.jsonl"), "--data", str(data)]) == 2
    assert "5 of 6 studies have no reading: s1, s2, s3 and 2 more; read them too" in capsys.readouterr().err


def test_a_limit_of_no_study_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = manifest(tmp_path / "d", reports)
    assert run(command(model, data, tmp_path / "out", "--limit", "0")) == 2
    capsys.readouterr()
    assert run(["evaluate", str(model), "--data", f"{data}?limit=0", "--out", str(tmp_path / "out")]) == 2
    assert "limit=0; expected a whole number from 1" in capsys.readouterr().err


def _labelled(path: Path, truth: np.ndarray, guess: np.ndarray, *, probabilities: bool) -> None:
    """Readings of labels alone: a finding is present where its probability is above a half."""
    names = ("Edema", "Mass", "Hernia")
    documents = [
        {
            "schema": SCHEMA,
            "study_id": f"s{study}",
            "author": {"kind": "model", "name": "m"},
            "findings": [
                {
                    "name": name,
                    "status": "present" if guess[study, k] > 0.5 else "absent",
                    "source": "m",
                    **({"probability": float(guess[study, k])} if probabilities else {}),
                }
                for k, name in enumerate(names)
            ],
        }
        for study in range(len(truth))
    ]
    path.write_text("\n".join(map(json.dumps, documents)))


@pytest.mark.parametrize("probabilities", [True, False])
def test_labels_that_somebody_gives_have_the_scores_that_scikit_learn_gives_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], probabilities: bool
) -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random((60, 3)) < (0.4, 0.3, 0.05)).astype(int)
    guess = (0.3 * truth + 0.7 * rng.random(truth.shape)).round(3)
    status = {name: ["absent", "present"] for name in ("Edema", "Mass", "Hernia")}

    def row(k: int) -> dict[str, Any]:
        return {"labels": {name: said[truth[k, i]] for i, (name, said) in enumerate(status.items())}}

    data = manifest(tmp_path / "d", row, studies=len(truth))
    _labelled(tmp_path / "r.jsonl", truth, guess, probabilities=probabilities)
    out = tmp_path / "out"
    words = ["evaluate", "--readings", str(tmp_path / "r.jsonl"), "--data", str(data), "--out", str(out)]
    assert run([*words, "--no-baselines"]) == 0
    printed = capsys.readouterr().out
    scores = json.loads((out / "scores.json").read_text())["systems"]["system"]["scores"]
    found = guess > 0.5
    assert scores["positive_f1"]["value"] == pytest.approx(f1_score(truth.ravel(), found.ravel()), abs=1e-6)
    assert scores["positive_f1_macro"]["value"] == pytest.approx(f1_score(truth, found, average="macro"), abs=1e-6)
    areas = [roc_auc_score(truth[:, k], guess[:, k]) for k in range(2)]  # Hernia has too few
    values = [scores[name]["value"] for name in ("auc/Edema", "auc/Mass", "auc_mean")] if probabilities else []
    assert values == (pytest.approx([*areas, np.mean(areas)], abs=1e-6) if probabilities else [])
    assert scores["auc_mean"]["value"] is None or probabilities
    assert re.search(r"^system: positive_f1 \.\d+", printed, re.MULTILINE)
    assert "bleu" not in printed
    assert "words are not scored: the references hold no report" in printed
    assert not NOTHING.search(printed)
