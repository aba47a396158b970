"""A head that shapes the features no more: when, and what of it reaches the features then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.form import Finding, Study
from contrastcxr.models.system import System
from contrastcxr.training import run
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.prepare import prepare
from contrastcxr.training.release import HeadReleases
from contrastcxr.training.task import loss_terms
from contrastcxr.vocab.labels import PHANTOM

pytestmark = pytest.mark.usefixtures("mini_data")

HEADS: dict[str, dict[str, Any]] = {
    "finding": {"finding_head": {"labels": "phantom", "dropout": 0.0, "weight": 0.5, "patience": 2}},
    "cam": {"finding_head": None, "localizer": {"kind": "cam", "labels": "phantom", "patience": 2}},
}


def system_with(cache: Path, **changes: Any) -> System:
    return prepare(mini_config(**changes), cache=cache).system


@pytest.mark.parametrize("term", sorted(HEADS))
def test_gradients_of_the_features_are_those_of_the_words_alone(term: str, cache: Path) -> None:
    prepared = prepare(mini_config(contrast=None, **HEADS[term]), cache=cache)
    system = prepared.system.eval()
    (head,) = [head for head in system.heads if head is not system.decoder]
    (batch, *_) = prepared.batches(prepared.train)

    def gradients(*names: str) -> dict[str, torch.Tensor]:
        system.zero_grad()
        terms = loss_terms(system, batch)
        torch.stack([terms[name][0] for name in names]).sum().backward()
        return {name: p.grad.clone() for name, p in system.named_parameters() if p.grad is not None}

    words, shaped = gradients("word"), gradients("word", term)
    own = {name for name in shaped if name not in words}
    assert any(not torch.equal(words[name], shaped[name]) for name in words)
    head.release()
    left = gradients("word", term)
    assert left.keys() == shaped.keys()
    assert own
    for name, value in left.items():
        assert torch.equal(value, shaped[name] if name in own else words[name]), name


def test_a_head_is_released_after_its_patience_and_only_once(cache: Path) -> None:
    system, releases = system_with(cache, **HEADS["finding"]), HeadReleases()
    (head,) = [head for head in system.heads if head is not system.decoder]
    said = []
    for epoch, loss in enumerate((0.8, 0.6, 0.7, 0.6, 0.1, 0.9, 0.9, 0.9), 1):
        said.append(releases.note(system, {"finding_loss": loss, "word_loss": 9.0}, epoch=epoch))
        assert head.released == (epoch >= 4), epoch  # epoch 2 has the least; equal is not less
    assert [len(lines) for lines in said] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert "finding head: its validation loss has not fallen below 0.300 of epoch 2" in said[3][0]
    again = system_with(cache, **HEADS["finding"])
    HeadReleases.from_dict(releases.to_dict()).apply(again)
    assert [head.released for head in again.heads] == [False, True]


@pytest.mark.parametrize("scores", [{}, {"word_loss": 1.0}])
def test_without_its_loss_or_a_patience_no_head_is_released(scores: dict[str, float], cache: Path) -> None:
    patient, without = system_with(cache, **HEADS["finding"]), system_with(cache)
    releases = HeadReleases()
    for epoch in range(1, 6):
        assert releases.note(patient, scores, epoch=epoch) == []
        assert releases.note(without, {**scores, "finding_loss": float(epoch)}, epoch=epoch) == []
    assert not any(head.released for system in (patient, without) for head in system.heads)


def contrary(split: str) -> list[Study]:
    """Training studies have one finding at most, validation studies all: what is learnt makes their loss rise."""
    studies = [mini_study(n, split=split) for n in range(8)]
    if split == "train":
        return studies
    every = {"findings": tuple(Finding(name=name, status="present") for name in PHANTOM)}
    return [s.model_copy(update={"readings": (s.readings[0].model_copy(update=every),)}) for s in studies]


def test_a_resumed_run_releases_as_an_unbroken_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, contrary)

    def config(epochs: int, patience: int | None = 1) -> Any:
        head = {"labels": "phantom", "dropout": 0.0, "patience": patience}
        train = {"batch_size": 4, "monitor": "last", "precision": "fp32", "optimizer": {"lr": 0.01}}
        return mini_config(finding_head=head, contrast=None, train={**train, "epochs": epochs})

    def losses(folder: Path) -> list[float]:
        lines = read_metrics(folder / "metrics.jsonl")
        return [value for line in lines for part in ("train", "validation") for value in line[part].values()]

    whole, parts, shaped = (tmp_path / name for name in ("whole", "parts", "shaped"))
    run(config(4), out=whole, cache=cache)
    run(config(4, patience=None), out=shaped, cache=cache)
    run(config(3), out=parts, cache=cache)
    (parts / "run_record.json").unlink()
    (parts / "config.yaml").write_text(config(4).to_yaml())
    run(config(4), out=parts, cache=cache, resume=True)
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)
    assert losses(whole) != pytest.approx(losses(shaped), abs=1e-4)
    for folder, times in ((whole, 1), (parts, 1), (shaped, 0)):
        assert (folder / "log.txt").read_text().count("it shapes the features no more") == times
