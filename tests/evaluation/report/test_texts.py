"""Sentences are counted by their words and shown as they are mostly written."""

from __future__ import annotations

from contrastcxr.evaluation.report.texts import SentenceShares, length_values, sentence_values
from contrastcxr.metrics.scores import score_table
from contrastcxr.metrics.table import Answer, StudyTable, tabulate

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


def table(references: list[Answer], system: list[Answer]) -> StudyTable:
    ids = [str(k) for k in range(len(references))]
    return tabulate(ids, ids, references, system, ())


def test_lengths_are_of_the_words_as_they_are_scored() -> None:
    system = [
        Answer("No effusion, none."),
        Answer(""),
        Answer("word " * 130),
        Answer("A study without reference."),
    ]
    made = table(REFERENCES, system)
    found = length_values(made, score_table(made, replicates=20))
    assert found is not None
    references, written = found["rows"]
    assert references == {
        "name": "references", "mean": "3.3", "median": "4", "shortest": 2, "longest": 4, "empty": 0
    }  # fmt: skip
    assert written == {
        "name": "this system", "mean": "44.3", "median": "3", "shortest": 0, "longest": 130, "empty": 1
    }  # fmt: skip
    assert found["beyond"] == "More than 100 words, and not drawn: references 0, this system 1."
    assert found["distance"]["value"] == f"{(2 + 1 + 126) / 3:.3f}"  # 2, 4, 4 beside 0, 3, 130


def test_what_the_chart_has_no_place_for_is_said_only_where_there_is_some() -> None:
    made = table([Answer("word " * 100), Answer("word " * 101)], [Answer("word")] * 2)
    assert (length_values(made, {}) or {})["beyond"].endswith(": references 1, this system 0.")
    made = table([Answer("word " * 100)], [Answer("word")])
    assert (length_values(made, {}) or {})["beyond"] == ""


def test_there_are_no_lengths_without_reports_on_both_sides() -> None:
    made = table(REFERENCES, [Answer(None)] * 4)
    assert length_values(made, score_table(made, replicates=20)) is None
