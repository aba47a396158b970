from __future__ import annotations

from contrastcxr.reproduce import Row
from contrastcxr.reproduce.estimate import ENCODING, GUESSED_SECONDS, expect, in_words
from tiny_plan import record


def test_hours_come_from_rows_like_it_and_a_guess_says_so() -> None:
    rows = [Row("nic", "none", 0), Row("nic", "none", 1), Row("nic", "zeros", 1), Row("transformer", "none", 0)]
    found = expect(rows, [record("nic-none", seconds=3600.0)])
    assert [e.name for e in found] == ["nic-none-seed1", "nic-zeros-seed1", "transformer-none-seed0"]
    assert found[0].seconds == found[1].seconds == 3600.0
    assert found[2].basis.startswith("guess")
    assert in_words(found, recorded=1)[-1].startswith("3 rows to run, 1 recorded: ")
    assert "1 of them by guess" in in_words(found, recorded=1)[-1]
    assert ENCODING in in_words(found, recorded=0)
    assert ENCODING not in in_words(found, recorded=1)
    assert in_words(found[:1], recorded=3)[-1].startswith("1 row to run, 3 recorded: ")


def test_a_system_with_another_cut_or_a_second_head_is_expected_by_its_kind() -> None:
    rows = [Row("cam@tuned", "none", 0), Row("cam@tuned+nic", "none", 0), Row("cam+cvse", "none", 0)]
    cut, writing, unknown = expect(rows, [record("cam-none", seconds=60.0)])
    assert (cut.seconds, cut.basis) == (60.0, "mean of 1 recorded row like it")
    assert writing.seconds == GUESSED_SECONDS["cam"] + GUESSED_SECONDS["nic"]
    assert unknown.seconds == GUESSED_SECONDS["cam"] + max(GUESSED_SECONDS.values())
