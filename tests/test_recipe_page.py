"""The tables of docs/recipe.md are what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("recipe_page")


def test_the_page_has_the_tables_that_the_script_makes(script: Any) -> None:
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert script.with_tables(page) == page
    assert page.count("<!-- /") == 4


def test_a_monitor_picks_its_own_epoch_and_pairs_are_compared_at_the_same(script: Any) -> None:
    plain = [
        {"epoch": 1, "loss": 2.0, "report_loss": 1.5, "abnormal_words": 1.4, "bleu4": 0.2, "positive_f1": 0.1},
        {"epoch": 2, "loss": 1.0, "report_loss": 1.6, "abnormal_words": 1.2, "bleu4": 0.1, "positive_f1": 0.3},
    ]
    other = [{**line, "positive_f1": line["positive_f1"] - 0.05} for line in plain]
    curves = {"nic-none-seed0": plain, "nic-normal-seed0": other}
    assert "| nic-none-seed0 | 2: 0.300 | 1: 0.100 | 2: 0.300 | 1: 0.100 | 2: 0.300 |" in script.monitors_table(
        curves
    )
    assert "| nic | 0 | 2 | – | +0.000 | – | – | – | -0.050 |" in script.pairs_table(curves)
