"""The script that writes the results' page and the README's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.metrics.scores import seed_means
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import Record
from contrastcxr.reproduce.pooled import Pooled, pool
from load_script import load_script


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("results_table")


CONFIG = {"encoder": {"name": "lite0", "weights": "own.safetensors", "trainable": False}}


def table(shift: float, seed: int) -> StudyTable:
    rng = np.random.default_rng(seed)
    ids = tuple(f"s{k}" for k in range(30))
    rouge = rng.random(30) * 0.2 + 0.3 + shift
    return StudyTable((), ids, ids, np.ones((30, 10)), rouge, np.zeros(30), np.ones(30))


@pytest.fixture
def pooled(tmp_path: Path) -> Pooled:
    """Two rows on two seeds, and baselines that were signed by a later version."""
    for seed in (0, 1):
        signature = f"contrastcxr:1|data:phantom:standard?fold={seed}|n:{30 + seed}"
        for row, shift in (("nic-none", 0.0), ("nic-normal", 0.1)):
            made = table(shift, seed)
            scores = {"bleu_4": {"value": 0.5}, "rouge_l": {"value": float(made.rouge_l.mean())}}
            seconds = {"training": 1.0}
            record = Record("x", "phantom:standard", row, seed, signature, CONFIG, {"system": scores}, seconds)
            record.write(tmp_path / f"{row}-seed{seed}.json")
            made.save(tmp_path / f"{row}-seed{seed}.npz")
        later = signature.replace("|n:", "|labels:grammar|n:")
        systems = {"constant": {"bleu_4": {"value": 0.4}, "rouge_l": {"value": 0.3}}}
        Record("x", "phantom:standard", "baselines", seed, later, CONFIG, systems, {"training": 0.0}).write(
            tmp_path / f"baselines-seed{seed}.json"
        )
    found = pool(tmp_path.glob("*.json"), replicates=50)
    assert found is not None
    return found


def test_a_trained_row_has_its_interval_and_deviation_and_a_baseline_its_deviation(
    script: Any, pooled: Pooled
) -> None:
    wanted = seed_means([table(0.1, seed) for seed in (0, 1)], ["rouge_l"], replicates=50)["rouge_l"]
    assert wanted.low is not None
    row = next(line for line in script.page([pooled]).splitlines() if line.startswith("| nic, normal images"))
    assert f"{wanted.value:.3f} ({wanted.low:.3f}–{wanted.high:.3f}) ± " in row
    constant = next(line for line in script.page([pooled]).splitlines() if line.startswith("| constant report"))
    assert "0.300 ± 0.000" in constant


def test_a_baseline_that_old_records_lack_has_an_empty_row(script: Any, pooled: Pooled) -> None:
    lines = script.page([pooled]).splitlines()
    assert next(line for line in lines if line.startswith("| always the five")).split("|")[2:-1] == [" – "] * 2


def test_the_page_names_the_recipe_and_later_ones_come_first(script: Any, pooled: Pooled) -> None:
    page = script.page([pooled], later={"A fair recipe (recipe: fair)": [pooled]})
    assert page.index("## A fair recipe (recipe: fair)") < page.index("## The first experiment")
    assert "; recipe: first." in page
    assert "whose stopping rule favoured plain rows" in page


def test_differences_are_over_seeds_and_patients_and_of_one_seed_are_named(script: Any, pooled: Pooled) -> None:
    over = pooled.comparisons[0].over["none"]["rouge_l"]
    assert over.known
    wanted = f"{over.value:+.3f} ({over.low:+.3f} to {over.high:+.3f})"
    assert wanted in script.page([pooled])
    alone = replace(over, low=float("nan"), high=float("nan"), by_seed=(0.1,))
    assert script._difference(alone).startswith(f"{over.value:+.3f} (p. {over.patients.low:+.3f} to ")


def test_the_page_names_the_encoder_of_the_rows(script: Any, pooled: Pooled) -> None:
    assert "Encoder: `lite0`, weights `own.safetensors`, frozen." in script.page([pooled])


def test_the_readme_names_the_signatures_of_its_rows(script: Any, pooled: Pooled) -> None:
    block = script.readme_table([pooled])
    signature = "`contrastcxr:1|data:phantom:standard?fold={0, 1}|n:{30, 31}`"
    assert f"same signature and recipe only: {signature}; recipe: first." in block
    assert "labels:grammar" not in block
    assert "labels:grammar|n:{30, 31}` and `contrastcxr:1" in script.page([pooled])


def test_signatures_that_agree_are_written_once(script: Any) -> None:
    assert script.joined(["a:1|b:2"]) == "`a:1|b:2`"
    assert script.joined(["a:1|b:x?f=1&g=2", "a:1|b:x?f=1&g=3"]) == "`a:1|b:x?f=1&g={2, 3}`"


def test_without_records_it_says_which_command_makes_them(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["results_table.py", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match="no records; run `contrastcxr reproduce contrastive-attention first`"):
        script.main()
