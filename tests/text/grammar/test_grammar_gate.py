"""The text lines of the phantom gate, on random truths; the gate script measures them on the corpus itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from phantom_plans import random_finding, said

from contrastcxr.form import Finding
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.grammar.writing import WrittenReport, write_again, write_report
from contrastcxr.text.tokenizer import metric_tokens

COMMON = ("Pleural Effusion", "Atelectasis", "Nodule", "Cardiomegaly", "Pneumothorax", "Mass", "Consolidation")


def truth(rng: np.random.Generator) -> list[Finding]:
    count = 0 if rng.random() < 0.45 else int(rng.choice([1, 2, 3, 4], p=[0.5, 0.3, 0.14, 0.06]))
    return [random_finding(str(name), rng) for name in rng.choice(COMMON, size=count, replace=False)]


@pytest.fixture(scope="module")
def written() -> list[WrittenReport]:
    rng = np.random.default_rng(11)
    return [write_report(truth(rng), rng=rng) for _ in range(1500)]


def bleu_4(answers: Sequence[str], references: Sequence[str]) -> float:
    from pycocoevalcap.bleu.bleu import Bleu

    def table(texts: Sequence[str]) -> dict[int, list[str]]:
        return {i: [" ".join(metric_tokens(text))] for i, text in enumerate(texts)}

    return float(Bleu(4).compute_score(table(references), table(answers), verbose=0)[0][3])


def test_two_writings_of_one_truth_agree_in_findings_and_partly_in_words(written: list[WrittenReport]) -> None:
    rng = np.random.default_rng(12)
    again = [write_again(report, rng=rng) for report in written[:600]]
    for one, other in zip(written, again, strict=False):
        assert said(parse(one.report.findings)) == said(parse(other.report.findings))
    score = bleu_4([w.report.findings for w in again], [w.report.findings for w in written[:600]])
    assert 0.25 <= score <= 0.55


def test_the_best_constant_report_scores_between_ten_and_twenty_two(written: list[WrittenReport]) -> None:
    texts = [w.report.findings for w in written]
    normals = [w.report.findings for w in written if not any(f.status == "present" for f in w.findings)]
    best = max(normals[:40], key=lambda text: bleu_4([text] * 150, texts[:150]))
    assert 0.10 <= bleu_4([best] * 600, texts[900:]) <= 0.22


def test_reports_have_twelve_to_ninety_words(written: list[WrittenReport]) -> None:
    lengths = [len(w.report.findings.split()) for w in written]
    assert min(lengths) >= 12
    assert max(lengths) <= 90


def test_about_three_sentences_in_four_are_normal(written: list[WrittenReport]) -> None:
    normal: list[bool] = []
    for report in written:
        asserted = {i for f in report.findings if f.status in ("present", "uncertain") for i in f.sentences}
        normal += [i not in asserted for i in range(len(split_sentences(report.report.findings)))]
    assert 0.70 <= np.mean(normal) <= 0.86


def test_hardly_any_report_is_written_twice_and_no_abnormal_one(written: list[WrittenReport]) -> None:
    train = {w.report.findings for w in written[:1000]}
    repeated = [w for w in written[1000:] if w.report.findings in train]
    assert len(repeated) <= 50
    assert not any(f.status == "present" for w in repeated for f in w.findings)


def test_words_are_few_enough_to_learn_and_many_enough_to_matter(written: list[WrittenReport]) -> None:
    words = {word for w in written for word in metric_tokens(w.report.findings + " " + w.report.impression)}
    assert 300 <= len(words) <= 600
