"""Rows of a detector and of words on its regions: trained once, scored on two sets of data, and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import boxed_corpus
from contrastcxr.api import Reproduction, reproduce_table
from contrastcxr.data.sources import parse_data
from contrastcxr.form import Study
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce.find_plan import find_plan
from contrastcxr.reproduce.judging import BOXES
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import Row
from contrastcxr.reproduce.pooled import Mean, pool
from contrastcxr.reproduce.record import GEOMETRY, read_record, table_beside
from contrastcxr.reproduce.row_page import said_below, tables_of
from contrastcxr.reproduce.task import Task, task_of

DETECTOR = "{kind: retinanet, attributes: phantom-effusion, pyramid: 8, count: 10, smallest_anchor: 8}"
WORDS = "{kind: cross_attention, attributes: phantom-effusion, embedding: 8, count: 4}"
BASE: dict[str, Any] = {
    "name": "tiny",
    "width": 16,
    "data": {"source": "phantom:smoke"},
    "image": {"size": 64},
    "encoder": {"name": "test_efficientnet", "weights": "random", "stage": 4},
    "projection": {"kind": "none"},
    "contrast": None,
    "finding_head": None,
    "decoder": None,
    "localizer": yaml.safe_load(DETECTOR),
    "train": {"batch_size": 8, "epochs": 1, "workers": 0, "monitor": "loss"},
}
PLAN: dict[str, Any] = {
    "name": "boxes",
    "paper": "cross-attention",
    "title": "a trial",
    "judged_by": "boxes",
    "contrasts": {"none": []},
    "systems": {
        "retinanet": [],
        "words": ["encoder.regions.weights={run:detector}", f"localizer={WORDS}"],
    },
    "against": {"words": "retinanet"},
    "seeds": [0],
    "data": {
        "phantom:smoke": {
            "config": "tiny.yaml",
            "runs": {"detector": "detector.yaml"},
            "seed_overrides": ["train.seed={seed}"],
            "attributes": "phantom-effusion",
        },
        "phantom:easy": {"read_by": "phantom:smoke", "attributes": "phantom-effusion"},
    },
}


def drawn(level: str = "smoke", **more: Any) -> list[Study]:
    del level
    return boxed_corpus.corpus("smoke", **more)


class Trial:
    """The plan, run on both sets of data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tiny.yaml").write_text(yaml.safe_dump(BASE))
        (folder / "detector.yaml").write_text(yaml.safe_dump({**BASE, "name": "detector"}))
        (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
        self.found = {name: self.run(name) for name in ("phantom:smoke", "phantom:easy")}

    def run(self, data: str, *, plan: str = "plan.yaml", **more: Any) -> Reproduction:
        places = {**{name: self.folder / name for name in ("out", "runs", "cache")}, **more}
        file = self.folder / plan
        return reproduce_table("cross-attention", "table1", data=data, plan=file, **places)

    def task(self, data: str) -> Task:
        path = self.folder / "plan.yaml"
        return task_of(
            *find_plan("cross-attention", "table1", path=path), parse_data(data), cache=self.folder / "cache"
        )

    def places(self) -> Places:
        return Places(results=self.folder / "out", runs=self.folder / "runs", cache=self.folder / "cache")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", drawn)
        yield Trial(tmp_path_factory.mktemp("boxes"))


def test_all_rows_run_on_both(trial: Trial) -> None:
    for found in trial.found.values():
        assert found.failed == ()
        assert {record.row for record in found.recorded} == {"baselines", "retinanet-none", "words-none"}


def test_a_row_that_is_a_run_of_the_plan_is_trained_once(trial: Trial) -> None:
    task = trial.task("phantom:smoke")
    row = Row("retinanet", "none", 0)
    prior = task.same_run(row)
    assert prior is not None
    assert trial.places().run(task, row) == prior.folder
    assert task.same_run(Row("words", "none", 0)) is None
    runs = trial.folder / "runs"
    assert [path.name for path in runs.glob("*/*/*")] == ["words-none-seed0"]


def test_boxes_and_words_are_scored_beside_the_words_of_the_first_box(trial: Trial) -> None:
    for data in trial.found:
        task = trial.task(data)
        record = read_record(trial.places().record(task, Row("words", "none", 0)))
        assert record.systems["system"]["met_0.5"]["n"] > 0
        assert record.systems["system"]["attribute_accuracy_none"]["value"] is not None
        ruled = StudyTable.load(table_beside(trial.places().record(task, Row("words", "none", 0)), GEOMETRY))
        assert ruled.attributes is not None
        assert ruled.iou is None
        assert "attributes:phantom-effusion" in record.signature
        assert f"data:{data}" in record.signature


def test_a_record_names_no_folder_of_this_machine_and_counts_elsewhere(trial: Trial) -> None:
    task = trial.task("phantom:smoke")
    text = trial.places().record(task, Row("words", "none", 0)).read_text()
    assert str(trial.folder) not in text
    elsewhere = replace(task, cache=trial.folder / "another cache")
    assert trial.places().found(elsewhere, Row("words", "none", 0)) is not None


def test_models_of_other_data_are_theirs_and_nothing_is_trained(trial: Trial) -> None:
    task = trial.task("phantom:easy")
    assert not task.trains
    assert not task.averages
    record = read_record(trial.places().record(task, Row("words", "none", 0)))
    assert len(record.models) == 1
    assert record.seconds["training"] == 0.0
    assert record.training == {}


def test_the_page_has_both_lines_of_a_row_and_what_follows(trial: Trial) -> None:
    page = (trial.found["phantom:smoke"].folder / "table1.md").read_text()
    assert "| words-none by geometry |" in page
    assert "| words right |" in page
    assert "All findings of phantom-effusion (Pleural Effusion) are one" in page
    assert "Finding by finding" not in page


def test_a_record_with_another_list_is_refused(trial: Trial) -> None:
    plan = {**PLAN, "data": {**PLAN["data"]}}
    plan["data"]["phantom:smoke"] = {**PLAN["data"]["phantom:smoke"], "attributes": "phantom-opacity"}
    path = trial.folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    try:
        (failed,) = trial.run("phantom:smoke", rows=["words-none"]).failed
    finally:
        path.write_text(yaml.safe_dump(PLAN))
    assert "attributes 'phantom-effusion', the plan has 'phantom-opacity'" in failed[1]


def test_rows_on_the_detector_of_another_run_are_judged_by_words_alone(trial: Trial) -> None:
    plan = {
        **PLAN,
        "name": "captions",
        "judged_by": "attributes",
        "systems": {
            "words": [f"localizer={WORDS}"],
            "words@scores": [f"localizer={WORDS}", "localizer.alpha=scores"],
        },
        "against": {"words@scores": "words"},
        "data": {"phantom:smoke": {"config": "tiny.yaml", "attributes": "phantom-effusion"}},
    }
    (trial.folder / "captions.yaml").write_text(yaml.safe_dump(plan))
    detector = trial.task("phantom:smoke").prior_run("detector", 0).folder
    found = trial.run("phantom:smoke", plan="captions.yaml", overrides=[f"encoder.regions.weights={detector}"])
    assert found.failed == ()
    page = (found.folder / "table1.md").read_text()
    assert "| words@scores-none by geometry |" in page
    assert "- Beside the rows: constant: how often training reports state each attribute; neighbour: " in page
    (baselines,) = (record for record in found.recorded if record.row == "baselines")
    assert set(baselines.systems) == {"constant", "neighbour"}
    assert baselines.systems["neighbour"]["bleu_4"]["value"] is None
    # The nearest picture is that of the encoder: another detector changes nothing, and none need be there.
    elsewhere = trial.run(
        "phantom:smoke",
        plan="captions.yaml",
        rows=["baselines"],
        overrides=["encoder.regions.weights=nowhere"],
        out=trial.folder / "other",
    )
    assert elsewhere.failed == ()
    assert elsewhere.recorded[0].systems == baselines.systems


def test_the_page_has_the_auc_of_each_word_that_enough_studies_state(trial: Trial) -> None:
    told = {"attribute_auc": Mean(0.8, None, 1), "attribute_auc/left": Mean(0.9, None, 1)}
    task = trial.task("phantom:smoke")
    recorded = pool(trial.places().paths(task, [0]), judging=BOXES)
    assert recorded is not None
    pooled = replace(recorded, means={"words-none": told})
    tables = {above: rows for above, rows, _ in tables_of(task, pooled)}
    rows = tables["AUC of each word:"]
    assert rows == [{"word": "left", "words-none": "0.90"}]
    rare = "stated of too few or of too many (n < 10): right, bilateral, small, moderate, large."
    assert any(line.endswith(rare) for line in said_below(task, pooled))
    silent = replace(pooled, means={"words-none": {"attribute_auc": told["attribute_auc"]}})
    assert [above for above, *_ in tables_of(task, silent)] == [""]


def test_a_row_may_be_compared_with_several(trial: Trial) -> None:
    plan = {**PLAN, "against": {"words": ["retinanet", "words@shuffled"]}}
    plan["systems"] = {**PLAN["systems"], "words@shuffled": PLAN["systems"]["words"]}
    (trial.folder / "several.yaml").write_text(yaml.safe_dump(plan))
    found, folder = find_plan("cross-attention", "table1", path=trial.folder / "several.yaml")
    task = task_of(found, folder, parse_data("phantom:smoke"))
    assert task.compared_names == [("words-none", "retinanet-none"), ("words-none", "words@shuffled-none")]
