from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_data import mini_config
from PIL import Image

import contrastcxr
import small_corpus
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation.references import load_references
from contrastcxr.form import Author, Box, Finding, Reading, Study, View
from contrastcxr.store import studies as module
from contrastcxr.store import study_lines
from contrastcxr.store.studies import list_studies, load_studies
from contrastcxr.training.prepare import prepare
from contrastcxr.training.run_record import data_fingerprint

NAME = parse_data("phantom:smoke/test?seed=0")


class Artist:
    """Draws a study and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, level: str, *, split: str, seed: int, limit: int | None) -> list[Study]:
        self.times += 1
        finding = Finding(name="Mass", status="present", boxes=(Box(xyxy=(0.1, 0.2, 1 / 3, 2.0)),))
        reading = Reading(study_id="s", author=Author(kind="rule", name="r"), findings=(finding,))
        view = View(view_id="v", locator=f"phantom:{level}/{split}/000000?seed={seed}&view=frontal")
        return [Study(study_id="s", views=(view,), readings=(reading,), age=63.25, split=split)] * (limit or 2)


@pytest.fixture
def artist(monkeypatch: pytest.MonkeyPatch) -> Artist:
    found = Artist()
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", found)
    return found


def forget() -> None:
    """Be a new process, which has drawn nothing."""
    module._kept.cache_clear()


def test_a_split_is_drawn_once_a_process(artist: Artist) -> None:
    assert load_studies(NAME) == load_studies(NAME)
    assert artist.times == 1
    load_studies(parse_data("phantom:smoke/test?seed=1"))
    load_studies(NAME.limited(1))
    assert artist.times == 3


def test_another_process_reads_what_was_drawn(
    artist: Artist, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="contrastcxr")
    first = load_studies(NAME, cache=cache)
    forget()
    assert load_studies(NAME, cache=cache) == first
    assert artist.times == 1
    assert caplog.messages == ["phantom:smoke/test?seed=0: measuring the studies, once"]


def test_training_and_evaluation_see_the_same_studies_and_draw_them_once(artist: Artist, cache: Path) -> None:
    trained = list_studies(NAME, cache=cache)
    forget()
    evaluated = load_references(parse_data("phantom:smoke?seed=0"), "test", cache=cache).studies
    assert list(evaluated) == list(trained)
    assert artist.times == 1
    assert len(list((cache / "studies").iterdir())) == 1


def test_changed_code_draws_again(artist: Artist, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("one", "two"):
        monkeypatch.setattr(module, "drawing_key", lambda key=key: key)
        load_studies(NAME, cache=cache)
        forget()
    assert artist.times == 2
    assert len(list((cache / "studies").iterdir())) == 2


@pytest.mark.parametrize("damage", ["not JSON", "empty", "cut at a line", "cut in a line"])
def test_a_damaged_file_is_drawn_again(artist: Artist, cache: Path, damage: str) -> None:
    first = load_studies(NAME, cache=cache)
    [path] = (cache / "studies").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text({"not JSON": "[{", "empty": "", "cut at a line": lines[0]}.get(damage, path.read_text()[:-40]))
    forget()
    assert load_studies(NAME, cache=cache) == first
    assert artist.times == 2


@pytest.mark.usefixtures("artist")
def test_without_a_cache_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_studies(NAME)
    assert contrastcxr.check_data("phantom:smoke/test?limit=1")["studies"] == 3
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "named"))
    forget()
    contrastcxr.load_studies("phantom:smoke/test?seed=0")
    assert [p.parent for p in tmp_path.rglob("*.jsonl")] == [tmp_path / "named" / "studies"]


def test_pixels_in_memory_are_not_sent_to_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    first = load_studies(NAME.limited(3), cache=cache)
    forget()
    again = load_studies(NAME.limited(3), cache=cache)
    assert [s.study_id for s in again] == [s.study_id for s in first]
    assert all(view.pixels is not None for study in again for view in study.views)
    assert not list(cache.rglob("*.jsonl"))


def test_a_real_phantom_goes_to_disk_and_back_without_loss(cache: Path) -> None:
    first = load_studies(NAME.limited(3), cache=cache)
    forget()
    assert load_studies(NAME.limited(3), cache=cache) == first


@pytest.mark.parametrize("held", [10_000, 2])
def test_studies_from_files_are_not_kept_on_disk_and_packed_where_they_are_many(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(study_lines, "HELD", held)
    rows = [{"study_id": str(n), "image": "a.png", "report": f"Findings: {n} nodules."} for n in range(3)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ref = parse_data(f"manifest:{tmp_path / 'm.jsonl'}?images=any")
    found = list_studies(ref, cache=cache)
    assert list(found) == load_studies(ref)
    assert isinstance(found, study_lines.StudyLines) == (held == 2)
    assert not cache.exists()


def test_a_source_without_any_picture_is_refused_by_name(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"study_id": "1", "image": "a.png"}))
    with pytest.raises(DatasetError, match="images are there"):
        list_studies(parse_data(f"manifest:{tmp_path / 'm.jsonl'}"), cache=cache)


def test_a_run_over_packed_studies_sees_what_one_over_a_list_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_manifest(tmp_path)
    config = mini_config(
        data={"source": "manifest", "root": str(root)}, contrast={"pool": {"kind": "random", "size": 3}}
    )
    runs = []
    for held in (10_000, 1):
        monkeypatch.setattr(study_lines, "HELD", held)
        runs.append(prepare(config, cache=tmp_path / "cache"))
    plain, few = runs
    assert isinstance(few.train.studies, study_lines.StudyLines)
    assert few.train.reports == plain.train.reports
    assert list(few.train.truths) == list(plain.train.truths)
    assert data_fingerprint(few.train.studies) == data_fingerprint(plain.train.studies)
    for one, other in zip(plain.batches(plain.train), few.batches(few.train), strict=True):
        assert one.study_ids == other.study_ids
        assert one.token_ids is not None
        assert torch.equal(one.token_ids, other.token_ids)
        assert torch.equal(one.features, other.features)
    assert plain.pool is not None
    assert plain.pool.pool.rows.image_ids == few.pool.pool.rows.image_ids


def write_manifest(folder: Path) -> Path:
    """Six studies to train on and three to validate, with a picture and a report each."""
    rows = []
    for n in range(9):
        picture = np.random.default_rng(n).integers(40, 200, (64, 64)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{n}.png")
        label = "present" if n % 2 else "absent"
        rows.append(
            {
                "study_id": f"s{n}",
                "patient_id": f"p{n}",
                "image": f"{n}.png",
                "position": "PA",
                "split": "train" if n < 6 else "validation",
                "findings": "The heart is large." if n % 2 else "The lungs are clear.",
                "labels": {"Cardiomegaly": label},
            }
        )
    path = folder / "m.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
