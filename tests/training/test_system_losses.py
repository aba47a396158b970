"""A loss of the whole system through a run: trained, kept, carried over, and left alone by reading."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study

from contrastcxr.assemble import SystemParts, build_system
from contrastcxr.checkpoint import load_checkpoint, save_checkpoint
from contrastcxr.errors import IncompatibleError
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.prepare import prepare
from contrastcxr.training.run_folder import RunFolder
from contributing.toys import register_loss

TRAIN = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32", "optimizer": {"lr": 0.005}}
TOY = [{"kind": "toy_distance", "weight": 0.25}]
NAMES = {f"losses.toy_distance.of_{part}.{kind}" for part in ("patches", "words") for kind in ("weight", "bias")}

pytestmark = pytest.mark.usefixtures("mini_data")


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    register_loss(monkeypatch)


def trained(out: Path, *, losses: Any = TOY, start: Path | None = None, **changes: Any) -> RunFolder:
    train = {**TRAIN, **({"init_from": str(start)} if start else {}), **changes.pop("train", {})}
    config = mini_config(losses=losses, train=train, **changes)
    return run(config, out=out, cache=out.parent / "cache", progress=False)


def lines(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]


def test_it_is_trained_weighed_and_kept_in_the_checkpoint(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    checkpoint = load_checkpoint(folder.path)
    kept = {name: value for name, value in checkpoint.state.items() if name.startswith("losses.")}
    assert set(kept) == NAMES
    before = prepare(checkpoint.config, cache=tmp_path / "cache").system.state_dict()
    assert all(not torch.equal(value, before[name]) for name, value in kept.items())
    (epoch,) = lines(folder)
    assert set(epoch["train"]) == {"word", "finding", "toy_distance"}
    record = json.loads((folder.path / "run_record.json").read_text())
    assert record["loss_weights"] == {"word": 1.0, "finding": 1.0, "toy_distance": 0.25}


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_its_weight_is_what_it_adds_to_the_loss_that_is_watched(tmp_path: Path, weight: float) -> None:
    folder = trained(tmp_path / "run", losses=[{"kind": "toy_distance", "weight": weight}])
    prepared = prepare(load_checkpoint(folder.path).config, cache=tmp_path / "cache")
    prepared.system.load_state_dict(dict(load_checkpoint(folder.path).state))
    from contrastcxr.training.hooks import ScoreSystem
    from contrastcxr.training.task import loss_terms
    from contrastcxr.training.validate import mean_losses

    validation = ScoreSystem(prepared).validation()
    means = mean_losses(prepared.system, validation.batches, names=validation.weights)
    whole = sum(validation.weights[name] * mean for name, mean in means.items())
    assert whole == pytest.approx(lines(folder)[-1]["validation"]["loss"], rel=1e-4)
    own = whole - validation.weights["toy_distance"] * means["toy_distance"]
    with torch.no_grad():
        (batch,) = validation.batches
        term = float(loss_terms(prepared.system.eval(), batch)["toy_distance"][0])
    assert term > 0
    assert whole - own == pytest.approx(weight * term, rel=1e-3, abs=1e-6)


def test_without_weight_it_trains_nothing(tmp_path: Path) -> None:
    """Dropout and initialisation are as they were: a loss draws its weights after all other parts."""
    none = load_checkpoint(trained(tmp_path / "none", losses=[]).path).state
    zero = load_checkpoint(trained(tmp_path / "zero", losses=[{"kind": "toy_distance", "weight": 0.0}]).path).state
    assert set(zero) - set(none) == NAMES
    assert all(torch.allclose(zero[name], value, atol=1e-6) for name, value in none.items())
    some = load_checkpoint(trained(tmp_path / "some").path).state
    assert not torch.allclose(some["projection.linear.weight"], none["projection.linear.weight"], atol=1e-6)


def test_reading_ignores_its_weights(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    checkpoint = load_checkpoint(folder.path)
    assert not any(name.startswith("losses.") for name in checkpoint.build().state_dict())
    bare = replace(
        checkpoint,
        config=checkpoint.config.model_copy(update={"losses": ()}),
        state={name: value for name, value in checkpoint.state.items() if name not in NAMES},
    )
    broken = replace(checkpoint, state={**checkpoint.state, **dict.fromkeys(NAMES, torch.zeros(3, 5))})
    readings = []
    for name, each in (("whole", checkpoint), ("bare", bare), ("broken", broken)):
        save_checkpoint(tmp_path / f"{name}.safetensors", each, dtype="float32")
        reading = Reader.from_checkpoint(tmp_path / f"{name}.safetensors").read(mini_study(1, split="test"))
        readings.append(reading.model_copy(update={"provenance": {}}))
    assert readings[0] == readings[1] == readings[2]
    assert readings[0].report.findings


def test_another_run_starts_from_its_weights(tmp_path: Path) -> None:
    first = trained(tmp_path / "first")
    second = mini_config(losses=TOY, train={**TRAIN, "init_from": str(first.path)})
    state = prepare(second, cache=tmp_path / "cache").system.state_dict()
    learnt = load_checkpoint(first.path).state
    assert {name for name in state if name.startswith("losses.")} == NAMES
    assert all(torch.equal(state[name], learnt[name]) for name in (*NAMES, "projection.linear.weight"))


def test_a_run_with_it_starts_from_one_without_and_one_without_from_one_with(tmp_path: Path) -> None:
    plain, lossy = trained(tmp_path / "plain", losses=[]), trained(tmp_path / "lossy")
    config = mini_config(losses=TOY, train={**TRAIN, "init_from": str(plain.path)})
    prepared = prepare(config, cache=tmp_path / "cache")
    state, learnt = prepared.system.state_dict(), load_checkpoint(plain.path).state
    assert torch.equal(state["projection.linear.weight"], learnt["projection.linear.weight"])
    assert prepared.system.encoder is not None
    parts = SystemParts(
        encoder=prepared.system.encoder,
        pool=prepared.system.pool,
        vocabulary=len(prepared.tokenizer or ()),
        findings=prepared.labels,
    )
    fresh = build_system(config, parts, seed=config.train.seed).state_dict()
    assert all(torch.equal(state[name], fresh[name]) for name in NAMES)
    after = trained(tmp_path / "after", losses=[], start=lossy.path)
    assert not any(name.startswith("losses.") for name in load_checkpoint(after.path).state)


def test_a_second_stage_keeps_its_weights_and_has_no_term_of_it(tmp_path: Path) -> None:
    first = trained(tmp_path / "first")
    second = trained(tmp_path / "second", start=first.path, train={"scst": True, "monitor": "bleu4"})
    states = [load_checkpoint(folder.path).state for folder in (first, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in NAMES)
    (epoch,) = lines(second)
    assert "toy_distance" not in epoch["train"]
    assert "scst" in epoch["train"]


def test_it_is_refused_by_name_before_the_encoder_runs(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"losses toy_distance with decoder\.kind cvse"):
        trained(tmp_path / "run", decoder={"kind": "cvse"})
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()
