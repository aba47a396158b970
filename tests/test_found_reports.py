"""How often a report is found: ranked by findings, and by heads fitted on reports that saw no picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.form import Report, Study
from contrastcxr.training import run
from load_script import load_script

SAID = (
    "There is a small left effusion.",
    "There is a right opacity.",
    "The lungs are clear.",
    "Normal heart size.",
)


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("found_reports")


def study(index: int, *, split: str) -> Study:
    """A miniature study that says one of four things."""
    made = mini_study(index, split=split)
    (reading,) = made.readings
    said = reading.model_copy(update={"report": Report(findings=SAID[index % 4])})
    return made.model_copy(update={"readings": (said,)})


def test_reports_are_ranked_by_how_likely_findings_make_them(script: Any) -> None:
    stated = np.eye(12)  # twelve studies with a finding each
    sure = 0.9 * stated + 0.05
    assert script.by_findings(sure, stated) == 1.0
    assert script.by_findings(1 - sure, stated) < 1.0
    assert script.by_findings(np.full((12, 12), 0.5), stated) == pytest.approx(10 / 12)  # all tie: chance


def test_each_run_has_its_figures_beside_chance(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts = {"train": 24, "validation": 4, "test": 12}
    use_studies(monkeypatch, lambda split: [study(index, split=split) for index in range(counts[split])])
    train = {"batch_size": 8, "epochs": 2, "monitor": "last", "precision": "fp32"}
    losses = [{"kind": "wcl", "width": 8, "temperature": 0.1, "clusters": {"k": 3}}]
    cache = tmp_path / "cache"
    made = run(
        mini_config(train=train, contrast=None, losses=losses), out=tmp_path / "a", cache=cache, progress=False
    )
    asked = ["--data", "mini:memory", "--split", "test", "--cache", str(cache), "--out", str(tmp_path / "f.json")]
    script.main([str(made.path), *asked])
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["studies"], found["among"]) == (12, 10)
    figures = found["runs"]["a"]
    assert figures["chance"] == pytest.approx(10 / 12, abs=1e-4)
    assert set(figures) == {
        "beside_mean_picture",
        "beside_own_picture",
        "by_fitted_heads",
        "by_probabilities",
        "by_findings",
        "chance",
    }
    assert all(0 <= value <= 1 for value in figures.values())
