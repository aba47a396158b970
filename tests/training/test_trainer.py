from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mini_data import mini_config, mini_study, use_studies
from PIL import Image

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import load_config
from contrastcxr.errors import ConfigError, DatasetError, DivergedError, IncompatibleError, OutputError
from contrastcxr.features.batch import Batch
from contrastcxr.form import Study
from contrastcxr.models.system import System
from contrastcxr.training import run, task
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.prepare import prepare
from contrastcxr.training.task import ReportTask

TRAIN = {"batch_size": 4, "monitor": "loss", "precision": "fp32", "optimizer": {"lr": 0.005}}

pytestmark = pytest.mark.usefixtures("mini_data")


def losses(folder: Path) -> list[float]:
    lines = read_metrics(folder / "metrics.jsonl")
    return [value for line in lines for value in (*line["train"].values(), line["validation"]["loss"])]


def test_a_run_leaves_a_folder_with_everything_and_nothing_elsewhere(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    caplog.set_level(logging.INFO, logger="contrastcxr")
    folder = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False)
    names = {p.name for p in folder.path.iterdir()}
    assert names == {
        "checkpoint.safetensors",
        "config.yaml",
        "log.txt",
        "metrics.jsonl",
        "run_record.json",
        "last.ckpt",
    }
    assert not list((tmp_path / "work").iterdir())
    logged = (folder.path / "log.txt").read_text().splitlines()
    assert logged == caplog.messages[-len(logged) :]
    assert any("epoch 2 of 2" in line for line in logged)


def test_the_checkpoint_is_the_best_epochs_and_calibrated(tmp_path: Path, cache: Path) -> None:
    folder = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False)
    checkpoint = load_checkpoint(folder.path)
    best = min(read_metrics(folder.metrics), key=lambda line: line["validation"]["loss"])
    assert checkpoint.record["best"]["epoch"] == best["epoch"] == folder.best["epoch"]
    assert checkpoint.record["best"]["loss"] == best["validation"]["loss"]
    assert checkpoint.temperature != 1.0
    assert [note.name for note in checkpoint.sources] == ["mini", "encoder test_efficientnet"]


def test_the_record_tells_data_pool_versions_and_calibration_but_no_path(tmp_path: Path, cache: Path) -> None:
    folder = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False)
    text = folder.record.read_text()
    record = json.loads(text)
    assert record["data"]["train"]["studies"] == 16
    assert record["pool"]["size"] == 5
    assert record["pool"]["purity"] == 1.0
    assert set(record["pool"]["views"]) <= {"PA", "AP"}
    assert record["versions"]["torch"] == metadata.version("torch")
    assert record["calibration"]["pairs"] == 8 * 14
    assert record["loss_weights"] == {"word": 1.0, "finding": 1.0}
    assert str(tmp_path) not in text


def test_training_lowers_the_loss(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "epochs": 10, "optimizer": {"lr": 0.02}})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    words = [line["train"]["word"] for line in read_metrics(folder.metrics)]
    assert words[-1] < 0.7 * words[0]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(tmp_path: Path, cache: Path, dropout: float) -> None:
    def config(epochs: int) -> Any:
        decoder = {"kind": "nic", "dropout": dropout}
        schedule = {"factor": 0.5, "every_epochs": 1}
        return mini_config(decoder=decoder, train={**TRAIN, "epochs": epochs, "schedule": schedule})

    whole = run(config(3), out=tmp_path / "whole", cache=cache, progress=False)
    run(config(2), out=tmp_path / "parts", cache=cache, progress=False)
    # As if stopped before the last epoch: no record yet, and a configuration of three epochs.
    (tmp_path / "parts" / "run_record.json").unlink()
    (tmp_path / "parts" / "config.yaml").write_text(config(3).to_yaml())
    parts = run(config(3), out=tmp_path / "parts", cache=cache, resume=True, progress=False)
    assert losses(parts.path) == pytest.approx(losses(whole.path), abs=1e-5)
    assert len(losses(parts.path)) == 9


@pytest.mark.parametrize("kind", ["nic", "hlstm_dual"])
def test_two_processes_equal_one_with_the_same_global_batch(
    kind: str, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of two studies a process may have no abnormal sentence, and then no use for one of two writers."""
    config = mini_config(decoder={"kind": kind, "dropout": 0.0})
    one = run(config, out=tmp_path / "one", cache=cache, progress=False)
    caplog.set_level(logging.INFO, logger="contrastcxr")
    two = run(config, out=tmp_path / "two", cache=cache, devices=2, progress=False)
    assert losses(two.path) == pytest.approx(losses(one.path), abs=1e-4)
    ours, theirs = load_checkpoint(one.path).state, load_checkpoint(two.path).state
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], atol=1e-4), name
    logged = (two.path / "log.txt").read_text().splitlines()
    assert [line[:12] for line in logged if line.startswith("epoch")] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert logged == caplog.messages[-len(logged) :]
    assert "lightning" not in capfd.readouterr().err.lower()


def test_two_processes_share_a_bank_of_negatives(tmp_path: Path, cache: Path) -> None:
    config = mini_config(contrast={"kind": "difference", "stage": 1, "bank": {"match": "none"}})
    one = run(config, out=tmp_path / "one", cache=cache, progress=False)
    two = run(config, out=tmp_path / "two", cache=cache, devices=2, progress=False)
    assert losses(two.path) == pytest.approx(losses(one.path), abs=1e-4)
    ours, theirs = load_checkpoint(one.path).state, load_checkpoint(two.path).state
    assert torch.equal(ours["bank.thumbnails"], theirs["bank.thumbnails"])
    assert torch.allclose(ours["bank.maps"].float(), theirs["bank.maps"].float(), atol=1e-2)


def fill_memory(patch: pytest.MonkeyPatch, *, above: int, after: int = 0) -> None:
    """Let a step of more than so many studies be too large for a GPU, once so many have gone by."""
    terms, steps = task.loss_terms, [0]

    def limited(system: System, batch: Batch, **more: Any) -> Any:
        steps[0] += 1
        if steps[0] > after and len(batch) > above:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return terms(system, batch, **more)

    patch.setattr(task, "loss_terms", limited)


@pytest.mark.parametrize(("kind", "after"), [("nic", 0), ("nic", 6), ("hlstm_dual", 3)])
def test_a_batch_that_memory_does_not_hold_is_taken_in_halves_of_the_same_step(
    kind: str,
    after: int,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once, in the second epoch, or when weights have already moved in the first."""
    config = mini_config(decoder={"kind": kind, "dropout": 0.0})
    whole = run(config, out=tmp_path / "whole", cache=cache, progress=False)
    fill_memory(monkeypatch, above=2, after=after)
    halves = run(config, out=tmp_path / "halves", cache=cache, progress=False)
    assert losses(halves.path) == pytest.approx(losses(whole.path), abs=1e-4)
    ours, theirs = load_checkpoint(whole.path).state, load_checkpoint(halves.path).state
    for name, value in ours.items():
        assert torch.allclose(value, theirs[name], atol=1e-4), name
    assert sum("taken in two halves" in line for line in caplog.messages) == 1


WEAK = {"decoder": {"kind": "nic"}, "losses": [{"kind": "wcl", "clusters": {"k": 2}}]}


@pytest.mark.parametrize(
    ("above", "changes", "said"),
    [
        (1, {}, "nor does it hold half of one"),
        (0, {"train": {**TRAIN, "batch_size": 1}}, "which is of one study"),
        (2, {"train": {**TRAIN, "batch_size": 8}, **WEAK}, r"losses\.wcl needs the whole of it"),
        (2, {"localizer": {"kind": "gradcam", "labels": "phantom"}}, r"localizer\.kind gradcam needs the whole"),
    ],
    ids=["halves", "one", "compared", "whole"],
)
def test_what_memory_does_not_hold_in_halves_either_is_refused_in_one_line(
    above: int, changes: dict[str, Any], said: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_memory(monkeypatch, above=above)
    with pytest.raises(
        IncompatibleError, match=rf"batch_size \d: the GPU's memory does not hold a batch, .*{said}"
    ):
        run(mini_config(**changes), out=tmp_path / "run", cache=cache, progress=False)


@pytest.mark.parametrize("between", ["hooks.ScoreSystem", "hooks.RefreshPool"])
def test_memory_that_is_full_between_epochs_is_said_so_and_halves_nothing(
    between: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(f"contrastcxr.training.{between}.__call__", full)
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": True}
    with pytest.raises(IncompatibleError, match=r"computed between epochs .* fewer generate\.beams"):
        run(mini_config(encoder=encoder), out=tmp_path / "run", cache=cache, progress=False)
    assert not any("halves" in line for line in caplog.messages)


def test_a_folder_that_cannot_be_written_is_refused_before_data_are_loaded(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="file is no folder that can be written; choose another --out"):
            run(mini_config(), out=out, cache=cache, progress=False)
    assert not cache.exists()


def test_early_stopping_waits_for_patience_and_no_longer(tmp_path: Path, cache: Path) -> None:
    still = {"lr": 1e-12}
    config = mini_config(train={**TRAIN, "epochs": 9, "patience": 2, "monitor": "bleu4", "optimizer": still})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert len(read_metrics(folder.metrics)) == 3
    assert folder.best["epoch"] == 1
    folder.record.unlink()  # as if stopped while it closed
    again = run(config, out=tmp_path / "run", cache=cache, resume=True, progress=False)
    assert len(read_metrics(again.metrics)) == 3
    assert again.best == folder.best


def test_a_training_that_diverges_stops_and_says_where(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "epochs": 3, "optimizer": {"lr": 1e30}})
    with pytest.raises(DivergedError, match=r"diverged in epoch 1, step \d+: expected finite losses, found word"):
        run(config, out=tmp_path / "run", cache=cache, progress=False)


@pytest.mark.parametrize("monitor", ["bleu4", "positive_f1", "loss"])
def test_every_metric_can_pick_the_checkpoint(tmp_path: Path, cache: Path, monitor: str) -> None:
    config = mini_config(train={**TRAIN, "epochs": 1, "monitor": monitor})
    assert monitor in run(config, out=tmp_path / "run", cache=cache, progress=False).best


def test_a_trained_encoder_moves_and_its_pool_is_encoded_again(tmp_path: Path, cache: Path) -> None:
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": True}
    config = mini_config(encoder=encoder, image={"size": 64, "augment": True}, train={**TRAIN, "epochs": 2})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    start = run(mini_config(train={**TRAIN, "epochs": 1}), out=tmp_path / "frozen", cache=cache, progress=False)
    moved, frozen = (load_checkpoint(f.path).state for f in (folder, start))
    changed = [k for k in moved if k.startswith("encoder.") and not torch.equal(moved[k], frozen[k])]
    assert changed
    assert not torch.allclose(moved["pool.raw"], frozen["pool.raw"], atol=1e-3)
    assert not cache.joinpath("features").exists() or len(list(cache.glob("features/*"))) == 1


def test_a_trained_encoder_trains_from_the_first_step_on(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[tuple[bool, bool]] = []
    step = ReportTask.training_step

    def noted(task: ReportTask, *arguments: Any) -> Any:
        encoder = task.system.encoder
        assert encoder is not None
        norms = [m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        modes.append((encoder.training, all(norm.training for norm in norms)))
        return step(task, *arguments)

    monkeypatch.setattr(ReportTask, "training_step", noted)
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": True, "train_norm": True}
    config = mini_config(encoder=encoder, image={"size": 64}, train={**TRAIN, "epochs": 2})
    run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert len(modes) > 2
    assert set(modes) == {(True, True)}


@pytest.mark.parametrize("trainable", [False, True])
def test_a_picture_that_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, trainable: bool
) -> None:
    def load(split: str) -> list[Study]:
        return [filed(mini_study(i, split=split), tmp_path, broken=i in bad) for i in range(8)]

    use_studies(monkeypatch, load)
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": trainable}
    config = mini_config(encoder=encoder, train={**TRAIN, "epochs": 1})
    bad = {2}
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert sorted(line.partition(":")[0] for line in folder.unreadable) == ["train-002-0", "validation-002-0"]
    bad = set(range(8))
    with pytest.raises(DatasetError, match="no study has pictures that can be read, the first: train-000-0"):
        run(config, out=tmp_path / "none", cache=tmp_path / "other", progress=False)
    assert not (tmp_path / "none").exists()


def filed(study: Study, folder: Path, *, broken: bool) -> Study:
    """The study with its picture in a file."""
    (view,) = study.views
    assert view.pixels is not None
    path = folder / f"{view.view_id}{'-broken' if broken else ''}.png"
    Image.fromarray((view.pixels * 255).astype("uint8")).save(path)
    if broken:
        path.write_bytes(path.read_bytes()[:200])
    return study.model_copy(update={"views": (view.model_copy(update={"pixels": None, "locator": str(path)}),)})


def test_an_auc_that_validation_cannot_give_is_refused_before_the_first_step(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "monitor": "auc"})
    with pytest.raises(IncompatibleError, match="no finding is present in 5 of the 8 validation studies"):
        run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert not (tmp_path / "run").exists()


def test_findings_of_reports_that_no_grammar_wrote_are_the_labelers(cache: Path) -> None:
    prepared = prepare(mini_config(), cache=cache)
    validation = ScoreSystem(prepared).validation()
    assert {f.name for truth in validation.truths for f in truth} >= {"Cardiomegaly", "Pleural Effusion"}
    (finding,) = (f for f in validation.findings_in("Enlarged heart.") if f.status == "present")
    assert finding.name == "Cardiomegaly"
    as_phantom = replace(prepared, config=mini_config(data={"source": "phantom:smoke"}))
    grammar = ScoreSystem(as_phantom).validation()
    assert grammar.truths == prepared.validation.truths


CELLS = {"kind": "li2018", "labels": "phantom"}
ALONE = {"decoder": None, "finding_head": None, "contrast": None, "projection": {"kind": "none"}}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"encoder": {"name": "test_efficientnet", "trainable": True, "train_norm": True}},
            r"encoder\.train_norm",
        ),
        ({"localizer": CELLS}, r"localizer\.head two"),
        ({"localizer": {**CELLS, "head": "single", "reduction": "sum"}}, r"localizer\.reduction sum"),
        ({"localizer": {"kind": "gradcam", "labels": "phantom"}}, r"localizer\.kind gradcam"),
        ({"decoder": {"kind": "cvse"}}, "decoder.kind cvse"),
        ({**ALONE, "align": {"kind": "affine", "network": "resnet18"}}, r"align\.network resnet18"),
    ],
    ids=["norms", "head", "sums", "stage", "ranking", "aligner"],
)
def test_lessons_of_a_whole_batch_are_not_shared_between_processes(
    tmp_path: Path, cache: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(IncompatibleError, match=rf"--devices 2 with {named}"):
        run(mini_config(**changes), out=tmp_path / "run", cache=cache, devices=2, progress=False)


def test_a_request_that_fails_leaves_the_folder_free(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda _: [])
    with pytest.raises(DatasetError, match="no studies"):
        run(mini_config(), out=tmp_path / "run", cache=cache)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path, cache: Path) -> None:
    run(mini_config(train={**TRAIN, "epochs": 1}), out=tmp_path / "run", cache=cache, progress=False)
    with pytest.raises(ConfigError, match="holds a run already; add --resume"):
        run(mini_config(train={**TRAIN, "epochs": 1}), out=tmp_path / "run", cache=cache)


def test_resuming_with_another_configuration_is_refused(tmp_path: Path, cache: Path) -> None:
    run(mini_config(train={**TRAIN, "epochs": 1}), out=tmp_path / "run", cache=cache, progress=False)
    with pytest.raises(ConfigError, match="differs from the configuration given"):
        run(mini_config(width=32), out=tmp_path / "run", cache=cache, resume=True)


def test_resuming_a_finished_run_does_nothing(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "epochs": 1})
    first = run(config, out=tmp_path / "run", cache=cache, progress=False)
    before = first.checkpoint.stat().st_mtime_ns
    again = run(config, out=tmp_path / "run", cache=cache, resume=True)
    assert again.best == first.best
    assert first.checkpoint.stat().st_mtime_ns == before


def test_a_damaged_training_state_is_refused_in_one_line(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "epochs": 1})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False).path
    (folder / "run_record.json").unlink()
    (folder / "last.ckpt").write_bytes(b"cut short")
    with pytest.raises(Exception, match=r"last\.ckpt: expected the state of a training run"):
        run(config, out=folder, cache=cache, resume=True)


def test_processes_that_cannot_share_a_batch_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"--devices 3 with train\.batch_size 4"):
        run(mini_config(), out=tmp_path / "run", cache=cache, devices=3)


def test_the_written_configuration_is_the_one_given(tmp_path: Path, cache: Path) -> None:
    config = mini_config(train={**TRAIN, "epochs": 1})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert load_config(folder.path / "config.yaml") == config
    written, given = yaml.safe_load((folder.path / "config.yaml").read_text()), config.to_dict()
    assert written.pop("generate").items() <= given.pop("generate").items()  # nothing of another search
    assert written == given


def test_training_in_bf16_gives_nearly_the_losses_of_fp32(
    tmp_path: Path, cache: Path, mini_data: Callable[..., Any]
) -> None:
    assert mini_data is not None
    half = mini_config(train={**TRAIN, "epochs": 1, "precision": "bf16"})
    full = mini_config(train={**TRAIN, "epochs": 1})
    folders = [run(c, out=tmp_path / c.train.precision, cache=cache, progress=False) for c in (half, full)]
    assert losses(folders[0].path) == pytest.approx(losses(folders[1].path), rel=0.05)
