"""The card of a bundled checkpoint says what its records say, and nothing of heads that it lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "models" / "phantom"


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("model_card")


@pytest.fixture
def records(script: Any) -> Any:
    read = {
        name: json.loads((KEPT / f"{name}.json").read_text()) for name in ("run_record", "scores", "acceptance")
    }
    return script.Records(
        run=read["run_record"],
        config=yaml.safe_load((KEPT / "config.yaml").read_text()),
        scores=read["scores"],
        nuisance="| predictor | mean AUC |",
        introduction="# phantom\n\nWhat it is.\n",
        acceptance=read["acceptance"],
    )


def of(scores: dict[str, Any], system: str, name: str) -> str:
    return f"{scores['systems'][system]['scores'][name]['value']:.3f}"


def test_the_bundled_card_has_the_tables_of_its_records(script: Any, records: Any) -> None:
    made, kept = script.card(records), (KEPT / "README.md").read_text()
    for line in (line for line in made.splitlines() if line.startswith(("| ", "- ", "Asked"))):
        assert line in kept, "write the card again with scripts/model_card.py"


def test_places_stand_beside_the_mean_box_and_the_ceiling(script: Any, records: Any) -> None:
    lines = script.place_tables(records.scores)
    assert lines[0].startswith("| score | system | mean box | ")
    assert "ceiling" in lines[0]
    (row,) = (line for line in lines if line.startswith("| localized, IoU above 0.3 "))
    cells = row.split(" | ")
    assert cells[1].startswith(of(records.scores, "system", "tiou_0.3"))
    assert cells[2].startswith(of(records.scores, "mean_box", "tiou_0.3"))
    mass = records.scores["systems"]["system"]["scores"]["tiou_0.3/Mass"]
    assert any(line.startswith(f"| Mass | {mass['n']} | {mass['value']:.3f}") for line in lines)


def test_a_model_without_marks_has_no_places(script: Any, records: Any) -> None:
    systems = {
        name: {"scores": {key: each for key, each in own["scores"].items() if not key.startswith("tiou")}}
        for name, own in records.scores["systems"].items()
    }
    plain = replace(records, scores={**records.scores, "systems": systems}, acceptance=None)
    made = script.card(plain)
    assert "## Where findings are" not in made
    assert "acceptance" not in made
    assert "## Calibration" in made


@pytest.mark.parametrize(("marked", "verdict"), [(25, "; met."), (24, "; not met.")])
def test_acceptance_is_judged_by_what_was_asked(script: Any, records: Any, marked: int, verdict: str) -> None:
    found = {**records.acceptance, "studies": 50, "marked": marked, "wanted": 0.5, "right": 0.3}
    (line,) = script.acceptance_lines(found)
    assert verdict in line
    assert f"{marked} of 50" in line
    assert "IoU of at least 0.3 on 50% of 50" in line


def test_places_of_another_evaluation_have_its_signature(script: Any, records: Any) -> None:
    made = script.card(replace(records, places={**records.scores, "signature": "boxes of others"}))
    where = made.partition("## Where findings are")[2]
    assert "Signature `boxes of others`." in where
    assert "`places.json`" in where


def test_an_audit_becomes_the_table_of_what_knows_as_much(script: Any) -> None:
    row = {"predictor": "view", "mean AUC": 0.5634, "mean AUC, 95%": "0.536–0.592", "abnormal AUC": 0.646}
    checks = [{"name": "identical pictures"}, {"name": "nuisance predictors", "message": "said", "rows": [row]}]
    lines = script.audit_table({"data": "nih14-cv", "checks": checks}).splitlines()
    assert lines[0] == "nih14-cv: said."
    assert lines[-1] == "| view | 0.563 (0.536–0.592) | 0.646 |"


def test_a_model_without_words_has_no_row_of_words(script: Any) -> None:
    scores = json.loads((ROOT / "models" / "cia-nih-small" / "scores.json").read_text())
    titles = [line.split(" | ")[0] for line in script.score_table(scores)[2:]]
    assert titles == ["| mean AUC of findings"]
