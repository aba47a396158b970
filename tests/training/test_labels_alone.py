"""An encoder learns labels alone; uncertain labels count as asked; another run takes it over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig, load_config
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.targets import Uncertain, finding_targets
from contrastcxr.form import Report, Study
from contrastcxr.models.encoders import build_encoder
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper"
ENCODER = {"name": "test_efficientnet", "weights": "random", "trainable": True}


@pytest.fixture
def silent_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve labelled studies to train on and eight to validate, none with a report."""

    def load(split: str) -> list[Study]:
        return [without_report(mini_study(i, split=split)) for i in range(12 if split == "train" else 8)]

    use_studies(monkeypatch, load)


def without_report(study: Study) -> Study:
    readings = tuple(reading.model_copy(update={"report": Report()}) for reading in study.readings)
    return study.model_copy(update={"readings": readings})


def labels_alone(**changes: Any) -> SystemConfig:
    train = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
    return mini_config(encoder=ENCODER, contrast=None, decoder=None, train=train, **changes)


@pytest.mark.usefixtures("silent_data")
def test_an_encoder_learns_from_labels_without_words(tmp_path: Path) -> None:
    folder = run(labels_alone(), out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    checkpoint = load_checkpoint(folder.path)
    started = build_encoder("test_efficientnet", weights="random", image_size=64, trainable=True).state_dict()
    moved = [
        name for name, value in started.items() if not torch.equal(checkpoint.state[f"encoder.{name}"], value)
    ]
    assert any("conv" in name for name in moved)
    assert checkpoint.tokenizer is None
    assert not any(name.startswith("decoder.") for name in checkpoint.state)


@pytest.mark.usefixtures("silent_data")
def test_a_system_without_words_reads_findings_and_no_report(tmp_path: Path) -> None:
    folder = run(labels_alone(), out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    reading = Reader.from_checkpoint(folder.path).read(mini_study(1, split="validation"))
    assert (reading.report.findings, reading.report.sentences) == ("", ())
    assert all(finding.probability is not None for finding in reading.findings)
    assert reading.provenance["model"]["decoder"] is None
    why = "the model writes no report"
    assert {reading.evidence.unavailable[name] for name in ("attention", "plan", "tags")} == {why}
    assert not any(flag.kind in ("empty", "truncated", "disagreement") for flag in reading.flags)
    assert {finding.stated for finding in reading.findings} == {None}


@pytest.mark.usefixtures("silent_data")
def test_its_checkpoint_is_the_encoder_of_another_run(tmp_path: Path) -> None:
    folder = run(labels_alone(), out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    file = folder.path / "checkpoint.safetensors"
    encoder = build_encoder("test_efficientnet", weights=file, image_size=64)
    learnt = load_checkpoint(folder.path).state
    assert all(torch.equal(learnt[f"encoder.{name}"], value) for name, value in encoder.state_dict().items())
    assert encoder.weights_note == "weights of the local file checkpoint.safetensors"


@pytest.mark.usefixtures("silent_data")
def test_the_published_encoder_takes_a_training_step(tmp_path: Path) -> None:
    small = ("encoder.weights=random", "image.size=64", "train.epochs=1", "train.workers=0", "train.monitor=loss")
    config = load_config(
        PAPER / "chexpert-encoder.yaml", overrides=[*small, "train.batch_size=4", "data.root=here"]
    )
    assert (config.encoder.name, config.finding_head and config.finding_head.uncertain) == ("resnet50", "ones")
    folder = run(config, out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    assert folder.best["epoch"] == 1


@pytest.mark.parametrize(
    ("policy", "value", "known"), [("ignore", 0.0, False), ("ones", 1.0, True), ("zeros", 0.0, True)]
)
def test_an_uncertain_label_counts_as_asked(policy: Uncertain, value: float, known: bool) -> None:
    study = mini_study(1, split="train")
    finding = study.readings[0].findings[0].model_copy(update={"status": "uncertain"})
    reading = study.readings[0].model_copy(update={"findings": (finding,)})
    doubtful = study.model_copy(update={"readings": (reading,)})
    targets, mask = finding_targets(doubtful, ["Pleural Effusion"], uncertain=policy)
    assert (targets.tolist(), mask.tolist()) == ([value], [known])


def test_neither_words_nor_labels_is_refused() -> None:
    from contrastcxr.assemble import check_pairs

    with pytest.raises(IncompatibleError, match="nothing teaches it"):
        check_pairs(labels_alone(finding_head=None))
