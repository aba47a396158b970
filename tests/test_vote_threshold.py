"""The script that chooses the threshold of votes."""

from __future__ import annotations

from typing import Any

import pytest

from contrastcxr.decode.votes import SampledReport, best_supported
from load_script import load_script


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("vote_threshold")


def drawn(said: int, of: int, name: str = "Mass") -> list[SampledReport]:
    return [SampledReport(frozenset({name}) if n < said else frozenset(), (n,), -float(n)) for n in range(of)]


def test_f1_at_a_threshold_is_that_of_the_reports_it_would_write(script: Any) -> None:
    samples = [drawn(8, 20), drawn(3, 20), drawn(5, 20), drawn(20, 20, "Else")]
    truths = [frozenset({"Mass"}), frozenset({"Mass"}), frozenset(), frozenset()]
    found = script.f1_by_threshold(samples, truths, ["Mass"])
    assert list(found) == list(script.THRESHOLDS)
    for threshold, f1 in found.items():
        hits = said = 0
        for own, truth in zip(samples, truths, strict=True):
            claims = own[best_supported(own, threshold)].findings & {"Mass"}
            said, hits = said + len(claims), hits + len(claims & truth)
        assert f1 == pytest.approx(2 * hits / (said + 2))
    assert (found[0.15], found[0.3], found[0.5]) == (pytest.approx(0.8), pytest.approx(2 / 3), 0.0)


def test_the_best_mean_over_the_runs_is_named(script: Any) -> None:
    one = dict.fromkeys(script.THRESHOLDS, 0.2) | {0.3: 0.5}
    other = dict.fromkeys(script.THRESHOLDS, 0.4) | {0.2: 0.6}
    text = script.table({"nic": one, "hlstm": other})
    assert "0.30  0.450" in text
    assert text.endswith("best: 0.3 (mean F1 0.450 of 2 runs)")
