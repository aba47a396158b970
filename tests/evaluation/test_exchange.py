"""An evaluation of a reader asks what it foresees, and what it makes of the pictures of other patients."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_corpus
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import UnknownNameError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate
from contrastcxr.evaluation.compare import compare
from contrastcxr.evaluation.exchange import NO_READER, ONE_PATIENT
from contrastcxr.features.targets import names_abnormality
from contrastcxr.form import Study
from contrastcxr.metrics.exchange import EXCHANGED_F1, RISE, WORD_LOSSES
from contrastcxr.metrics.table import NO_REPORT, StudyTable
from contrastcxr.reading.reader import Reader
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import default_labeler
from contrastcxr.text.sentence_order import in_canonical_order
from tiny_system import save_tiny, tiny_checkpoint, tiny_config

NAMES = (*WORD_LOSSES, RISE, EXCHANGED_F1)


@pytest.fixture(autouse=True)
def _phantoms_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)


def scored(folder: Path, *, out: Path | None = None, **changes: Any) -> Evaluation:
    folder.mkdir(exist_ok=True)
    reader = Reader.from_checkpoint(save_tiny(folder, tiny_config(**{"data": {"max_views": 1}, **changes})))
    return evaluate(
        reader,
        data=parse_data("phantom:smoke"),
        baselines=False,
        with_meteor=False,
        bootstrap=Bootstrap(replicates=50, minimum=2),
        cache=folder / "cache",
        out=out,
    )


def reasons(found: Evaluation) -> dict[str, str | None]:
    return {name: found.scores[name].note for name in NAMES if found.scores[name].value is None}


def words_in_plain_loops(order: Callable[[str], str] = str) -> list[list[float]]:
    """Per study the words in sentences that name an abnormality, and the others; of 24 tokens the end is none."""
    tokenizer, found = tiny_checkpoint().tokenizer, []
    assert tokenizer is not None
    for study in small_corpus.corpus(split="test"):
        ids = tokenizer.encode(order(study.readings[0].report.findings), max_tokens=1 + 24)[1:-1]
        counts, sentence = [0.0, 0.0], list[int]()
        for place, token in enumerate(ids):
            sentence.append(token)
            if tokenizer.decode([token]) == "." or place == len(ids) - 1:
                counts[not names_abnormality(tokenizer.decode(sentence), default_labeler())] += len(sentence)
                sentence = []
        found.append(counts)
    assert {bool(abnormal) for abnormal, _ in found} == {True, False}
    return found


def test_words_are_foreseen_and_reports_written_from_other_pictures(tmp_path: Path) -> None:
    found = scored(tmp_path, out=tmp_path / "out")
    table = found.systems["system"].table
    assert table.word_losses is not None
    assert table.claimed_exchanged is not None
    assert table.claimed is not None
    assert table.word_losses.shape == (12, 8)
    assert np.array_equal(table.word_losses[:, [1, 3]], table.word_losses[:, [5, 7]])  # the same words
    assert not np.allclose(table.word_losses[:, :4], table.word_losses[:, 4:])  # of other pictures
    assert [row[[1, 3]].tolist() for row in table.word_losses] == words_in_plain_loops()
    assert reasons(found) == {}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What no decision rule touches" in page
    assert "| its rise with another patient's picture |" in (tmp_path / "out" / "report.md").read_text()


def test_a_reader_that_learnt_one_order_foresees_the_reference_in_it(tmp_path: Path) -> None:
    found = scored(tmp_path, text={"order": "canonical", "max_tokens": 26}, generate={"max_tokens": 24})
    losses = found.systems["system"].table.word_losses
    assert losses is not None
    ordered = words_in_plain_loops(lambda text: in_canonical_order(text, parse))
    assert [row[[1, 3]].tolist() for row in losses] == ordered
    assert ordered != words_in_plain_loops()


def test_a_reader_that_does_not_look_foresees_as_well_from_any_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pictures alike: what is exchanged is the same."""
    same = small_corpus.study("test", 0, 0).views[0]

    def alike(level: str = "smoke", *, split: str = "train", **options: Any) -> list[Study]:
        studies = small_corpus.corpus(level, split=split, **options)
        return [
            s.model_copy(update={"views": (same.model_copy(update={"view_id": f"{s.study_id}-v"}),)})
            for s in studies
        ]

    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", alike)
    scores = scored(tmp_path).scores
    assert scores[RISE].value == pytest.approx(0.0, abs=1e-6)
    assert scores[EXCHANGED_F1].value == scores["positive_f1"].value


def test_a_system_without_words_says_so(tmp_path: Path) -> None:
    assert reasons(scored(tmp_path, decoder=None, train={"monitor": "auc"})) == dict.fromkeys(NAMES, NO_REPORT)


def test_pictures_of_one_patient_are_not_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_one(level: str = "smoke", *, split: str = "train", **options: Any) -> list[Study]:
        studies = small_corpus.corpus(level, split=split, **options)
        return [s.model_copy(update={"patient_id": "p" if i > 3 else f"q{i}"}) for i, s in enumerate(studies)]

    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", of_one)
    assert reasons(scored(tmp_path)) == dict.fromkeys((RISE, EXCHANGED_F1), ONE_PATIENT)


def test_readings_cannot_be_asked(tmp_path: Path) -> None:
    given = [study.readings[0] for study in small_corpus.corpus(split="test")]
    found = evaluate(given, data=parse_data("phantom:smoke"), baselines=False, with_meteor=False, cache=tmp_path)
    assert reasons(found) == dict.fromkeys(NAMES, NO_READER)


def test_an_evaluation_of_an_earlier_version_is_compared_without_them(tmp_path: Path) -> None:
    scored(tmp_path / "new", out=tmp_path / "new-out")
    (tmp_path / "old").mkdir()
    for name in ("scores.json",):
        (tmp_path / "old" / name).write_text((tmp_path / "new-out" / name).read_text())
    table = StudyTable.load(tmp_path / "new-out" / "studies.npz")
    notes = {k: v for k, v in (table.notes or {}).items() if k not in ("word_losses", "exchange")}
    replace(table, word_losses=None, claimed_exchanged=None, notes=notes).save(tmp_path / "old" / "studies.npz")
    found = compare(tmp_path / "new-out", tmp_path / "old", replicates=20, shuffles=19)
    assert {score.name for score in found.scores} & {*NAMES, "bleu_4", "positive_f1"} == {"bleu_4", "positive_f1"}
    with pytest.raises(UnknownNameError):
        compare(tmp_path / "new-out", tmp_path / "old", scores=[RISE], replicates=20, shuffles=19)
    again = compare(tmp_path / "new-out", tmp_path / "new-out", replicates=20, shuffles=19)
    assert set(NAMES) <= {score.name for score in again.scores}
    assert json.dumps(again.to_dict(), allow_nan=False)


def test_losses_of_other_words_are_not_compared(tmp_path: Path) -> None:
    said = {}
    for order in ("as_written", "canonical"):
        text = {"order": order, "max_tokens": 26}
        found = scored(tmp_path / order, out=tmp_path / f"{order}-out", text=text, generate={"max_tokens": 24})
        said[order] = found.to_dict()["systems"]["system"]["scores"]
    assert "|order:canonical|vocabulary:" in said["canonical"]["word_loss"]["signature"]
    assert said["canonical"]["word_loss"]["signature"].endswith("|words:24")
    assert "order:" not in said["canonical"][EXCHANGED_F1]["signature"]
    found = compare(tmp_path / "as_written-out", tmp_path / "canonical-out", replicates=20, shuffles=19)
    assert {score.name for score in found.scores} & {*NAMES} == {EXCHANGED_F1}
    assert "losses per word are not of the same words and not compared: order as_written, " in " ".join(
        found.notes
    )
    with pytest.raises(UnknownNameError):
        compare(tmp_path / "as_written-out", tmp_path / "canonical-out", scores=["word_loss"])
