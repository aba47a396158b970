"""Second stages with and without the contrastive loss: from one first stage, and scored by retrieval."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrastcxr.api import Reproduction, reproduce_table
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.reproduce.estimate import expect, expect_before, in_words
from contrastcxr.reproduce.find_plan import find_plan
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import BASELINE_ROW, BASELINES, Row
from contrastcxr.reproduce.pooled import pool
from contrastcxr.reproduce.record import read_record
from contrastcxr.reproduce.row_page import rows_page, tables_of
from contrastcxr.reproduce.task import Task, task_of
from tiny_plan import TINY

SECOND = ["train.init_from={run:first}", "train.batch_size=16", "name=second"]
WCL = "losses=[{kind: wcl, width: 8, clusters: {k: 3}%s}]"
FROZEN = [WCL % ", weight: 1.0, frozen: true", "train.init_from={run:base}", "train.monitor=last"]
PLAN: dict[str, Any] = {
    "name": "spaces",
    "paper": "wcl",
    "title": "a trial",
    "judged_by": "retrieval",
    "contrasts": {"none": [], "wcl": [WCL % ""], "space": FROZEN},
    "systems": {"mdt": SECOND},
    "against": {"mdt-wcl": "mdt-space"},
    "seeds": [0],
    "data": {
        "phantom:smoke": {
            "config": "tiny.yaml",
            "split": "validation",
            "seed_overrides": ["train.seed={seed}"],
            "runs": {"first": "tiny.yaml", "base": {"config": "tiny.yaml", "set": SECOND}},
        }
    },
}


def planned(folder: Path, **runs: Any) -> tuple[Path, Task]:
    """The plan as a file, with further runs, and its task."""
    of_data = PLAN["data"]["phantom:smoke"]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    plan = {**PLAN, "data": {"phantom:smoke": {**of_data, "runs": {**of_data["runs"], **runs}}}}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    found, there = find_plan("wcl", "table1", path=folder / "plan.yaml")
    return folder / "plan.yaml", task_of(found, there, parse_data("phantom:smoke"), cache=folder / "cache")


def places(folder: Path) -> Places:
    return Places(results=folder / "out", runs=folder / "runs", cache=folder / "cache")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Task, Reproduction]:
    folder = tmp_path_factory.mktemp("spaces")
    plan, task = planned(folder)
    kept = {name: folder / name for name in ("out", "runs", "cache")}
    return folder, task, reproduce_table("wcl", "table1", data="phantom:smoke", plan=plan, **kept)


def test_all_rows_run_and_the_base_is_trained_once(trial: tuple[Path, Task, Reproduction]) -> None:
    folder, task, found = trial
    assert found.failed == ()
    assert {record.row for record in found.recorded} == {"baselines", "mdt-none", "mdt-wcl", "mdt-space"}
    prior = task.same_run(Row("mdt", "none", 0))
    assert prior is not None
    assert places(folder).run(task, Row("mdt", "none", 0)) == prior.folder
    assert sorted(path.name.partition("-")[0] for path in (folder / "cache" / "runs").glob("*/")) == [
        "base",
        "first",
    ]


def test_rows_with_a_space_are_scored_by_retrieval_on_the_split_of_the_plan(
    trial: tuple[Path, Task, Reproduction],
) -> None:
    folder, task, _ = trial
    records = {c: read_record(places(folder).record(task, Row("mdt", c, 0))) for c in ("none", "wcl", "space")}
    scored = {name: record.systems["system"] for name, record in records.items()}
    assert "retrieval/image_to_text_10" not in scored["none"]
    for name in ("wcl", "space"):
        assert scored[name]["retrieval/image_to_text_10"]["n"] > 0
        assert "retrieval/text_to_image_10_seen" in scored[name]
    assert all("split:validation" in record.signature for record in records.values())
    assert task.title == "phantom:smoke, validation"
    words = {name: scored[name]["bleu_1"]["value"] for name in scored}
    assert words["space"] == words["none"]


def test_records_name_the_stage_that_their_rows_started_from_by_its_hash(
    trial: tuple[Path, Task, Reproduction],
) -> None:
    _, task, found = trial
    stages = {run: task.prior_run(run, 0).folder / "checkpoint.safetensors" for run in ("first", "base")}
    hashes = {run: hashlib.sha256(file.read_bytes()).hexdigest() for run, file in stages.items()}
    started = {record.row: record.training.get("started_from") for record in found.recorded}
    assert started["mdt-none"] == started["mdt-wcl"] == hashes["first"]
    assert started["mdt-space"] == hashes["base"]


def test_the_page_of_rows_has_recall_beside_what_the_report_says(trial: tuple[Path, Task, Reproduction]) -> None:
    folder, task, _ = trial
    pooled = pool(places(folder).paths(task, [0]), judging=task.plan.judging, compared=task.compared_names)
    assert pooled is not None
    page = rows_page(task, pooled)
    assert re.search(r"^- mdt-wcl is compared with mdt-space \(own report among ten", page, re.MULTILINE)
    head = next(line for line in page.splitlines() if line.startswith("| row"))
    assert "| image to text 10 |" in head
    assert "positive F1" in head
    assert "length distance" in head
    # Validation is scored here, so that the constant report was chosen on other reports.
    assert "constant: the normal training report with the best BLEU-4 on training, " in page


def test_the_page_has_the_lengths_of_reports_by_row(trial: tuple[Path, Task, Reproduction]) -> None:
    folder, task, _ = trial
    pooled = pool(places(folder).paths(task, [0]), judging=task.plan.judging, compared=task.compared_names)
    assert pooled is not None
    found = {above: rows for above, rows, _ in tables_of(task, pooled)}
    rows = found["Words of a report, shares of the reports (Figure 2):"]
    assert {"words", "references", "mdt-none", "mdt-wcl", "mdt-space"} == set(rows[0])
    for name in ("references", "mdt-wcl"):
        assert sum(float(row[name]) for row in rows) == pytest.approx(1.0, abs=0.001 * len(rows))
    wanted, _ = pooled.lengths["mdt-wcl"]
    longest = rows[-1]["words"].partition(" ")[0]
    assert any(
        float(row["references"]) > 0 for row in rows if row["words"].startswith(f"{int(min(wanted)) // 5 * 5} ")
    )
    assert longest.isdigit()


def test_the_heads_alone_have_learnt_from_the_base(trial: tuple[Path, Task, Reproduction]) -> None:
    folder, task, _ = trial
    base, space = (load_checkpoint(places(folder).run(task, Row("mdt", c, 0))).state for c in ("none", "space"))
    assert all((space[name] == value).all() for name, value in base.items())
    assert set(space) - set(base) == {name for name in space if name.startswith("losses.wcl.")}


def test_a_row_has_the_name_of_the_plan_before_that_of_a_decoder(tmp_path: Path) -> None:
    _, task = planned(tmp_path)
    assert [row.name for row in task.rows(wanted=["mdt-none"])] == ["mdt-none"]  # mdt is r2gen by another name


def test_runs_stand_behind_those_that_they_start_from(tmp_path: Path) -> None:
    _, task = planned(tmp_path)
    names = [run.folder.name.partition("-")[0] for run in task.prior_runs(Row("mdt", "space", 0))]
    assert names == ["first", "base"]
    base = task.prior_run("base", 0)
    assert base.config.train.init_from == str(task.prior_run("first", 0).folder)
    assert task.prior_runs(Row(*BASELINE_ROW, 0)) == []  # they start from no other run


def test_what_rows_start_from_is_expected_too_unless_it_is_there_or_a_row_is_it(tmp_path: Path) -> None:
    _, task = planned(tmp_path)
    rows = [row for row in task.rows(seeds=[0]) if row.system != BASELINES]
    (first,) = expect_before(task, rows)  # base is the row mdt-none
    assert first.name == task.prior_run("first", 0).folder.name
    assert first.seconds > 0
    both = expect_before(task, [Row("mdt", "space", 0)])
    assert [each.name.partition("-")[0] for each in both] == ["first", "base"]
    lines = in_words([*both, *expect([Row("mdt", "space", 0)], [])], recorded=2)
    assert lines[0].startswith(f"{first.name}: ")
    assert lines[-1].startswith("1 row to run, 2 runs to train first, 2 recorded: ")
    done = task.prior_run("first", 0).folder
    done.mkdir(parents=True)
    (done / "run_record.json").write_text("{}")
    assert expect_before(task, rows) == []


def test_a_run_that_starts_from_itself_or_from_none_is_refused(tmp_path: Path) -> None:
    round_trip = {"config": "tiny.yaml", "set": ["train.init_from={run:base}"]}
    _, task = planned(tmp_path, first=round_trip)
    with pytest.raises(RequestError, match=r"the run (first|base) starts from itself"):
        task.prior_runs(Row("mdt", "none", 0))
    _, task = planned(tmp_path, first={"config": "tiny.yaml", "set": ["train.init_from={run:bases}"]})
    with pytest.raises(UnknownNameError, match="did you mean 'base'"):
        task.prior_runs(Row("mdt", "none", 0))


def test_the_tables_of_the_paper_have_plans() -> None:
    for table in ("table1", "table2"):
        plan, folder = find_plan("wcl", table)
        task = task_of(plan, folder, parse_data("phantom:standard"))
        for row in task.rows(seeds=[0]):
            assert task.config(row).train.seed == 0
        variants = {
            config.losses[0].variant for row in task.rows(seeds=[0]) if (config := task.config(row)).losses
        }
        assert variants == ({"wcl"} if table == "table1" else set(task.contrasts) - {"none"})


def test_both_contrasts_are_looked_at_together_where_all_four_rows_are_asked_for() -> None:
    plan, folder = find_plan("wcl", "contrast")
    task = task_of(plan, folder, parse_data("phantom:standard"))
    assert task.crossed_names == [("mdt-normal_wcl", "mdt-normal", "mdt-wcl", "mdt-none")]
    compared = set(task.compared_names)
    assert {("mdt-normal_wcl", "mdt-normal"), ("mdt-wcl", "mdt-none")} <= compared
