"""Heads that are taught boxes: which studies give any, what is said of them, and the company that they keep."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config

import boxed_corpus
import small_corpus
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import BOX_TERMS
from contrastcxr.data.readers.nih14 import RSNA
from contrastcxr.errors import IncompatibleError
from contrastcxr.evaluation.place_baselines import grid_of
from contrastcxr.features.batch import collate
from contrastcxr.features.box_cells import overlapping_cells
from contrastcxr.form import Study, View
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.checks import check_studies
from contrastcxr.training.prepare import prepare
from contrastcxr.training.release import HeadReleases
from contrastcxr.vocab.labels import PHANTOM
from nih_folds import write_nih_folds

ALONE = {"decoder": None, "finding_head": None, "contrast": None}
LI = {"kind": "li2018", "labels": "phantom", "hidden": 8, "upsample": 8, "reduction": "mean"}
Rectangle = tuple[float, float, float, float]


@pytest.fixture(autouse=True)
def _phantoms_with_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)


def config_of(localizer: dict[str, Any] | None = None, **changes: Any) -> SystemConfig:
    data = {"source": "phantom:smoke"}
    return mini_config(**{**ALONE, "data": data, "localizer": {**LI, **(localizer or {})}, **changes})


@pytest.mark.parametrize(("upsample", "side"), [(8, 8), (None, 2)])
def test_training_studies_alone_have_their_boxes_at_the_cells_that_are_learnt(
    upsample: int | None, side: int, cache: Path
) -> None:
    prepared = prepare(config_of({"upsample": upsample}), cache=cache)
    assert prepared.system.places is not None
    assert (prepared.system.places.rows, prepared.system.places.columns) == (2, 2)
    for index, study in enumerate(prepared.train.studies):
        sample = prepared.samples(prepared.train, epoch=1)[index]
        assert sample.box_cells is not None
        assert sample.box_cells.shape == (1, len(PHANTOM), side * side)
        called = [finding for finding in study.readings[0].findings if finding.boxes]
        affine = sample.affines[0].double().numpy()
        wanted = torch.zeros(len(PHANTOM), side, side, dtype=torch.bool)
        for finding in called:
            cells = overlapping_cells(finding.boxes[0].xyxy, affine, side, side, 64)
            wanted[PHANTOM.index(finding.name)] = torch.from_numpy(cells)
        assert torch.equal(sample.box_cells[0].view_as(wanted), wanted)
        assert bool(called) == (index % 3 > 0) == bool(wanted.any())
    assert all(batch.box_cells is None for batch in prepared.batches(prepared.validation))


def test_boxes_of_a_cropped_picture_move_with_it(cache: Path) -> None:
    changes = {"image": {"size": 64, "augment": True}, "encoder": {**ENCODER, "trainable": True}}
    prepared = prepare(config_of(**changes), cache=cache)
    whole, crop = (prepared.samples(prepared.train, epoch=epoch)[1] for epoch in (None, 1))
    assert whole.box_cells is not None
    assert crop.box_cells is not None
    assert not torch.equal(whole.affines, crop.affines)
    box = boxed_corpus.box_of(1)
    cells = overlapping_cells(box, crop.affines[0].double().numpy(), 8, 8, 64)
    assert torch.equal(crop.box_cells[0].any(dim=0).view(8, 8), torch.from_numpy(cells))


ENCODER = {"name": "test_efficientnet", "weights": "random"}
COMPANY: dict[str, dict[str, Any]] = {
    "alone": {},
    "on the encoder's own map": {"projection": {"kind": "none"}},
    "behind contrast": {"contrast": {"repeats": 2, "patches": True, "pool": {"size": 4, "patches": 3}}},
    "with a finding head": {"finding_head": {"labels": "phantom"}},
    "with a decoder and contrast": {
        "decoder": {"kind": "visual_attention"},
        "contrast": {"repeats": 2, "pool": {"size": 4}},
    },
    "on a stage of its own": {
        "localizer": {**LI, "stage": 3},
        "finding_head": {"labels": "phantom"},
        "decoder": {"kind": "visual_attention"},
        "contrast": {"repeats": 2, "pool": {"size": 4}},
    },
    "with a trained encoder": {"encoder": {**ENCODER, "trainable": True}, "image": {"size": 64, "augment": True}},
}


@pytest.mark.parametrize("company", COMPANY)
def test_it_is_trained_in_any_company_and_marks_what_a_reading_shows(
    company: str, tmp_path: Path, cache: Path
) -> None:
    config = config_of(**COMPANY[company])
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    epochs = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    assert {"mil", "box"} <= set(epochs[0]["train"])
    assert "mil_loss" in epochs[0]["validation"]
    assert "box_loss" not in epochs[0]["validation"]  # no box of them is seen
    reader = Reader.from_checkpoint(folder.path)
    assert grid_of(reader) == (8, 8)
    reading = reader.read(boxed_corpus.corpus(split="test")[1])
    marked = {finding.name: finding for finding in reading.findings if finding.peak is not None}
    assert set(marked) == set(PHANTOM)
    assert all(finding.probability is not None for finding in marked.values())
    shown = {each.finding: each.maps for each in reading.evidence.finding_maps}
    assert {(len(maps), len(maps[0].rows), len(maps[0].rows[0])) for maps in shown.values()} == {(1, 2, 2)}
    for name, finding in marked.items():
        assert all(value % 8 == 0 for box in finding.region for value in box.xyxy)  # cells of 64 pixels by 8
        assert bool(finding.region) is (max(v for row in shown[name][0].rows for v in row) > 0.5)


def two_views(level: str = "smoke", *, split: str = "train", **options: Any) -> list[Study]:
    """The corpus with a second picture for every other study; boxes are in the first."""
    studies = boxed_corpus.corpus(level, split=split, **options)
    return [
        study.model_copy(update={"views": (*study.views, second(study.views[0]))}) if index % 2 else study
        for index, study in enumerate(studies)
    ]


def second(view: View) -> View:
    assert view.pixels is not None
    changes = {"view_id": f"{view.view_id}-2", "pixels": view.pixels[::-1].copy(), "position": "LATERAL"}
    return view.model_copy(update=changes)


def test_studies_of_several_views_are_taught_and_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", two_views)
    config = config_of(data={"source": "phantom:smoke", "max_views": 2})
    prepared = prepare(config, cache=cache)
    batch = collate([prepared.samples(prepared.train)[i] for i in range(4)])
    assert batch.box_cells is not None
    assert batch.box_cells.shape == (4, 2, len(PHANTOM), 64)
    assert batch.box_cells[1, 0].any()
    assert not batch.box_cells[:, 1].any()
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    reading = Reader.from_checkpoint(folder.path).read(two_views(split="test")[1])
    assert [map_.view for map_ in reading.evidence.finding_maps[0].maps] == [0, 1]


def without_boxes(study: Study, *, keep: bool) -> Study:
    (reading,) = study.readings
    found = tuple(f if keep else f.model_copy(update={"boxes": ()}) for f in reading.findings)
    return study.model_copy(update={"readings": (reading.model_copy(update={"findings": found}),)})


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (24, "localizer: 16 of 24 training studies have boxes; of {rest} it learns labels alone"),
        (2, "localizer: 1 of 24 training studies have boxes; of {one} it learns labels alone"),
        (0, "localizer: none of 24 training studies has a box of a finding; it learns labels alone"),
    ],
)
def test_how_many_studies_teach_boxes_is_said(kept: int, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    studies = [without_boxes(study, keep=i < kept) for i, study in enumerate(boxed_corpus.corpus())]
    check_studies(config_of(), studies, [])
    rest = [name for name in PHANTOM if name not in small_corpus.SIDED]
    one = [name for name in PHANTOM if name != "Nodule"]
    names = {key: f"{', '.join(of[:8])} and {len(of) - 8} more" for key, of in (("rest", rest), ("one", one))}
    assert said.format(**names) in [record.message for record in caplog.records]


def test_without_any_box_it_is_taught_labels(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    folder = run(config_of(), out=tmp_path / "run", cache=cache, progress=False)
    (first, *_) = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    assert first["train"]["box"] == 0 < first["train"]["mil"]
    assert load_checkpoint(folder.path).config.localizer == config_of().localizer


def test_its_patience_goes_by_the_loss_that_validation_gives(cache: Path) -> None:
    prepared = prepare(config_of({"patience": 1}, decoder={"kind": "nic"}), cache=cache)
    system, releases = prepared.system, HeadReleases()
    head = system.localizer
    assert head is not None
    for epoch, loss in enumerate((0.8, 0.9), 1):
        releases.note(system, {"mil_loss": loss, "word_loss": 1.0}, epoch=epoch)
    assert head.released


def test_fewer_cells_than_patches_are_refused_before_the_first_step(tmp_path: Path, cache: Path) -> None:
    encoder = {**ENCODER, "stage": 1}
    with pytest.raises(IncompatibleError, match=r"^localizer\.upsample 8 on a grid of 16×16 patches: .*set"):
        run(config_of(encoder=encoder), out=tmp_path / "run", cache=cache, progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "free"), [({}, False), ({"boxed_by": "chestx-det"}, True), ({"rsna": "unread"}, True)]
)
def test_what_rsnas_boxes_have_taught_may_not_be_passed_on(
    tmp_path: Path, options: dict[str, str], *, free: bool
) -> None:
    root = write_nih_folds(tmp_path / "nih")
    config = mini_config(
        **ALONE,
        data={"source": "nih14-cv", "root": str(root), "fold": 0, "options": options},
        localizer={"kind": "retinanet", "attributes": "pneumonia", "pyramid": 8},
    )
    sources = prepare(config, cache=tmp_path / "cache").sources
    assert all(note.redistributable for note in sources) is free
    assert ("boxes of rsna" in {note.name for note in sources}) is not free


def test_terms_of_boxes_are_kept_by_the_name_of_their_author() -> None:
    assert set(BOX_TERMS) == {RSNA.name}
