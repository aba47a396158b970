"""A reading warns of pictures that are unlike the training pictures, with number and limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chest_like import chest_like
from contrastcxr.checkpoint import load_checkpoint, save_checkpoint
from contrastcxr.features.batch import collate, prepare
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import Flag, Position, Study, View
from contrastcxr.quality.assess import thumbnails
from contrastcxr.quality.fit import fit_reference
from contrastcxr.quality.measures import MEASURES, PictureMeasures, QualityReference, grey_values
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_checkpoint


def fitted(reader: Reader, positions: list[str]) -> QualityReference:
    """A reference of chest-like pictures as this reader's encoder sees them."""

    def seen(first: int) -> PictureMeasures:
        pixels = [chest_like(first + i) for i in range(100)]
        images = torch.stack([whole_picture(reader.preprocess, p)[0] for p in pixels])
        with torch.no_grad():
            pooled = reader.system.encode(images[:, None])[:, 0].mean(1)
        return PictureMeasures(tuple(map(grey_values, pixels)), thumbnails(images), pooled)

    reference = fit_reference(seen(0), seen(1000), positions=positions)
    assert reference is not None
    return reference


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    plain = Reader.from_checkpoint(save_tiny(folder))
    path = folder / "judging.safetensors"
    save_checkpoint(path, replace(tiny_checkpoint(), quality=fitted(plain, ["PA"])), dtype="float32")
    return path


@pytest.fixture(scope="module")
def reader(path: Path) -> Reader:
    return Reader.from_checkpoint(path)


def study(*pixels: np.ndarray, positions: tuple[Position, ...] = ("PA", "PA"), name: str = "one") -> Study:
    views = (
        View(view_id=f"{name}-{i}", pixels=p, position=positions[i], mirrored=False) for i, p in enumerate(pixels)
    )
    return Study(study_id=name, views=tuple(views))


def warnings(reader: Reader, *pixels: np.ndarray, **kwargs: tuple[Position, ...]) -> list[Flag]:
    flags = reader.read(study(*pixels, **kwargs)).flags
    return [flag for flag in flags if flag.kind == "quality" and flag.value is not None]


def test_a_usual_picture_gets_no_warning(reader: Reader) -> None:
    assert not any(warnings(reader, chest_like(seed)) for seed in (20, 21, 22))


def test_a_warning_names_the_view_the_number_and_the_limit(reader: Reader) -> None:
    flags = warnings(reader, chest_like(20), np.rot90(chest_like(21), 2).copy())
    turned = next(flag for flag in flags if "upside down" in flag.message)
    assert turned.message.startswith("view 2: looks turned")
    assert f"{turned.value:.2f}, limit" in turned.message


def test_the_same_study_is_judged_alike_in_any_company(path: Path) -> None:
    bad = study(1 - chest_like(20), name="bad")
    others = [study(chest_like(21), chest_like(22), name="two"), study(chest_like(23), name="three")]
    alone = Reader.from_checkpoint(path).read(bad).flags
    together = Reader.from_checkpoint(path).read_batch([others[0], bad, others[1]])[1].flags
    assert [f.message for f in together] == [f.message for f in alone]
    assert any("limit" in f.message for f in alone)


def test_a_lateral_view_is_one_warning_where_the_model_saw_none(reader: Reader) -> None:
    flags = warnings(reader, chest_like(20), 1 - chest_like(21), positions=("PA", "LATERAL"))
    assert [f.message for f in flags] == ["view 2: lateral; no picture the model was trained on is"]


def test_a_view_that_is_only_guessed_to_be_lateral_is_measured_all_the_same(reader: Reader) -> None:
    turned = study(np.rot90(chest_like(20), 2).copy(), positions=("LATERAL",))
    guessed = turned.views[0].model_copy(update={"position_source": "predicted"})
    said = " ".join(f.message for f in reader.read(turned.model_copy(update={"views": (guessed,)})).flags)
    assert "upside down" in said
    assert "lateral; no picture" in said


def test_a_lateral_view_is_not_assessed_where_the_model_saw_some(tmp_path: Path) -> None:
    plain = Reader.from_checkpoint(save_tiny(tmp_path))
    reader = Reader(
        plain.system, plain.tokenizer, plain.preprocess, quality=fitted(plain, ["PA"] * 3 + ["LATERAL"])
    )
    flags = reader.read(study(chest_like(20), 1 - chest_like(21), positions=("PA", "LATERAL"))).flags
    said = [f.message for f in flags if f.kind == "not_assessed" and f.finding is None]
    assert said == ["quality of view 2 (lateral)"]


def test_a_checkpoint_without_statistics_reads_and_says_that_quality_was_not_assessed(tmp_path: Path) -> None:
    reading = Reader.from_checkpoint(save_tiny(tmp_path)).read(study(chest_like(20)))
    assert [f.message for f in reading.flags if f.kind == "not_assessed" and f.finding is None] == [
        "input quality"
    ]
    assert reading.report.sentences


def test_cached_features_carry_no_judgement_of_pictures(reader: Reader) -> None:
    batch = collate([prepare(study(1 - chest_like(20)), reader.preprocess)])
    assert not any(flag.kind == "quality" for flag in reader.read_features(batch)[0].flags)


def test_statistics_change_nothing_but_flags(reader: Reader, tmp_path: Path) -> None:
    plain = Reader.from_checkpoint(save_tiny(tmp_path)).read(study(chest_like(20)))
    judged = reader.read(study(chest_like(20)))
    assert judged.report == plain.report
    assert judged.findings == plain.findings


def test_a_checkpoint_keeps_its_statistics_apart_from_its_weights(path: Path) -> None:
    kept, plain = load_checkpoint(path), tiny_checkpoint()
    assert kept.quality is not None
    assert kept.state.keys() == plain.state.keys()
    assert all(torch.equal(kept.state[name], value) for name, value in plain.state.items())
    assert set(kept.quality.limits) == set(MEASURES)
