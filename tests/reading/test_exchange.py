"""How well words are foreseen, against plain loops; and whose pictures are exchanged with whose."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from contrastcxr.features.batch import Batch, Sample, collate
from contrastcxr.features.extraction import batch_features
from contrastcxr.form import Study
from contrastcxr.models.heads.decoders.base import TokenDecoder
from contrastcxr.models.heads.decoders.hierarchical import HierarchicalDecoder
from contrastcxr.models.system import System
from contrastcxr.reading.exchange import (
    ExchangedPictures,
    exchange_order,
    foresees_words,
    patients_of,
    with_report,
    word_losses,
)
from contrastcxr.text.tokenizer import Tokenizer
from tiny_system import SENTENCES, tiny_checkpoint, tiny_config, tiny_study

NORMAL, ABNORMAL, UNENDED = SENTENCES[0], SENTENCES[1], "no pneumothorax is seen"
REPORTS = {"a": f"{NORMAL} {ABNORMAL}", "b": "", "c": f"{ABNORMAL} {UNENDED}"}
PLAIN = {"contrast": None, "finding_head": None}


def sample(study: str, seed: int, channels: int) -> Sample:
    raw = torch.randn(1, 4, channels, generator=torch.Generator().manual_seed(seed))
    return Sample(study, f"p{seed}", torch.eye(2, 3).unsqueeze(0), ("PA",), (0,), features=raw)


def built(**changes: Any) -> tuple[System, Batch, Tokenizer]:
    checkpoint = tiny_checkpoint(tiny_config(**{**PLAIN, **changes}))
    system, tokenizer = checkpoint.build().train(), checkpoint.tokenizer
    assert system.encoder is not None
    assert tokenizer is not None
    samples = [
        with_report(sample(name, seed, system.encoder.channels), report, tokenizer, max_tokens=30)
        for seed, (name, report) in enumerate(REPORTS.items())
    ]
    return system, collate(samples, pad=tokenizer.special.pad), tokenizer


def words_in_plain_loops(batch: Batch, tokenizer: Tokenizer) -> list[list[tuple[int, int, bool]]]:
    """Per study the place, the id and the flag of each word; the end of the report is none."""
    end, found = tokenizer.id_of("."), []
    assert batch.token_ids is not None
    assert batch.abnormal is not None
    for row, ids in enumerate(batch.token_ids.tolist()):
        words, sentence = [], 0
        for place, token in enumerate(ids[1:], 1):
            if token == tokenizer.special.eos:
                break
            words.append((place, token, bool(batch.abnormal[row, sentence])))
            sentence += token == end
        found.append(words)
    return found


@pytest.mark.parametrize("kind", ["nic", "visual_attention", "transformer"])
def test_losses_of_words_in_plain_loops(kind: str) -> None:
    system, batch, tokenizer = built(decoder={"kind": kind, "dropout": 0.5})
    found = word_losses(system, batch)
    assert system.training  # as it was
    decoder = system.eval().decoder
    assert isinstance(decoder, TokenDecoder)
    assert batch.token_ids is not None
    with torch.no_grad():
        log_probs = decoder(batch_features(system, batch), batch.token_ids)
    for row, words in enumerate(words_in_plain_loops(batch, tokenizer)):
        for column, kind_of in ((0, True), (2, False)):
            chosen = [(place, token) for place, token, abnormal in words if abnormal is kind_of]
            loss = -sum(log_probs[row, place - 1, token].item() for place, token in chosen)
            assert found[row, column] == pytest.approx(loss, rel=1e-4, abs=1e-6)
            assert found[row, column + 1] == len(chosen)
    assert [bool(row[1]) for row in found] == [True, False, True]
    assert found[1].tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["hlstm", "hlstm_dual", "co_attention", "multi_attention"])
def test_planned_words_are_counted_by_their_sentences(kind: str) -> None:
    system, batch, tokenizer = built(decoder={"kind": kind})
    decoder = system.decoder
    assert isinstance(decoder, HierarchicalDecoder)
    found = word_losses(system, batch)  # co_attention: no study has tags
    for row, words in zip(found, words_in_plain_loops(batch, tokenizer), strict=True):
        counts = Counter(abnormal for _, _, abnormal in words)
        assert (row[1], row[3]) == (counts[True], counts[False])
        assert (row[0] > 0, row[2] > 0) == (row[1] > 0, row[3] > 0)


def test_a_vocabulary_without_an_end_mark_has_one_sentence_a_report() -> None:
    tokenizer = Tokenizer.train(["there is a small left pleural effusion"], min_count=1)
    made = with_report(sample("a", 0, 8), "a pleural effusion . there is", tokenizer, max_tokens=30)
    assert made.abnormal is not None
    assert made.abnormal.tolist() == [True]


@pytest.mark.parametrize(
    ("decoder", "able"), [({"kind": "nic"}, True), (None, False)], ids=["words", "without a decoder"]
)
def test_only_a_decoder_with_probabilities_of_words_foresees_any(decoder: Any, able: bool) -> None:
    config = tiny_config(decoder=decoder, contrast=None, train={"monitor": "auc"})
    system = tiny_checkpoint(config).build()
    assert foresees_words(system) is able


@pytest.mark.parametrize("patients", ["abcdef", "aabbcc", "aaabbc", "abab", "aabc"])
@pytest.mark.parametrize("seed", range(3))
def test_every_study_gets_the_picture_of_another_patient_once(patients: str, seed: int) -> None:
    order = exchange_order(list(patients), seed=seed)
    assert order is not None
    assert sorted(order) == list(range(len(patients)))
    assert all(patients[other] != patients[place] for place, other in enumerate(order))
    assert order == exchange_order(list(patients), seed=seed)


def test_the_seed_decides_the_order() -> None:
    patients = [str(number) for number in range(20)]
    assert exchange_order(patients, seed=0) != exchange_order(patients, seed=1)


@pytest.mark.parametrize("patients", ["", "a", "aa", "aab", "aaabb"])
def test_there_is_no_order_where_more_than_half_are_of_one_patient(patients: str) -> None:
    assert exchange_order(list(patients)) is None


def test_a_picture_goes_with_its_patient_and_leaves_the_study() -> None:
    studies = [tiny_study("one", patient="p"), tiny_study("two", seed=1), tiny_study("three", seed=2)]
    assert patients_of(studies) == ["p", "two", "three"]

    def load(study: Study, index: int) -> Sample:
        made = sample(study.study_id, index, 8)
        assert studies[index] is study
        return made

    made = ExchangedPictures(load, studies, (1, 2, 0))(studies[0], 0)
    own = sample("two", 1, 8)
    assert (made.study_id, made.patient_id) == ("one", own.patient_id)
    assert made.features is not None
    assert own.features is not None
    assert torch.equal(made.features, own.features)
