"""The negatives of a training set: who is drawn, whom each view has; training, validation and files agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import MiniSource, mini_config, mini_study, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.data.authors import is_normal
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.batch import collate
from contrastcxr.features.extraction import batch_features
from contrastcxr.features.pictures import random_crop
from contrastcxr.features.view_features import EncodedFeatures
from contrastcxr.form import Study
from contrastcxr.models.contrast.bank import thumbnails
from contrastcxr.training import run
from contrastcxr.training.hooks import refresh_bank
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.run_record import RECORD_FILE

TRAINED = {"name": "test_efficientnet", "weights": "random", "trainable": True}


def small(split: str) -> list[Study]:
    return [mini_study(i, split=split) for i in range(12)]


@pytest.fixture(autouse=True)
def _mini(monkeypatch: pytest.MonkeyPatch) -> None:
    use_studies(monkeypatch, small)


def config(bank: dict[str, Any] | None = None, *, stage: int | None = 1, **changes: Any) -> Any:
    contrast = {"kind": "difference", "stage": stage, "bank": bank or {}}
    train = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
    return mini_config(contrast=contrast, train=train, **changes)


def prepared(tmp_path: Path, bank: dict[str, Any] | None = None, **changes: Any) -> PreparedRun:
    return prepare(config(bank, **changes), cache=tmp_path)


@pytest.mark.parametrize("changes", [{}, {"encoder": TRAINED}], ids=["frozen", "trained"])
def test_each_view_has_the_nearest_normal_of_its_view_and_of_another_patient(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    made = prepared(tmp_path, **changes)
    assert made.bank is not None
    normals = [study for study in made.train.studies if is_normal(study)]
    assert made.bank.bank.rows.study_ids == tuple(study.study_id for study in normals)
    seen = {s.study_id: _seen(made, s) for s in made.train.studies}
    for study, (row,) in zip(made.train.studies, made.bank.chosen, strict=True):
        candidates = [
            other
            for other in normals
            if other.patient_id != study.patient_id and other.views[0].position == study.views[0].position
        ]
        cosines = [_cosine(seen[study.study_id], seen[other.study_id]) for other in candidates]
        assert normals[row] is candidates[int(np.argmax(cosines))]


def _seen(made: PreparedRun, study: Study) -> np.ndarray:
    picture = EncodedFeatures(made.system.encoder, made.preprocess).picture(study.views[0])
    mean, std = made.preprocess.mean, made.preprocess.std
    return thumbnails(picture.unsqueeze(0), mean=mean, std=std)[0].double().numpy()


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_cached_negatives_are_what_the_encoder_gives_of_their_pixels(tmp_path: Path) -> None:
    frozen, trained = prepared(tmp_path), prepared(tmp_path, encoder=TRAINED)
    assert frozen.bank is not None
    assert trained.bank is not None
    assert frozen.bank.chosen == trained.bank.chosen
    batches = [
        collate([each.samples(each.train)[n] for n in range(4)], pad=each.pad) for each in (frozen, trained)
    ]
    channels = frozen.system.projection.branch_channels
    assert batches[0].negatives.shape == (4, 1, 4, channels)
    assert batches[1].negatives.shape == (4, 1, 3, 64, 64)
    encoder = trained.system.eval().encoder
    with torch.no_grad():
        raw = encoder.stages_of(batches[1].negatives.flatten(0, 1)).unflatten(0, (4, 1))
    torch.testing.assert_close(batches[0].negatives.float(), raw, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("bank", [{}, {"sampling": "random"}, {"sampling": "canonical"}], ids=str)
@pytest.mark.parametrize("changes", [{}, {"encoder": TRAINED}], ids=["frozen", "trained"])
def test_reading_finds_the_negative_that_training_chose(
    tmp_path: Path, bank: dict[str, Any], changes: dict[str, Any]
) -> None:
    """The maps that validation puts into the bank, in half precision, are those of the negatives of a batch."""
    made = prepared(tmp_path, bank, **changes)
    system = made.system.eval()
    refresh_bank(made, system)
    taught = collate([made.samples(made.train)[n] for n in range(12)], pad=made.pad)
    with torch.no_grad():
        first, second = batch_features(system, taught), batch_features(system, replace(taught, negatives=None))
    assert made.bank is not None
    assert second.evidence["negative"].flatten().tolist() == [row for (row,) in made.bank.chosen]
    torch.testing.assert_close(
        first.evidence["difference_map"], second.evidence["difference_map"], rtol=0.05, atol=0.05
    )


def test_controls_take_as_many_of_any_pictures_or_none(tmp_path: Path) -> None:
    normal, other, zeros = (prepared(tmp_path, {"kind": kind}) for kind in ("normal", "other", "zeros"))
    assert len(other.bank.bank) == len(normal.bank.bank) == 6
    assert (normal.bank.purity, other.bank.purity < 1) == (1.0, True)
    assert (len(zeros.bank.bank), zeros.bank.chosen) == (0, ())
    batch = collate([zeros.samples(zeros.train)[0]], pad=zeros.pad)
    assert batch.negatives is None
    own = zeros.system.negative_map(batch.features)
    wanted = own.abs() * own.shape[-1] / own.abs().sum()
    found = batch_features(zeros.system, batch).evidence["difference_map"]
    torch.testing.assert_close(found, wanted.flatten(1))


def test_a_smaller_bank_is_drawn_by_its_seed(tmp_path: Path) -> None:
    ids = {
        seed: prepared(tmp_path, {"size": 3, "seed": seed, "match": "none"}).bank.bank.rows.study_ids
        for seed in (0, 1, 2)
    }
    assert all(len(found) == 3 for found in ids.values())
    assert len(set(ids.values())) > 1


def test_the_canonical_picture_is_the_mean_of_the_normals_of_a_view(tmp_path: Path) -> None:
    made = prepared(tmp_path, {"sampling": "canonical"})
    assert made.bank is not None
    rows = made.bank.bank.rows
    assert rows.positions == ("AP", "PA")
    assert rows.image_ids == ("mean of 2 AP", "mean of 4 PA")
    own = [s for s in made.train.studies if is_normal(s) and s.views[0].position == "AP"]
    load = EncodedFeatures(made.system.encoder, made.preprocess)
    wanted = torch.stack([load.picture(study.views[0]) for study in own]).mean(0)
    torch.testing.assert_close(made.bank.pictures[0], wanted)


def test_the_negative_of_a_cropped_picture_has_the_same_crop(tmp_path: Path) -> None:
    made = prepared(tmp_path, encoder=TRAINED, image={"size": 64, "augment": True})
    sample = made.samples(made.train, epoch=2)[5]
    (row,) = made.bank.chosen[5]
    seed = made.samples(made.train, epoch=2).load.load.augment_seed * 1_000_003 + 5
    generator = torch.Generator().manual_seed(seed)
    pixels = made.bank.views[row].pixels
    wanted, affine = random_crop(made.preprocess, pixels, generator)
    assert torch.equal(sample.negatives[0], wanted)
    np.testing.assert_allclose(sample.affines[0].numpy(), affine)


def test_a_view_without_normals_of_its_position_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(split: str) -> list[Study]:
        studies = small(split)
        view = studies[1].views[0].model_copy(update={"position": "LATERAL"})
        return [studies[0], studies[1].model_copy(update={"views": (view,)}), *studies[2:]]

    use_studies(monkeypatch, odd)
    said = r"2 AP, 4 PA: a bank without normals of the view: training view train-001-0 .* is LATERAL"
    with pytest.raises(IncompatibleError, match=said):
        prepared(tmp_path)
    assert prepared(tmp_path, {"match": "none"}).bank is not None


def test_no_normals_and_no_positions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_studies(monkeypatch, lambda split: [mini_study(n, split=split) for n in range(1, 12, 2)])
    with pytest.raises(IncompatibleError, match="no training image is normal"):
        prepared(tmp_path)

    def nameless(split: str) -> list[Study]:
        views = [s.views[0].model_copy(update={"position": "unknown"}) for s in small(split)]
        return [s.model_copy(update={"views": (view,)}) for s, view in zip(small(split), views, strict=True)]

    use_studies(monkeypatch, nameless)
    with pytest.raises(IncompatibleError, match=r"contrast\.bank\.match is 'view'"):
        prepared(tmp_path / "other")


def test_a_run_writes_a_bank_whose_maps_are_those_of_its_weights(tmp_path: Path) -> None:
    folder = run(config(), out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    checkpoint = load_checkpoint(folder.path)
    system = checkpoint.build()
    assert system.bank is not None
    made = prepare(config(), cache=tmp_path / "cache")
    kept = system.bank.maps.clone()
    assert kept.abs().sum() > 0
    refresh_bank(made, system)
    torch.testing.assert_close(system.bank.maps, kept, rtol=1e-2, atol=1e-3)
    assert checkpoint.state["bank.thumbnails"].dtype == torch.uint8
    assert checkpoint.state["bank.maps"].dtype == torch.float16
    assert system.bank.rows == made.bank.bank.rows
    record = (folder.path / RECORD_FILE).read_text(encoding="utf-8")
    assert '"sampling": "similar"' in record


@pytest.mark.parametrize(("allowed", "warnings"), [(True, 0), (False, 1)])
def test_thumbnails_count_as_pictures_of_the_data_set(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    allowed: bool,
    warnings: int,
) -> None:
    monkeypatch.setattr(MiniSource, "licence", replace(MiniSource.licence, redistributable=allowed))
    note = prepared(tmp_path).sources[-1]
    assert (note.contains_pictures, note.redistributable) == (True, allowed)
    assert note.name == "mini, thumbnails of its negatives in this file"
    said = [record.message for record in caplog.records if "may not be passed on" in record.message]
    assert len(said) == warnings
    assert len(prepared(tmp_path, {"kind": "zeros"}).sources) == 2
