"""`contrastcxr compare`: two evaluation folders against each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.cli.main import run
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.evaluation.compare import compare
from contrastcxr.metrics.scores import score_table
from contrastcxr.metrics.table import Answer, StudyTable, tabulate
from contrastcxr.text.grammar.parsing import parse

SIGNATURE = "contrastcxr:1|data:d|split:test|protocol:corrected|n:40"
TRUTH = ("There is a small left pleural effusion.", "The lungs are clear.")


def folder(
    where: Path,
    right: float,
    *,
    studies: int = 40,
    first: int = 0,
    signature: str = SIGNATURE,
    names: tuple[str, ...] = ("Pleural Effusion", "Edema"),
) -> Path:
    """An evaluation of a system whose report is the reference's in that share of studies."""
    rng = np.random.default_rng(round(right * 100))
    wanted = [TRUTH[i % 2] for i in range(first, first + studies)]
    said = [text if rng.random() < right else TRUTH[0] for text in wanted]
    ids = [f"s{i:03d}" for i in range(first, first + studies)]
    table = tabulate(ids, ids, [_answer(t) for t in wanted], [_answer(t) for t in said], names)
    where.mkdir()
    table.save(where / "studies.npz")
    (where / "scores.json").write_text(json.dumps({"signature": signature}))
    return where


def _answer(text: str) -> Answer:
    return Answer(text, parse(text))


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return folder(tmp_path / "better", 1.0)


@pytest.fixture
def worse(tmp_path: Path) -> Path:
    return folder(tmp_path / "worse", 0.1)


def test_a_difference_has_its_interval_and_its_p_value(better: Path, worse: Path) -> None:
    found = {score.name: score for score in compare(better, worse, replicates=200, shuffles=199).scores}
    bleu = found["bleu_4"]
    assert bleu.difference.value == pytest.approx((bleu.first.value or 0) - (bleu.second.value or 0), abs=1e-6)
    assert bleu.difference.low > 0
    assert bleu.p == pytest.approx(1 / 200)
    assert bleu.p_holm == pytest.approx(min(1, bleu.p * len(found)), rel=0.5)
    assert found["positive_recall"].p == 1.0  # both call every effusion


def test_the_other_way_round_the_sign_changes(better: Path, worse: Path) -> None:
    forth, back = (
        compare(*pair, scores=["cider"], replicates=50, shuffles=49) for pair in ((better, worse), (worse, better))
    )
    assert forth.scores[0].difference.value == pytest.approx(-back.scores[0].difference.value)
    assert forth.scores[0].p == back.scores[0].p


def test_scores_stand_as_the_evaluation_printed_them(better: Path, worse: Path) -> None:
    from contrastcxr.metrics.table import StudyTable

    printed = score_table(StudyTable.load(better / "studies.npz"))
    found = compare(better, worse, scores=["rouge_l"], shuffles=9)
    assert found.scores[0].first == printed["rouge_l"]


def test_other_signatures_are_refused_and_named(better: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", 0.5, signature=SIGNATURE.replace("corrected", "as-published"))
    with pytest.raises(RequestError, match=r"protocol corrected and as-published.*--allow-different"):
        compare(better, other)
    found = compare(better, other, allow_different=True, scores=["rouge_l"], replicates=20, shuffles=9)
    assert "protocol corrected and as-published" in found.notes[0]


def test_shared_studies_are_compared_when_that_is_allowed(better: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", 1.0, first=10, signature=SIGNATURE.replace("d|", "e|"))
    found = compare(better, other, allow_different=True, scores=["rouge_l"], replicates=20, shuffles=9)
    assert found.scores[0].difference.n == 30
    assert found.scores[0].difference.value == pytest.approx(0)
    assert "30 studies are in both; 40 and 40 were scored" in found.notes


def test_the_same_signature_with_other_studies_is_refused(better: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", 1.0, first=40)
    with pytest.raises(RequestError, match="share 0 of 40 and 40 studies"):
        compare(better, other)


def test_an_unknown_score_names_the_nearest(better: Path, worse: Path) -> None:
    with pytest.raises(UnknownNameError, match="bleu_4"):
        compare(better, worse, scores=["bleu4"])


def test_a_folder_that_is_no_evaluation_is_named(better: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"scores\.json.*contrastcxr evaluate"):
        compare(better, tmp_path)
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DatasetError, match="not the scores of an evaluation"):
        compare(better, tmp_path)


def test_the_command_prints_a_row_per_score(
    better: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(better), str(worse), "--scores", "bleu_4,cider", "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert "BLEU-4" in said
    assert "corrected by Holm" in said
    kept = json.loads((tmp_path / "o" / "comparison.json").read_text())
    assert kept["scores"].keys() == {"bleu_4", "cider"}
    assert kept["signatures"] == [SIGNATURE, SIGNATURE]


def test_the_command_says_what_is_wrong(better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(better), "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    other = folder(tmp_path / "other", 0.5, signature=SIGNATURE.replace("n:40", "n:39"))
    assert run(["compare", str(better), str(other)]) == 2
    assert "n 40 and 39" in capsys.readouterr().err


def test_a_difference_of_ten_words_is_printed_whole() -> None:
    from contrastcxr.cli.compare import _signed

    assert [_signed(v) for v in (-10.353, 10.0, 0.05, -0.5, 1.25)] == [
        "-10.353",
        "+10.000",
        "+.050",
        "-.500",
        "+1.250",
    ]


def test_findings_that_one_was_not_scored_on_are_left_out_and_said(better: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", 0.5, signature=f"{SIGNATURE}0", names=("Edema",), studies=30)
    found = compare(better, other, allow_different=True, replicates=50, shuffles=49)
    assert any(note.endswith("are left out: Pleural Effusion") for note in found.notes)


def test_a_score_without_a_value_leaves_the_others_their_correction(tmp_path: Path) -> None:
    """Of normal studies alone no abnormality can be missed."""
    one, other = (folder(tmp_path / name, 1.0, studies=1, first=1) for name in ("one", "other"))
    said = compare(one, other, replicates=50, shuffles=49).to_dict()
    json.dumps(said, allow_nan=False)
    assert said["scores"]["missed_abnormality"]["p_holm"] is None
    assert said["scores"]["bleu_4"]["p_holm"] == 1.0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cider", "CIDEr: it weighs words by how few references hold them, and one reference cannot tell"),
        ("missed_abnormality", "no study of the reference is abnormal"),
        ("positive_f1", "positive-finding F1: neither side has such a finding in any study"),
        ("auc_mean", "mean AUC: no probabilities, or no findings to compare them with"),
        ("meteor", "METEOR: METEOR was not asked for"),
    ],
)
def test_an_undefined_score_has_an_empty_row_and_its_reason(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (folder(tmp_path / each, 1.0, studies=1, first=1) for each in ("one", "other"))
    assert run(["compare", str(one), str(other), "--scores", f"bleu_1,{name}"]) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed.lower().split()
    row = next(line for line in printed.splitlines() if line.count("\N{EN DASH}") > 4)
    assert row.split()[-6:] == ["\N{EN DASH}"] * 6
    assert any(why in line for line in printed.splitlines())
    found = {each.name: each for each in compare(one, other, scores=["bleu_1", name]).scores}
    assert found[name].to_dict()["difference"]["value"] is None
    assert (found["bleu_1"].p, found["bleu_1"].p_holm) == (1.0, 1.0)


def test_a_score_that_one_side_lacks_says_which(better: Path, worse: Path) -> None:
    table = StudyTable.load(worse / "studies.npz")
    noted = {**(table.notes or {}), "cider": "lost"}
    replace(table, cider=None, notes=noted).save(worse / "studies.npz")
    found = compare(better, worse, scores=["cider"], replicates=20, shuffles=19)
    assert (found.scores[0].first.value, found.scores[0].second.value) == (pytest.approx(10), None)
    assert "CIDEr: lost (B)" in found.notes
