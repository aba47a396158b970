from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from contrastcxr.metrics import meteor
from contrastcxr.metrics.bootstrap import plain_weights

# Pairs with what `pycocoevalcap.meteor.meteor.Meteor().compute_score` gives for each; the corpus score is CORPUS.
PAIRS = [
    ("the heart is normal in size", "heart size is normal", 0.37055341301116146),
    ("the lungs are clear .", "the lungs are clear .", 1.0),
    ("small left pleural effusion", "there is a small effusion on the left", 0.2926829268292683),
    ("no pneumothorax", "", 0.0),
    ("bibasilar opacities are seen", "a basilar opacity is seen in both bases", 0.2591775314719308),
]
CORPUS = 0.34223123146539286
ROUGH = ("the heart\nis ||| normal in size", "heart\r\n|||size is\tnormal")


def program(tmp_path: Path, script: str) -> str:
    """A stand-in for Java."""
    path = tmp_path / "java"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """One Java process for all tests: it takes seconds to start."""
    if shutil.which("java") is None:
        pytest.skip("METEOR needs Java, which this machine lacks")
    references, candidates = [r for r, _, _ in PAIRS], [c for _, c, _ in PAIRS]
    found = meteor.meteor_counts([*references, ROUGH[0]], [*candidates, ROUGH[1]])
    assert found.counts is not None, found.reason
    return found.counts


def test_scores_equal_those_of_pycocoevalcap(counts: np.ndarray) -> None:
    known = counts[:-1]
    assert meteor.score_from_totals(known) == pytest.approx(np.asarray([value for _, _, value in PAIRS]), abs=1e-9)
    assert meteor.MeteorCounts(known).statistic()(plain_weights(len(PAIRS)))[0] == pytest.approx(CORPUS, abs=1e-9)


def test_line_breaks_and_separators_in_a_text_do_not_shift_the_answers(counts: np.ndarray) -> None:
    assert np.array_equal(counts[-1], counts[0])


def test_without_java_the_row_is_empty_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = meteor.meteor_counts(["a"], ["a"])
    assert found.counts is None
    assert "Java" in (found.reason or "")


def test_a_program_that_never_answers_is_ended(tmp_path: Path) -> None:
    found = meteor.meteor_counts(["a"], ["a"], java=program(tmp_path, "exec sleep 600"), seconds=0.2)
    assert found.counts is None
    assert "was ended" in (found.reason or "")


def test_a_program_that_breaks_leaves_an_empty_row(tmp_path: Path) -> None:
    found = meteor.meteor_counts(["a"], ["a"], java=program(tmp_path, "cat > /dev/null; exit 3"))
    assert found.reason == "METEOR answered 0 of 1 pairs (exit 3)"


def test_counts_that_are_not_there_have_no_score() -> None:
    with pytest.raises(ValueError, match="no METEOR counts"):
        meteor.MeteorCounts(None, "no Java").statistic()


def test_one_whole_match_scores_one_and_no_match_zero() -> None:
    whole = np.zeros(23)
    whole[[0, 1, 4, 5, 21, 22]] = 4
    assert meteor.score_from_totals(whole) == pytest.approx(1.0)
    assert meteor.score_from_totals(np.zeros(23)) == 0.0
