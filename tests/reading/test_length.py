"""A report that did not end by itself says at which limit it was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastcxr.quality.flags import length_flags
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_config, tiny_study


@pytest.mark.parametrize(
    ("tokens", "goes_on", "said"),
    [
        (60, None, "60 tokens"),
        (59, True, "60 tokens"),
        (41, True, "the most sentences its decoder plans"),
        (41, None, "60 tokens"),
    ],
    ids=["words", "sentences that fill the room", "sentences", "no room for one more sentence as a whole"],
)
def test_a_cut_report_names_its_limit(tokens: int, goes_on: bool | None, said: str) -> None:
    plan = {} if goes_on is None else {"open": np.asarray(goes_on)}
    (flag,) = length_flags(plan, ended=False, tokens=tokens, max_tokens=60)
    assert (flag.kind, flag.message) == ("truncated", f"the report was cut at {said}")


@pytest.mark.parametrize(("count", "said"), [(1, "a sentence was"), (3, "3 sentences were")])
def test_sentences_that_were_cut_are_said(count: int, said: str) -> None:
    plan = {"open": np.asarray(False), "unfinished": np.asarray(count)}
    (flag,) = length_flags(plan, ended=True, tokens=20, max_tokens=60)
    assert flag.message == f"{said} cut at the most words a sentence may have"


def test_a_report_that_ended_has_no_flag() -> None:
    assert length_flags({"unfinished": np.asarray(0)}, ended=True, tokens=59, max_tokens=60) == ()


def test_a_planned_report_shows_its_plan_and_why_it_has_no_attention(tmp_path: Path) -> None:
    """Random weights never want to stop, or do so at once: either way the plan has a probability per sentence."""
    decoder = {"kind": "hlstm", "sentences": 2, "words": 4}
    reading = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder=decoder))).read(tiny_study("one"))
    assert 1 <= len(reading.evidence.plan) <= 2
    assert all(sentence.stop is not None for sentence in reading.evidence.plan)
    assert "hlstm" in reading.evidence.unavailable["attention"]
    wanted = reading.evidence.plan[-1].stop
    assert wanted is not None
    cut = [flag.message for flag in reading.flags if flag.message.startswith("the report was cut")]
    assert cut == ([] if wanted > 0.5 else ["the report was cut at the most sentences its decoder plans"])
