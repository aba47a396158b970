"""Numbers of heads that are chosen on validation studies, each by the score that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import boxed_corpus
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.models.heads.localizers.maps import CANDIDATES, WANG_CUTS, MapLocalizer
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.prepare import prepare
from contrastcxr.training.run_folder import RunFolder
from contrastcxr.training.threshold import choose_threshold


@pytest.fixture(autouse=True)
def _phantoms_with_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)


def config_of(**localizer: Any) -> SystemConfig:
    values = {
        "name": "marks",
        "width": 16,
        "data": {"source": "phantom:smoke"},
        "image": {"size": 64},
        "encoder": {"name": "test_efficientnet", "weights": "random"},
        "localizer": {"kind": "cam", "labels": "phantom", **localizer},
        "train": {"batch_size": 8, "epochs": 1, "monitor": "loss", "precision": "fp32"},
    }
    return parse_config(values, where="marks")


def trained(tmp_path: Path, **localizer: Any) -> RunFolder:
    return run(config_of(**localizer), out=tmp_path / "run", cache=tmp_path / "cache", progress=False)


def thresholds_of(folder: RunFolder) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder.path / "run_record.json").read_text())["thresholds"]
    return found


@pytest.mark.parametrize("changes", [{}, {"marks": "regions"}, {"kind": "gradcam", "hidden": 8}], ids=str)
def test_a_tuned_cut_is_the_best_on_validation_boxes_and_travels_with_the_checkpoint(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = trained(tmp_path, cuts="tuned", **changes)
    checkpoint = load_checkpoint(folder.path)
    system = checkpoint.build()
    localizer = system.localizer
    assert isinstance(localizer, MapLocalizer)
    assert localizer.threshold is not None
    chosen = float(checkpoint.state["localizer.cut"])
    assert thresholds_of(folder) == {localizer.kind: pytest.approx(chosen)}
    validation = ScoreSystem(prepare(checkpoint.config, cache=tmp_path / "cache")).validation()
    scores = {}
    for cut in CANDIDATES:
        localizer.threshold.set(cut)
        scores[cut] = validation.score(system, name="iou")
    assert len(set(scores.values())) > 1
    assert max(scores.values()) > 0
    assert chosen == pytest.approx(max(scores, key=lambda cut: scores[cut]))


def test_fixed_cuts_are_not_chosen(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    assert thresholds_of(folder) == {}
    assert "localizer.cut" not in load_checkpoint(folder.path).state
    study = boxed_corpus.corpus(split="test")[1]
    reading = Reader.from_checkpoint(folder.path).read(study)
    assert all(finding.region for finding in reading.findings)
    assert WANG_CUTS == (60.0, 180.0)


def test_the_temperature_of_a_localizer_is_fitted_where_it_gives_the_probabilities(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained(tmp_path).path)
    system = checkpoint.build()
    assert system.identifier is system.localizer
    assert system.identifier is not None
    assert float(system.identifier.temperature) == pytest.approx(checkpoint.temperature)
    assert checkpoint.temperature != 1.0


def test_of_equal_scores_the_first_candidate_stays_and_what_is_left_is_the_best() -> None:
    class Numbers:
        score = "any"
        kept: list[float]

        def __init__(self) -> None:
            self.kept = []

        def candidates(self, features: object) -> list[float]:
            assert features == []
            return [1.0, 2.0, 3.0, 4.0]

        def set(self, value: float) -> None:
            self.kept.append(value)

    numbers, values = Numbers(), iter([0.1, 0.7, 0.7, 0.2])
    system: Any = torch.nn.Identity()
    assert choose_threshold(system, numbers, [], score=lambda _: next(values)) == 2.0
    assert numbers.kept == [1.0, 2.0, 3.0, 4.0, 2.0]
