from __future__ import annotations

from contrastcxr.reproduce import Row
from contrastcxr.reproduce.estimate import expect, in_words
from tiny_plan import record


def test_hours_come_from_rows_like_it_and_a_guess_says_so() -> None:
    rows = [Row("nic", "none", 0), Row("nic", "none", 1), Row("nic", "zeros", 1), Row("transformer", "none", 0)]
    found = expect(rows, [record("nic-none", seconds=3600.0)])
    assert [e.row.stem for e in found] == ["nic-none-seed1", "nic-zeros-seed1", "transformer-none-seed0"]
    assert found[0].seconds == found[1].seconds == 3600.0
    assert found[2].basis.startswith("guess")
    assert in_words(found, recorded=1)[-1].startswith("3 rows to run, 1 recorded: ")
    assert "1 of them by guess" in in_words(found, recorded=1)[-1]
    assert in_words(found[:1], recorded=3)[-1].startswith("1 row to run, 3 recorded: ")
