from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from contrastcxr.form import Finding
from contrastcxr.metrics.bootstrap import plain_weights, study_weights
from contrastcxr.metrics.clinical import ClinicalCounts, agreement_counts, positive, status_codes, targets

NAMES = ("Mass", "Nodule", "Edema")


def finding(name: str, status: Any = "present", **values: Any) -> Finding:
    return Finding(name=name, status=status, **values)


def random_counts(seed: int = 0, studies: int = 50) -> ClinicalCounts:
    rng = np.random.default_rng(seed)
    return ClinicalCounts(NAMES, rng.random((studies, 3)) < 0.4, rng.random((studies, 3)) < 0.4)


SCIKIT_LEARN = {"precision": precision_score, "recall": recall_score, "f1": f1_score}


@pytest.mark.parametrize("measure", ["precision", "recall", "f1"])
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_measures_equal_scikit_learn(measure: Any, average: str) -> None:
    counts = random_counts()
    mine = (counts.micro if average == "micro" else counts.macro)(measure)(plain_weights(50))[0]
    assert mine == pytest.approx(SCIKIT_LEARN[measure](counts.truth, counts.claimed, average=average))


def test_replicates_equal_scikit_learn_on_the_repeated_studies() -> None:
    counts = random_counts(1)
    weights = study_weights([str(k) for k in range(50)], replicates=10)
    expected = []
    for row in weights.astype(int):
        repeated = np.repeat(np.arange(50), row)
        expected.append(f1_score(counts.truth[repeated], counts.claimed[repeated], average="micro"))
    assert counts.micro("f1")(weights) == pytest.approx(np.asarray(expected))


def counts_of(references: list[list[Finding]], readings: list[list[Finding]]) -> ClinicalCounts:
    return ClinicalCounts.of(status_codes(references, NAMES), status_codes(readings, NAMES), NAMES)


def test_uncertain_counts_by_the_named_policy_and_absent_never() -> None:
    codes = status_codes([[finding("Mass", "uncertain"), finding("Nodule", "absent"), finding("Edema")]], NAMES)
    assert positive(codes).tolist() == [[False, False, True]]
    assert positive(codes, policy="uncertain_positive").tolist() == [[True, False, True]]


def test_uncertain_is_no_target_of_a_probability() -> None:
    codes = status_codes([[finding("Mass", "uncertain"), finding("Edema")]], NAMES)
    assert targets(codes)[0] == pytest.approx(np.asarray([np.nan, 0.0, 1.0]), nan_ok=True)


def test_the_stronger_of_two_statements_on_a_finding_counts() -> None:
    said_twice = [[finding("Mass"), finding("Mass", "absent")]]
    assert positive(status_codes(said_twice, NAMES)).tolist() == [[True, False, False]]


def test_findings_of_other_label_sets_are_passed_over() -> None:
    assert status_codes([[finding("Hernia")]], NAMES).tolist() == [[0, 0, 0]]


def test_a_reading_that_says_nothing_has_f1_and_precision_zero() -> None:
    counts = counts_of([[finding("Mass")]], [[]])
    for measure in ("f1", "precision", "recall"):
        assert counts.micro(measure)(plain_weights(1))[0] == 0.0


def test_findings_that_the_reference_never_has_are_not_averaged() -> None:
    counts = counts_of([[finding("Mass")], []], [[finding("Mass")], []])
    assert counts.macro("f1")(plain_weights(2))[0] == 1.0


def test_missed_and_invented_answer_the_two_questions_of_paper_a() -> None:
    references = [[finding("Mass")], [finding("Mass"), finding("Edema")], [], []]
    readings = [[], [finding("Edema")], [finding("Nodule")], []]
    counts = counts_of(references, readings)
    assert counts.missed()(plain_weights(4))[0] == 0.5
    assert counts.invented()(plain_weights(4))[0] == 0.25


def test_side_agreement_counts_findings_that_both_call_and_the_reference_sides() -> None:
    left = finding("Mass", side="left")
    references = [[left, finding("Edema"), finding("Nodule", side="right")], [left]]
    readings = [[finding("Mass", side="right"), finding("Edema", side="left")], [left]]
    assert agreement_counts(references, readings, "side").tolist() == [[0, 1], [1, 1]]


def test_a_finding_called_on_both_sides_agrees_when_one_of_them_does() -> None:
    both = [[finding("Mass", side="left"), finding("Mass", side="right")]]
    assert agreement_counts([[finding("Mass", side="right")]], both, "side").tolist() == [[1, 1]]


def test_both_sides_must_have_every_study() -> None:
    with pytest.raises(ValueError, match="each study needs both"):
        ClinicalCounts.of(np.zeros((1, 3), np.int8), np.zeros((2, 3), np.int8), NAMES)
