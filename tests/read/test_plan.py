"""What a decoder planned stands in the evidence of the reading, and on its page."""

from __future__ import annotations

import numpy as np

from contrastcxr.form import PlannedSentence, Tag
from contrastcxr.read.plan import planned, predicted_tags


def test_only_the_sentences_that_were_written_are_told() -> None:
    plan = {"sentences": np.array(2), "stop": np.array([0.12345, 0.9, 0.7]), "abnormal": np.array([0.0, 1.0, 0.5])}
    assert planned(plan) == (
        PlannedSentence(stop=0.1235, abnormal=0.0),
        PlannedSentence(stop=0.9, abnormal=1.0),
    )


def test_a_retrieved_sentence_names_the_studies_it_comes_from() -> None:
    plan = {"sentences": np.array(1), "retrieved": np.array([1, 0]), "scores": np.array([0.5, -0.25])}
    assert planned(plan, sources=[["a"], ["b", "c"]]) == (PlannedSentence(score=0.5, studies=("b", "c")),)


def test_a_decoder_without_a_plan_shows_none() -> None:
    assert planned({}) == ()
    assert predicted_tags({}, ["Edema"]) == ()


def test_tags_are_the_ones_attended_to_with_their_probability() -> None:
    plan = {"tags": np.log(np.array([0.1, 0.7, 0.2])), "kept_tags": np.array([1, 2])}
    found = predicted_tags(plan, ["Edema", "Mass", "Hernia"])
    assert found == (Tag(name="Mass", probability=0.7), Tag(name="Hernia", probability=0.2))
