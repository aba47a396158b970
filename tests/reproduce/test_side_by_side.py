"""Published tables beside measured rows: which stands beside which, what contrast changed, Holm over all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.cli.main import run
from contrastcxr.config import parse_config, without_folders
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.metrics.scores import seed_means
from contrastcxr.metrics.seeds import seed_differences
from contrastcxr.metrics.significance import holm
from contrastcxr.metrics.table import StudyTable
from contrastcxr.published import published_table
from contrastcxr.reproduce import PAPERS, Places, Plan, Record, Row, Task, find_plan, task_of
from contrastcxr.reproduce.shown import markdown, table_rows
from contrastcxr.reproduce.side_by_side import SideBySide, side_by_side

CONTRASTS = {"none": (), "normal": (), "random": ()}
QUICK = {"replicates": 60}


def plan(**changes: Any) -> Plan:
    data = {"phantom:smoke": {"config": "both.yaml", "seed_overrides": []}}
    values = {
        "name": "trial",
        "paper": "contrastive-attention",
        "title": "a trial",
        "contrasts": CONTRASTS,
        "systems": {"nic": ["decoder.kind=nic"], "hlstm": ["decoder.kind=hlstm"]},
        "seeds": (0, 1),
        "data": data,
        "published": [{"table": "table1", "data": "iu_xray"}],
        **changes,
    }
    return Plan.model_validate(values)


def table(shift: float, seed: int, studies: int = 40) -> StudyTable:
    """Studies whose ROUGE-L is random and moved by `shift`; BLEU-4 is the same in all."""
    rng = np.random.default_rng(seed)
    return StudyTable(
        names=(),
        groups=tuple(f"p{k // 2}" for k in range(studies)),
        studies=tuple(f"s{k}" for k in range(studies)),
        bleu=np.tile([8.0, 10, 4, 9, 3, 8, 2, 7, 10, 10], (studies, 1)),
        rouge_l=rng.random(studies) * 0.2 + 0.3 + shift,
        cider=np.zeros(studies),
        words=np.full(studies, 10.0),
    )


def keep(results: Path, row: Row, made: StudyTable, *, experiment: str = "trial", **changes: Any) -> None:
    folder = results / experiment / "phantom-smoke"
    systems = {"system": {"bleu_4": {"value": 0.5, "low": 0.4, "high": 0.6, "n": len(made)}}}
    config = without_folders(
        parse_config({"name": "r", "decoder": {"kind": row.system.partition("@")[0]}}, where="r").to_dict()
    )
    values: dict[str, Any] = {"config": config, "systems": systems, "seconds": {"training": 1.0}}
    values |= {"signature": "s", **changes}
    Record(experiment, "phantom:smoke", row.name, row.seed, **values).write(folder / f"{row.stem}.json")
    made.save(folder / f"{row.stem}.npz")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The folder of the configuration that the rows were trained with."""
    (tmp_path / "both.yaml").write_text("name: both\ndecoders: {nic: {}, hlstm: {}}\n")
    return tmp_path


@pytest.fixture
def task(settings: Path) -> Task:
    return Task(plan(), settings, "phantom:smoke", None)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """nic with three contrasts on two seeds, hlstm without contrast on one."""
    results = tmp_path / "results"
    for seed in (0, 1):
        for contrast, shift in (("none", 0.0), ("normal", 0.1), ("random", 0.0)):
            keep(results, Row("nic", contrast, seed), table(shift, seed))
    keep(results, Row("hlstm", "none", 0), table(0.0, 0))
    return Places(results=results, runs=tmp_path / "runs", cache=tmp_path / "cache")


@pytest.fixture
def found(task: Task, places: Places) -> SideBySide:
    (only,) = side_by_side(task, places, **QUICK)
    return only


def lines(found: SideBySide, system: str, contrast: str) -> dict[str, Any]:
    return {line.metric: line for line in found.lines if (line.system, line.contrast) == (system, contrast)}


def test_a_row_stands_beside_the_one_that_the_paper_prints_of_it(found: SideBySide) -> None:
    printed = published_table("contrastive-attention", "table1")
    for contrast, place in (("none", 0), ("normal", 1)):
        row = printed.find(system="nic", contrast=contrast, data="iu_xray")
        assert row is not None
        for metric, line in lines(found, "nic", "normal").items():
            assert line.published[place] == row.value(metric)
    assert lines(found, "nic", "normal")["rouge_l"].published_change == pytest.approx(0.323 - 0.313)


def test_measured_figures_are_means_over_seeds_with_intervals_over_patients(found: SideBySide) -> None:
    measured = lines(found, "nic", "normal")["rouge_l"].measured[1]
    tables = [table(0.1, seed) for seed in (0, 1)]
    assert measured.seeds == (0, 1)
    wanted = seed_means(tables, ["rouge_l"], replicates=60)["rouge_l"]
    assert [measured.score.value, measured.score.low] == pytest.approx([wanted.value, wanted.low], abs=1e-6)
    assert measured.score.value == pytest.approx(np.mean([t.rouge_l.mean() for t in tables]), abs=1e-6)


def test_what_contrast_changed_is_paired_and_tested(found: SideBySide) -> None:
    change = lines(found, "nic", "normal")["rouge_l"].change
    plain, other = ([table(shift, seed) for seed in (0, 1)] for shift in (0.0, 0.1))
    wanted = seed_differences(other, plain, ["rouge_l"], replicates=60)["rouge_l"]
    assert (change.difference.value, change.difference.low) == pytest.approx((wanted.value, wanted.low), abs=1e-6)
    assert change.difference.p < 1e-6  # all patients rise alike on both seeds
    assert lines(found, "nic", "random")["rouge_l"].change.difference.p == 1.0


def test_holm_corrects_over_the_whole_table(found: SideBySide) -> None:
    tested = [line.change for line in found.lines if line.change is not None]
    assert found.tests == len(tested) == 10  # five scores (no METEOR) of two contrasts
    wanted = holm({str(k): change.difference.p for k, change in enumerate(tested)})
    assert [change.p_holm for change in tested] == list(wanted.values())


def test_of_one_seed_there_is_an_interval_over_patients_and_no_test(task: Task, places: Places) -> None:
    (only,) = side_by_side(task, places, seeds=[1], **QUICK)
    change = lines(only, "nic", "normal")["rouge_l"].change
    assert change.difference.patients.low > 0
    assert only.tests == 0
    row = next(r for r in table_rows(only) if (r["decoder"], r["score"]) == ("nic", "ROUGE-L"))
    assert row["our change (95%)"].startswith("+.100 (p. +.")
    assert row["p (Holm)"] == "one seed"
    assert "One seed: what another would change is not known" in markdown(only)
    plain = next(line for line in only.to_dict()["lines"] if line["score"] == "rouge_l")["change"]
    assert (plain["low"], plain["p"], plain["seeds"]) == (None, None, [1])
    assert plain["patients"]["low"] > 0


def test_what_is_not_recorded_or_not_printed_is_empty(found: SideBySide) -> None:
    alone = lines(found, "hlstm", "normal")["bleu4"]
    assert alone.published == (0.131, 0.153)
    assert alone.measured[0] is not None
    assert (alone.measured[1], alone.change) == (None, None)
    assert lines(found, "hlstm", "random") == {}
    control = lines(found, "nic", "random")["bleu4"]
    assert control.published == (0.109, None)
    assert control.published_change is None
    assert lines(found, "nic", "normal")["meteor"].measured == (None, None)


def test_without_any_row_the_published_figures_stand_alone(task: Task, tmp_path: Path) -> None:
    empty = Places(results=tmp_path, runs=tmp_path, cache=tmp_path)
    (only,) = side_by_side(task, empty, **QUICK)
    assert only.tests == 0
    assert {line.system for line in only.lines} == {"nic", "hlstm"}
    assert all(line.measured == (None, None) and line.published[0] is not None for line in only.lines)
    assert "none yet" in markdown(only)


def test_rows_that_were_scored_differently_are_not_compared(task: Task, places: Places) -> None:
    for seed in (0, 1):
        keep(places.results, Row("nic", "normal", seed), table(0.1, seed), signature=f"other {seed}")
    (only,) = side_by_side(task, places, **QUICK)
    line = lines(only, "nic", "normal")["rouge_l"]
    assert line.measured[1] is not None
    assert line.change is None
    assert only.signatures == ("other 0", "other 1", "s")


def test_only_the_seeds_that_are_asked_for_count(task: Task, places: Places) -> None:
    (only,) = side_by_side(task, places, seeds=[1], **QUICK)
    assert lines(only, "nic", "normal")["rouge_l"].measured[0].seeds == (1,)


def test_rows_of_another_experiment_count_where_the_plan_says_so(places: Places, settings: Path) -> None:
    other = Task(plan(name="second"), settings, "phantom:smoke", None)
    assert places.recorded(other) == []
    sharing = Task(plan(name="second", also=("trial",)), settings, "phantom:smoke", None)
    assert len(places.recorded(sharing)) == 7
    (only,) = side_by_side(sharing, places, **QUICK)
    assert lines(only, "nic", "normal")["rouge_l"].change is not None
    assert (
        places.found(sharing, Row("nic", "none", 0))
        == places.record(other, Row("nic", "none", 0)).parents[2]
        / "trial"
        / "phantom-smoke"
        / "nic-none-seed0.json"
    )


def test_rows_of_another_experiment_with_another_setting_do_not_count(places: Places, settings: Path) -> None:
    (settings / "both.yaml").write_text("name: both\ndecoders: {nic: {decoder: {dropout: 0.1}}, hlstm: {}}\n")
    sharing = Task(plan(name="second", also=("trial",)), settings, "phantom:smoke", None)
    assert [record.row for record in places.recorded(sharing)] == ["hlstm-none"]


def test_rows_of_another_recipe_do_not_count_and_are_refused_by_name(places: Places, settings: Path) -> None:
    sharing = Task(plan(name="second", also=("trial",), recipe="fair"), settings, "phantom:smoke", None)
    assert places.recorded(sharing) == []
    own = Task(plan(recipe="fair"), settings, "phantom:smoke", None)
    with pytest.raises(RequestError, match="a record of recipe 'first', where the plan has 'fair'"):
        places.recorded(own)
    row = Row("nic", "none", 0)
    keep(places.results, row, table(0.0, 0), experiment="second", recipe="fair")
    assert [record.recipe for record in places.recorded(sharing)] == ["fair"]
    (only,) = side_by_side(sharing, places, **QUICK)
    assert "- signature: s; recipe: fair" in markdown(only)


def test_settings_of_a_table_find_their_row_by_the_keys_of_the_plan(places: Places, settings: Path) -> None:
    keys = {"none": {"contrast": "none"}, "normal": {"contrast": "da+aa", "repeats": "6"}}
    made = plan(published=[{"table": "table5", "data": "iu_xray", "contrasts": keys}])
    (only,) = side_by_side(Task(made, settings, "phantom:smoke", None), places, **QUICK)
    assert {line.system for line in only.lines} == {"hlstm"}
    assert lines(only, "hlstm", "normal")["bleu4"].published == (0.131, 0.153)


def test_an_unknown_metric_or_column_is_named(places: Places, settings: Path) -> None:
    keys = {"none": {"contrasts": "none"}, "normal": {"contrast": "normal"}}
    wrong = plan(published=[{"table": "table1", "data": "iu_xray", "contrasts": keys}])
    with pytest.raises(UnknownNameError, match="did you mean 'contrast'"):
        side_by_side(Task(wrong, settings, "phantom:smoke", None), places, **QUICK)


def test_the_table_as_text_and_as_plain_values(found: SideBySide) -> None:
    row = next(r for r in table_rows(found) if (r["decoder"], r["score"]) == ("nic", "ROUGE-L"))
    assert row["published: without → with"] == ".313 → .323"
    assert row["published change"] == "+.010"
    assert row["our change (95%)"].startswith("+.100 (+.")
    page = markdown(found)
    assert page.startswith("## contrastive-attention table1, iu_xray beside phantom:smoke")
    assert "Holm over 10 tests" in page
    assert "- signature: s; recipe: first" in page
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["tests"] == 10
    assert len(said["lines"]) == len(found.lines)


@pytest.mark.parametrize("name", ["decoders", "table1", "table2", "table4", "table5"])
def test_shipped_plans_name_configurations_and_published_rows_that_are_there(name: str) -> None:
    shipped, folder = find_plan("contrastive-attention", name)
    assert name in PAPERS["contrastive-attention"]
    for data in shipped.data:
        task = task_of(shipped, folder, parse_data(data if data.startswith("phantom") else f"{data}:/x"))
        for system in task.systems:
            assert task.config(Row(system, task.contrasts[-1], 0)).decoder.kind == system
    rows = {
        (system, part.table): [
            published_table(shipped.paper, part.table).find(data=part.data, system=system, **keys)
            for keys in part.contrasts.values()
        ]
        for part in shipped.published
        for system in task.systems
    }
    printed = {place for place, found in rows.items() if any(row is not None for row in found)}
    if name == "decoders":  # all of both tables, and one that only paper C has
        assert {system for system, _ in rows} - {system for system, _ in printed} == {"cvse"}
    else:
        assert printed == set(rows)


def test_table_5_names_every_printed_setting() -> None:
    part = find_plan("contrastive-attention", "table5")[0].published[0]
    printed = published_table("contrastive-attention", "table5")
    for system in ("hlstm", "multi_attention"):
        found = [printed.find(data="iu_xray", system=system, **keys) for keys in part.contrasts.values()]
        assert len(found) == 8
        assert None not in found


def test_seeds_are_counted_line_by_line_where_they_differ(task: Task, tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path, tmp_path)
    for row in (Row("nic", "none", 0), Row("nic", "none", 1), Row("nic", "normal", 0), Row("nic", "normal", 1)):
        keep(tmp_path, row, table(0.0, row.seed))
    (found,) = side_by_side(task, places, replicates=20)
    assert "seeds" not in table_rows(found)[0]
    assert "recorded seeds (0, 1)" in markdown(found)
    for row in (Row("hlstm", "none", 0), Row("hlstm", "none", 1), Row("hlstm", "normal", 1)):
        keep(tmp_path, row, table(0.0, row.seed))
    (found,) = side_by_side(task, places, replicates=20)
    named = {(row["decoder"], row["with"]): row["seeds"] for row in table_rows(found)}
    assert named["nic", "normal"] == "2"
    assert named["hlstm", "normal"] == "2 → 1"
    assert "recorded seeds (as many as named of 0, 1)" in markdown(found)


def test_what_names_of_contrasts_stand_for_is_said_below_the_table(tmp_path: Path) -> None:
    plan_, folder = find_plan("contrastive-attention", "table5")
    (part,) = side_by_side(
        task_of(plan_, folder, parse_data("phantom:standard")), Places(tmp_path, tmp_path, tmp_path)
    )
    (said,) = [note for note in part.notes if note.startswith("In the column `with`")]
    assert "da is contrast.aggregate=false; n1 is contrast.repeats=1;" in said


def test_the_command_shows_what_is_there_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "contrastive-attention", "table1", "--out", str(tmp_path), "--show", "--json"]
    assert run(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recorded"] == []
    assert [part["published"] for part in said["tables"]] == [
        "contrastive-attention table1, iu_xray",
        "contrastive-attention table1, mimic_cxr",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_published_metric_may_stand_beside_a_localization_score(settings: Path, tmp_path: Path) -> None:
    """Of rows that write no report, so that every other metric has the paper's figures alone."""
    results, ids = tmp_path / "located", tuple(f"s{k}" for k in range(40))
    for contrast, share in (("none", 0.25), ("normal", 0.75)):
        iou = np.where(np.arange(40) < 40 * share, 0.6, 0.0)[:, None]
        made = StudyTable(names=("Mass",), groups=ids, studies=ids, iou=iou, iobb=iou)
        for seed in (0, 1):
            keep(results, Row("nic", contrast, seed), made)
    part = {"table": "table1", "data": "iu_xray", "scores": {"rouge_l": ["tiou_0.5/Mass"]}}
    task = Task(plan(published=[part]), settings, "phantom:smoke", None)
    (found,) = side_by_side(task, Places(results=results, runs=tmp_path, cache=tmp_path), **QUICK)
    by_metric = lines(found, "nic", "normal")
    change = by_metric["rouge_l"].change
    assert change is not None
    assert change.difference.value == pytest.approx(0.5)
    assert change.p_holm < 0.05
    assert by_metric["bleu4"].measured == (None, None)
    assert by_metric["bleu4"].published != (None, None)


def located(share: float, probability: float = 0.9) -> StudyTable:
    """A localizer that finds the first part of forty masses; half of them are called, with a probability."""
    ids = tuple(f"s{k}" for k in range(40))
    iou = np.where(np.arange(40) < 40 * share, 0.6, 0.0)[:, None]
    truth = np.where(np.arange(40) % 2 == 0, 3, 1).astype(np.int8)[:, None]
    rng = np.random.default_rng(0)
    said = np.where(truth == 3, probability, 0.5) - 0.2 * rng.random((40, 1))
    return StudyTable(("Mass",), ids, ids, truth=truth, probabilities=said, iou=iou, iobb=iou)


def localizers(**changes: Any) -> Plan:
    systems = {"nic": ["decoder.kind=nic"], "nic@2": ["decoder.kind=nic"]}
    part = {
        **{"table": "table1", "data": "nih14", "keys": {"iou": "0.3"}, "score": "tiou_0.3"},
        **{"systems": {"nic": {"method": "X, Wang [30]"}}, "contrasts": {"none": {}}},
    }
    return plan(
        **{
            **{"paper": "cia-net", "judged_by": "localization", "contrasts": {"none": ()}, "systems": systems},
            **{"against": {"nic@2": "nic"}, "published": [part], **changes},
        }
    )


@pytest.fixture
def placed(tmp_path: Path) -> Places:
    results = tmp_path / "placed"
    for seed in (0, 1):
        for system, share in (("nic", 0.25), ("nic@2", 0.75)):
            keep(results, Row(system, "none", seed), located(share, 0.9 if system == "nic" else 0.6))
    return Places(results=results, runs=tmp_path, cache=tmp_path)


def test_systems_are_compared_with_each_other_in_the_scores_that_judge_them(
    placed: Places, settings: Path
) -> None:
    own, printed = side_by_side(Task(localizers(), settings, "phantom:smoke", None), placed, **QUICK)
    assert (own.published, own.title) == ("", "a trial")
    by_metric = {line.metric: line for line in own.lines}
    assert list(by_metric) == [
        "tiou_0.1",
        "tiou_0.3",
        "tiou_0.5",
        "tiou_0.7",
        "tiobb_0.1",
        "tiobb_0.5",
        "auc_mean",
    ]
    change = by_metric["tiou_0.3"].change
    assert change is not None
    assert (change.seeds, change.difference.value) == ((0, 1), pytest.approx(0.5))
    assert change.p_holm == pytest.approx(7 * change.difference.p)
    assert by_metric["auc_mean"].measured[0] is not None
    row = table_rows(own)[1]
    assert list(row) == ["row", "other", "score", "ours, other", "ours, row", "our change (95%)", "p (Holm)"]
    assert (row["row"], row["other"]) == ("nic@2-none", "nic-none")
    assert markdown(own).startswith("## rows compared on phantom:smoke")
    assert "Change: row minus the other one, paired" in markdown(own)
    assert own.to_dict()["lines"][0]["against"] == "nic-none"
    assert printed.published == "cia-net table1, nih14, iou 0.3"


def test_a_published_table_of_findings_stands_beside_those_that_we_have(placed: Places, settings: Path) -> None:
    _, printed = side_by_side(Task(localizers(), settings, "phantom:smoke", None), placed, **QUICK)
    by_metric = {line.metric: line for line in printed.lines}
    assert by_metric["Mass"].published == (0.15, None)
    assert by_metric["Mass"].score == "tiou_0.3/Mass"
    assert by_metric["Mass"].change is not None
    assert by_metric["mean"].score == "tiou_0.3"
    assert by_metric["Effusion"].published == (0.3, None)
    assert by_metric["Effusion"].measured == (None, None)
    row = next(row for row in table_rows(printed) if row["score"] == "Mass")
    assert row["published: other → row"] == ".150 → –"
    assert any("ours over those with boxes" in note for note in printed.notes)


def test_without_any_row_no_table_of_our_own_stands_there(settings: Path, tmp_path: Path) -> None:
    task = Task(localizers(), settings, "phantom:smoke", None)
    (printed,) = side_by_side(task, Places(tmp_path, tmp_path, tmp_path), **QUICK)
    assert {line.published[0] for line in printed.lines} > {0.15, 0.22}


def test_areas_under_the_curve_stand_beside_those_of_a_table_of_findings(placed: Places, settings: Path) -> None:
    part = {"table": "table4", "data": "nih14", "score": "auc", "contrasts": {"none": {}}}
    part["systems"] = {"nic": {"method": "Z, Li [14]"}, "nic@2": {"method": "Ours"}}
    task = Task(localizers(published=[part]), settings, "phantom:smoke", None)
    _, printed = side_by_side(task, placed, **QUICK)
    by_metric = {line.metric: line for line in printed.lines}
    assert by_metric["Mass"].published == (0.83, 0.81)
    assert by_metric["Mass"].score == "auc/Mass"
    assert by_metric["mean"].score == "auc_mean"
    assert by_metric["Mass"].change is not None
    assert by_metric["Mass"].change.difference.value < 0
