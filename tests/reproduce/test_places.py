from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contrastcxr.config import without_folders
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError
from contrastcxr.reproduce import PAPERS, Places, Row, Task, find_plan, task_of
from tiny_plan import record, write_plan

ROOT = Path(__file__).resolve().parents[2]
ROW = Row("nic", "none", 0)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return task_of(
        *find_plan("contrastive-attention", "first", path=write_plan(tmp_path)), parse_data("phantom:smoke")
    )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(results=tmp_path / "results", runs=tmp_path / "runs", cache=tmp_path / "cache")


def keep(task: Task, places: Places, row: Row, *, epochs: int = 0, best: int = 0) -> None:
    """A record of the row, of a run that lasted so many epochs."""
    training = {"epochs": epochs, "best": {"epoch": float(best)}} if epochs else {}
    made = replace(record(row.name, row.seed), config=without_folders(task.config(row).to_dict()))
    replace(made, training=training).write(places.record(task, row))


def test_records_are_those_of_the_seeds_that_are_asked_for(task: Task, places: Places) -> None:
    for seed in (0, 5):
        keep(task, places, Row("nic", "none", seed))
    assert [found.seed for found in places.recorded(task, [0])] == [0]
    assert [found.seed for found in places.recorded(task)] == [0, 5]


def test_seeds_are_those_of_which_something_is_recorded(task: Task, places: Places) -> None:
    assert places.seeds(task) == []
    for contrast, seed in (("none", 7), ("normal", 7), ("normal", 0)):
        keep(task, places, Row("nic", contrast, seed))
    (places.folder(task) / "TABLE.md").write_text("no record")
    assert places.seeds(task) == [0, 7]
    assert [path.name for path in places.paths(task)] == [
        "nic-normal-seed0.json",
        "nic-none-seed7.json",
        "nic-normal-seed7.json",
    ]


def test_a_record_with_another_setting_is_refused_by_its_parts(task: Task, places: Places) -> None:
    keep(replace(task, overrides=("decoder.dropout=0.1", "text.max_tokens=50")), places, ROW)
    with pytest.raises(RequestError, match=r"nic-none-seed0\.json: .* another configuration \(text, decoder\)"):
        places.found(task, ROW)


@pytest.mark.parametrize(
    ("allowed", "ran", "best", "wanted", "same"),
    [
        (25, 16, 12, 12, True),  # a shorter run would have kept the same epoch
        (25, 16, 13, 12, False),
        (12, 9, 5, 25, True),  # patience ended it, and would have ended a longer one
        (12, 12, 10, 25, False),  # a longer one might have found better
    ],
)
def test_more_epochs_allowed_change_nothing_when_the_kept_one_is_the_same(
    task: Task, places: Places, allowed: int, ran: int, best: int, wanted: int, same: bool
) -> None:
    keep(replace(task, overrides=(f"train.epochs={allowed}",)), places, ROW, epochs=ran, best=best)
    needs = replace(task, overrides=(f"train.epochs={wanted}",))
    if same:
        assert places.found(needs, ROW) == places.record(task, ROW)
    else:
        with pytest.raises(RequestError, match="another configuration"):
            places.found(needs, ROW)


OF_NIH = ("nih", "nih-drawn", "nih-effusion")
"""Tables of paper D whose pictures are NIH's."""
UNRECORDED = {
    ("cia-net", "nih"),
    *(("cross-attention", table) for table in (*OF_NIH, "captions")),
    ("wcl", "captions"),
}
"""Tables of other data."""


@pytest.mark.parametrize(
    ("paper", "table", "data"),
    [
        *(
            (paper, table, "phantom:standard")
            for paper, tables in PAPERS.items()
            for table in tables
            if (paper, table) not in UNRECORDED
        ),
        *(
            ("contrastive-attention", table, "nih14-cv:/somewhere")
            for table in PAPERS["contrastive-attention"]
            if table != "recipe"
        ),
        ("cia-net", "nih", "nih14-cv:/somewhere"),
        *(("cross-attention", table, "nih14-cv:/somewhere") for table in OF_NIH),
        *((paper, "captions", "manifest:/somewhere.csv") for paper in ("cross-attention", "wcl")),
        ("wcl", "table1", "nih14-cv:/somewhere"),
        *(("cross-attention", table, "phantom:easy") for table in ("table1", "effusion")),
    ],
)
def test_every_record_of_this_repository_is_of_the_row_that_its_plan_names(
    paper: str, table: str, data: str
) -> None:
    task = task_of(*find_plan(paper, table), parse_data(data))
    places = Places(results=ROOT / "results", runs=ROOT / "none", cache=ROOT / "none")
    assert places.recorded(task, [0, 1, 2])


def test_rows_of_the_test_list_are_recorded_for_every_author_of_boxes() -> None:
    task = task_of(*find_plan("cia-net", "nih"), parse_data("nih14:/somewhere"))
    places = Places(results=ROOT / "results", runs=ROOT / "none", cache=ROOT / "none")
    for part in task.parts:
        assert {record.row for record in places.recorded(part)} == {row.name for row in part.rows()}
