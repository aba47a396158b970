"""The tables of docs/recipe.md are what was measured."""

from __future__ import annotations

import json
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


def test_what_is_said_of_the_negatives_of_cvse_is_in_its_curves() -> None:
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    hardest = json.loads((ROOT / "results" / "recipe" / "cvse-hardest.json").read_text(encoding="utf-8"))
    row = ROOT / "results" / "wcl" / "phantom-standard" / "cvse-none-seed0.json"
    curves = hardest["curves"], json.loads(row.read_text(encoding="utf-8"))["training"]["curves"]
    last, seventh = curves[0][19], curves[1][6]
    found = [(one["train"]["ranking"], one["validation"]["positive_f1"]) for one in (last, seventh)]
    (loss, f1), (loss_of_all, f1_of_all) = ((f"{a:.3f}"[1:], f"{b:.2f}"[1:]) for a, b in found)
    assert f"({loss} after 20 epochs of `phantom:standard`, F1 on validation {f1}, " in page
    assert f"with all {loss_of_all} after seven, F1 {f1_of_all}, " in page


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
