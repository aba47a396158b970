from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from contrastcxr.data.sources import parse_data
from contrastcxr.errors import ConfigError, RequestError, UnknownNameError
from contrastcxr.models.encoders import build_encoder
from contrastcxr.reproduce import Row, Task, find_plan, task_of
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


def of_paper_b(table: str) -> Task:
    """The task of a table of paper B on phantoms."""
    return task_of(*find_plan("cia-net", table), parse_data("phantom:standard"))


def test_the_localizers_differ_in_what_their_names_say() -> None:
    task = of_paper_b("localizers")
    assert task.plan.judging.primary == "tiou_0.3"
    configs = {system: task.config(Row(system, "none", 0)).to_dict() for system in task.systems}
    assert configs["cam+nic"]["decoder"] is not None
    assert configs["cam+nic"]["projection"]["kind"] == "linear"
    for one, other, part, key in (
        ("cam@tuned", "cam", "localizer", "cuts"),
        ("li2018@eq5", "li2018", "localizer", "mil_floor"),
        ("li2018@0", "li2018", "data", "options"),
        ("li2018@40", "li2018", "data", "options"),
        ("li2018+align", "li2018", "align", None),
        ("cam+align", "cam", "align", None),
        ("cam", "li2018", "localizer", None),
    ):
        first, second = (dict(configs[name]) for name in (one, other))
        first["name"] = second["name"]
        if other == "li2018" and one == "cam":
            second["data"] = first["data"]  # maps never learn a box
        if key is None:
            first[part] = second[part]
        else:
            assert first[part][key] != second[part][key]
            first[part] = {**first[part], key: second[part][key]}
        assert first == second, (one, other)
    assert [row.name for row in task.rows(wanted=["cam@tuned-none"], seeds=[0])] == ["cam@tuned-none"]


def test_contrasts_of_paper_b_differ_in_their_negatives() -> None:
    task = of_paper_b("localizers")
    banks = {c: task.config(Row("li2018+align", c, 1)).contrast for c in task.contrasts if c != "none"}
    said = {name: (found.bank_options.kind, found.bank_options.sampling) for name, found in banks.items() if found}
    assert said == {
        "normal": ("normal", "similar"),
        "unmatched": ("normal", "random"),
        "canonical": ("normal", "canonical"),
        "random": ("other", "similar"),
        "zeros": ("zeros", "similar"),
    }


def test_a_table_of_paper_b_has_the_rows_that_it_names_on_their_own_seeds() -> None:
    rows = of_paper_b("table3").rows()
    seeds = {name: [row.seed for row in rows if row.name == name] for name in dict.fromkeys(r.name for r in rows)}
    assert seeds["baselines"] == seeds["li2018-none"] == seeds["li2018@0+align-zeros"] == [0, 1, 2]
    assert seeds["li2018@40-none"] == seeds["li2018@40+align-normal"] == [0]
    assert "li2018-normal" not in seeds
    asked = of_paper_b("table3").rows(wanted=["li2018@40-none"], seeds=[0, 1])
    assert [row.seed for row in asked] == [0, 1]


def test_the_tables_of_paper_b_share_their_baselines() -> None:
    baselines = [of_paper_b(table).config(Row("baselines", "none", 0)) for table in ("table2", "table6")]
    for found in baselines:
        assert found.localizer is not None
        assert (found.localizer.kind, found.data.options["boxed"]) == ("li2018", 80)


def test_a_table_with_fewer_systems_compares_those_that_it_has(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    systems: dict[str, list[str]] = {"nic": [], "nic@2": [], "nic@3": []}
    rows = [{"systems": ["nic", "nic@2"], "contrasts": ["none"]}]
    plan = {**PLAN, "systems": systems, "against": {"nic@2": "nic", "nic@3": "nic"}, "rows": rows}
    path.write_text(yaml.safe_dump(plan))
    task = task_of(*find_plan("contrastive-attention", "first", path=path), parse_data("phantom:smoke"))
    assert task.compared_names == [("nic@2-none", "nic-none")]


def test_one_row_may_be_compared_with_one_of_another_contrast(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    plan = {**PLAN, "systems": {"nic": [], "nic@2": []}, "against": {"nic@2-normal": "nic-none"}}
    path.write_text(yaml.safe_dump(plan))
    task = task_of(*find_plan("contrastive-attention", "first", path=path), parse_data("phantom:smoke"))
    assert task.compared_names == [("nic@2-normal", "nic-none")]
    path.write_text(yaml.safe_dump({**plan, "against": {"nic@2-norml": "nic-none"}}))
    with pytest.raises(UnknownNameError, match="did you mean 'normal'"):
        find_plan("contrastive-attention", "first", path=path)


def test_a_comparison_names_two_rows_or_two_systems(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    path.write_text(yaml.safe_dump({**PLAN, "systems": {"nic": [], "b": []}, "against": {"b-normal": "nic"}}))
    with pytest.raises(ConfigError, match="against: 'b-normal' is a row and 'nic' a system"):
        find_plan("contrastive-attention", "first", path=path)


def test_folds_stand_in_the_place_of_seeds(tmp_path: Path) -> None:
    of_data = PLAN["data"]["phantom:smoke"]
    path = write_plan(tmp_path)
    path.write_text(yaml.safe_dump({**PLAN, "data": {"phantom:smoke": {**of_data, "folds": [0, 1, 2, 3, 4]}}}))
    task = task_of(*find_plan("contrastive-attention", "first", path=path), parse_data("phantom:smoke"))
    assert task.numbers == (0, 1, 2, 3, 4)
    assert [row.seed for row in task.rows(wanted=["nic-none"])] == [0, 1, 2, 3, 4]


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
