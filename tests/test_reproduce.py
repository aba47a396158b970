from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import small_corpus
from contrastcxr.cli.main import run
from contrastcxr.config import without_folders
from contrastcxr.errors import ConfigError, DatasetError, RequestError, UnknownNameError
from contrastcxr.evaluate import Bootstrap
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.table import StudyTable
from contrastcxr.models.encoders import build_encoder
from contrastcxr.reproduce import Limits, Places, Record, Row, Task, find_plan, read_record, run_rows, task_of
from contrastcxr.reproduce.estimate import expect, in_words
from contrastcxr.reproduce.pooled import Comparison, Mean, Pooled, pool, sentence
from contrastcxr.reproduce.rows import recorded

TINY = {
    "name": "tiny",
    "width": 16,
    "text": {"max_tokens": 40, "min_count": 1},
    "data": {"source": "phantom:smoke"},
    "image": {"size": 64},
    "encoder": {"name": "test_resnet", "weights": "random"},
    "contrast": None,
    "finding_head": {"labels": "phantom"},
    "decoder": {"kind": "nic"},
    "generate": {"method": "greedy", "max_tokens": 40},
    "train": {"batch_size": 8, "epochs": 1, "workers": 0},
}
PLAN: dict[str, Any] = {
    "name": "trial",
    "paper": "contrastive-attention",
    "title": "a trial",
    "contrasts": {"none": [], "normal": ["contrast.pool.kind=normal", "contrast.pool.seed={seed}"]},
    "seeds": [0, 1],
    "data": {
        "phantom:smoke": {
            "configs": {"nic": "tiny.yaml"},
            "seed_overrides": ["train.seed={seed}"],
            "twins": "twins",
        }
    },
}


def write_plan(folder: Path) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return folder / "plan.yaml"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Places, list[str]]:
    """Three rows of one seed, really trained for one epoch, and what was said."""
    folder = tmp_path_factory.mktemp("trial")
    task = task_of(*find_plan("contrastive-attention", "first", path=write_plan(folder)), "phantom:smoke")
    places = Places(results=folder / "results", runs=folder / "runs", cache=folder / "cache")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.corpus", small_corpus.corpus)
        patch.setattr(shutil, "which", lambda _: None)
        limits = Limits(bootstrap=Bootstrap(replicates=50, minimum=2))
        assert run_rows(task, task.rows(seeds=[0]), places=places, limits=limits, say=said.append) == []
    return task, places, said


def test_every_row_leaves_one_record_with_config_scores_seconds_and_versions(
    trial: tuple[Task, Places, list[str]],
) -> None:
    task, places, _ = trial
    records = {record.row: record for record in recorded(task, places)}
    assert list(records) == ["baselines", "nic-none", "nic-normal"]
    plain, contrast = records["nic-none"], records["nic-normal"]
    assert plain.config["contrast"] is None
    assert contrast.config["contrast"]["pool"]["kind"] == "normal"
    assert plain.score("bleu_4") is not None
    assert plain.seconds["training"] > 0
    assert plain.training["epochs"] == 1
    assert "torch" in plain.versions
    assert plain.signature == contrast.signature == records["baselines"].signature
    assert set(records["baselines"].systems) == {"constant", "neighbour", "ceiling", "floor"}


def test_no_record_names_a_folder_of_this_machine(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    for path in (places.results / task.plan.name / task.place).glob("*.json"):
        assert str(places.results.parent) not in path.read_text()


def test_the_claim_is_tested_where_there_is_a_contrast(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    records = {record.row: record for record in recorded(task, places)}
    plain, contrast = records["nic-none"].twins, records["nic-normal"].twins
    assert plain is not None
    assert contrast is not None
    assert plain["quadruples"] == 2
    assert set(plain["ratios"]) == {"pooled"}
    assert set(contrast["ratios"]) == {"pooled", "difference"}
    assert isinstance(contrast["claim"]["holds"], bool)
    assert "claim" not in plain


def test_the_study_table_gives_the_recorded_score(trial: tuple[Task, Places, list[str]]) -> None:
    from contrastcxr.metrics.scores import score_table

    task, places, _ = trial
    row = Row("nic", "normal", 0)
    table = StudyTable.load(places.table(task, row))
    record = read_record(places.record(task, row))
    again = score_table(table, replicates=50, minimum=2)
    for name in ("bleu_4", "positive_f1", "rouge_l", "auc_mean"):
        assert again[name].value == pytest.approx(record.score(name), abs=1e-6), name


def test_recorded_rows_are_skipped(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    said: list[str] = []
    assert run_rows(task, task.rows(seeds=[0]), places=places, say=said.append) == []
    assert len(said) == 3
    assert all(line.endswith("recorded already") for line in said)


def test_rows_share_one_pass_over_the_training_pictures(trial: tuple[Task, Places, list[str]]) -> None:
    _, _, said = trial
    encoded = [line for line in said if "pictures to encode" in line]
    assert sum("32 pictures" in line or "24 pictures" in line for line in encoded) == 1


def test_a_row_that_cannot_run_is_listed_and_the_others_run(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    elsewhere = replace(places, results=places.results / "other", runs=places.runs / "other")
    limits = Limits(overrides=("decoder.kind=lstm",))
    failed = run_rows(
        task, task.rows(wanted=["nic-none"], seeds=[0, 1]), places=elsewhere, limits=limits, say=print
    )
    assert [row.stem for row, _ in failed] == ["nic-none-seed0", "nic-none-seed1"]
    assert all("decoder" in reason for _, reason in failed)


def test_seeds_run_one_after_another_with_the_baselines_first(tmp_path: Path) -> None:
    task = task_of(*find_plan("contrastive-attention", "first", path=write_plan(tmp_path)), "phantom:smoke")
    assert [row.stem for row in task.rows()] == [
        "baselines-seed0",
        "nic-none-seed0",
        "nic-normal-seed0",
        "baselines-seed1",
        "nic-none-seed1",
        "nic-normal-seed1",
    ]
    config = task.config(Row("nic", "normal", 1))
    assert config.train.seed == 1
    assert config.contrast is not None
    assert config.contrast.pool.seed == 1
    assert task.config(Row("nic", "none", 1)).contrast is None


def test_the_shipped_plan_has_twelve_times_two_rows_and_reads_every_configuration() -> None:
    plan, folder = find_plan("contrastive-attention", "first")
    for data in ("phantom:standard", "nih14-cv:/somewhere"):
        task = task_of(plan, folder, data)
        rows = [row for row in task.rows() if row.system != "baselines"]
        assert len(rows) == 24
        configs = [task.config(row) for row in rows]
        assert {c.contrast.pool.kind if c.contrast else "none" for c in configs} == set(plan.contrasts)
        assert {c.train.seed for c in configs} == {0, 1, 2}
    assert {task.config(row).data.fold for row in rows} == {0, 1, 2}
    assert task.config(rows[0]).data.root == "/somewhere"


def test_controls_differ_from_contrast_in_the_pool_alone() -> None:
    task = task_of(*find_plan("contrastive-attention", "first"), "phantom:standard")
    plain, control = (task.config(Row("nic", kind, 0)).to_dict() for kind in ("normal", "random"))
    plain["contrast"]["pool"]["kind"] = control["contrast"]["pool"]["kind"]
    plain["name"] = control["name"]
    assert plain == control


def test_unknown_papers_tables_rows_and_data_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'contrastive-attention'"):
        find_plan("contrast-attention", "first")
    with pytest.raises(UnknownNameError, match="unknown table"):
        find_plan("contrastive-attention", "frist")
    task = task_of(*find_plan("contrastive-attention", "first", path=write_plan(tmp_path)), "phantom:smoke")
    with pytest.raises(UnknownNameError, match="did you mean 'nic-normal'"):
        task.rows(wanted=["nic-normals"])
    every = task_of(*find_plan("contrastive-attention", "decoders"), "phantom:standard")
    assert [row.name for row in every.rows(wanted=["topdown-none", "hcr-normal"])] == [
        "up_down-none",
        "co_attention-normal",
    ]
    with pytest.raises(RequestError, match="no rows for phantom:easy; it has: phantom:smoke"):
        task_of(task.plan, task.folder, "phantom:easy")


def test_the_encoder_of_a_plan_is_a_file_beside_it(tmp_path: Path) -> None:
    plan = {
        **PLAN,
        "data": {"phantom:smoke": {**PLAN["data"]["phantom:smoke"], "encoder": "own/lite.safetensors"}},
    }
    (write_plan(tmp_path)).write_text(yaml.safe_dump(plan))
    task = task_of(*find_plan("contrastive-attention", "first", path=tmp_path / "plan.yaml"), "phantom:smoke")
    for row in task.rows(seeds=[0]):
        assert Path(task.config(row).encoder.weights) == tmp_path / "own" / "lite.safetensors"


def test_the_tables_of_the_phantoms_share_an_encoder_that_loads() -> None:
    weights = set()
    for table in ("decoders", "table1", "table2", "table4", "table5"):
        task = task_of(*find_plan("contrastive-attention", table), "phantom:standard")
        weights |= {task.config(row).encoder.weights for row in task.rows(seeds=[0])}
    (path,) = weights
    encoder = build_encoder("tf_efficientnet_lite0", weights=path)
    assert encoder.weights_note == "weights of the local file lite0-phantom.safetensors"


def test_a_plan_that_is_none_is_refused_by_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"plan\.yaml: paper"):
        find_plan("contrastive-attention", "first", path=path)
    with pytest.raises(ConfigError, match="give the plan with --plan"):
        find_plan("contrastive-attention", "first", path=tmp_path / "absent.yaml")


def record(row: str, seed: int = 0, seconds: float = 100.0) -> Record:
    return Record(
        experiment="trial",
        data="phantom:smoke",
        row=row,
        seed=seed,
        signature="s",
        config={},
        systems={"system": {"bleu_4": {"value": 0.1 + seed / 10, "low": 0.0, "high": 1.0, "n": 6}}},
        seconds={"training": seconds, "evaluation": 0.0},
    )


def test_hours_come_from_rows_like_it_and_a_guess_says_so() -> None:
    rows = [Row("nic", "none", 0), Row("nic", "none", 1), Row("nic", "zeros", 1), Row("transformer", "none", 0)]
    found = expect(rows, [record("nic-none", seconds=3600.0)])
    assert [e.row.stem for e in found] == ["nic-none-seed1", "nic-zeros-seed1", "transformer-none-seed0"]
    assert found[0].seconds == found[1].seconds == 3600.0
    assert found[2].basis.startswith("guess")
    assert in_words(found, recorded=1)[-1].startswith("3 rows to run, 1 recorded: ")
    assert "1 of them by guess" in in_words(found, recorded=1)[-1]
    assert in_words(found[:1], recorded=3)[-1].startswith("1 row to run, 3 recorded: ")


def test_a_record_is_read_back_and_another_file_is_refused(tmp_path: Path) -> None:
    made = record("nic-none")
    made.write(tmp_path / "nic-none-seed0.json")
    assert read_record(tmp_path / "nic-none-seed0.json") == made
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DatasetError, match="expected a record of schema"):
        read_record(tmp_path / "other.json")


def test_an_undefined_figure_cannot_enter_a_record(tmp_path: Path) -> None:
    broken = replace(record("nic-none"), twins={"share": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        broken.write(tmp_path / "broken.json")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_taken_out_of_a_configuration() -> None:
    config = {"data": {"root": "/home/me/nih"}, "encoder": {"weights": "/home/me/lite0.safetensors"}}
    assert without_folders(config) == {"data": {"root": None}, "encoder": {"weights": "lite0.safetensors"}}


def table(skill: float, seed: int) -> StudyTable:
    """Sixty studies whose one finding is called right with the given chance."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((60, 1)) < 0.5, 3, 1).astype(np.int8)
    right = np.random.default_rng(seed + 1).random((60, 1)) < skill
    ones: dict[str, Any] = {"bleu": np.ones((60, 10)), "rouge_l": np.ones(60), "cider": np.ones(60)}
    return StudyTable(
        names=("Mass",),
        groups=tuple(f"p{k}" for k in range(60)),
        studies=tuple(f"s{k}" for k in range(60)),
        words=np.ones(60),
        truth=truth,
        claimed=np.where(right, truth, 4 - truth).astype(np.int8),
        **ones,
    )


SKILLS = {"none": 0.55, "normal": 0.95, "random": 0.55, "zeros": 0.55}


def pooled_of(folder: Path, skills: dict[str, float]) -> Pooled:
    for contrast, skill in skills.items():
        for seed in (0, 1):
            record(f"nic-{contrast}", seed).write(folder / f"nic-{contrast}-seed{seed}.json")
            table(skill, seed).save(folder / f"nic-{contrast}-seed{seed}.npz")
    found = pool(folder, replicates=200)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("changed", "outcome", "said"),
    [
        ({}, "helped", "Contrast helped (positive"),
        ({"random": 0.95}, "as a control", "not above both control pools with nic on phantom:smoke"),
        ({"normal": 0.55}, "no difference", "Contrast did not help"),
        ({"normal": 0.1}, "harmed", "was below the plain system"),
    ],
)
def test_what_is_said_follows_from_the_intervals(
    tmp_path: Path, changed: dict[str, float], outcome: str, said: str
) -> None:
    found = pooled_of(tmp_path, {**SKILLS, **changed})
    assert found.comparisons[0].outcome() == outcome
    assert found.comparisons[0].seeds == (0, 1)
    assert said in sentence([found])


def test_means_over_seeds_have_their_deviation(tmp_path: Path) -> None:
    mean = pooled_of(tmp_path, SKILLS).means["nic-none"]["bleu_4"]
    assert (mean.mean, mean.deviation, mean.seeds) == (
        pytest.approx(0.15),
        pytest.approx(np.std([0.1, 0.2], ddof=1)),
        2,
    )


def test_without_controls_no_help_is_claimed(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"none": 0.5, "normal": 0.9})
    assert found.comparisons[0].outcome() == "above plain"
    assert sentence([found]).startswith("Contrast is not shown to help")
    assert "where no control was run with nic on phantom:smoke" in sentence([found])


def test_without_a_plain_row_nothing_is_known(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"normal": 0.9})
    assert found.comparisons[0].outcome() == "unknown"
    assert "not known" in sentence([found])


def test_a_row_of_two_folders_counts_from_the_first(tmp_path: Path) -> None:
    for name, skills in (("one", {"none": 0.5}), ("other", {"none": 0.9, "normal": 0.9})):
        (tmp_path / name).mkdir()
        pooled_of(tmp_path / name, skills)
    both = pool(tmp_path / "one", tmp_path / "other", replicates=50)
    alone = pool(tmp_path / "one", replicates=50)
    assert both is not None
    assert alone is not None
    assert both.intervals["nic-none"] == alone.intervals["nic-none"]
    assert set(both.intervals) == {"nic-none", "nic-normal"}


def test_a_row_with_another_encoder_is_no_row_of_the_experiment(tmp_path: Path) -> None:
    for name, row, weights in (("one", "nic-none", "own"), ("other", "nic-normal", "package")):
        (tmp_path / name).mkdir()
        config = {"encoder": {"name": "lite0", "weights": weights}}
        replace(record(row), config=config).write(tmp_path / name / f"{row}-seed0.json")
        table(0.5, 0).save(tmp_path / name / f"{row}-seed0.npz")
    both = pool(tmp_path / "one", tmp_path / "other", replicates=50)
    assert both is not None
    assert set(both.means) == {"nic-none"}


def test_a_change_of_a_single_seed_is_said_to_be_one() -> None:
    comparison = Comparison("nic", (0,), {"none": {"positive_f1": Interval(-0.06, -0.08, -0.04, 60)}})
    said = sentence([Pooled("phantom:smoke", (), {}, (comparison,), ())])
    assert "With nic on phantom:smoke one seed was run: how much another would change is not known." in said


def test_a_loss_within_the_spread_of_seeds_is_said_to_be_so() -> None:
    below = Interval(-0.06, -0.08, -0.04, 60)
    comparison = Comparison("nic", (0, 1), {"none": {"positive_f1": below}})
    means = {"nic-normal": {"positive_f1": Mean(0.15, 0.13, 2)}, "nic-none": {"positive_f1": Mean(0.21, 0.03, 2)}}
    said = sentence([Pooled("phantom:smoke", (), means, (comparison,), ())])
    assert "was below the plain system with nic on phantom:smoke" in said
    assert "nic on phantom:smoke the loss of 0.060 is no larger than the deviation over seeds (0.130)" in said


def test_a_gain_within_the_spread_of_seeds_and_below_the_neighbour_is_said_to_be_so() -> None:
    above = Interval(0.02, 0.01, 0.03, 60)
    comparison = Comparison("nic", (0, 1), {k: {"positive_f1": above} for k in ("none", "random", "zeros")})
    means = {
        "nic-normal": {"positive_f1": Mean(0.10, 0.03, 2)},
        "nic-none": {"positive_f1": Mean(0.08, 0.01, 2)},
        "neighbour": {"positive_f1": Mean(0.11, 0.0, 2)},
    }
    said = sentence([Pooled("phantom:smoke", (), means, (comparison,), ())])
    assert "nic on phantom:smoke the gain of 0.020 is no larger than the deviation over seeds (0.030)" in said
    assert "the nearest neighbour scores 0.110, no less than contrast's 0.100" in said
    steady = {"nic-normal": {"positive_f1": Mean(0.10, 0.01, 2)}, "nic-none": {"positive_f1": Mean(0.08, 0.01, 2)}}
    assert sentence([Pooled("phantom:smoke", (), steady, (comparison,), ())]).endswith(
        "with nic on phantom:smoke."
    )


def test_a_control_that_equals_contrast_is_no_help() -> None:
    above, equal = Interval(0.1, 0.05, 0.15, 60), Interval(0.0, -0.01, 0.01, 60)
    over = {name: {"positive_f1": above} for name in ("none", "random")} | {"zeros": {"positive_f1": equal}}
    assert Comparison("nic", (0,), over).outcome() == "as a control"


def test_an_empty_folder_has_no_results(tmp_path: Path) -> None:
    assert pool(tmp_path) is None


def test_a_dry_run_prints_hours_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(write_plan(tmp_path))
    command = ["reproduce", "contrastive-attention", "first", "--plan", plan, "--data", "phantom:smoke"]
    assert run([*command, "--out", str(tmp_path / "results"), "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said) == 6
    assert all(line["basis"].startswith("guess") for line in said)
    assert not (tmp_path / "results").exists()


def test_seeds_that_are_no_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(write_plan(tmp_path))
    command = ["reproduce", "contrastive-attention", "first", "--plan", plan, "--data", "phantom:smoke"]
    assert run([*command, "--seeds", "a,1"]) == 2
    assert "whole numbers" in capsys.readouterr().err
