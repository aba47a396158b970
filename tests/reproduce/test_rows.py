from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from logging.handlers import BufferingHandler
from pathlib import Path

import pytest

import small_corpus
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError
from contrastcxr.evaluation import Bootstrap
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import Places, Row, Task, find_plan, read_record, task_of
from contrastcxr.reproduce.record import VOTES, table_beside
from contrastcxr.reproduce.rows import Limits, run_rows
from tiny_plan import ALIGNED, write_plan


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Places, list[str]]:
    """Three rows of one seed, really trained for one epoch, and what was said."""
    folder = tmp_path_factory.mktemp("trial")
    task = task_of(
        *find_plan("contrastive-attention", "first", path=write_plan(folder)), parse_data("phantom:smoke")
    )
    places = Places(results=folder / "results", runs=folder / "runs", cache=folder / "cache")
    heard, logger = BufferingHandler(1_000), logging.getLogger("contrastcxr")
    logger.addHandler(heard)
    before = logger.level
    logger.setLevel(logging.INFO)  # and not by attribute: loggers remember what they let through
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
        patch.setattr(shutil, "which", lambda _: None)
        limits = Limits(bootstrap=Bootstrap(replicates=50, minimum=2))
        assert run_rows(task, task.rows(seeds=[0]), places=places, limits=limits) == []
    logger.removeHandler(heard)
    logger.setLevel(before)
    return task, places, [record.getMessage() for record in heard.buffer]


def test_every_row_leaves_one_record_with_config_scores_seconds_and_versions(
    trial: tuple[Task, Places, list[str]],
) -> None:
    task, places, _ = trial
    records = {record.row: record for record in places.recorded(task)}
    assert list(records) == ["baselines", "nic-none", "nic-normal"]
    plain, contrast = records["nic-none"], records["nic-normal"]
    assert plain.config["contrast"] is None
    assert contrast.config["contrast"]["pool"]["kind"] == "normal"
    assert plain.score("bleu_4") is not None
    assert set(plain.seconds) == {"training", "evaluation", "votes"}
    assert list(plain.systems) == ["system", "votes"]
    assert plain.training["epochs"] == 1
    assert {plain.training["device"], *(found.device for found in records.values())} == {"cpu"}
    assert "torch" in plain.versions
    assert {found.recipe for found in records.values()} == {"first"}
    assert plain.signature == contrast.signature == records["baselines"].signature
    assert set(records["baselines"].systems) == {"constant", "commonest", "neighbour", "ceiling", "floor"}


def test_no_record_names_a_folder_of_this_machine(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    for path in (places.results / task.plan.name / task.place).glob("*.json"):
        assert str(places.results.parent) not in path.read_text()


def test_the_claim_is_tested_where_there_is_a_contrast(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    records = {record.row: record for record in places.recorded(task)}
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


def test_a_row_that_is_read_by_votes_too_keeps_their_scores_and_their_table_beside_those_of_the_beam(
    trial: tuple[Task, Places, list[str]],
) -> None:
    from contrastcxr.metrics.scores import score_table

    task, places, _ = trial
    path = places.record(task, Row("nic", "normal", 0))
    record = read_record(path)
    table = StudyTable.load(table_beside(path, VOTES))
    assert table.studies == StudyTable.load(path.with_suffix(".npz")).studies
    again = score_table(table, replicates=50, minimum=2)
    for name in ("bleu_4", "rouge_l"):
        assert again[name].value == pytest.approx(record.score(name, system="votes"), abs=1e-6), name
    assert record.score("auc_mean", system="votes") == pytest.approx(record.score("auc_mean"))


def test_recorded_rows_are_skipped(
    trial: tuple[Task, Places, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    task, places, _ = trial
    caplog.set_level(logging.INFO, logger="contrastcxr")
    assert run_rows(task, task.rows(seeds=[0]), places=places) == []
    assert len(caplog.messages) == 3
    assert all(line.endswith("recorded already") for line in caplog.messages)


@pytest.mark.parametrize(
    ("overrides", "limit", "said"),
    [
        (("train.epochs=2",), None, "with another configuration (train); delete it"),
        ((), 4, "a record of the whole test split; delete it"),
    ],
)
def test_a_record_of_something_else_is_neither_taken_for_the_row_nor_written_over(
    trial: tuple[Task, Places, list[str]], overrides: tuple[str, ...], limit: int | None, said: str
) -> None:
    task, places, _ = trial
    rows = task.rows(wanted=["nic-none"], seeds=[0])
    before = places.record(task, rows[0]).read_text()
    other = replace(task, overrides=overrides)
    ((row, reason),) = run_rows(other, rows, places=places, limits=Limits(test=limit))
    assert row == rows[0]
    assert said in reason
    assert places.record(task, rows[0]).read_text() == before


def test_rows_share_one_pass_over_the_training_pictures(trial: tuple[Task, Places, list[str]]) -> None:
    _, _, said = trial
    encoded = [line for line in said if "pictures to encode" in line]
    assert sum("32 pictures" in line or "24 pictures" in line for line in encoded) == 1


def test_a_row_that_cannot_run_is_listed_and_the_others_run(trial: tuple[Task, Places, list[str]]) -> None:
    task, places, _ = trial
    elsewhere = replace(places, results=places.results / "other", runs=places.runs / "other")
    wrong = replace(task, overrides=("decoder.kind=lstm",))
    failed = run_rows(wrong, task.rows(wanted=["nic-none"], seeds=[0, 1]), places=elsewhere)
    assert [row.stem for row, _ in failed] == ["nic-none-seed0", "nic-none-seed1"]
    assert all("decoder" in reason for _, reason in failed)


def test_what_rows_take_something_from_is_trained_once_before_them_and_told_in_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    path = write_plan(tmp_path, systems=ALIGNED, runs={"align": "aligner.yaml"})
    plan, folder = find_plan("contrastive-attention", "first", path=path)
    without_twins = {name: data.model_copy(update={"twins": None}) for name, data in plan.data.items()}
    plan = plan.model_copy(update={"votes": False, "data": without_twins})
    task = task_of(plan, folder, parse_data("phantom:smoke"), cache=tmp_path / "cache")
    places = Places(results=tmp_path / "results", runs=tmp_path / "runs", cache=task.cache)
    first = task.prior_run("align", 0).folder
    made = []
    for contrast in ("none", "normal"):
        row = Row("nic+align", contrast, 0)
        limits = Limits(test=4, bootstrap=Bootstrap(replicates=10, minimum=2))
        assert run_rows(task, [row], places=places, limits=limits) == []
        made.append((first / "checkpoint.safetensors").stat().st_mtime_ns)
        record = read_record(places.record(task, row))
        aligner = load_checkpoint(first).aligner()
        assert aligner is not None
        assert record.training["align"]["weights"] == aligner.fingerprint()
        assert record.config["align"]["weights"] == first.name
    assert made[0] == made[1]


def test_rows_are_trained_where_they_are_told_to_run(
    trial: tuple[Task, Places, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, accelerator: str, **__: object) -> None:
        raise RequestError(f"on {accelerator}")

    task, places, _ = trial
    monkeypatch.setattr("contrastcxr.training.run", refusing)
    elsewhere = replace(places, results=tmp_path / "results", runs=tmp_path / "runs", device="cuda")
    ((_, reason),) = run_rows(task, task.rows(wanted=["nic-none"], seeds=[0]), places=elsewhere)
    assert reason == "on cuda"
