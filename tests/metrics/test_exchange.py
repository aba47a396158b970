"""Scores that no search touches, from a table made by hand, against plain sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.exchange import EXCHANGED_F1, RISE, WORD_LOSSES, exchange_reasons
from contrastcxr.metrics.scores import counted_how, score_table
from contrastcxr.metrics.sheet import LOWER_IS_BETTER, ROWS
from contrastcxr.metrics.table import StudyTable

LOSSES = np.asarray(
    [
        [6.0, 3, 2.0, 4, 9.0, 3, 2.5, 4],
        [0.0, 0, 1.0, 5, 0.0, 0, 1.5, 5],
        [8.0, 5, 0.0, 0, 8.0, 5, 0.0, 0],
    ]
)
TRUTH = np.asarray([[3, 0], [0, 3], [3, 3]], np.int8)
CLAIMED = np.asarray([[3, 0], [0, 0], [0, 3]], np.int8)
EXCHANGED = np.asarray([[0, 3], [0, 3], [3, 0]], np.int8)
TABLE = StudyTable(
    names=("Mass", "Nodule"),
    groups=("p", "q", "r"),
    studies=("a", "b", "c"),
    truth=TRUTH,
    claimed=CLAIMED,
    word_losses=LOSSES,
    claimed_exchanged=EXCHANGED,
    notes={},
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("word_loss_abnormal", 14 / 8),
        ("word_loss_normal", 3 / 9),
        ("word_loss", 17 / 17),
        (RISE, (9 + 2.5 + 1.5 + 8) / 17 - 1),
        (EXCHANGED_F1, 2 * 2 / (3 + 4)),  # 2 right of 3 called; 4 there
    ],
)
def test_a_score_is_a_ratio_of_plain_sums(name: str, value: float) -> None:
    found = score_table(TABLE, replicates=20)[name]
    assert found.value == pytest.approx(value)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= value <= found.high


def test_each_has_a_row_and_lower_is_better_of_losses_alone() -> None:
    names = {*WORD_LOSSES, RISE, EXCHANGED_F1}
    assert names <= ROWS.keys()
    assert names & LOWER_IS_BETTER == set(WORD_LOSSES)
    assert all(counted_how(name) for name in names)


def test_without_exchanged_pictures_the_words_are_scored_alone() -> None:
    losses = LOSSES.copy()
    losses[:, 4:] = np.nan
    alone = replace(TABLE, word_losses=losses, claimed_exchanged=None, notes={"exchange": "one patient"})
    found = score_table(alone, replicates=20)
    assert found["word_loss"].value == pytest.approx(1.0)
    for name in (RISE, EXCHANGED_F1):
        assert (found[name].value, found[name].note) == (None, "one patient")


def test_a_table_of_an_earlier_version_says_nothing_of_it() -> None:
    old = replace(TABLE, word_losses=None, claimed_exchanged=None)
    assert not {*WORD_LOSSES, RISE, EXCHANGED_F1} & score_table(old, replicates=20).keys()
    assert exchange_reasons(old) == {}


def test_sentences_of_one_kind_alone_leave_the_other_undefined() -> None:
    found = score_table(replace(TABLE, word_losses=LOSSES * [0, 0, 1, 1, 0, 0, 1, 1]), replicates=20)
    assert found["word_loss_abnormal"].note == "no sentence of the reference names an abnormality"
    assert found["word_loss"].value == found["word_loss_normal"].value == pytest.approx(3 / 9)


def test_f1_of_nothing_is_undefined() -> None:
    none = np.zeros_like(TRUTH)
    found = score_table(replace(TABLE, truth=none, claimed=none, claimed_exchanged=none), replicates=20)
    assert (found[EXCHANGED_F1].value, found[EXCHANGED_F1].note) == (None, found["positive_f1"].note)


def test_saved_and_loaded_it_is_the_same_and_cut_to_shared_findings_too(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "studies.npz")
    again = StudyTable.load(tmp_path / "studies.npz")
    assert again.word_losses is not None
    assert again.word_losses.tolist() == LOSSES.tolist()
    assert np.array_equal(again.claimed_exchanged, EXCHANGED)
    one, _ = alike(again, replace(TABLE, names=("Nodule", "Edema")))
    assert one.claimed_exchanged is not None
    assert one.claimed_exchanged.tolist() == EXCHANGED[:, 1:].tolist()
