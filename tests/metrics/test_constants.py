from __future__ import annotations

import pytest

from contrastcxr.metrics.constants import CONSTANTS, composed, most_central, most_frequent
from contrastcxr.metrics.text import bleu

TRAINING = [
    *["the heart is normal . no effusion ."] * 3,
    *["lungs are clear ."] * 4,
    "there is a large mass . the heart is normal .",
]
VALIDATION = ["the heart is normal . lungs are clear . no effusion ."] * 5


def test_the_most_frequent_report_is_one_of_training() -> None:
    assert most_frequent(TRAINING, VALIDATION) == "lungs are clear ."


def test_the_most_central_report_is_nearest_to_validation() -> None:
    assert most_central(TRAINING, VALIDATION) == "the heart is normal . no effusion ."
    assert most_central(TRAINING, []) == "lungs are clear ."


def test_a_composed_report_beats_every_training_report() -> None:
    report = composed(TRAINING, VALIDATION)
    assert report == "the heart is normal . lungs are clear . no effusion ."
    best = max(bleu(VALIDATION, [text] * 5)[3] for text in TRAINING)
    assert bleu(VALIDATION, [report] * 5)[3] > best


@pytest.mark.parametrize("name", CONSTANTS)
def test_without_training_reports_there_is_no_constant(name: str) -> None:
    with pytest.raises(ValueError, match="no training report"):
        CONSTANTS[name]([], VALIDATION)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_does_not_depend_on_the_order_of_training(name: str) -> None:
    assert CONSTANTS[name](TRAINING[::-1], VALIDATION) == CONSTANTS[name](TRAINING, VALIDATION)
