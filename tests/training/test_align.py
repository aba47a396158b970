"""An aligner's own run, and a run of a system that takes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.assemble import check_pairs
from contrastcxr.checkpoint import load_checkpoint, read_metadata
from contrastcxr.errors import CheckpointError, DatasetError, IncompatibleError
from contrastcxr.form import Study
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.align import with_trained_aligner
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.prepare import prepare

CROP = [0.1, 0.2, 0.9, 0.8]
ALIGN = {"kind": "affine", "network": "small", "size": 64, "canonical": {"images": 3, "crop": CROP}}
ALONE: dict[str, Any] = {
    "name": "aligner",
    "align": ALIGN,
    "projection": {"kind": "none"},
    "decoder": None,
    "finding_head": None,
    "contrast": None,
}

pytestmark = pytest.mark.usefixtures("mini_data")


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an aligner, trained for two epochs."""
    root = tmp_path_factory.mktemp("align")
    with pytest.MonkeyPatch.context() as patch:
        use_studies(patch, lambda split: [mini_study(i, split=split) for i in range(12)])
        return run(mini_config(**ALONE), out=root / "run", cache=root / "cache", progress=False).path


def test_an_aligner_learns_alone_and_its_checkpoint_keeps_the_chest(aligner: Path) -> None:
    lines = read_metrics(aligner / "metrics.jsonl")
    assert set(lines[0]["train"]) == {"align_feature", "align_pixel", "align_beyond"}
    both = lines[-1]["validation"]
    assert both["loss"] == pytest.approx(both["align_feature_loss"] + both["align_pixel_loss"])
    found = load_checkpoint(aligner)
    assert found.canonical == {"crop": CROP, "images": 3}
    (held,) = [note for note in found.sources if "in this file" in note.name]
    assert held.name.endswith("the mean of 3 of its normals in this file")
    assert held.contains_pictures
    assert found.state["aligner.canonical"].shape == (64, 64)
    assert found.quality is None
    system = found.build()
    assert system.aligner is not None
    assert torch.equal(system.aligner.canonical, found.state["aligner.canonical"])


def test_the_record_says_how_much_the_pixel_loss_weighs(aligner: Path) -> None:
    record = json.loads((aligner / "run_record.json").read_text())
    said = record["align"]
    assert said["canonical"] == {"crop": CROP, "images": 3}
    assert said["pixel_weight"] == pytest.approx(
        float(load_checkpoint(aligner).state["aligner.balance"]), rel=1e-4
    )
    assert record["loss_weights"] == {"align_feature": 1.0, "align_pixel": 1.0, "align_beyond": 0.0}


def test_a_system_takes_the_aligner_and_needs_nothing_else_to_read(
    aligner: Path, tmp_path: Path, cache: Path
) -> None:
    named = shutil.copytree(aligner, tmp_path / "aligner")
    config = mini_config(align={"kind": "affine", "weights": str(named)})
    before = load_checkpoint(named)
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False).path
    shutil.rmtree(named)
    found = load_checkpoint(folder)
    assert found.config.align is not None
    assert (found.config.align.network, found.config.align.size) == ("small", 64)
    assert found.config.align.weights == "aligner"  # no folder of this machine
    for name, value in before.state.items():
        if name.startswith("aligner."):
            assert torch.equal(found.state[name], value)
    reader = Reader.from_checkpoint(folder)
    assert reader.read(mini_study(0, split="test")).report.sentences
    assert json.loads((folder / "run_record.json").read_text())["align"]["canonical"]["crop"] == CROP


def test_a_finished_run_is_resumed_with_the_aligner_it_names(aligner: Path, tmp_path: Path, cache: Path) -> None:
    config = mini_config(align={"kind": "affine", "weights": str(aligner)})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    again = run(config, out=tmp_path / "run", cache=cache, progress=False, resume=True)
    assert again.path == folder.path


@pytest.mark.parametrize("trainable", [False, True])
def test_pictures_are_aligned_whether_features_are_cached_or_not(
    aligner: Path, cache: Path, trainable: bool
) -> None:
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": trainable}
    config = with_trained_aligner(mini_config(align={"kind": "affine", "weights": str(aligner)}, encoder=encoder))
    prepared = prepare(config, cache=cache)
    (batch, *_) = prepared.batches(prepared.validation)
    assert (batch.poses is None) == trainable
    assert prepared.pool is not None
    assert not any(p.requires_grad for name, p in prepared.system.named_parameters() if "aligner" in name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 96}, r"align\.size with align\.weights"),
        ({"network": "resnet18", "squared": True}, r"align\.network.*align\.squared"),
    ],
)
def test_options_that_contradict_the_trained_aligner_are_refused(
    aligner: Path, changes: dict[str, Any], words: str
) -> None:
    config = mini_config(align={"kind": "affine", "weights": str(aligner), **changes})
    with pytest.raises(IncompatibleError, match=words):
        with_trained_aligner(config)


def test_a_checkpoint_without_an_aligner_is_refused(tmp_path: Path, cache: Path) -> None:
    plain = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False).path
    assert read_metadata(plain).canonical is None
    with pytest.raises(IncompatibleError, match="its system aligns nothing; give the run of an aligner"):
        with_trained_aligner(mini_config(align={"kind": "affine", "weights": str(plain)}))


def test_an_aligner_that_is_not_there_is_told_with_its_option() -> None:
    with pytest.raises(CheckpointError, match=r"align\.weights: unknown model .* '/nowhere'"):
        with_trained_aligner(mini_config(align={"kind": "affine", "weights": "/nowhere"}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"align": None}, "nothing teaches it and it answers nothing"),
        ({"align": {"kind": "affine", "weights": "a"}}, "align.weights is trained already: nothing teaches it"),
        ({"projection": {"kind": "linear"}}, "projection.kind linear in aligner, which trains an aligner alone"),
        ({"contrast": {}}, "contrast in aligner, which trains an aligner alone"),
        ({"encoder": {"trainable": True}}, "encoder.trainable in aligner, which trains an aligner alone"),
        ({"finding_head": {"labels": "phantom"}}, "align without align.weights beside finding_head"),
        ({"train": {"monitor": "auc"}}, "train.monitor auc"),
    ],
)
def test_one_part_at_least_must_teach_and_an_aligner_teaches_alone(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(IncompatibleError, match=words):
        check_pairs(mini_config(**{**ALONE, **changes}))


def test_without_a_normal_frontal_there_is_no_chest(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def sick(split: str) -> list[Study]:
        return [mini_study(i, split=split) for i in range(1, 12, 2)]

    use_studies(monkeypatch, sick)
    with pytest.raises(DatasetError, match="none of the 6 training studies is a normal frontal"):
        prepare(mini_config(**ALONE), cache=cache)
