"""Text properties on real IU X-ray reports and on reports of the grammar."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.form import Finding
from contrastcxr.text.clean import clean, join, split_sentences, split_words
from contrastcxr.text.grammar.writing import write_report
from contrastcxr.text.tokenizer import UNKNOWN, Tokenizer, metric_tokens

NODULE = Finding(name="Nodule", status="present", side="left", zone="apex", size_mm=12)


def iu_texts(folder: Path) -> list[str]:
    with (folder / "iu_xray" / "indiana_reports.csv").open(newline="", encoding="utf-8") as file:
        return [f"{row['findings']} {row['impression']}" for row in csv.DictReader(file)]


def grammar_texts() -> list[str]:
    rng = np.random.default_rng(0)
    return [write_report([NODULE] if rng.random() < 0.5 else [], rng=rng).report.findings for _ in range(600)]


def assert_differs_only_by_case_and_rare_words(texts: list[str]) -> None:
    tokenizer = Tokenizer.train(texts, min_count=3)
    for text in texts:
        cleaned, decoded = clean(text), tokenizer.decode(tokenizer.encode(text))
        known = [word if word in tokenizer else UNKNOWN for word in split_words(cleaned.lower())]
        assert decoded.lower() == join(known)
        if UNKNOWN not in known:
            assert decoded.lower() == cleaned.lower()


@pytest.mark.data
def test_real_reports_come_back_but_for_case_and_rare_words(shared_data: Path) -> None:
    texts = iu_texts(shared_data)
    assert len(texts) == 3851
    assert_differs_only_by_case_and_rare_words(texts)


def test_written_reports_come_back_but_for_case_and_rare_words() -> None:
    assert_differs_only_by_case_and_rare_words(grammar_texts())


def test_written_reports_come_back_with_their_capitals() -> None:
    texts = [text for text in grammar_texts() if "PICC" not in text and " ET " not in text]
    tokenizer = Tokenizer.train(texts, min_count=1)
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == texts


@pytest.mark.data
def test_cleaning_real_reports_keeps_every_number_and_is_done_once(shared_data: Path) -> None:
    listed = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)]\s*(?=[A-Z_(])")
    for text in iu_texts(shared_data):
        cleaned = clean(text)
        assert clean(cleaned) == cleaned
        numbers = re.findall(r"\d+(?:\.\d+)?", cleaned)
        unlisted = re.findall(r"\d+(?:\.\d+)?", listed.sub(" ", text))
        assert len(numbers) >= len(unlisted)
        assert set(unlisted) <= set(numbers)


@pytest.mark.data
def test_sentences_of_real_reports_hold_all_their_words(shared_data: Path) -> None:
    for text in iu_texts(shared_data):
        sentences = split_sentences(clean(text))
        assert [w for s in sentences for w in split_words(s)] == split_words(clean(text))


@pytest.mark.data
def test_metric_tokens_of_real_reports_hold_every_word(shared_data: Path) -> None:
    for text in iu_texts(shared_data)[::10]:
        letters = "".join(re.findall(r"[a-z0-9]", clean(text).lower()))
        assert "".join(re.findall(r"[a-z0-9]", "".join(metric_tokens(clean(text))))) == letters
