"""Generated tokens split into sentences as their text does."""

from __future__ import annotations

import numpy as np

from contrastcxr.reading.sentences import ending_ids, sentences_of
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.grammar.writing import write_from_labels
from contrastcxr.text.tokenizer import Tokenizer
from tiny_system import SENTENCES


def words_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text)[1:-1]


def test_spans_cover_all_tokens_and_texts_read_as_written() -> None:
    tokenizer = Tokenizer.train(SENTENCES, min_count=1)
    ids = words_of(tokenizer, " ".join(SENTENCES))
    found = sentences_of(ids, tokenizer, ending_ids(tokenizer))
    assert tuple(s.text for s in found) == SENTENCES
    assert [s.first for s in found] == [0, *(s.last for s in found[:-1])]
    assert found[-1].last == len(ids)


def test_a_report_cut_short_keeps_its_last_words() -> None:
    tokenizer = Tokenizer.train(SENTENCES, min_count=1)
    ids = words_of(tokenizer, "No pneumothorax is seen. The heart is")
    assert [s.text for s in sentences_of(ids, tokenizer, ending_ids(tokenizer))][-1] == "The heart is"


def test_stray_full_stops_and_an_empty_report_give_no_sentences() -> None:
    tokenizer = Tokenizer.train(SENTENCES, min_count=1)
    stop = tokenizer.id_of(".")
    assert sentences_of([stop, stop], tokenizer, ending_ids(tokenizer)) == ()
    assert sentences_of([], tokenizer, ending_ids(tokenizer)) == ()


def test_grammar_reports_split_as_split_sentences_does() -> None:
    rng = np.random.default_rng(0)
    texts = [write_from_labels(["Nodule", "Edema"], rng=rng).report.findings for _ in range(20)]
    tokenizer = Tokenizer.train(texts, min_count=1)
    for text in texts:
        found = sentences_of(words_of(tokenizer, text), tokenizer, ending_ids(tokenizer))
        joined = " ".join(s.text for s in found)
        assert split_sentences(joined) == tuple(s.text for s in found)


def test_a_sentence_begins_where_the_plan_says_so_and_after_each_mark() -> None:
    """Planned are five: the second is empty, the third cut without a mark, the last did not fit."""
    tokenizer = Tokenizer.train(SENTENCES, min_count=1)
    stop = tokenizer.id_of(".")
    parts = {0: "No pneumothorax is seen.", 2: "The heart is", 3: "There is a small left pleural effusion."}
    ids = [token for text in parts.values() for token in words_of(tokenizer, text)]
    plan = [place for place, text in parts.items() for _ in words_of(tokenizer, text)]
    found = sentences_of(ids, tokenizer, ending_ids(tokenizer), planned=plan)
    assert [(s.planned, s.text) for s in found] == list(parts.items())
    marked = [*ids[:5], stop, *ids[5:]]  # a sentence of a mark alone is not shown, nor is its place in the plan
    again = sentences_of(marked, tokenizer, ending_ids(tokenizer), planned=[*plan[:5], 1, *plan[5:]])
    assert [(s.planned, s.text) for s in again] == list(parts.items())
    assert sentences_of(ids, tokenizer, ending_ids(tokenizer))[1].text.startswith("The heart is there is")
