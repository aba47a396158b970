"""The published settings of paper D each take a training step and read: the detector, and words on its regions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mimic_files import TEXTS, folder, write_mimic

from contrastcxr.api import load_studies
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import OptimizerConfig, load_config
from contrastcxr.models.heads.localizers.options import CrossAttentionOptions, RetinaNetOptions
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from nih_folds import write_nih_folds

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper"
DETECTOR, WORDS = PAPER / "cross-attention-detector.yaml", PAPER / "cross-attention.yaml"
SMALLER = ("encoder.name=resnet18", "image.size=64", "train.epochs=1", "train.workers=0", "train.precision=fp32")
SAID = "There is a patchy opacity in the left lower lobe, concerning for pneumonia."


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step at the published widths, on small pictures and from random weights."""
    root = tmp_path_factory.mktemp("detector")
    few = ("encoder.weights=random", "data.train_limit=16", "data.validation_limit=8")
    images = f"data.root={write_nih_folds(root / 'nih')}"
    config = load_config(DETECTOR, overrides=(images, *SMALLER, *few))
    run(config, out=root / "run", cache=root / "cache", progress=False, quality=False)
    return root / "run"


def test_the_settings_are_those_of_the_slides() -> None:
    detects, weighs = load_config(DETECTOR), load_config(WORDS)
    assert (detects.encoder.name, detects.encoder.weights, detects.encoder.trainable) == ("resnet50", "hub", True)
    assert isinstance(detects.localizer, RetinaNetOptions)
    assert (detects.localizer.pyramid, detects.localizer.smallest_anchor) == (256, 32)
    assert detects.train.monitor == "map"
    assert isinstance(weighs.localizer, CrossAttentionOptions)
    head = weighs.localizer
    assert (head.count, head.embedding, head.alpha, head.axes) == (20, 200, "learnt", "paper")
    assert (head.word_sharpness, head.region_sharpness, head.margin) == (4.0, 9.0, 0.2)
    assert weighs.term_weights == {"match_text": 1.0, "match_region": 1.0, "attribute": 1.0}
    assert weighs.train.optimizer == OptimizerConfig(kind="adam", lr=1e-4, clip_norm=None)
    assert (weighs.train.batch_size, weighs.train.schedule.factor) == (32, 1.0)
    assert weighs.image.size == detects.image.size
    assert head.attributes == detects.localizer.attributes == "pneumonia"


def test_the_detector_takes_a_step_and_reads(detector: Path) -> None:
    record = json.loads((detector / "run_record.json").read_text())
    assert record["epochs"] == 1
    assert 0.0 <= record["curves"][0]["validation"]["map"] <= 1.0
    (study, *_) = load_studies(f"nih14-cv:{detector.parent / 'nih'}/test?fold=0")
    finding = Reader.from_checkpoint(detector).read(study).finding("Lung Opacity")
    assert finding is not None
    assert len(finding.region) <= 3


def test_words_on_its_regions_take_a_step_and_are_read(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stating = dict.fromkeys(("50000001", "50000003", "50000004"), f" FINAL REPORT\n FINDINGS:  {SAID}\n")
    monkeypatch.setattr("mimic_files.TEXTS", {**TEXTS, **stating})
    root = write_mimic(tmp_path / "jpg", texts=tmp_path / "txt")
    assert SAID in folder(tmp_path / "txt", "10000032", "50000001").with_suffix(".txt").read_text()
    overrides = (
        f"data.root={root}",
        f"data.options.reports={tmp_path / 'txt'}",
        f"encoder.regions.weights={detector}",
    )
    config = load_config(WORDS, overrides=(*overrides, *SMALLER[1:]))
    made = run(config, out=tmp_path / "run", cache=tmp_path / "cache", progress=False, quality=False)
    record = json.loads(made.record.read_text())
    assert record["epochs"] == 1
    assert record["curves"][0]["train"].keys() == {"match_text", "match_region", "attribute"}
    encoder = load_checkpoint(made.path).build().encoder
    assert encoder is not None
    assert encoder.channels == 256 + 5
    (study, *_) = load_studies(f"mimic_cxr:{root},reports={tmp_path / 'txt'}/test")
    finding = Reader.from_checkpoint(made.path).read(study).finding("Lung Opacity")
    assert finding is not None
    assert len(finding.attributes) == 22
    assert {a.name for a in finding.attributes if a.probability > 0} == {
        "left",
        "lower",
        "lobe",
        "patchy",
        "opacity",
    }


@pytest.mark.slow
def test_the_detector_takes_a_step_at_the_published_size(tmp_path: Path) -> None:
    """All that differs is the weights to start from, and how many pictures are seen."""
    few = ("train.epochs=1", "train.batch_size=2", "train.workers=0", "train.monitor=loss")
    limits = ("data.train_limit=16", "data.validation_limit=4", "encoder.weights=random")
    images = f"data.root={write_nih_folds(tmp_path / 'nih')}"
    config = load_config(DETECTOR, overrides=(images, *few, *limits))
    made = run(config, out=tmp_path / "run", cache=tmp_path / "cache", progress=False, quality=False)
    (study, *_) = load_studies(f"nih14-cv:{tmp_path / 'nih'}/test?fold=0")
    assert Reader.from_checkpoint(made.checkpoint).read(study).finding("Lung Opacity") is not None
