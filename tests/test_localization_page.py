"""The script that writes the page of localization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("localization_page")


def test_the_page_has_the_tables_of_its_records(script: Any) -> None:
    page = (ROOT / "docs" / "localization.md").read_text(encoding="utf-8")
    places = script.Places(ROOT / "results", Path("runs"), Path(".cache"))
    blocks = script.blocks_of(places)
    assert "li2018+align-normal" in blocks["phantoms"]
    assert "li2018-none" in blocks["real"]
    assert script.with_blocks(page, blocks) == page, "run python scripts/localization_page.py"


def test_a_page_without_the_marks_of_a_block_says_which(script: Any) -> None:
    with pytest.raises(SystemExit, match="<!-- trials --> and <!-- /trials -->"):
        script.with_blocks("<!-- phantoms -->\n<!-- /phantoms -->", {"phantoms": "a", "trials": "b"})


def test_a_block_replaces_what_stands_between_its_marks(script: Any) -> None:
    page = "before\n<!-- a -->\nold\n<!-- /a -->\nafter"
    assert script.with_blocks(page, {"a": r"new \\1"}) == "before\n<!-- a -->\nnew \\\\1\n<!-- /a -->\nafter"


def test_every_contrast_of_the_plan_has_a_name_in_the_figure(script: Any) -> None:
    task, _ = script.localizers(script.Places(ROOT / "none", Path("runs"), Path(".cache")))
    assert set(script.CONTRASTS) == set(task.contrasts)
    assert {f"li2018{said}" for _, said in script.SHARES} <= set(task.systems)


def test_trials_are_one_line_each(script: Any) -> None:
    values = dict.fromkeys(script.TRIAL_COLUMNS, 0.25)
    block = script.trials_block({"zeros-seed0": {"said": "a map of zeros", **values}})
    assert block.splitlines()[-1] == "| a map of zeros | 0.250 | 0.250 | 0.250 | 0.250 | 0.250 |"


def test_without_records_it_says_which_commands_make_them(script: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="contrastcxr reproduce cia-net table6"):
        script.blocks_of(script.Places(tmp_path, tmp_path, tmp_path))
