"""The library of a retrieval decoder: abnormal sentences of training reports, merged and grouped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mini_data import ABNORMAL, mini_config

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.errors import DatasetError
from contrastcxr.models.heads.decoders.cvse import CvseDecoder
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training import run
from contrastcxr.training.library import SOURCES, make_library
from contrastcxr.training.threshold import choose_threshold

REPORTS = {
    "a": "There is a small left pleural effusion. The heart is normal.",
    "b": "There is a small left pleural effusion. No pneumothorax is seen.",
    "c": "The heart is enlarged.",
    "d": "There is a small left pleural effusion.",
    "e": "There is a small left pleural effusion.",
    "f": "A nodule is seen in the right lung",  # cut before its end
    "g": "No pleural effusion is seen.",
}
TOKENIZER = Tokenizer.train(REPORTS.values(), min_count=1)


def library(reports: dict[str, str], **options: int) -> SentenceLibrary:
    ids = [(study, TOKENIZER.encode(text)) for study, text in reports.items()]
    return make_library(ids, tokenizer=TOKENIZER, size=options.get("library", 1000), seed=0)


def sentences(found: SentenceLibrary) -> list[str]:
    rows = zip(found.token_ids.tolist(), found.lengths.tolist(), strict=True)
    return [TOKENIZER.decode(ids[1 : length + 1]) for ids, length in rows]


def test_it_holds_abnormal_whole_sentences_most_frequent_first() -> None:
    found = library(REPORTS)
    assert sentences(found) == ["There is a small left pleural effusion.", "The heart is enlarged."]
    assert found.counts == (4, 1)
    assert found.sources == (("a", "b", "d")[:SOURCES], ("c",))


def test_sentences_that_are_nearly_the_same_are_one() -> None:
    twice = {"a": "The heart is enlarged.", "b": "The heart is enlarged.", "c": "The heart is enlarged ."}
    assert len(library(twice)) == 1


def test_no_more_are_kept_than_asked_for_and_groups_are_no_more_than_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(library(REPORTS, library=1)) == 1
    assert sorted(set(library(REPORTS).group.tolist())) == [0, 1]
    monkeypatch.setattr("contrastcxr.training.library.GROUPS", 1)
    assert set(library(REPORTS).group.tolist()) == {0}


def test_reports_without_an_abnormal_sentence_are_refused() -> None:
    with pytest.raises(DatasetError, match="no training report has an abnormal sentence"):
        library({"a": "The heart is normal. No pleural effusion is seen."})


@pytest.mark.usefixtures("mini_data")
def test_a_trained_library_travels_with_its_checkpoint(tmp_path: Path, cache: Path) -> None:
    folder = run(mini_config(decoder={"kind": "cvse"}), out=tmp_path / "run", cache=cache, progress=False)
    checkpoint = load_checkpoint(folder.path)
    decoder = checkpoint.build().decoder
    assert isinstance(decoder, CvseDecoder)
    row = decoder.library.token_ids[0, 1 : int(decoder.library.lengths[0]) + 1]
    assert checkpoint.tokenizer.decode(row.tolist()) == ABNORMAL
    assert decoder.library.counts == (8,)
    assert all(study.startswith("train-") for study in decoder.library.sources[0])
    assert torch.equal(decoder.library.threshold, checkpoint.state["decoder.library.threshold"])


@pytest.mark.usefixtures("mini_data")
def test_the_threshold_is_the_one_that_scores_best(tmp_path: Path, cache: Path) -> None:
    from contrastcxr.training.prepare import prepare

    prepared = prepare(mini_config(decoder={"kind": "cvse"}), cache=cache)
    decoder = prepared.system.decoder
    assert isinstance(decoder, CvseDecoder)
    tried: list[float] = []

    def best_at_the_tenth(_: object) -> float:
        tried.append(float(decoder.library.threshold))
        return 1.0 if len(tried) == 10 else 0.0

    batches = list(prepared.batches(prepared.validation))
    chosen = choose_threshold(prepared.system.eval(), decoder.threshold, batches, score=best_at_the_tenth)
    assert tried == sorted(tried)
    assert chosen == pytest.approx(tried[9])
    assert float(decoder.library.threshold) == pytest.approx(chosen)
    assert not (tmp_path / "run").exists()
