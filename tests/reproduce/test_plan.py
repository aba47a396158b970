from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.models.encoders import build_encoder
from contrastcxr.reproduce import Plan, Row, Task, find_plan, task_of
from tiny_plan import ALIGNED, PLAN, write_plan


def test_seeds_run_one_after_another_with_the_baselines_first(tmp_path: Path) -> None:
    task = task_of(
        *find_plan("contrastive-attention", "first", path=write_plan(tmp_path)), parse_data("phantom:smoke")
    )
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
        task = task_of(plan, folder, parse_data(data))
        rows = [row for row in task.rows() if row.system != "baselines"]
        assert len(rows) == 24
        configs = [task.config(row) for row in rows]
        assert {c.contrast.pool.kind if c.contrast else "none" for c in configs} == set(plan.contrasts)
        assert {c.train.seed for c in configs} == {0, 1, 2}
    assert {task.config(row).data.fold for row in rows} == {0, 1, 2}
    assert task.config(rows[0]).data.root == "/somewhere"


def test_controls_differ_from_contrast_in_the_pool_alone() -> None:
    task = task_of(*find_plan("contrastive-attention", "first"), parse_data("phantom:standard"))
    plain, control = (task.config(Row("nic", kind, 0)).to_dict() for kind in ("normal", "random"))
    plain["contrast"]["pool"]["kind"] = control["contrast"]["pool"]["kind"]
    plain["name"] = control["name"]
    assert plain == control


def test_the_encoder_of_a_plan_is_a_file_beside_it(tmp_path: Path) -> None:
    plan = {
        **PLAN,
        "data": {"phantom:smoke": {**PLAN["data"]["phantom:smoke"], "encoder": "own/lite.safetensors"}},
    }
    (write_plan(tmp_path)).write_text(yaml.safe_dump(plan))
    task = task_of(
        *find_plan("contrastive-attention", "first", path=tmp_path / "plan.yaml"), parse_data("phantom:smoke")
    )
    for row in task.rows(seeds=[0]):
        assert Path(task.config(row).encoder.weights) == tmp_path / "own" / "lite.safetensors"


def test_the_tables_of_the_phantoms_share_an_encoder_that_loads() -> None:
    weights = set()
    for table in ("decoders", "table1", "table2", "table4", "table5"):
        task = task_of(*find_plan("contrastive-attention", table), parse_data("phantom:standard"))
        weights |= {task.config(row).encoder.weights for row in task.rows(seeds=[0])}
    (path,) = weights
    encoder = build_encoder("tf_efficientnet_lite0", weights=path)
    assert encoder.weights_note == "weights of the local file lite0-phantom.safetensors"


def test_variants_of_the_papers_contrast_are_spelled_out_as_settings() -> None:
    table5 = task_of(*find_plan("contrastive-attention", "table5"), parse_data("phantom:standard"))
    assert table5.variants() == {
        "normal": ["contrast.aggregate=true", "contrast.repeats=6"],
        "da": ["contrast.aggregate=false"],
        **{f"n{n}": [f"contrast.repeats={n}"] for n in (1, 2, 4, 8, 10)},
    }
    others = task_of(*find_plan("contrastive-attention", "decoders"), parse_data("phantom:standard"))
    assert others.variants() == {}


@pytest.mark.parametrize("data", ["phantom:standard/validation", "phantom:standard?seed=5", "nih14-cv:/x?fold=1"])
def test_rows_of_another_split_or_draw_are_refused(data: str) -> None:
    with pytest.raises(RequestError, match="split test, as the plan has them"):
        task_of(*find_plan("contrastive-attention", "table1"), parse_data(data))


def test_the_test_split_may_be_named_and_a_folder_must_be() -> None:
    plan, folder = find_plan("contrastive-attention", "table1")
    assert task_of(plan, folder, parse_data("phantom:standard/test")).data == "phantom:standard"
    with pytest.raises(RequestError, match=r"no rows for nih14-cv; it has: phantom:standard, nih14-cv:FOLDER"):
        task_of(plan, folder, parse_data("nih14-cv"))


def test_the_localizers_differ_in_their_cuts_and_in_the_decoder_beside_them() -> None:
    task = task_of(*find_plan("cia-net", "localizers"), parse_data("phantom:standard"))
    assert task.plan.judging.primary == "tiou_0.3"
    configs = {system: task.config(Row(system, "none", 0)) for system in task.systems}
    assert list(configs) == ["cam", "cam@tuned", "cam+nic", "cam@tuned+nic"]
    assert [config.decoder is not None for config in configs.values()] == [False, False, True, True]
    for plain in ("cam", "cam+nic"):
        tuned = configs[plain.replace("cam", "cam@tuned")].to_dict()
        assert tuned["localizer"]["cuts"] == "tuned"
        tuned["localizer"]["cuts"], tuned["name"] = "fixed", configs[plain].name
        assert tuned == configs[plain].to_dict()
    assert configs["cam+nic"].projection.kind == "linear"
    assert [row.name for row in task.rows(wanted=["cam@tuned+nic-none"], seeds=[0])] == ["cam@tuned+nic-none"]


def test_a_table_with_fewer_systems_compares_those_that_it_has(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    systems: dict[str, list[str]] = {"nic": [], "nic@2": [], "nic@3": []}
    rows = {"systems": ["nic", "nic@2"], "contrasts": ["none"]}
    plan = {**PLAN, "systems": systems, "against": {"nic@2": "nic", "nic@3": "nic"}, "rows": rows}
    path.write_text(yaml.safe_dump(plan))
    task = task_of(*find_plan("contrastive-attention", "first", path=path), parse_data("phantom:smoke"))
    assert task.against == {"nic@2": "nic"}


def test_folds_stand_in_the_place_of_seeds() -> None:
    plan = Plan.model_validate({**PLAN, "folds": [0, 1, 2, 3, 4]})
    assert plan.numbers == (0, 1, 2, 3, 4)
    assert Plan.model_validate(PLAN).numbers == Plan.model_validate(PLAN).seeds


def with_runs(folder: Path, runs: dict[str, str] | None = None) -> Task:
    """A task whose rows take an aligner that is trained before them."""
    path = write_plan(folder, systems=ALIGNED, runs=runs or {"align": "aligner.yaml"})
    plan, there = find_plan("contrastive-attention", "first", path=path)
    return task_of(plan, there, parse_data("phantom:smoke"), cache=folder / "cache")


def test_a_row_takes_the_run_that_is_trained_before_it(tmp_path: Path) -> None:
    task = with_runs(tmp_path)
    first, second = (task.prior_runs(Row("nic+align", "none", seed))[0] for seed in (0, 1))
    assert first.config.name == "aligner"
    assert [run.config.train.seed for run in (first, second)] == [0, 1]
    assert first.folder != second.folder
    assert first.folder.parent == tmp_path / "cache" / "runs"
    aligned = task.config(Row("nic+align", "none", 0)).align
    assert aligned is not None
    assert aligned.weights == str(first.folder)
    assert task.prior_runs(Row("nic", "normal", 0)) == []


def test_another_configuration_of_that_run_is_another_run(tmp_path: Path) -> None:
    task = with_runs(tmp_path)
    before = task.prior_run("align", 0).folder
    values = yaml.safe_load((tmp_path / "aligner.yaml").read_text())
    (tmp_path / "aligner.yaml").write_text(yaml.safe_dump({**values, "align": {"kind": "affine", "size": 64}}))
    assert task.prior_run("align", 0).folder != before


def test_a_run_that_a_plan_does_not_have_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'aligner'"):
        with_runs(tmp_path, runs={"aligner": "aligner.yaml"}).config(Row("nic+align", "none", 0))


def test_a_folder_with_a_strange_name_and_an_override_of_all_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    strange = tmp_path / "my #1"
    strange.mkdir()
    task = replace(with_runs(strange), overrides=("align.kind=affine", "align.weights={run:align}"))
    row = Row("nic", "none", 0)
    (prior,) = task.prior_runs(row)
    aligned = task.config(row).align
    assert aligned is not None
    assert aligned.weights == str(prior.folder)


def test_what_is_not_said_of_a_run_does_not_name_its_folder(tmp_path: Path) -> None:
    said = with_runs(tmp_path).prior_run("align", 0).config.said()
    assert set(said["align"]) == {"kind", "network", "size", "canonical"}
    assert "losses" not in said
