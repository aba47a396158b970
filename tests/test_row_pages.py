"""The script that writes the pages of localization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("row_pages")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("localization.md", {"phantoms": "li2018+align-normal", "real": "li2018-none"}),
        ("cross-attention.md", {"standard": "retinanet-none", "weights": "| cross_attention | 3 |"}),
        (
            "contrastive-loss.md",
            {"table1": "mdt-wcl", "table2": "mdt-distinct", "found": "| mdt-space |", "epochs": "| 6 |"},
        ),
    ],
)
def test_the_page_has_the_tables_of_its_records(script: Any, name: str, rows: dict[str, str]) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    blocks = script.PAGES[name](script.Places(ROOT / "results", Path("runs"), Path(".cache")))
    for block, row in rows.items():
        assert row in blocks[block]
    assert script.with_blocks(page, blocks) == page, "run python scripts/row_pages.py"


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


def test_every_bar_of_the_figure_of_words_is_a_row_of_its_plans(script: Any) -> None:
    for block in script.WORD_SOURCES.values():
        task, _ = script.word_rows(script.Places(ROOT / "none", Path("runs"), Path(".cache")), block)
        systems = {row.rpartition("-")[0] for row in script.WORD_BARS.values()} - {""}
        assert systems <= set(task.systems)


def test_trials_are_one_line_each(script: Any) -> None:
    values = dict.fromkeys(script.TRIAL_COLUMNS, 0.25)
    block = script.trials_block({"zeros-seed0": {"said": "a map of zeros", **values}})
    assert block.splitlines()[-1] == "| a map of zeros | 0.250 | 0.250 | 0.250 | 0.250 | 0.250 |"


def test_weights_are_the_mean_of_seeds(script: Any) -> None:
    runs = {
        f"cross_attention-none-seed{n}": dict.fromkeys(script.WEIGHT_COLUMNS, n / 2) | {"n": 9} for n in (0, 1)
    }
    block = script.weights_block(runs)
    assert block.splitlines()[-1] == "| cross_attention | 2 | 9 | 0.25 | 0.25 | 0.25 | 0.25 | 0.25 | 0.25 |"


@pytest.mark.parametrize(
    ("name", "command"),
    [("localization.md", "reproduce cia-net table6"), ("cross-attention.md", "reproduce cross-attention table1")],
)
def test_without_records_it_says_which_commands_make_them(
    script: Any, tmp_path: Path, name: str, command: str
) -> None:
    with pytest.raises(SystemExit, match=command):
        script.PAGES[name](script.Places(tmp_path, tmp_path, tmp_path))
