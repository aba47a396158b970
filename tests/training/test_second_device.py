"""Reading, encoding and the end of a run on another device than the CPU: the same numbers, none left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import boxed_study, mini_config, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.evaluation.cached import read_cached
from contrastcxr.form import Study
from contrastcxr.models.encoders import Encoder
from contrastcxr.reading.reader import Reader
from contrastcxr.training import calibrate, run
from contrastcxr.training.placement import Placement
from contrastcxr.training.prepare import prepare
from second_device import second_device
from tiny_system import save_tiny, tiny_config, tiny_study

ALIGN = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}
SYSTEMS: dict[str, dict[str, Any]] = {
    "pool": {},
    "aligned": {"align": ALIGN, "contrast": {"kind": "difference", "stage": 1, "bank": {"match": "none"}}},
}


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_reader_on_another_device_reads_what_one_on_the_cpu_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_tiny(tmp_path, tiny_config(**SYSTEMS[kind]))
    studies = [tiny_study(f"s{number}", views=1 + number % 2, seed=number) for number in range(5)]
    own = Reader.from_checkpoint(file, batch_size=2)
    expected = [own.read_batch(studies), read_cached(own, studies, cache=tmp_path / "own")[0]]
    with second_device(monkeypatch) as there:
        reader = Reader.from_checkpoint(file, batch_size=2, device=there)
        assert {each.device.type for each in reader.system.state_dict().values()} == {"meta"}
        found = [reader.read_batch(studies), read_cached(reader, studies, cache=tmp_path / "there")[0]]
    assert found == expected


TRAIN: dict[str, Any] = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
RUNS: dict[str, dict[str, Any]] = {
    "findings": {"localizer": {"kind": "cam", "labels": "phantom"}},
    "boxes": {
        "decoder": None,
        "finding_head": None,
        "contrast": None,
        "projection": {"kind": "none"},
        "encoder": {"name": "test_efficientnet", "weights": "random", "stage": 4},
        "localizer": {
            "kind": "retinanet",
            "attributes": "phantom-effusion",
            "pyramid": 8,
            "count": 10,
            "smallest_anchor": 8,
        },
    },
}


TRAINED: dict[str, Any] = {
    "encoder": {"name": "test_efficientnet", "weights": "random", "trainable": True},
    "projection": {"standardize": True},
}


def test_a_trained_encoder_is_asked_before_the_first_step_where_it_will_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the pool, for the scale of features, and for the start of contrast."""
    use_studies(monkeypatch, studies_of)
    config = mini_config(train={**TRAIN, "contrast_start": "scaled"}, **TRAINED)
    expected = prepare(config, cache=tmp_path / "own").system.state_dict()
    asked: set[str] = set()
    encoded = Encoder.forward

    def noted(encoder: Encoder, images: torch.Tensor) -> torch.Tensor:
        asked.add(encoder.device.type)
        return encoded(encoder, images)

    monkeypatch.setattr(Encoder, "forward", noted)
    with second_device(monkeypatch) as there:
        found = prepare(config, cache=tmp_path / "there", device=there).system.state_dict()
    assert asked == {"meta"}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def studies_of(split: str) -> list[Study]:
    return [boxed_study(i, split=split) for i in range(8 if split == "train" else 6)]


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_is_closed_on_the_device_where_it_was_trained(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning trains on the CPU in both; what is encoded before and calibrated behind is on the other one."""
    use_studies(monkeypatch, studies_of)
    monkeypatch.setattr(calibrate, "MINIMUM_POSITIVES", 3)
    config = mini_config(**{"train": TRAIN, **RUNS[kind]})
    expected = run(config, out=tmp_path / "own", cache=tmp_path / "own-cache", progress=False)
    calibrated: list[str] = []
    with second_device(monkeypatch) as there:
        monkeypatch.setattr(Placement, "device", property(lambda _: there))
        for name in ("head_outputs", "detection_thresholds"):
            monkeypatch.setattr(f"contrastcxr.training.{MODULES[name]}.{name}", noting(calibrated, name))
        found = run(config, out=tmp_path / "there", cache=tmp_path / "there-cache", progress=False)
    assert calibrated == ["meta"]
    ours, theirs = load_checkpoint(expected.path), load_checkpoint(found.path)
    assert theirs.temperature == ours.temperature
    assert theirs.thresholds == ours.thresholds != {}
    assert theirs.quality == ours.quality
    for name, value in ours.state.items():
        assert torch.equal(value, theirs.state[name]), name
    record = json.loads((found.path / "run_record.json").read_text())
    assert record["device"] == "cpu"  # as `--accelerator` has it


MODULES = {"head_outputs": "calibrate", "detection_thresholds": "finish"}
"""Where each is called from."""


def noting(devices: list[str], name: str) -> Any:
    """Return the function of `calibrate` that also notes where the system is."""
    own = getattr(calibrate, name)

    def noted(system: Any, *args: Any, **kwargs: Any) -> Any:
        devices.append(system.device.type)
        return own(system, *args, **kwargs)

    return noted
