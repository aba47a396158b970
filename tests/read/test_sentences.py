"""Generated tokens split into sentences as their text does."""

from __future__ import annotations

import numpy as np

from contrastcxr.phantom.grammar import write_from_labels
from contrastcxr.read.sentences import ending_ids, sentences_of
from contrastcxr.text.clean import split_sentences
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
