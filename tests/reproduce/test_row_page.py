"""Localizers as rows of a table, from training to the page: without words, with a decoder, beside baselines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import boxed_corpus
import small_corpus
from contrastcxr.api import Reproduction, reproduce_table
from contrastcxr.cli.main import run
from contrastcxr.config import parse_config
from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import Bootstrap
from contrastcxr.evaluation.references import load_references
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import Places, Plan, Row, Task, find_plan, task_of
from contrastcxr.reproduce.pooled import pool
from contrastcxr.reproduce.record import VOTES, table_beside
from contrastcxr.reproduce.row_page import finding_rows, rows_page, score_rows
from contrastcxr.reproduce.rows import Limits, asked_baselines, run_rows
from tiny_plan import TINY, record

SEED = 71  # studies once drawn are kept in memory: these are larger than those of other tests
WRITING = ["decoder.kind=nic", "projection.kind=linear"]
PLAN: dict[str, Any] = {
    "name": "marks",
    "paper": "cia-net",
    "title": "a trial of localizers",
    "judged_by": "localization",
    "contrasts": {"none": []},
    "systems": {
        "cam": [],
        "cam@tuned": ["localizer.cuts=tuned"],
        "cam@tuned+nic": ["localizer.cuts=tuned", *WRITING],
    },
    "against": {"cam@tuned": "cam", "cam@tuned+nic": "cam@tuned"},
    "seeds": [0, 1],
    "published": [
        {
            "table": "table1",
            "data": "nih14",
            "keys": {"iou": "0.3"},
            "score": "tiou_0.3",
            "systems": {"cam": {"method": "X, Wang [30]"}},
            "contrasts": {"none": {"negatives": "none"}},
        }
    ],
    "data": {
        "phantom:smoke": {
            "config": "marks.yaml",
            "seed_overrides": ["train.seed={seed}", f"data.seed={SEED}"],
        }
    },
}
CONFIG = {
    **TINY,
    "name": "marks",
    "decoder": None,
    "finding_head": None,
    "localizer": {"kind": "cam", "labels": "phantom"},
    "projection": {"kind": "none"},
    "train": {**TINY["train"], "monitor": "auc"},
}


def write(folder: Path) -> Path:
    (folder / "marks.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The rows of seed 0, really trained for one epoch."""
    folder = tmp_path_factory.mktemp("marks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(small_corpus.SIZES, "test", 36)  # twelve images of each finding
        patch.setitem(small_corpus.SIZES, "validation", 24)
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)
        patch.setattr(shutil, "which", lambda _: None)
        task, places = task_and_places(folder, write(folder))
        assert (
            run_rows(task, task.rows(seeds=[0]), places=places, limits=Limits(bootstrap=Bootstrap(replicates=50)))
            == []
        )
        yield folder


def task_and_places(folder: Path, plan: Path) -> tuple[Task, Places]:
    task = task_of(*find_plan("cia-net", "localizers", path=plan), parse_data("phantom:smoke"))
    return task, Places(results=folder / "results", runs=folder / "runs", cache=folder / "cache")


@pytest.fixture(scope="module")
def shown(folder: Path) -> Reproduction:
    return reproduce_table(
        "cia-net", "localizers", data="phantom:smoke", plan=folder / "plan.yaml", run=False, out=folder / "results"
    )


def test_rows_are_recorded_under_their_names_without_words(folder: Path) -> None:
    task, places = task_and_places(folder, folder / "plan.yaml")
    records = {record.row: record for record in places.recorded(task)}
    assert list(records) == ["baselines", "cam-none", "cam@tuned-none", "cam@tuned+nic-none"]
    assert places.record(task, Row("cam@tuned", "none", 0)).name == "cam@tuned-none-seed0.json"
    plain, tuned, writing = (records[f"{name}-none"] for name in ("cam", "cam@tuned", "cam@tuned+nic"))
    assert plain.score("tiou_0.1") is not None
    assert plain.score("bleu_4") is None
    assert plain.systems["system"]["bleu_4"]["note"] == "no report is written"
    assert plain.twins is None
    assert "thresholds" not in plain.training
    assert writing.score("bleu_4") is not None
    assert 0 < tuned.training["thresholds"]["cam"] < 255
    assert tuned.score("auc_mean") == plain.score("auc_mean")  # the cut is all that differs
    assert plain.signature == tuned.signature == records["baselines"].signature


def test_baselines_mark_places_and_keep_their_tables(folder: Path) -> None:
    task, places = task_and_places(folder, folder / "plan.yaml")
    record = places.recorded(task)[0]
    assert set(record.systems) == {"constant", "commonest", "neighbour", "mean_box", "ceiling", "floor"}
    for name in ("constant", "mean_box", "ceiling"):
        table = StudyTable.load(places.folder(task) / f"{name}-seed0.npz")
        assert table.iou is not None
        assert np.isfinite(table.iou).sum() == 24
        assert record.score("tiou_0.1", system=name) is not None
    scores = [record.score("tiou_0.1", system=name) for name in ("constant", "ceiling", "mean_box")]
    assert scores == [0, pytest.approx(19 / 24, abs=1e-6), 1]  # on a grid of two by two cells


@pytest.mark.parametrize(("upsample", "grid"), [(None, (2, 2)), (8, (8, 8))])
def test_the_ceiling_is_that_of_the_cells_that_are_marked(
    folder: Path, upsample: int | None, grid: tuple[int, int]
) -> None:
    task, places = task_and_places(folder, folder / "plan.yaml")
    localizer = {"kind": "li2018", "labels": "phantom", "upsample": upsample}
    config = parse_config({"name": "marks", "localizer": localizer}, where="here")
    data = parse_data("phantom:smoke/test")
    references = load_references(data, "test", cache=places.cache)
    asked = asked_baselines(task, config, references, grid=(2, 2))
    assert (asked.grid, asked.places, asked.words) == (grid, True, True)


def test_the_page_has_rows_baselines_comparisons_and_published_figures(shown: Reproduction) -> None:
    page = (shown.folder / "localizers.md").read_text(encoding="utf-8")
    assert page.startswith("## marks on phantom:smoke\n\na trial of localizers.\n")
    heads = [line for line in page.splitlines() if line.startswith("## ")]
    assert heads[1:] == [
        "## rows compared on phantom:smoke",
        "## cia-net table1, nih14, iou 0.3 beside phantom:smoke",
    ]
    assert "cam@tuned-none" in page
    assert "ceiling: a perfect labelling on the localizer's grid" in page
    assert "Images with a box of the finding: Pleural Effusion 12, Nodule 12." in page
    assert "Cuts of 255 chosen on validation, seed by seed: cam@tuned+nic-none (cam) " in page
    assert "- cam@tuned-none is compared with cam-none (" in page
    assert "one seed: not known)" in page


def test_rows_stand_in_the_order_of_the_plan_with_intervals(shown: Reproduction) -> None:
    ((task, pooled),) = shown.pooled
    assert task == shown.task
    rows = score_rows(task, pooled)
    assert [row["row"] for row in rows] == [
        *("cam-none", "cam@tuned-none", "cam@tuned+nic-none"),
        *("constant", "neighbour", "mean_box", "ceiling"),
    ]
    assert {row["seeds"] for row in rows} == {"1"}
    assert rows[-2]["IoU > 0.1"] == "1.000 (1.000–1.000)"
    assert rows[-1]["IoU > 0.1"].startswith(".792 (.")
    by_finding = finding_rows(task, pooled)
    assert len(by_finding) == 4 * len(rows)
    assert list(by_finding[0]) == ["IoU >", "row", "Pleural Effusion", "Nodule", "mean"]


def test_two_systems_are_paired_and_tested_on_the_same_patients(shown: Reproduction) -> None:
    own, printed = shown.tables
    compared = {line.rows: line.change for line in own.lines if line.metric == "auc_mean"}
    tuned = compared["cam-none", "cam@tuned-none"]
    assert tuned is not None
    assert (tuned.seeds, tuned.difference.value, tuned.difference.patients.low) == ((0,), 0.0, 0.0)
    assert not tuned.difference.known
    assert compared["cam@tuned-none", "cam@tuned+nic-none"] is not None
    assert sum(line.change is not None for line in own.lines) > 10
    assert own.tests == 0  # of one seed
    wang = {line.metric: line for line in printed.lines}
    assert wang["Mass"].published == (0.15, None)
    assert wang["Mass"].measured == (None, None)  # no phantom of these has one
    assert wang["Effusion"].score == "tiou_0.3/Pleural Effusion"
    assert wang["Effusion"].change is not None
    assert wang["mean"].score == "tiou_0.3"


def test_the_command_takes_names_with_an_at_and_prints_the_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    command = [
        "reproduce",
        "cia-net",
        "localizers",
        "--plan",
        str(folder / "plan.yaml"),
        "--data",
        "phantom:smoke",
    ]
    command += ["--out", str(folder / "results"), "--runs", str(folder / "runs"), "--cache", str(folder / "cache")]
    assert run([*command, "--rows", "cam@tuned-none", "--seeds", "0"]) == 0
    said = capsys.readouterr()
    assert "row 1 of 1: phantom:smoke cam@tuned-none-seed0: recorded already" in said.err
    assert "marks on phantom:smoke: a trial of localizers" in said.out
    assert "rows compared on phantom:smoke" in said.out


def test_a_dry_run_takes_the_hours_from_rows_that_differ_in_their_cut_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "reproduce",
        "cia-net",
        "localizers",
        "--plan",
        str(folder / "plan.yaml"),
        "--data",
        "phantom:smoke",
    ]
    assert run([*command, "--out", str(folder / "results"), "--dry-run", "--json"]) == 0
    left = {line["row"]: line["basis"] for line in json.loads(capsys.readouterr().out)}
    assert list(left) == [f"{name}-seed1" for name in ("baselines", *(f"{s}-none" for s in PLAN["systems"]))]
    assert left["cam@tuned-none-seed1"] == "mean of 1 recorded row like it"


def test_rows_judged_by_what_they_know_have_both_lines_and_the_scores_that_any_has(tmp_path: Path) -> None:
    plan = {**PLAN, "paper": "contrastive-attention", "judged_by": "knowledge", "against": {}, "recipe": "fair"}
    made = Plan.model_validate(
        {**plan, "contrasts": {"none": [], "normal": []}, "systems": {"cam": []}, "published": []}
    )
    task = Task(made, tmp_path, "phantom:smoke", None)
    for contrast, seed in product(("none", "normal"), (0, 1)):
        path = tmp_path / f"cam-{contrast}-seed{seed}.json"
        scores = {name: {"value": 0.5 + seed / 10} for name in ("word_loss_abnormal", "positive_f1", "bleu_4")}
        systems = {"system": scores, "votes": {"positive_f1": {"value": 0.9}}}
        replace(record(f"cam-{contrast}", seed), systems=systems, recipe="fair").write(path)
        empty = StudyTable((), ("p", "q"), ("p", "q"))
        empty.save(path.with_suffix(".npz"))
        empty.save(table_beside(path, VOTES))
    pooled = pool(tmp_path.glob("*.json"), judging=made.judging, replicates=20)
    assert pooled is not None
    rows = score_rows(task, pooled)
    assert list(rows[0]) == ["row", "seeds", "positive F1", "word loss, abnormal", "BLEU-4"]
    names = ["cam-none", "cam-none by votes", "cam-normal", "cam-normal by votes"]
    assert [row["row"] for row in rows] == names
    assert {row["seeds"] for row in rows} == {"2"}
    assert rows[0]["word loss, abnormal"] == "0.550 ± 0.071"
    assert (rows[1]["positive F1"], rows[1]["word loss, abnormal"]) == ("0.900 ± 0.000", "–")
    page = rows_page(task, pooled)
    assert "(word loss of abnormal sentences)" in page
    assert "- signature: s; recipe: fair" in page
    assert "Finding by finding" not in page


def test_rows_that_took_another_training_of_the_aligner_are_named(shown: Reproduction) -> None:
    ((task, pooled),) = shown.pooled
    rows = ["cam-none", "cam@tuned-none"]
    kept = [record for record in pooled.records if record.row in rows]

    def said(*weights: str) -> str:
        aligned = [
            replace(record, training={**record.training, "align": {"weights": weights[rows.index(record.row)]}})
            for record in kept
        ]
        return rows_page(task, replace(pooled, records=tuple(aligned)))

    assert "cam@tuned-none took the aligner of another training than cam-none" in said("a", "b")
    assert "another training" not in said("a", "a")
    assert "another training" not in rows_page(task, pooled)
