"""The tables of a source, counted in one pass and compared with plain loops over the studies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contrastcxr.errors import DatasetError, OutputError
from contrastcxr.form import Author, Finding, Reading, Report, Study, View
from contrastcxr.store.derived import VIEW_ROW, Tally, stored_views, views_at, write_tables
from contrastcxr.store.keys import view_key
from contrastcxr.store.study_lines import StudyLines
from contrastcxr.text.tokenizer import tokenize

SPLITS = (None, "train", "test")
TABLES = ("studies.jsonl", "reports.jsonl", "vocabulary.json", "counts.json", "views.npy")


def reading(author: str, findings: str = "", impression: str = "", *names: str) -> Reading:
    return Reading(
        study_id="s",
        author=Author(kind="rule", name=author),
        report=Report(findings=findings, impression=impression),
        findings=tuple(Finding(name=name, status="present") for name in names),
    )


def study(name: str, *locators: str, split: str | None = None, readings: tuple[Reading, ...] = ()) -> Study:
    views = tuple(View(view_id=str(i), locator=each, position="PA") for i, each in enumerate(locators))
    return Study(study_id=name, patient_id=name[:1], views=views, readings=readings, split=split)


TEXTS = st.lists(st.sampled_from(["Clear lungs.", "No effusion, no edema.", ""]), max_size=3).map(" ".join)


@st.composite
def some_studies(draw: st.DrawFn) -> list[Study]:
    return [
        study(
            f"{draw(st.sampled_from('abc'))}{number}",
            *["gone.png"] * draw(st.integers(1, 2)),
            split=draw(st.sampled_from(SPLITS)),
            readings=tuple(
                reading(author, draw(TEXTS), draw(TEXTS), *draw(st.lists(st.sampled_from(["Mass", "Edema"]))))
                for author in draw(st.lists(st.sampled_from(["one", "two"]), unique=True))
            ),
        )
        for number in range(draw(st.integers(0, 5)))
    ]


@given(some_studies())
def test_counts_and_words_are_those_of_plain_loops(studies: list[Study]) -> None:
    tally = Tally()
    for each in studies:
        tally.add(each)
    counts, vocabulary = tally.counts(), tally.vocabulary()
    assert set(counts) == {each.split or "none" for each in studies}
    for split, counted in counts.items():
        own = [each for each in studies if (each.split or "none") == split]
        assert counted["studies"] == {"all": len(own)}
        assert counted["patients"] == len({each.patient_id for each in own})
        assert counted["views"] == {"PA": sum(len(each.views) for each in own)}
        readings = [one for each in own for one in each.readings]
        assert counted.get("readings", {}) == Counter(one.author.name for one in readings)
        said = Counter(f"{one.author.name}: {f.name} {f.status}" for one in readings for f in one.findings)
        assert counted.get("findings", {}) == said
        for author in ("one", "two"):
            texts = [one.report for one in readings if one.author.name == author]
            words = Counter(word for r in texts for t in (r.findings, r.impression) for word in tokenize(t))
            assert vocabulary.get(f"{author}/{split}", {}) == words


def test_words_come_most_frequent_first_and_ties_in_the_order_of_the_alphabet() -> None:
    tally = Tally()
    tally.add(study("a", "gone.png", readings=(reading("one", "mass heart mass edema"),)))
    assert list(tally.vocabulary()["one/none"].items()) == [("mass", 2), ("edema", 1), ("heart", 1)]


def picture(path: Path, seed: int) -> str:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    return str(path)


def test_each_picture_has_one_row_and_each_lost_one_its_own(tmp_path: Path) -> None:
    first, second = (picture(tmp_path / f"{seed}.png", seed) for seed in range(2))
    gone = str(tmp_path / "gone.png")
    studies = [study("a", first, gone), study("b", second, first), study("c", gone)]
    assert write_tables(tmp_path / "out", iter(studies)) == 3
    rows = stored_views(tmp_path / "out")
    assert rows.dtype == VIEW_ROW
    assert [(int(r["study"]), int(r["view"])) for r in rows] == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert [bytes(r["key"]).hex() for r in rows if r["key"].any()] == [
        view_key(View(view_id="v", locator=each)) for each in (first, second)
    ]
    lines = StudyLines.stored(tmp_path / "out" / "studies.jsonl")
    assert [view.locator for view in views_at(lines, rows)] == [first, gone, second, gone]


def test_paths_of_a_table_hold_wherever_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", 0)
    monkeypatch.chdir(tmp_path)
    drawn = "phantom:smoke/train/000000?seed=0&view=frontal"
    write_tables(tmp_path / "out", [study("a", "a.png", drawn)])
    [stored] = StudyLines.stored(tmp_path / "out" / "studies.jsonl")
    assert [view.locator for view in stored.views] == [str(tmp_path / "a.png"), drawn]


def test_reports_are_cleaned_and_readings_without_a_text_have_no_line(tmp_path: Path) -> None:
    said = (reading("one", "Clear  lungs .\n"), reading("two", "", "", "Mass"), reading("three", "", "Normal."))
    write_tables(tmp_path, [study("a", "gone.png", split="test", readings=said)])
    lines = [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text().splitlines()]
    known = {"study_id": "a", "split": "test"}
    assert lines == [
        {**known, "author": "one", "findings": "Clear lungs.", "impression": ""},
        {**known, "author": "three", "findings": "", "impression": "Normal."},
    ]


def contents(folder: Path) -> dict[str, Any]:
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_a_source_without_a_study_has_every_table(tmp_path: Path) -> None:
    assert write_tables(tmp_path, []) == 0
    assert len(stored_views(tmp_path)) == 0
    assert json.loads(contents(tmp_path)["counts.json"]) == {}


def test_a_failure_on_the_way_leaves_the_tables_of_before(tmp_path: Path) -> None:
    write_tables(tmp_path, [study("a", "gone.png")])
    before = contents(tmp_path)
    in_memory = Study(study_id="s", views=(View(view_id="v", pixels=np.zeros((40, 40), np.float32)),))
    with pytest.raises(DatasetError, match="view 'v' is only in memory; save its picture first"):
        write_tables(tmp_path, [study("b", "gone.png"), in_memory])
    assert contents(tmp_path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(TABLES)


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_tables(tmp_path / "file" / "out", [study("a", "gone.png")])
