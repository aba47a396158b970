"""What a decoder planned stands in the evidence of the reading, a row for each sentence that is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrastcxr.features.batch import collate, prepare
from contrastcxr.form import PlannedSentence, Tag, TagShare
from contrastcxr.models.heads.writing import GeneratedReports
from contrastcxr.reading.plan import planned, predicted_tags
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.sentences import Sentence
from tiny_system import save_tiny, tiny_config, tiny_study


def shown(*places: int) -> list[Sentence]:
    return [Sentence("Words.", 2 * n, 2 * n + 2, place) for n, place in enumerate(places)]


def test_only_the_sentences_that_are_shown_are_told_each_from_its_own_place() -> None:
    plan = {"stop": np.array([0.12345, 0.9, 0.7]), "abnormal": np.array([0.0, 1.0, 0.5])}
    assert planned(plan, shown(0, 2)) == (
        PlannedSentence(stop=0.1235, abnormal=0.0),
        PlannedSentence(stop=0.7, abnormal=0.5),
    )
    assert planned(plan, []) == ()


def test_a_topic_is_compared_with_the_one_planned_before_and_the_first_with_none() -> None:
    plan = {"stop": np.zeros(3), "topic_cosine": np.array([0.0, 0.99999, -0.25])}
    assert [sentence.topic for sentence in planned(plan, shown(0, 1, 2))] == [None, 1.0, -0.25]
    assert [sentence.topic for sentence in planned(plan, shown(2))] == [-0.25]


def test_a_retrieved_sentence_names_the_studies_it_comes_from() -> None:
    plan = {"retrieved": np.array([1, 0]), "scores": np.array([0.5, -0.25])}
    found = planned(plan, shown(0), sources=[["a"], ["b", "c"]])
    assert found == (PlannedSentence(score=0.5, studies=("b", "c")),)


def test_a_sentence_names_the_tags_its_topic_looked_at_most() -> None:
    shares = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    plan = {"tag_attention": shares, "kept_tags": np.array([3, 0, 1, 2])}
    (found,) = planned(plan, shown(0), tags=["Edema", "Mass", "Hernia", "Nodule"])
    assert found.tags == (
        TagShare(name="Hernia", share=0.4),
        TagShare(name="Mass", share=0.3),
        TagShare(name="Edema", share=0.2),
    )
    assert planned(plan, shown(0))[0].tags == ()  # nobody knows their names


def test_a_decoder_without_a_plan_shows_none() -> None:
    assert planned({}, [Sentence("Words.", 0, 2)]) == ()
    assert predicted_tags({}, ["Edema"]) == ()


def test_tags_are_the_ones_attended_to_with_their_probability() -> None:
    plan = {"tags": np.log(np.array([0.1, 0.7, 0.2])), "kept_tags": np.array([1, 2])}
    found = predicted_tags(plan, ["Edema", "Mass", "Hernia"])
    assert found == (Tag(name="Mass", probability=0.7), Tag(name="Hernia", probability=0.2))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    decoder = {"kind": "hlstm", "sentences": 4, "words": 6}
    return Reader.from_checkpoint(save_tiny(tmp_path_factory.mktemp("hlstm"), tiny_config(decoder=decoder)))


def says(reader: Reader, parts: dict[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the decoder say `parts`, by their places in a plan of four."""
    words = {place: reader.tokenizer.encode(text)[1:-1] for place, text in parts.items()}
    ids = [token for tokens in words.values() for token in tokens]
    places = [place for place, tokens in words.items() for _ in tokens]
    plan = {"sentences": torch.tensor([4]), "sentence": torch.tensor([[*places, 0, 0]])}  # padded
    found = GeneratedReports(
        token_ids=torch.tensor([[*ids, 0, 0]]),
        lengths=torch.tensor([len(ids)]),
        log_probs=torch.zeros(1),
        ended=torch.tensor([False]),
        attention=None,
        plan={**plan, "stop": torch.tensor([[0.1, 0.2, 0.3, 0.4]])},
    )
    monkeypatch.setattr(reader.system.decoder, "write", lambda *_: found)


def test_rows_of_the_plan_and_sentences_of_the_reading_agree(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty sentence in the middle, one cut without a mark, one of a mark alone, the last one cut."""
    for parts, shown_places in (
        ({0: "No pneumothorax is seen.", 2: "The heart is", 3: "There is a"}, [0.1, 0.3, 0.4]),
        ({0: "The heart is", 1: ".", 2: "No effusion."}, [0.1, 0.3]),
        ({1: "No pneumothorax. The heart is normal"}, [0.2, 0.2]),
    ):
        says(reader, parts, monkeypatch)
        reading = reader.read(tiny_study("one"))
        assert [sentence.stop for sentence in reading.evidence.plan] == pytest.approx(shown_places)
        assert len(reading.report.sentences) == len(shown_places)


def test_an_empty_report_has_no_plan_and_a_flag(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    for parts, said in (({}, "no word"), ({0: ". .", 1: "."}, "nothing but marks")):
        says(reader, parts, monkeypatch)
        reading = reader.read(tiny_study("one"))
        assert (reading.report.sentences, reading.evidence.plan) == ((), ())
        (flag,) = (flag for flag in reading.flags if flag.kind == "empty")
        assert flag.message == f"the report is empty: the model wrote {said}"


def test_features_read_without_evidence_keep_the_plan_alone(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(reader, {0: "No pneumothorax is seen."}, monkeypatch)
    batch = collate([prepare(tiny_study("one"), reader.preprocess)])
    (reading,) = reader.read_features(batch)
    assert reading.evidence.plan == (PlannedSentence(stop=0.1),)
    assert reading.evidence.contrast == ()
    assert reading.evidence.closest == ()


def test_tags_and_what_each_topic_looked_at_reach_the_reading(tmp_path: Path) -> None:
    decoder = {"kind": "co_attention", "sentences": 2, "words": 4, "tags": "phantom"}
    read = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder=decoder))).read(tiny_study("one"))
    known = {tag.name for tag in read.evidence.tags}
    assert read.report.sentences
    for sentence in read.evidence.plan:
        assert {tag.name for tag in sentence.tags} <= known
        assert len(sentence.tags) == 3
    assert "tags" not in read.evidence.unavailable
