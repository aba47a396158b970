from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contrastcxr.metrics import text
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.scores import Score, counted_how, differences, score_table, seed_means, statistics
from contrastcxr.metrics.table import StudyTable
from contrastcxr.vocab.labels import CHEXPERT

WORDS = np.asarray(["heart", "is", "normal", "lungs", "are", "clear", "no", "effusion", "mass", "nodule"])


def table(seed: int, *, skill: float = 0.5, studies: int = 60, meteor: bool = False) -> StudyTable:
    """A system that copies a word and knows a finding with chance `skill`; truth depends on the seed alone."""
    truth_rng, rng = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    references = [list(truth_rng.choice(WORDS, 12)) for _ in range(studies)]
    truth = np.where(truth_rng.random((studies, 3)) < 0.4, 3, 1).astype(np.int8)
    keep = rng.random((studies, 12)) < skill
    other = rng.choice(WORDS, (studies, 12))
    candidates = [" ".join(np.where(k, r, o)) for k, r, o in zip(keep, references, other, strict=True)]
    wanted = [" ".join(r) for r in references]
    knows = rng.random(truth.shape) < skill
    claimed = np.where(knows, truth, rng.choice([1, 3], truth.shape)).astype(np.int8)
    return StudyTable(
        names=("Mass", "Nodule", "Edema"),
        groups=tuple(f"p{k // 2}" for k in range(studies)),
        studies=tuple(f"s{k}" for k in range(studies)),
        bleu=text.bleu_statistics(wanted, candidates),
        rouge_l=text.rouge_l(wanted, candidates),
        cider=text.cider(wanted, candidates),
        words=np.full(studies, 12.0),
        meteor=np.ones((studies, 23)) if meteor else None,
        truth=truth,
        claimed=claimed,
        sides=np.ones((studies, 2), np.int64),
        severities=np.zeros((studies, 2), np.int64),
        probabilities=np.where(claimed == 3, 0.8, 0.2),
        notes={} if meteor else {"meteor": "no Java"},
    )


def test_every_score_lies_in_its_interval_and_has_its_number_of_studies() -> None:
    found = score_table(table(0), replicates=200)
    for score in found.values():
        if score.value is not None and score.low is not None and score.high is not None:
            assert score.low <= score.value + 0.05
            assert score.value <= score.high + 0.05
        assert score.n == (0 if score.name == "severity_agreement" else 60)


def test_side_and_severity_say_of_how_many_findings_they_are_a_share() -> None:
    few = replace(table(0), sides=np.repeat([[1, 1], [0, 0]], [7, 53], axis=0))
    assert score_table(few, replicates=20)["side_agreement"] == Score(
        "side_agreement",
        None,
        None,
        None,
        7,
        "n < 10 (7 findings that both call and whose side the reference names)",
    )
    enough = score_table(few, replicates=20, minimum=7)["side_agreement"]
    assert (enough.value, enough.n) == (1.0, 7)
    assert "findings" in (enough.note or "")
    assert "average:findings that both call" in counted_how("side_agreement")


def test_every_policy_and_average_has_its_score_and_its_signature() -> None:
    names = CHEXPERT
    rng = np.random.default_rng(3)
    codes = [rng.integers(0, 4, (60, 14)).astype(np.int8) for _ in range(2)]
    found = score_table(
        replace(table(0), names=names, truth=codes[0], claimed=codes[1], probabilities=None), replicates=10
    )
    for count in (14, 5):
        for policy in ("negative", "positive", "ignored"):
            for average in ("micro", "macro", "per_study"):
                name = f"findings{count}-{policy}-{average}"
                for measure in ("precision", "recall", "f1", "accuracy"):
                    assert found[f"{name}/{measure}"].value is not None
                assert counted_how(f"{name}/f1") == f"findings:{count}|uncertain:{policy}|average:{average}"
    assert found["findings14-positive-macro/f1"].value == found["wcl/f1"].value
    assert found["findings5-positive-micro/f1"].value == found["miura/f1"].value


def test_the_names_that_tables_use_are_there() -> None:
    found = score_table(table(0), replicates=20)
    wanted = {"bleu_1", "bleu_4", "rouge_l", "cider", "positive_f1", "positive_f1_macro", "auc_mean", "auc/Mass"}
    wanted |= {
        "positive_f1/uncertain_positive",
        "side_agreement",
        "calibration_error",
        "brier",
        "missed_abnormality",
    }
    assert wanted <= found.keys()
    assert found["severity_agreement"].value is None


def test_an_empty_row_says_why() -> None:
    assert score_table(table(0), replicates=20)["meteor"] == Score("meteor", None, None, None, 60, "no Java")
    assert score_table(table(0, meteor=True), replicates=20)["meteor"].value is not None
    blind = score_table(replace(table(0), truth=None, claimed=None, probabilities=None), replicates=20)
    assert blind["positive_f1"].value is None
    assert blind["auc_mean"].note is not None


def test_findings_with_few_positives_say_so_instead_of_a_figure() -> None:
    found = score_table(table(0), replicates=20, minimum=30)
    assert found["auc/Mass"].note == "n < 30"
    assert found["auc_mean"].value is None


def test_java_present_or_absent_changes_no_other_figure() -> None:
    without, with_java = score_table(table(0), replicates=20), score_table(table(0, meteor=True), replicates=20)
    assert {n: s for n, s in without.items() if n != "meteor"} == {
        n: s for n, s in with_java.items() if n != "meteor"
    }


def test_a_better_system_is_told_from_a_worse_and_from_itself() -> None:
    good, bad = table(0, skill=0.9), table(0, skill=0.4)
    found = differences([good], [bad], ["bleu_4", "positive_f1", "auc_mean"], replicates=300)
    assert all(change.low > 0 for change in found.values())
    itself = differences([good], [good], ["bleu_4"], replicates=50)["bleu_4"]
    assert (itself.value, itself.low, itself.high) == (0.0, 0.0, 0.0)


def test_a_mean_over_seeds_averages_corpus_scores_of_each_seed() -> None:
    tables = [table(0), table(1, studies=40)]
    expected = np.mean([statistics(t)["bleu_4"](plain_weights(len(t)))[0] for t in tables])
    assert seed_means(tables, replicates=20)["bleu_4"].value == pytest.approx(expected)


def test_systems_scored_on_other_studies_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same studies"):
        differences([table(0)], [table(0, studies=40)], ["bleu_4"])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (Score("a", 0.4123, 0.38, 0.4449, 9), ".412 (.380–.445)"),
        (Score("a", 1.0, None, None, 9), "1.000"),
        (Score("a", -0.05, -0.1, 0.02, 9), "-.050 (-.100–.020)"),
        (Score("a", None, None, None, 9, "no Java"), "–"),
    ],
)
def test_a_figure_reads_as_in_a_table(score: Score, expected: str) -> None:
    assert score.text() == expected


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bleu_4", ""),
        ("positive_f1", "uncertain:negative|average:micro"),
        ("positive_f1_macro/uncertain_positive", "uncertain:positive|average:macro over findings present"),
        ("missed_abnormality", "uncertain:negative|average:studies"),
        ("wcl/f1", "findings:14|uncertain:positive|average:macro"),
        ("r2gen/f1/Edema", "finding:Edema|uncertain:negative"),
        ("auc/Edema", "uncertain:left out"),
    ],
)
def test_a_score_says_how_it_counts(name: str, how: str) -> None:
    assert counted_how(name) == how
