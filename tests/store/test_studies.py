from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_data import mini_config, mini_study
from PIL import Image

from contrastcxr.data.sources import load_studies
from contrastcxr.errors import DatasetError
from contrastcxr.form import Study
from contrastcxr.store import packed
from contrastcxr.store import studies as module
from contrastcxr.store.studies import phantom_files, studies_of
from contrastcxr.training.prepare import prepare
from contrastcxr.training.run_record import data_fingerprint

NAME = "phantom:smoke/train?seed=0"


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that studies were drawn for."""
    names: list[str] = []

    def load(name: str) -> list[Study]:
        names.append(name)
        view = {"pixels": None, "locator": "phantom:smoke/train/000001?seed=0&view=frontal"}
        study = mini_study(1, split="train")
        return [study.model_copy(update={"views": (study.views[0].model_copy(update=view),)})]

    monkeypatch.setattr(module, "load_studies", load)
    return names


def test_drawn_studies_are_measured_once_and_come_back_equal(
    needs: list[str], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="contrastcxr")
    first = studies_of(NAME, root=cache)
    again = studies_of(NAME, root=cache)
    assert needs == [NAME]
    assert [s.model_dump(by_alias=True) for s in again] == [s.model_dump(by_alias=True) for s in first]
    assert caplog.messages == [f"{NAME}: measuring the studies, once"]


def test_studies_are_drawn_again_when_a_file_that_draws_them_changes(
    needs: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies_of(NAME, root=cache)
    monkeypatch.setattr(module, "phantom_files", lambda: "changed")
    studies_of(NAME, root=cache)
    assert needs == [NAME, NAME]


def test_a_damaged_file_is_drawn_again(needs: list[str], cache: Path) -> None:
    studies_of(NAME, root=cache)
    [path] = (cache / "studies").iterdir()
    path.write_text("[{")
    assert len(studies_of(NAME, root=cache)) == 1
    assert needs == [NAME, NAME]


@pytest.mark.parametrize("held", [10_000, 2])
def test_studies_from_files_are_not_kept_on_disk_and_packed_where_they_are_many(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(packed, "HELD", held)
    rows = [{"study_id": str(n), "image": "a.png", "report": f"Findings: {n} nodules."} for n in range(3)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    name = f"manifest:{tmp_path / 'm.jsonl'}?images=any"
    found = studies_of(name, root=cache)
    assert list(found) == load_studies(name)
    assert isinstance(found, packed.PackedStudies) == (held == 2)
    assert not cache.exists()


def test_a_source_without_any_picture_is_refused_by_name(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"study_id": "1", "image": "a.png"}))
    with pytest.raises(DatasetError, match="images are there"):
        studies_of(f"manifest:{tmp_path / 'm.jsonl'}", root=cache)


def test_the_hash_over_the_phantom_files_is_one_word() -> None:
    assert phantom_files() == phantom_files.__wrapped__()
    assert phantom_files().isalnum()


def test_a_run_over_packed_studies_sees_what_one_over_a_list_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_manifest(tmp_path)
    config = mini_config(
        data={"source": "manifest", "root": str(root)}, contrast={"pool": {"kind": "random", "size": 3}}
    )
    runs = []
    for held in (10_000, 1):
        monkeypatch.setattr(packed, "HELD", held)
        runs.append(prepare(config, cache=tmp_path / "cache"))
    plain, few = runs
    assert isinstance(few.train.studies, packed.PackedStudies)
    assert few.train.reports == plain.train.reports
    assert list(few.train.truths) == list(plain.train.truths)
    assert data_fingerprint(few.train.studies) == data_fingerprint(plain.train.studies)
    for one, other in zip(plain.batches(plain.train), few.batches(few.train), strict=True):
        assert one.study_ids == other.study_ids
        assert one.token_ids is not None
        assert torch.equal(one.token_ids, other.token_ids)
        assert torch.equal(one.features, other.features)
    assert plain.pool is not None
    assert plain.pool.pool.image_ids == few.pool.pool.image_ids


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
