"""`contrastcxr reproduce PAPER TABLE --published`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contrastcxr.published import TABLES


def test_published_figures_are_printed_with_their_notes(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ran = command("reproduce", "wcl", "table1", "--published")
    assert ran.status == 0
    assert "MDT+WCL" in ran.out
    assert "37.3" in ran.out
    assert "note: MIMIC-ABN: F1 of ST" in " ".join(ran.out.split())


def test_published_figures_go_to_json_as_printed(command: Any) -> None:
    ran = command("reproduce", "contrastive-attention", "table2", "--published", "--json")
    said = json.loads(ran.out)
    assert said["rows"][0] == {
        **{"method": "HRGR-Agent", "system": "", "contrast": "none", "data": "mimic_cxr"},
        **dict.fromkeys(TABLES["contrastive-attention table2"].metrics, ""),
    }
    assert said["rows"][3]["bleu4"] == "0.090"


def test_a_published_table_without_rows_to_train_says_so(command: Any) -> None:
    ran = command("reproduce", "cia-net", "table5")
    assert ran.status == 2
    assert "cia-net table5: its rows cannot be trained here yet" in ran.err
    assert "--published" in ran.err


def test_an_unknown_table_names_the_nearest(command: Any) -> None:
    ran = command("reproduce", "cia-net", "table55", "--published")
    assert ran.status == 2
    assert "cia-net table5" in ran.err
