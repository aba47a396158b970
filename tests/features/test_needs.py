"""What a decoder asks of the data beside reports: tags, indications, sentence flags."""

from __future__ import annotations

from pathlib import Path

import pytest
from mini_data import ABNORMAL, NORMAL, mini_config, mini_study

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.errors import DatasetError
from contrastcxr.features.needs import TargetReader
from contrastcxr.form import Report
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.options import HeadNeeds
from contrastcxr.reading.reader import Reader
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training import run
from contrastcxr.vocab.labels import PHANTOM

STUDIES = [mini_study(i, split="train") for i in range(6)]
TOKENIZER = Tokenizer.train([ABNORMAL, NORMAL, "Cough and fever"], min_count=1)


def needs_of(kind: str, **options: object) -> HeadNeeds:
    return DECODERS[kind].options(**options).needs


def test_most_decoders_ask_for_nothing() -> None:
    needs = TargetReader.by(needs_of("nic"), STUDIES).of(STUDIES[1], token_ids=[1, 2], tokenizer=TOKENIZER)
    assert (needs.tags, needs.abnormal, needs.indication_ids) == (None, None, None)


def test_tags_of_a_label_set_are_what_the_study_is_known_to_have() -> None:
    needs = TargetReader.by(needs_of("co_attention", tags="phantom"), STUDIES)
    assert needs.tags == PHANTOM
    tags = needs.of(STUDIES[1], token_ids=[1, 2], tokenizer=TOKENIZER).tags
    assert tags is not None
    assert [name for name, tag in zip(PHANTOM, tags.tolist(), strict=True) if tag] == ["Pleural Effusion"]


def test_tags_may_be_the_indexing_terms_that_training_studies_have_often_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = needs_of("co_attention", tags="mesh")
    monkeypatch.setattr("contrastcxr.features.needs.TERM_STUDIES", 3)
    needs = TargetReader.by(decoder, STUDIES)
    assert needs.tags == needs.terms == ("cicatrix", "normal", "pleural effusion")
    tags = needs.of(STUDIES[1], token_ids=[1, 2], tokenizer=TOKENIZER).tags
    assert tags is not None
    assert tags.tolist() == [1.0, 0.0, 1.0]
    monkeypatch.setattr("contrastcxr.features.needs.TERM_STUDIES", 4)
    with pytest.raises(DatasetError, match="no indexing term stands with 4 training studies"):
        TargetReader.by(decoder, STUDIES)


def test_flags_say_which_sentences_the_labeler_finds_abnormal() -> None:
    ids = TOKENIZER.encode(f"{NORMAL} {ABNORMAL}")
    flags = (
        TargetReader.by(needs_of("hlstm_dual"), STUDIES)
        .of(STUDIES[1], token_ids=ids, tokenizer=TOKENIZER)
        .abnormal
    )
    assert flags is not None
    assert flags.tolist() == [False, False, True]


def test_the_indication_is_read_and_its_words_are_known() -> None:
    study = STUDIES[1].model_copy(update={"indication": "Cough and fever"})
    needs = TargetReader.by(needs_of("multi_attention"), STUDIES)
    assert needs.texts([study, STUDIES[0]]) == ["Cough and fever"]
    ids = needs.of(study, token_ids=[1, 2], tokenizer=TOKENIZER).indication_ids
    assert ids is not None
    assert TOKENIZER.decode(ids.tolist()) == "Cough and fever"


def test_an_indication_that_is_the_impression_is_refused() -> None:
    told = (
        STUDIES[1]
        .readings[0]
        .model_copy(update={"report": Report(findings=ABNORMAL, impression="Small Effusion.")})
    )
    study = STUDIES[1].model_copy(update={"indication": "small  effusion.", "readings": (told,)})
    with pytest.raises(DatasetError, match="the indication is the impression word for word"):
        TargetReader.by(needs_of("multi_attention"), STUDIES).of(study, token_ids=[1, 2], tokenizer=TOKENIZER)


@pytest.mark.usefixtures("mini_data")
def test_a_reading_names_its_indexing_terms(tmp_path: Path, cache: Path) -> None:
    decoder = {"kind": "co_attention", "tags": "mesh"}
    folder = run(mini_config(decoder=decoder), out=tmp_path / "run", cache=cache, progress=False)
    assert load_checkpoint(folder.path).terms == ("cicatrix", "normal", "pleural effusion")
    reading = Reader.from_checkpoint(folder.path).read(STUDIES[1])
    assert {tag.name for tag in reading.evidence.tags} == {"cicatrix", "normal", "pleural effusion"}
    assert sum(tag.probability for tag in reading.evidence.tags) == pytest.approx(1, abs=1e-3)
