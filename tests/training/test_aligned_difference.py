"""A localizer behind contrast-induced attention on aligned pictures: all three see the same pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import mini_config

import boxed_corpus
from contrastcxr.checkpoint import load_checkpoint, save_checkpoint
from contrastcxr.data.authors import is_normal
from contrastcxr.evaluation.cached import cached_batches, encoded_for, read_cached
from contrastcxr.features.batch import Batch, collate
from contrastcxr.features.extraction import aligned_batch, batch_features, batch_targets
from contrastcxr.features.view_features import EncodedFeatures
from contrastcxr.form import Reading, Study, View
from contrastcxr.losses.base import Targets
from contrastcxr.metrics.localization import Overlap
from contrastcxr.models.align.pose import cells_inside, compose
from contrastcxr.models.contrast.bank import thumbnails
from contrastcxr.models.contrast.difference import difference_weights
from contrastcxr.models.features import VisualFeatures
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.align import with_trained_aligner
from contrastcxr.training.hooks import refresh_bank
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.task import loss_terms
from polygon_clip import by_clipping
from tiny_system import tiny_checkpoint, tiny_config

POSE = (0.3, -0.2, 0.3, 0.2, 0.35)
FROZEN = {"name": "test_efficientnet", "weights": "random", "stage": 2}
TRAINED = {**FROZEN, "trainable": True}
LI = {"kind": "li2018", "labels": "phantom", "hidden": 8, "upsample": 16, "reduction": "mean"}
ALONE: dict[str, Any] = {"decoder": None, "finding_head": None, "contrast": None}
ENCODERS = pytest.mark.parametrize("changes", [{}, {"encoder": TRAINED}], ids=["frozen", "trained"])


def corpus(level: str = "smoke", *, split: str = "train", **options: Any) -> list[Study]:
    """Every third study has a lateral view too."""
    studies = boxed_corpus.corpus(level, split=split, **options)
    return [
        study.model_copy(update={"views": (*study.views, lateral(study.views[0]))}) if index % 3 == 0 else study
        for index, study in enumerate(studies)
    ]


def lateral(view: View) -> View:
    assert view.pixels is not None
    changes = {"view_id": f"{view.view_id}-2", "pixels": view.pixels[::-1].copy(), "position": "LATERAL"}
    return view.model_copy(update=changes)


@pytest.fixture(autouse=True)
def _phantoms_with_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", corpus)


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An aligner that gives every picture one pose."""
    config = tiny_config(
        **ALONE,
        align={"kind": "affine", "network": "small", "size": 64},
        projection={"kind": "none"},
        train={"monitor": "loss"},
    )
    checkpoint = tiny_checkpoint(config)
    state = {**checkpoint.state, "aligner.pose.bias": torch.tensor(POSE)}
    path = tmp_path_factory.mktemp("aligner") / "aligner.safetensors"
    save_checkpoint(path, replace(checkpoint, state=state), dtype="float32")
    return path


def config_of(aligner: Path, bank: dict[str, Any] | None = None, **changes: Any) -> Any:
    return with_trained_aligner(
        mini_config(
            **{
                **ALONE,
                "align": {"kind": "affine", "weights": str(aligner)},
                "contrast": {"kind": "difference", "stage": 1, "bank": bank or {}},
                "localizer": LI,
                "encoder": FROZEN,
                "data": {"source": "phantom:smoke", "max_views": 2},
                **changes,
            }
        )
    )


def first(made: PreparedRun, count: int) -> Batch:
    return collate([made.samples(made.train)[n] for n in range(count)], pad=made.pad)


@ENCODERS
def test_thumbnails_are_of_aligned_pictures(aligner: Path, cache: Path, changes: dict[str, Any]) -> None:
    made = prepare(config_of(aligner, **changes), cache=cache)
    assert made.bank is not None
    assert made.system.encoder is not None
    plain, moved = (
        EncodedFeatures(made.system.encoder, made.preprocess, aligner=aligner)
        for aligner in (None, made.system.aligner)
    )
    for row, view in enumerate(made.bank.views):
        before, seen = (small(made, each.picture(view)) for each in (plain, moved))
        found = made.bank.bank.thumbnails[row].float()
        torch.testing.assert_close(found, seen, atol=1.0, rtol=0)
        assert torch.equal(seen, before) is (view.position == "LATERAL")
    poses = made.bank.bank.poses
    assert poses is not None
    wanted = [(0.0,) * 5 if view.position == "LATERAL" else POSE for view in made.bank.views]
    torch.testing.assert_close(poses, torch.tensor(wanted))
    assert {view.position for view in made.bank.views} > {"LATERAL"}


def small(made: PreparedRun, picture: torch.Tensor) -> torch.Tensor:
    mean, std = made.preprocess.mean, made.preprocess.std
    return thumbnails(picture.unsqueeze(0), mean=mean, std=std)[0].float()


def test_cached_and_fresh_pictures_teach_the_same(aligner: Path, cache: Path) -> None:
    frozen = prepare(config_of(aligner), cache=cache)
    trained = prepare(config_of(aligner, encoder=TRAINED), cache=cache)
    assert frozen.bank is not None
    assert trained.bank is not None
    assert frozen.bank.chosen == trained.bank.chosen
    system = trained.system.eval()
    cached, fresh = first(frozen, 6), aligned_batch(system, first(trained, 6))
    for name in ("poses", "affines", "negative_poses"):
        torch.testing.assert_close(getattr(cached, name), getattr(fresh, name), msg=name)
    assert torch.equal(batch_targets(cached).box_cells, batch_targets(fresh).box_cells)
    with torch.no_grad():
        one, other = batch_features(frozen.system.eval(), cached), batch_features(system, fresh)
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(
        one.evidence["difference_map"], other.evidence["difference_map"], rtol=0.05, atol=0.05
    )


@ENCODERS
def test_the_cells_that_are_taught_are_those_of_a_polygon_clip(
    aligner: Path, cache: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(config_of(aligner, **changes), cache=cache)
    taught: list[torch.Tensor] = []

    def teach(_: VisualFeatures, targets: Targets) -> dict[str, Any]:
        assert targets.box_cells is not None
        taught.append(targets.box_cells)
        return {}

    monkeypatch.setattr(made.system, "teach", teach)
    loss_terms(made.system, first(made, 6))
    base = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)  # originals of 64 pixels
    affine = compose(base, torch.tensor(POSE, dtype=torch.float64), 64).numpy()
    for index in range(6):
        wanted = by_clipping(boxed_corpus.box_of(index), affine, 16, 16, size=64)
        found = taught[0][index, 0].view(-1, 16, 16)
        called = found.flatten(1).any(dim=1)
        assert bool(called.any()) == (index % 3 > 0)
        for cells in found[called]:
            assert (cells.numpy() == wanted).all()
        assert not taught[0][index, 1:].any()


@pytest.mark.parametrize("bank", [{}, {"sampling": "random"}, {"sampling": "canonical"}], ids=str)
@ENCODERS
def test_reading_finds_the_negative_that_training_chose(
    aligner: Path, cache: Path, bank: dict[str, Any], changes: dict[str, Any]
) -> None:
    made = prepare(config_of(aligner, bank, **changes), cache=cache)
    system = made.system.eval()
    refresh_bank(made, system)
    taught = aligned_batch(system, first(made, 9))
    with torch.no_grad():
        seen, found = batch_features(system, taught), batch_features(system, replace(taught, negatives=None))
    assert made.bank is not None
    chosen = [row for rows in made.bank.chosen[:9] for row in rows]
    assert found.evidence["negative"][taught.view_mask].tolist() == chosen
    torch.testing.assert_close(
        seen.evidence["difference_map"], found.evidence["difference_map"], rtol=0.05, atol=0.05
    )


def test_nothing_is_compared_with_what_lies_outside_of_a_negative(aligner: Path, cache: Path) -> None:
    """A lateral view shows all of its cells, a frontal negative beside it only some."""
    made = prepare(config_of(aligner, {"match": "none", "sampling": "random"}), cache=cache)
    system, bank = made.system.eval(), made.bank
    assert bank is not None
    assert system.places is not None
    batch = first(made, 9)
    assert batch.features is not None
    assert batch.negatives is not None
    with torch.no_grad():
        found = batch_features(system, batch).evidence["difference_map"].view(9, 2, -1)
        own, other = system.negative_map(batch.features), system.negative_map(batch.negatives)
    partial = 0
    for index, rows in enumerate(bank.chosen[:9]):
        for view, row in enumerate(rows):
            pose = torch.tensor((0.0,) * 5 if bank.views[row].position == "LATERAL" else POSE)
            mine = torch.tensor((0.0,) * 5 if view else POSE)
            mask, shown = (cells_inside(each, system.places) for each in (mine, pose))
            wanted = difference_weights(own[index, view], other[index, view], mask, shown=shown)
            torch.testing.assert_close(found[index, view], wanted, rtol=1e-3, atol=1e-3)
            partial += bool((mask & ~shown).any())
    assert partial


def test_the_canonical_negative_of_a_frontal_view_is_the_canonical_chest(aligner: Path, cache: Path) -> None:
    made = prepare(config_of(aligner, {"sampling": "canonical"}), cache=cache)
    assert made.bank is not None
    assert made.system.aligner is not None
    assert made.bank.bank.poses is None
    rows, pictures = made.bank.bank.rows, made.bank.pictures
    assert pictures is not None
    mean, std = made.preprocess.mean, made.preprocess.std
    for name, position, picture in zip(rows.image_ids, rows.positions, pictures, strict=True):
        if position == "LATERAL":
            own = [s.views[1] for s in made.train.studies if is_normal(s) and len(s.views) > 1]
            seen = EncodedFeatures(made.system.encoder, made.preprocess)
            assert name == f"mean of {len(own)} LATERAL"
            torch.testing.assert_close(picture, torch.stack([seen.picture(view) for view in own]).mean(0))
        else:
            assert name == f"canonical chest {position}"
            chest = made.system.aligner.canonical  # 32 pixels a side, the picture 64
            assert picture.shape == (3, 64, 64)
            grey = picture[0] * std[0] + mean[0]
            torch.testing.assert_close(grey.mean(), chest.mean(), atol=1e-3, rtol=0)
    assert set(rows.positions) >= {"LATERAL"}
    controls = prepare(config_of(aligner, {"sampling": "canonical", "kind": "other"}), cache=cache)
    assert controls.bank is not None
    assert all(name.startswith("mean of") for name in controls.bank.bank.rows.image_ids)


# Checkpoints and readings


@pytest.fixture(scope="module")
def folder(aligner: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a system with all three parts."""
    root = tmp_path_factory.mktemp("joined")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", corpus)
        return run(config_of(aligner), out=root / "run", cache=root / "cache", progress=False).path


def test_it_is_saved_and_loaded_to_the_bit_and_reads_the_same(folder: Path, tmp_path: Path) -> None:
    found = load_checkpoint(folder)
    system = found.build()
    state = system.state_dict()
    assert state.keys() == found.state.keys()
    assert state["bank.poses"].dtype == torch.float32  # exact in a checkpoint of halves
    torch.testing.assert_close(state["bank.poses"][0], torch.tensor(POSE))
    for name, value in state.items():
        if name != "localizer.temperature":  # which is said in words
            assert torch.equal(value, found.state[name].to(value.dtype)), name
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, replace(found, state=state), dtype="float32")
    for name, value in load_checkpoint(again).build().state_dict().items():
        assert torch.equal(value, state[name]), name
    studies = corpus(split="test")[:4]
    one, other = (Reader.from_checkpoint(path).read_batch(studies) for path in (folder, again))
    assert [without_origin(reading) for reading in one] == [without_origin(reading) for reading in other]


def without_origin(reading: Reading) -> Reading:
    return reading.model_copy(update={"provenance": {}})


def test_a_reading_from_pixels_is_that_from_cached_features(folder: Path, tmp_path: Path) -> None:
    reader, studies = Reader.from_checkpoint(folder), corpus(split="test")[:6]
    fresh = reader.read_batch(studies)
    cached, failures = read_cached(reader, studies, cache=tmp_path)
    features, _ = encoded_for(reader, studies, cache=tmp_path)
    (batch,) = cached_batches(reader, studies, features)
    kept = reader.read_features(batch, evidence=True)
    assert failures == []
    assert any(finding.region for reading in fresh for finding in reading.findings)
    for one, two, three in zip(fresh, cached, kept, strict=True):
        assert one.findings
        for finding, again in zip(one.findings, two.findings, strict=True):
            assert finding.name == again.name
            # A cell whose probability is .5 to the last digit of half precision may be on either side.
            assert finding.region == again.region or Overlap.of(finding.region, again.region).iou > 0.9
            assert finding.probability == pytest.approx(again.probability, abs=2e-3)
        assert [n.image_id for n in one.evidence.negatives] == [n.image_id for n in three.evidence.negatives]
        assert len(one.evidence.negatives) == len(one.evidence.difference) > 0


def test_maps_and_marks_are_in_the_frame_of_the_original(folder: Path) -> None:
    reading = Reader.from_checkpoint(folder).read(corpus(split="test")[0])
    for maps in (reading.evidence.difference, *(each.maps for each in reading.evidence.finding_maps)):
        assert [map_.extent for map_ in maps] == [(0.0, 0.0, 64.0, 64.0)] * 2
        frontal = np.array(maps[0].rows)
        assert frontal.shape == (16, 16)  # twice as fine as the cells, which are turned
    assert any(finding.region for finding in reading.findings)
    for finding in reading.findings:
        for box in finding.region:
            x1, y1, x2, y2 = box.xyxy
            assert 0 <= x1 < x2 <= 64
            assert 0 <= y1 < y2 <= 64
