"""Sentences are counted by their words and shown as they are mostly written."""

from __future__ import annotations

from contrastcxr.evaluation.report.texts import SentenceShares, length_values, sentence_values
from contrastcxr.metrics.table import Answer

REFERENCES = [
    Answer("Clear lungs. No effusion."),
    Answer("clear lungs. Clear lungs."),
    Answer("Clear lungs!"),
    Answer(""),
]
SYSTEM = [Answer("No effusion.")] * 4


def test_a_sentence_counts_once_a_report_whatever_its_case() -> None:
    found = SentenceShares(REFERENCES)
    first, second = found.most_frequent(5)
    assert (found.written[first], found.share[first]) == ("Clear lungs.", 0.75)
    assert (found.written[second], found.share[second]) == ("No effusion.", 0.25)


def test_each_sentence_has_its_share_on_both_sides() -> None:
    _, system = sentence_values(REFERENCES, SYSTEM)
    assert system["rows"] == [{"text": "No effusion.", "shares": ["25.0%", "100.0%"]}]


def test_lengths_are_of_the_words_as_written() -> None:
    references, system = length_values(REFERENCES, SYSTEM)["rows"]
    assert (references["shortest"], references["longest"], references["empty"]) == (0, 4, 1)
    assert (system["mean"], system["median"]) == ("2.0", "2")
