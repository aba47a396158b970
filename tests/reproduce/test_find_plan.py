from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from contrastcxr.data.sources import parse_data
from contrastcxr.errors import ConfigError, RequestError, UnknownNameError
from contrastcxr.reproduce import Row, find_plan, task_of
from tiny_plan import PLAN, write_plan


def test_unknown_papers_tables_rows_and_data_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'contrastive-attention'"):
        find_plan("contrast-attention", "first")
    with pytest.raises(UnknownNameError, match="unknown table"):
        find_plan("contrastive-attention", "frist")
    task = task_of(
        *find_plan("contrastive-attention", "first", path=write_plan(tmp_path)), parse_data("phantom:smoke")
    )
    with pytest.raises(UnknownNameError, match="did you mean 'nic-normal'"):
        task.rows(wanted=["nic-normals"])
    every = task_of(*find_plan("contrastive-attention", "decoders"), parse_data("phantom:standard"))
    assert [row.name for row in every.rows(wanted=["topdown-none", "hcr-normal"])] == [
        "up_down-none",
        "co_attention-normal",
    ]
    with pytest.raises(RequestError, match="no rows for phantom:easy; it has: phantom:smoke"):
        task_of(task.plan, task.folder, parse_data("phantom:easy"))


def test_a_plan_that_extends_another_has_its_systems_and_contrasts_in_its_own_order(tmp_path: Path) -> None:
    write_plan(tmp_path)
    child = tmp_path / "child.yaml"
    extra = "title: other\ncontrasts: {zeros: [contrast.pool.kind=zeros]}\n"
    child.write_text(f"extends: plan.yaml\n{extra}rows: [{{systems: [nic], contrasts: [zeros, none]}}]\n")
    task = task_of(*find_plan("contrastive-attention", "first", path=child), parse_data("phantom:smoke"))
    assert task.plan.title == "other"
    assert [row.name for row in task.rows(seeds=[0])] == ["baselines", "nic-zeros", "nic-none"]
    contrast = task.config(Row("nic", "zeros", 0)).contrast
    assert contrast is not None
    assert contrast.pool.kind == "zeros"
    for chosen, nearest in (
        ("systems: [nix], contrasts: [none]", "nic"),
        ("systems: [nic], contrasts: [nune]", "none"),
    ):
        child.write_text(f"extends: plan.yaml\nrows: [{{{chosen}}}]\n")
        with pytest.raises(UnknownNameError, match=f"did you mean '{nearest}'"):
            find_plan("contrastive-attention", "first", path=child)


def test_a_plan_that_is_none_is_refused_by_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"plan\.yaml: paper"):
        find_plan("contrastive-attention", "first", path=path)
    by_file = {**PLAN, "data": {"phantom:smoke": {"configs": {"nic": "tiny.yaml"}, "seed_overrides": []}}}
    path.write_text(yaml.safe_dump(by_file))
    with pytest.raises(
        ConfigError, match=r"data\.phantom:smoke: .*`configs`, a file per system, is now `config: "
    ):
        find_plan("contrastive-attention", "first", path=path)
    with pytest.raises(ConfigError, match="give the plan with --plan"):
        find_plan("contrastive-attention", "first", path=tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"against": {"nic": "nik"}}, "did you mean 'nic'"),
        ({"systems": {"nic-x": []}}, "system 'nic-x': expected letters"),
        (
            {"judged_by": "places"},
            "judged_by: Input should be 'words', 'knowledge', 'localization', 'boxes', 'attributes' or ",
        ),
    ],
)
def test_systems_that_cannot_be_compared_or_named_are_refused(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = write_plan(tmp_path)
    path.write_text(yaml.safe_dump({**PLAN, **changes}))
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        find_plan("contrastive-attention", "first", path=path)
