"""Real pictures in miniature: rows over folds, and pictures of no fold that the mean of the fold models reads."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from contrastcxr.api import Reproduction, estimate_table, load_studies, reproduce_table
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import ConfigError, RequestError
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import Record, Task, find_plan, read_record, task_of
from contrastcxr.vocab.labels import NIH14
from nih_folds import TEST, TRAIN, write_nih_folds
from tiny_plan import ALIGNER, TINY

JOINED = ["Consolidation", "Pneumonia", "Infiltration"]
ALIGN = ["align.kind=affine", "align.weights={run:align}"]
PLAN: dict[str, Any] = {
    "name": "real",
    "paper": "cia-net",
    "title": "a trial on real pictures",
    "judged_by": "localization",
    "contrasts": {"none": []},
    "systems": {"li2018": [], "li2018+align": ALIGN},
    "against": {"li2018+align": "li2018"},
    "seeds": [0],
    "data": {
        "nih14-cv": {
            "config": "real.yaml",
            "runs": {"align": "aligner.yaml"},
            "seed_overrides": ["data.fold={seed}"],
            "folds": [0, 1],
            "references": ["chestx-det"],
            "joined": {"Consolidation": JOINED},
            "notes": ["Nothing here is shipped."],
        },
        "nih14": {
            "read_by": "nih14-cv",
            "references": ["chestx-det", "nih14 boxes", "rsna"],
            "joined": {"Consolidation": JOINED},
        },
    },
}
CONFIG = {
    **TINY,
    "name": "real",
    "data": {"source": "nih14-cv", "options": {"boxed_by": "chestx-det"}},
    "decoder": None,
    "finding_head": None,
    "projection": {"kind": "none"},
    "localizer": {"kind": "li2018", "labels": "nih14", "hidden": 8, "upsample": 8, "reduction": "mean"},
    "train": {**TINY["train"], "monitor": "loss"},
}
ALIGNING = {**ALIGNER, "data": {"source": "nih14-cv"}}


@dataclass(frozen=True)
class Trial:
    """What the rows left behind, and the pictures."""

    folder: Path
    images: Path
    folds: Reproduction
    pictures: Reproduction

    def run(self, name: str, **options: Any) -> Reproduction:
        return reproduced(self.folder, f"{name}:{self.images}", **options)


def reproduced(folder: Path, data: str, **options: Any) -> Reproduction:
    places = {"out": folder / "results", "runs": folder / "runs", "cache": folder / "cache"}
    given = {"plan": folder / "plan.yaml", **places, **options}
    return reproduce_table("cia-net", "nih", data=data, **given)


def write_plan(folder: Path, **changes: Any) -> Path:
    for name, values in (("real", CONFIG), ("aligner", ALIGNING), ("plan", {**PLAN, **changes})):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Both rows on two folds, really trained for one epoch, then the test list by their mean."""
    folder = tmp_path_factory.mktemp("real")
    images = write_nih_folds(folder / "nih")
    write_plan(folder)
    folds = reproduced(folder, f"nih14-cv:{images}")
    return Trial(folder, images, folds, reproduced(folder, f"nih14:{images}"))


def record_of(trial: Trial, place: str, row: str) -> Record:
    return read_record(trial.folder / "results" / "real" / place / f"{row}-seed0.json")


def test_rows_are_scored_on_boxes_of_the_author_that_the_plan_names_with_findings_joined(trial: Trial) -> None:
    assert trial.folds.failed == ()
    for row in ("baselines", "li2018-none", "li2018+align-none"):
        record = record_of(trial, "nih14-cv", row)
        assert "|reference:chestx-det|" in record.signature
        assert "|joined:Consolidation=Consolidation+Pneumonia+Infiltration|" in record.signature
    assert "boxed" not in record.signature  # what is learnt changes nothing that is scored


def test_what_no_row_looks_for_is_scored_for_no_reader_beside_them(trial: Trial) -> None:
    table = StudyTable.load(trial.folds.folder / "ceiling-seed0.npz")
    assert {"Pleural Effusion", "Consolidation"} < set(table.names) < set(NIH14)  # and no fracture


def test_the_agreement_of_labels_and_boxes_is_kept_and_printed(trial: Trial) -> None:
    found: dict[str, list[int]] = {}
    for fold in (0, 1):
        for study in load_studies(f"nih14-cv:{trial.images}/test?fold={fold}"):
            reading = study.reading_by("chestx-det")
            if reading is not None:
                labels = study.readings[0].present()
                boxed = {f.name for f in reading.findings if f.boxes}
                for name, parts in (("Pleural Effusion", {"Pleural Effusion"}), ("Consolidation", set(JOINED))):
                    said = (name in boxed, bool(labels & parts), name in boxed and bool(labels & parts))
                    found.setdefault(name, []).extend(said)
    counts = {name: [sum(said[k::3]) for k in range(3)] for name, said in found.items()}
    page = (trial.folds.folder / "nih.md").read_text(encoding="utf-8")
    for name, line in (("Pleural Effusion", "Pleural Effusion"), ("Consolidation", " or ".join(JOINED))):
        boxed, labelled, both = counts[name]
        assert f"{line} {boxed}, {labelled}, {both}" in page
    assert all(0 < both <= min(boxed, labelled) for boxed, labelled, both in counts.values())


def test_a_finding_on_fewer_than_ten_images_of_all_folds_is_printed_as_such_and_in_no_mean(trial: Trial) -> None:
    page = (trial.folds.folder / "nih.md").read_text(encoding="utf-8")
    head, _, *rows = page.partition("Finding by finding:\n\n")[2].splitlines()
    names = [cell.strip() for cell in head.split("|")]
    assert any(line.split("|")[names.index("Pleural Effusion")].strip() == "n < 10" for line in rows)
    boxed = [
        study
        for fold in (0, 1)
        for study in load_studies(f"nih14-cv:{trial.images}/test?fold={fold}")
        if any(f.boxes and f.name == "Pleural Effusion" for r in study.readings for f in r.findings)
    ]
    assert f"In no mean (n < 10): Pleural Effusion {len(boxed)}." in page
    first = rows[0].split("|")
    assert first[names.index("Consolidation")] == first[names.index("mean")]
    assert "- Nothing here is shipped." in page
    assert "Consolidation is the maximum over Consolidation, Pneumonia, Infiltration" in page


def test_rows_are_compared_over_folds_although_no_fold_has_ten_images_of_a_finding(trial: Trial) -> None:
    assert "li2018+align-none shows no difference to li2018-none" in (trial.folds.folder / "nih.md").read_text()
    ((_, pooled),) = trial.folds.pooled
    (effect,) = pooled.effects
    means = [pooled.means[row]["tiou_0.1"].mean for row in ("li2018+align-none", "li2018-none")]
    assert effect.over["tiou_0.1"].value == pytest.approx(means[0] - means[1], abs=0.02)


@pytest.mark.parametrize(
    ("author", "images"),
    [
        ("chestx-det", {"Pleural Effusion", "Consolidation"}),
        ("nih14-boxes", {"Pneumonia"}),
        ("rsna", {"Pneumonia"}),
    ],
)
def test_pictures_of_no_fold_have_records_by_author_with_every_image_and_interval(
    trial: Trial, author: str, images: set[str]
) -> None:
    assert trial.pictures.failed == ()
    record = record_of(trial, f"nih14/{author}", "li2018-none")
    scores = record.systems["system"]
    found = {name.partition("/")[2] for name in scores if name.startswith("tiou_0.1/")}
    assert found == images
    for name in images:
        score = scores[f"tiou_0.1/{name}"]
        assert score["value"] is not None
        assert 0 < score["n"] < 10
        assert score["low"] <= score["value"] <= score["high"]
        assert score["note"] == "n < 10"
    assert scores["tiou_0.1"]["value"] is None  # a mean takes findings on ten images
    assert record.seconds["training"] == 0
    assert len(set(record.models)) == 2


def test_their_page_has_a_table_for_each_author_and_marks_what_is_few(trial: Trial) -> None:
    page = (trial.pictures.folder / "nih.md").read_text(encoding="utf-8")
    heads = [line for line in page.splitlines() if line.startswith("## ")]
    assert heads == [f"## real on nih14, boxes by {name}" for name in ("chestx-det", "nih14 boxes", "rsna")]
    rows = [line for line in page.splitlines() if line.startswith(("| li2018-none", "| ceiling"))]
    assert len(rows) == 8
    assert all(" † |" in line for line in rows)
    assert "is compared with" not in page


def test_they_are_recorded_once_and_expected_to_be_short(trial: Trial) -> None:
    path = trial.folder / "results" / "real" / "nih14" / "rsna" / "li2018-none-seed0.json"
    before = path.stat().st_mtime_ns
    assert trial.run("nih14").failed == ()
    assert path.stat().st_mtime_ns == before
    given = {"data": f"nih14:{trial.images}", "plan": trial.folder / "plan.yaml"}
    expected, _ = estimate_table("cia-net", "nih", **given, out=trial.folder / "none")
    assert [each.seconds for each in expected if each.name.startswith("li2018-")] == [60.0] * 3


def test_a_fold_whose_model_is_absent_or_another_is_refused_with_the_row_and_the_command(trial: Trial) -> None:
    nowhere = {"out": trial.folder / "other", "rows": ["li2018-none"]}
    ((row, why), *_) = trial.run("nih14", **nowhere, runs=trial.folder / "elsewhere").failed
    assert row == "nih14, boxes by chestx-det: li2018-none-seed0"
    assert "li2018-none: no model of fold 0 in " in why
    assert "the same command with --data nih14-cv:PATH --rows li2018-none --seeds 0" in why
    ((_, why), *_) = trial.run("nih14", **nowhere, overrides=["train.epochs=2"]).failed
    assert "the model of fold 0 in " in why
    assert "another configuration (train)" in why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"references": ["rsna"]}, "reference 'chestx-det', the plan has 'rsna'"),
        ({"joined": {}}, "joined 'Consolidation=Consolidation+Pneumonia+Infiltration', the plan has ''"),
    ],
)
def test_a_record_that_was_scored_otherwise_does_not_count(
    trial: Trial, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    data = {**PLAN["data"], "nih14-cv": {**PLAN["data"]["nih14-cv"], **changes}}
    found = trial.run("nih14-cv", rows=["li2018-none"], seeds=[0], plan=write_plan(tmp_path, data=data))
    ((_, why),) = found.failed
    assert said in why


def test_a_fold_without_a_box_to_be_scored_on_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    images = write_nih_folds(tmp_path / "nih")
    marks = json.loads((images / "chestx_det.json").read_text())
    tested = {s.study_id for s in load_studies(f"nih14-cv:{images}/test?fold=1")}
    bare = [
        {**entry, "syms": [], "boxes": []} if entry["file_name"].removesuffix(".png") in tested else entry
        for entry in marks
    ]
    (images / "chestx_det.json").write_text(json.dumps(bare))
    write_plan(tmp_path)
    found = reproduced(tmp_path, f"nih14-cv:{images}", rows=["li2018-none"], seeds=[1])
    ((row, why),) = found.failed
    assert row == "li2018-none-seed1"
    assert "has a box by 'chestx-det', so that it has nothing to be scored on" in why
    assert not (tmp_path / "runs").exists()


def task(folder: Path, **changes: Any) -> Task:
    return task_of(*find_plan("cia-net", "nih", path=write_plan(folder, **changes)), parse_data("nih14-cv:there"))


def test_rows_that_mark_cells_of_two_grids_are_refused_by_name(tmp_path: Path) -> None:
    systems = {"li2018": [], "fine": ["localizer.upsample=16"], "cam": ["localizer={kind: cam, labels: nih14}"]}
    with pytest.raises(RequestError, match="li2018 and fine mark cells of different grids"):
        task(tmp_path, systems=systems, against={})
    del systems["fine"]
    assert task(tmp_path, systems=systems, against={}).systems == ("li2018", "cam")  # which marks no cells


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"read_by": "nih14"}, "read_by: nih14; expected data of this plan that rows are trained on, nih14-cv"),
        ({"config": "real.yaml"}, "either config, .* or read_by"),
        ({"folds": [0, 1]}, "with read_by nothing is trained"),
    ],
)
def test_a_mean_of_models_that_is_none_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = {**PLAN["data"], "nih14": {**PLAN["data"]["nih14"], **changes}}
    with pytest.raises(ConfigError, match=said):
        task(tmp_path, data=data)


def test_the_plan_of_real_pictures_has_every_row_on_every_fold() -> None:
    found = task_of(*find_plan("cia-net", "nih"), parse_data("nih14-cv:there"))
    rows = found.rows()
    assert len(rows) == 5 * (1 + 2 * 4 + 3)  # baselines, boxes with every contrast, three plain ones
    config = found.config(replace(rows[1], seed=3))
    assert (config.data.fold, config.data.options) == (3, {"boxed_by": "chestx-det"})
    assert config.train.patience == config.train.epochs
    pictures = task_of(*find_plan("cia-net", "nih"), parse_data("nih14:there"))
    assert [part.place for part in pictures.parts] == ["nih14/chestx-det", "nih14/nih14-boxes", "nih14/rsna"]


def test_no_picture_of_the_miniature_test_list_is_in_a_fold(trial: Trial) -> None:
    folds = {study.study_id for study in load_studies(f"nih14-cv:{trial.images}")}
    table = StudyTable.load(trial.pictures.folder / "rsna" / "li2018-none-seed0.npz")
    assert len(folds) == TRAIN
    assert len(table) == TEST // 2
    assert folds.isdisjoint(table.studies)
    assert np.isfinite(table.iou).sum() > 0  # type: ignore[arg-type]
